//! Swagger UI for the API's description, from its crate's own files: the page loads nothing from
//! other hosts.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{
        Response, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
};
use utoipa_swagger_ui::Config;

/// The path of the page, under the fleet's own prefix.
pub(crate) const PATH: &str = "/@fleet/docs";

/// The route of the API that serves the document.
const DOCUMENT: &str = "/api/openapi.json";

/// The page or one of its files, or `None` if there is no such file.
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
