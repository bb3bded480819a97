//! A page that shows the API's description, and sends requests from it: Swagger UI, which comes with
//! its crate. Nothing is fetched from elsewhere.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{
        Response, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
};
use utoipa_swagger_ui::Config;

/// Where the page is, below what is the fleet's own.
pub(crate) const PATH: &str = "/@fleet/docs";

/// What it shows: the API's own route.
const DOCUMENT: &str = "/api/openapi.json";

/// The page, or one of its files. None where there is no such file.
pub(crate) fn respond(path: &str) -> Option<Response<Body>> {
    let file = path.strip_prefix(PATH)?;
    if file.is_empty() {
        // The page's own links are relative.
        let response = Response::builder()
            .status(StatusCode::PERMANENT_REDIRECT)
            .header(LOCATION, format!("{PATH}/"));
        return response.body(Body::empty()).ok();
    }
    let config = Config::from(DOCUMENT).persist_authorization(true);
    let file = utoipa_swagger_ui::serve(file.strip_prefix('/')?, Arc::new(config));
    let file = file.ok().flatten()?;
    Response::builder()
        .header(CONTENT_TYPE, file.content_type)
        .body(file.bytes.into_owned().into())
        .ok()
}
