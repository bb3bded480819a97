//! `GET /api/openapi.json`, for everybody: the description of this API.

use shared::{answer::Response, error::Error, request::Request};

/// As `make contract` wrote it.
const DOCUMENT: &str = include_str!("../../../shared/openapi.json");

fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    request.document(DOCUMENT)
}
