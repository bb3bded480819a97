//! `GET /api/doctors/{id}/appointments/upcoming?limit=&cursor=`: what a doctor still has before
//! them, from now on, by start.

use serde::Deserialize;
use shared::{
    clinic::appointments::{self, UPCOMING_PAGE, UpcomingPosition},
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    limit: Option<PageLimit<UPCOMING_PAGE>>,
    cursor: Option<Cursor<UpcomingPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeSchedule)?;
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let limit = query.limit.unwrap_or_default();
    let page = appointments::upcoming(
        request.reader().await?,
        &access,
        doctor,
        limit,
        query.cursor.as_ref(),
    )
    .await?;
    request.log_access(&caller, page.data.iter().map(|visit| visit.patient.id));
    request.json(&page)
}
