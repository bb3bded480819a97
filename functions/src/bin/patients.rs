//! Patients and their records: `GET /api/patients?q=&limit=&cursor=`, `POST /api/patients`, `GET` and
//! `PATCH /api/patients/{id}`.

use serde::Deserialize;
use shared::{
    clinic::patients::{
        self, CorrectPatient, Draft, PATIENTS_PAGE, Patch, PatientPosition, RegisterPatient,
        SearchTerm,
    },
    clinic::permissions::{Action, authorize},
    http::{
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
    if request.route() == "GET /api/patients" {
        return search(request).await;
    }
    request.no_query()?;
    match request.route() {
        "POST /api/patients" => register(request).await,
        "GET /api/patients/{id}" => see(request).await,
        "PATCH /api/patients/{id}" => correct(request).await,
        _ => Err(Error::NotFound("route")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    q: Option<String>,
    limit: Option<PageLimit<PATIENTS_PAGE>>,
    cursor: Option<Cursor<PatientPosition>>,
}

async fn search(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    authorize(&caller, Action::SearchPatients)?;
    let query: Query = request.query()?;
    let term = SearchTerm::new(query.q.as_deref())?;
    let limit = query.limit.unwrap_or_default();
    let page =
        patients::search(request.reader().await?, &term, limit, query.cursor.as_ref()).await?;
    request.log_access(&caller, page.data.iter().map(|patient| patient.id));
    request.json(&page)
}

async fn register(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::KeepPatients)?;
    let registration = RegisterPatient {
        draft: &request.body::<Draft>()?,
        access,
    };
    let answer = request.write_once(&caller, &registration).await?;
    request.answer(&caller, answer)
}

async fn see(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeePatient)?;
    let id = request.path_id("id")?;
    let patient = patients::find(request.reader().await?, &access, id).await?;
    let patient = patient.ok_or(Error::NotFound("patient"))?;
    request.log_access(&caller, [patient.id]);
    request.resource(&patient)
}

async fn correct(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::KeepPatients)?;
    let correction = CorrectPatient {
        patient: request.path_id("id")?,
        patch: &request.body::<Patch>()?,
        if_match: &request.if_match()?,
        access,
    };
    let answer = request.write(&correction).await?;
    request.answer(&caller, answer)
}
