//! Every problem that a request may end in.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::{clinic::appointments::Status, http::problem::Problem};

/// The answer to a request that is not carried out (RFC 9457).
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(rename = "Problem")]
pub(super) struct ProblemDocument {
    /// Which problem: `urn:headroom:problem:` and its name.
    r#type: String,
    /// The problem in few words, the same for each of its type.
    title: String,
    /// The status code.
    status: u16,
    /// What was wrong with this request, and what is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// By which the log can be searched.
    request_id: String,
    /// Of `overlap`: when the doctor's other appointment is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Conflict>,
    /// Of `invalid-transition`: what the appointment is.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Status>,
    /// Of `invalid-transition`: what it cannot become.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Status>,
}

/// When the doctor's other appointment is.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Conflict {
    /// When it begins.
    starts_at: DateTime<Utc>,
    /// When it is over.
    ends_at: DateTime<Utc>,
}

/// What API Gateway says on its own account.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct GatewayMessage {
    /// The status in words.
    message: String,
}

/// The schema of a problem of one of these kinds.
pub(super) fn schema(problem: Value, kinds: &[Problem]) -> Value {
    let types: Vec<String> = kinds.iter().map(|kind| kind.urn()).collect();
    json!({ "allOf": [problem, { "properties": { "type": { "enum": types } } }] })
}
