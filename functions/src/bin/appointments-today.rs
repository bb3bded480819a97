//! `GET /api/doctors/{id}/appointments/today?cursor=`: a doctor's whole day, every status, by
//! start; the day is the doctor's own, in the doctor's time zone.

use serde::Deserialize;
use shared::{
    clinic::appointments::{self, TodayPosition},
    clinic::permissions::{Action, authorize},
    http::{page::Cursor, problem::Error, request::Request, response::Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    cursor: Option<Cursor<TodayPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeSchedule)?;
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let page = appointments::today(
        request.reader().await?,
        &access,
        doctor,
        query.cursor.as_ref(),
    )
    .await?;
    request.log_access(&caller, page.data.iter().map(|visit| visit.patient.id));
    request.json(&page)
}
