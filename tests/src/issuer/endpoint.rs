//! What the issuer serves on the fleet's port, beside the API: discovery, keys, tokens; and the page
//! that shows the API.
//!
//! It is all below one path, whose first segment no route of a template may be, which
//! [`Builder::start`](crate::Builder::start) checks, and which no id of the API is: what is local hides
//! no part of the API, and no greedy route hides what is local. The issuer's URL ends with that path, and
//! OpenID Connect looks for everything else below it.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use super::Issuer;
use crate::docs;

/// What every path of the issuer begins with, and none of a template.
pub(crate) const PREFIX: &str = "/@fleet";

/// Where [`ask`](super::ask) asks.
pub(super) const TOKEN_PATH: &str = "/@fleet/token";

/// A question for a token is two words and an id.
const MOST_QUESTION_BYTES: usize = 4 * 1024;

/// The subject of staff, who have no rows.
const STAFF: &str = "staff";

/// Finds the subject of a row: called with the role, `doctor` or `patient`, and the row's id.
pub type SubjectOf = Arc<
    dyn Fn(&'static str, Uuid) -> Pin<Box<dyn Future<Output = Result<String, NoSubject>> + Send>>
        + Send
        + Sync,
>;

/// Why a row has no subject to give.
#[derive(Debug, thiserror::Error)]
pub enum NoSubject {
    /// There is no row with the id.
    #[error("there is no {role} with the id {id}")]
    NoRow {
        /// The role.
        role: &'static str,
        /// The row's id.
        id: Uuid,
    },
    /// No user logs in as the row.
    #[error("the {role} {id} has no subject: update {role}s set subject = '…' where id = '{id}'")]
    NoSubject {
        /// The role.
        role: &'static str,
        /// The row's id.
        id: Uuid,
    },
    /// The fleet was not told where the rows are.
    #[error("this fleet knows no rows: ask for a token with role=staff")]
    NoRows,
    /// The rows could not be read.
    #[error("the rows cannot be read: {0}")]
    Unreadable(String),
}

/// Whether a request is the issuer's and not the API's.
pub(crate) fn is_local(path: &str) -> bool {
    path.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Answers a request for which [`is_local`] holds.
pub(crate) async fn respond(
    issuer: &Issuer,
    subject_of: Option<&SubjectOf>,
    authority: &str,
    request: Request<Body>,
) -> Response<Body> {
    // A page whose name was rebound to 127.0.0.1 may read what it asks for, but its browser sends
    // the name.
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let localhost = authority.replace("127.0.0.1", "localhost");
    if host.is_none_or(|host| host != authority && host != localhost) {
        let says = format!("this is for {authority} alone");
        return text(StatusCode::MISDIRECTED_REQUEST, &says);
    }
    let url = issuer.url();
    match (request.method(), request.uri().path()) {
        // OpenID Connect Discovery 1.0, section 4: below the issuer's URL.
        (&Method::GET, "/@fleet/.well-known/openid-configuration") => json(&json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks.json"),
            "token_endpoint": format!("{url}/token"),
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        })),
        (&Method::GET, "/@fleet/jwks.json") => json(&issuer.keys()),
        (&Method::POST, TOKEN_PATH) => {
            let Ok(form) = to_bytes(request.into_body(), MOST_QUESTION_BYTES).await else {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "that is too long a question");
            };
            match token(issuer, subject_of, &form).await {
                Ok(token) => text(StatusCode::OK, &token),
                Err(says) => text(StatusCode::BAD_REQUEST, &says),
            }
        }
        (&Method::GET, path) if let Some(page) = docs::respond(path) => page,
        _ => text(
            StatusCode::NOT_FOUND,
            "there are: GET /@fleet/docs, GET /@fleet/.well-known/openid-configuration, \
             GET /@fleet/jwks.json, POST /@fleet/token with the form role=staff, or role=doctor&id=…, or role=patient&id=…",
        ),
    }
}

async fn token(
    issuer: &Issuer,
    subject_of: Option<&SubjectOf>,
    form: &[u8],
) -> Result<String, String> {
    const ROLES: &str = "accepted are doctor, patient and staff";
    let value = |name: &str| {
        let mut pairs = form_urlencoded::parse(form);
        let value = pairs.find(|(key, _)| key == name).map(|(_, value)| value);
        value.filter(|value| !value.is_empty())
    };
    let id = value("id");
    let role = match value("role").as_deref() {
        Some("doctor") => "doctor",
        Some("patient") => "patient",
        Some("staff") if id.is_none() => return Ok(issuer.token("staff", STAFF)),
        Some("staff") => return Err("staff have no rows, so no id is accepted".to_owned()),
        Some(other) => return Err(format!("the role is `{other}`; {ROLES}")),
        None => return Err(format!("a role is missing; {ROLES}")),
    };
    let Some(id) = id else {
        return Err(format!("role {role} needs the id of a row in {role}s"));
    };
    let id: Uuid = id
        .parse()
        .map_err(|_| format!("the id is `{id}`; accepted is the UUID of a row in {role}s"))?;
    let subject = match subject_of {
        Some(subject_of) => subject_of(role, id).await,
        None => Err(NoSubject::NoRows),
    };
    let subject = subject.map_err(|error| error.to_string())?;
    Ok(issuer.token(role, &subject))
}

fn json(value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_string(value).unwrap_or_default();
    response(StatusCode::OK, "application/json", body)
}

fn text(status: StatusCode, line: &str) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
