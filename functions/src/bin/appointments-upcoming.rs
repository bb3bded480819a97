//! `GET /api/doctors/{id}/appointments/upcoming?limit=&cursor=`: what a doctor still has before
//! them, from now on, by start.

use serde::Deserialize;
use shared::{
    appointments::{self, UPCOMING_PAGE, UpcomingPosition},
    error::Error,
    page::{Cursor, PageLimit},
    request::{self, Request, Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    limit: Option<PageLimit<UPCOMING_PAGE>>,
    cursor: Option<Cursor<UpcomingPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let limit = query.limit.unwrap_or_default();
    let page = appointments::upcoming(request.reader()?, doctor, limit, query.cursor.as_ref())
        .await?
        .ok_or(Error::NotFound("doctor"))?;
    request::json(&page)
}
