//! `GET /api/doctors/{id}/availability?from=&to=&cursor=`: when a doctor can be visited.

use serde::Deserialize;
use shared::{
    clinic::availability::{self, SlotPosition},
    clinic::permissions::{Action, authorize},
    http::{
        date_range::DateRange, page::Cursor, problem::Error, request::Request, response::Response,
    },
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    from: Option<String>,
    to: Option<String>,
    cursor: Option<Cursor<SlotPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    authorize(&request.caller()?, Action::SeeDoctors)?;
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let range = DateRange::read(query.from.as_deref(), query.to.as_deref())?;
    let cursor = query.cursor.as_ref();
    let page = availability::free(request.reader().await?, doctor, range, cursor).await?;
    request.json(&page)
}
