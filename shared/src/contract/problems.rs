//! The schemas of error responses.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;

use crate::clinic::appointments::Status;

/// Why a request was not carried out (RFC 9457).
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(rename = "Problem")]
pub(super) struct ProblemDocument {
    /// The problem: `urn:headroom:problem:` and its name.
    r#type: String,
    /// A short summary, the same for every problem of this type.
    title: String,
    /// The status code.
    status: u16,
    /// What is wrong with this request, and what is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The id of the request, by which the operator can search the log.
    request_id: String,
    /// For `overlap`: when the doctor's other appointment is, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflict: Option<Conflict>,
    /// For `invalid-transition`: the appointment's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Status>,
    /// For `invalid-transition`: the requested status.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Status>,
}

/// When the doctor's other appointment is.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Conflict {
    /// When it starts.
    starts_at: DateTime<Utc>,
    /// When it ends.
    ends_at: DateTime<Utc>,
}

/// An error of API Gateway itself.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct GatewayMessage {
    /// The reason phrase of the status.
    message: String,
}
