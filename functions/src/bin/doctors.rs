//! What an application asks when it opens: `GET /api/me`, who they are, and
//! `GET /api/doctors?specialty=&q=&limit=&cursor=`, the active doctors, by name.

use serde::Deserialize;
use shared::{
    clinic::permissions::{Action, authorize},
    clinic::{
        doctors::{self, DOCTORS_PAGE, DoctorFilter, DoctorPosition},
        me,
    },
    http::{
        page::{Cursor, PageLimit},
        problem::Error,
        request::{self, Request},
        response::Response,
    },
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    specialty: Option<String>,
    q: Option<String>,
    limit: Option<PageLimit<DOCTORS_PAGE>>,
    cursor: Option<Cursor<DoctorPosition>>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    match request.route() {
        "GET /api/me" => see_oneself(request).await,
        "GET /api/doctors" => list(request).await,
        _ => Err(Error::NotFound("route")),
    }
}

async fn see_oneself(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    let caller = request.caller()?;
    let access = authorize(&caller, Action::SeeOneself)?;
    let me = me::find(request.reader().await?, &caller, &access).await?;
    request.log_access(&caller, me.patient.iter().map(|patient| patient.id));
    request.json(&me)
}

async fn list(request: Request) -> Result<Response, Error> {
    authorize(&request.caller()?, Action::SeeDoctors)?;
    let query: Query = request.query()?;
    let filter = DoctorFilter {
        specialty: request::search_text("specialty", query.specialty.as_deref())?,
        name: request::search_text("q", query.q.as_deref())?,
    };
    let limit = query.limit.unwrap_or_default();
    let page = doctors::list(
        request.reader().await?,
        &filter,
        limit,
        query.cursor.as_ref(),
    )
    .await?;
    request.json(&page)
}
