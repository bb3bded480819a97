//! Appointments of a range of days: `GET /api/doctors/{id}/appointments?from=&to=&status=&limit=&cursor=`
//! and `GET /api/patients/{id}/appointments?from=&to=&limit=&cursor=`.

use serde::Deserialize;
use shared::{
    clinic::appointments::{
        self, DOCTOR_HISTORY_PAGE, DoctorHistoryPosition, PATIENT_HISTORY_PAGE,
        PatientHistoryPosition, Status,
    },
    clinic::permissions::{Action, authorize},
    config,
    http::{
        date_range::DateRange,
        page::{Cursor, PageLimit},
        problem::Error,
        request::Request,
        response::Response,
    },
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    match request.route() {
        "GET /api/doctors/{id}/appointments" => of_doctor(request).await,
        "GET /api/patients/{id}/appointments" => of_patient(request).await,
        _ => Err(Error::NotFound("route")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DoctorQuery {
    from: Option<String>,
    to: Option<String>,
    status: Option<Status>,
    limit: Option<PageLimit<DOCTOR_HISTORY_PAGE>>,
    cursor: Option<Cursor<DoctorHistoryPosition>>,
}

async fn of_doctor(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeSchedule)?;
    let doctor = request.path_id("id")?;
    let query: DoctorQuery = request.query()?;
    let range = DateRange::read(query.from.as_deref(), query.to.as_deref())?;
    let page = appointments::of_doctor(
        request.reader().await?,
        &access,
        doctor,
        range,
        query.status,
        query.limit.unwrap_or_default(),
        query.cursor.as_ref(),
    )
    .await?;
    request.log_access(&caller, page.data.iter().map(|visit| visit.patient.id));
    request.json(&page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatientQuery {
    from: Option<String>,
    to: Option<String>,
    limit: Option<PageLimit<PATIENT_HISTORY_PAGE>>,
    cursor: Option<Cursor<PatientHistoryPosition>>,
}

async fn of_patient(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeePatientAppointments)?;
    let patient = request.path_id("id")?;
    let query: PatientQuery = request.query()?;
    let range = DateRange::read(query.from.as_deref(), query.to.as_deref())?;
    let page = appointments::of_patient(
        request.reader().await?,
        &access,
        patient,
        range,
        &config::clinic_time_zone(),
        query.limit.unwrap_or_default(),
        query.cursor.as_ref(),
    )
    .await?;
    // Also where the list is empty: that the clinic knows the patient is said.
    request.log_access(&caller, [patient]);
    request.json(&page)
}
