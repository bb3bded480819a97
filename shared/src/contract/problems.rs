//! Every problem that a request may end in.

use std::{io, iter::successors};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::{
    clinic::appointments::Status,
    http::{
        problem::{Error, PROBLEM_TYPE_PREFIX},
        refusal::Refusal,
    },
};

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The status code.
    pub status: u16,
    /// The end of the type.
    pub name: &'static str,
    /// The title.
    pub title: &'static str,
}

impl Kind {
    /// The type, whole.
    pub fn urn(&self) -> String {
        format!("{PROBLEM_TYPE_PREFIX}{}", self.name)
    }

    /// The kind of this name.
    ///
    /// # Panics
    /// Where there is none.
    pub(super) fn named(name: &str) -> Self {
        let found = kinds().into_iter().find(|kind| kind.name == name);
        found.unwrap_or_else(|| panic!("there is no problem `{name}`"))
    }
}

/// Every kind, once.
pub fn kinds() -> Vec<Kind> {
    let refusals = successors(Some(first_refusal()), next_refusal).map(Error::Refused);
    let errors = successors(Some(Error::BadRequest(String::new())), next_error);
    let mut kinds: Vec<Kind> = errors
        .chain(refusals)
        .map(|error| {
            let (status, name, title) = error.answer();
            let status = status.as_u16();
            Kind {
                status,
                name,
                title,
            }
        })
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn first_refusal() -> Refusal {
    Refusal::Overlap { other: None }
}

/// Each refusal leads to the next one, so that the compiler misses none that is added.
fn next_refusal(refusal: &Refusal) -> Option<Refusal> {
    Some(match refusal {
        Refusal::Overlap { .. } => Refusal::OutsideWorkingHours,
        Refusal::OutsideWorkingHours => Refusal::TimeOff,
        Refusal::TimeOff => Refusal::Past,
        Refusal::Past => Refusal::UnknownReference(""),
        Refusal::UnknownReference(_) => Refusal::Inactive,
        Refusal::Inactive => Refusal::Transition {
            from: Status::Completed,
            to: Status::Scheduled,
        },
        Refusal::Transition { .. } => Refusal::TooEarly(Status::Completed),
        Refusal::TooEarly(_) => Refusal::NotMovable(Status::Completed),
        Refusal::NotMovable(_) => Refusal::Begun,
        Refusal::Begun => Refusal::SubjectTaken,
        Refusal::SubjectTaken => Refusal::Contradiction(""),
        Refusal::Contradiction(_) => Refusal::PreconditionRequired,
        Refusal::PreconditionRequired => Refusal::PreconditionFailed,
        Refusal::PreconditionFailed => Refusal::KeyReused,
        Refusal::KeyReused => Refusal::KeyInFlight,
        Refusal::KeyInFlight => return None,
    })
}

/// The same for errors. Refusals are the other chain's.
fn next_error(error: &Error) -> Option<Error> {
    let cause = || io::Error::other("");
    Some(match error {
        Error::BadRequest(_) => Error::Unauthenticated,
        Error::Unauthenticated => Error::Forbidden,
        Error::Forbidden => Error::NotFound(""),
        Error::NotFound(_) => Error::UnsupportedMediaType,
        Error::UnsupportedMediaType => Error::Refused(first_refusal()),
        Error::Refused(_) => Error::PoolTimeout,
        Error::PoolTimeout => Error::DatabaseBusy(sqlx::Error::PoolTimedOut),
        Error::DatabaseBusy(_) => Error::Unreachable(cause().into()),
        Error::Unreachable(_) => Error::Authentication {
            variable: "",
            source: sqlx::Error::PoolTimedOut,
        },
        Error::Authentication { .. } => Error::Tls(sqlx::Error::PoolTimedOut),
        Error::Tls(_) => Error::Closed(cause().into()),
        Error::Closed(_) => Error::OutcomeUnknown(cause().into()),
        Error::OutcomeUnknown(_) => Error::QueryTimeout(cause().into()),
        Error::QueryTimeout(_) => Error::InvalidConfiguration(cause().into()),
        Error::InvalidConfiguration(_) => Error::CredentialsUnavailable(cause().into()),
        Error::CredentialsUnavailable(_) => Error::Unexpected(cause().into()),
        Error::Unexpected(_) => return None,
    })
}

/// The answer to a request that is not carried out (RFC 9457).
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct Problem {
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
    /// Of `transition`: what the appointment is.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Status>,
    /// Of `transition`: what it cannot become.
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
pub(super) fn schema(problem: Value, kinds: &[Kind]) -> Value {
    let types: Vec<String> = kinds.iter().map(Kind::urn).collect();
    json!({ "allOf": [problem, { "properties": { "type": { "enum": types } } }] })
}
