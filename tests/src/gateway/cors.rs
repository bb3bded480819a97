//! Cross-origin requests, where the API has a `CorsConfiguration`.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use shared::operator::template::Cors;

/// The answer to a preflight; none where the request is not one. A page that is not let in gets
/// the answer without headers.
pub(super) fn preflight(
    cors: &Cors,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let origin = headers.get(ORIGIN)?;
    if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allowed) = allowed(cors, origin) {
        let headers = response.headers_mut();
        insert(headers, ACCESS_CONTROL_ALLOW_ORIGIN, &allowed);
        insert_list(headers, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
        insert_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
        credentials(headers, cors);
        if let Some(seconds) = cors.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, seconds.into());
        }
    }
    Some(response)
}

/// Puts the configured headers into a function's response, in place of its own: "API Gateway
/// ignores CORS headers returned from your backend integration".
pub(super) fn apply(cors: &Cors, origin: Option<&HeaderValue>, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for name in [
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ] {
        headers.remove(name);
    }
    if let Some(allowed) = origin.and_then(|origin| allowed(cors, origin)) {
        insert(headers, ACCESS_CONTROL_ALLOW_ORIGIN, &allowed);
        insert_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
        credentials(headers, cors);
    }
}

/// What an origin is told that it may be: itself, or `*` where anybody may be. The patterns are
/// API Gateway's: a scheme and anything.
fn allowed(cors: &Cors, origin: &HeaderValue) -> Option<String> {
    let origin = origin.to_str().ok()?;
    let matches = |pattern: &&String| match pattern.strip_suffix('*') {
        Some(beginning @ ("http://" | "https://")) => origin.starts_with(beginning),
        _ => *pattern == origin,
    };
    if cors.allow_origins.iter().any(|pattern| pattern == "*") {
        return Some("*".to_owned());
    }
    let found = cors.allow_origins.iter().find(matches);
    found.map(|_| origin.to_owned())
}

fn credentials(headers: &mut HeaderMap, cors: &Cors) {
    if cors.allow_credentials {
        insert(headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    }
}

fn insert_list(headers: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if !values.is_empty() {
        insert(headers, name, &values.join(","));
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
