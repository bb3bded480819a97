//! `GET /api/openapi.json`, for everybody: the description of this API.

use std::sync::LazyLock;

use shared::{
    answer::{Document, Response},
    error::Error,
    request::Request,
};

/// As `make contract` wrote it.
static DOCUMENT: LazyLock<Document> =
    LazyLock::new(|| Document::new(include_str!("../../../shared/openapi.json")));

fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(handler)
}

async fn handler(request: Request) -> Result<Response, Error> {
    request.no_query()?;
    request.document(&DOCUMENT)
}
