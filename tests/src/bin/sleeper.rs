//! A function for the tests of time limits: it has the database sleep for `seconds`.

use serde::Deserialize;
use shared::http::{problem::Error, request::Request, response::Response};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    seconds: f64,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let query: Query = request.query()?;
    sqlx::query("select pg_sleep($1)")
        .bind(query.seconds)
        .execute(request.reader().await?)
        .await?;
    request.json(&"slept")
}
