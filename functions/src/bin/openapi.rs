//! `GET /api/openapi.json`, for every caller: the description of this API.

use std::sync::LazyLock;

use shared::http::{
    problem::Error,
    request::Request,
    response::{Document, Response},
};

/// As `make contract` wrote it.
static DOCUMENT: LazyLock<Document> =
    LazyLock::new(|| Document::new(include_str!("../../../shared/openapi.json")));

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    request.document(&DOCUMENT)
}
