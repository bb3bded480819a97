//! `GET /api/doctors/{id}/dashboard?from=&to=`: what became of a doctor's time.

use serde::Deserialize;
use shared::{
    clinic::dashboard,
    clinic::permissions::{Action, authorize},
    http::{date_range::DateRange, problem::Error, request::Request, response::Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    from: Option<String>,
    to: Option<String>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeSchedule)?;
    let doctor = request.path_id("id")?;
    let query: Query = request.query()?;
    let range = DateRange::read(query.from.as_deref(), query.to.as_deref())?;
    // Figures without names: no access line.
    request.json(&dashboard::of_doctor(request.reader().await?, &access, doctor, range).await?)
}
