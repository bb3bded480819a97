//! One doctor and the frame of their calendar: `GET /api/doctors/{id}`,
//! `PUT /api/doctors/{id}/working-hours`, `POST /api/doctors/{id}/time-off`,
//! `DELETE /api/doctors/{id}/time-off/{timeOffId}`.

use shared::{
    clinic::doctors::{
        self, AddTimeOff, NewWeek, RemoveTimeOff, ReplaceWorkingHours, TimeOffDraft,
    },
    clinic::permissions::{Action, access_to, authorize},
    http::{problem::Error, request::Request, response::Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    match request.route() {
        "GET /api/doctors/{id}" => see(request).await,
        "PUT /api/doctors/{id}/working-hours" => change_week(request).await,
        "POST /api/doctors/{id}/time-off" => add_time_off(request).await,
        "DELETE /api/doctors/{id}/time-off/{timeOffId}" => remove_time_off(request).await,
        _ => Err(Error::NotFound("route")),
    }
}

async fn see(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    authorize(&caller, Action::SeeDoctors)?;
    let absences = access_to(&caller, Action::ManageSchedule);
    let id = request.path_id("id")?;
    let doctor = doctors::find(request.reader().await?, absences.as_ref(), id).await?;
    request.resource(&doctor.ok_or(Error::NotFound("doctor"))?)
}

async fn change_week(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::ManageSchedule)?;
    let replacement = ReplaceWorkingHours {
        doctor: request.path_id("id")?,
        new: &request.body::<NewWeek>()?,
        if_match: &request.if_match()?,
        access,
    };
    let answer = request.write(&replacement).await?;
    request.answer(&caller, answer)
}

async fn add_time_off(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::ManageSchedule)?;
    let addition = AddTimeOff {
        doctor: request.path_id("id")?,
        draft: &request.body::<TimeOffDraft>()?,
        access,
    };
    let answer = request.write_once(&caller, &addition).await?;
    request.answer(&caller, answer)
}

async fn remove_time_off(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::ManageSchedule)?;
    let removal = RemoveTimeOff {
        doctor: request.path_id("id")?,
        time_off: request.path_id("timeOffId")?,
        access,
    };
    let answer = request.write(&removal).await?;
    request.answer(&caller, answer)
}
