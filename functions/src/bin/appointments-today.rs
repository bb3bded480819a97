//! `GET /api/doctors/{id}/appointments/today?cursor=`: a doctor's whole day, every status, by
//! start; the day is the doctor's own, in the doctor's time zone.

use serde::Deserialize;
use shared::{
    appointments::{self, TodayPosition},
    error::Error,
    page::Cursor,
    request::{self, Request, Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    cursor: Option<Cursor<TodayPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let page = appointments::today(request.reader()?, doctor, query.cursor.as_ref())
        .await?
        .ok_or(Error::NotFound("doctor"))?;
    request::json(&page)
}
