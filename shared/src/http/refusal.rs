//! What a request is refused for although it is well formed: by the clinic's own rules, and by the
//! rules of HTTP about changes. Each has its status, its problem type, and what it tells.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::http::problem::Problem;

/// Why a well-formed request is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The doctor has another appointment at that time. Whose it is stays private.
    #[error("the doctor has another appointment at that time")]
    Overlap {
        /// When the other one begins and ends; unknown where it appeared in the last moment.
        other: Option<(DateTime<Utc>, DateTime<Utc>)>,
    },
    /// The doctor does not work then.
    #[error("that is outside the doctor's working hours; staff may say \"override\": true")]
    OutsideWorkingHours,
    /// The doctor is away then.
    #[error("the doctor is away at that time; staff may say \"override\": true")]
    TimeOff,
    /// It would begin in the past.
    #[error("that time is in the past; staff may say \"override\": true")]
    StartsInPast,
    /// What the body refers to does not exist, or is not the caller's to refer to.
    #[error("{0} does not refer to an existing record")]
    UnknownReference(&'static str),
    /// The doctor has left the clinic.
    #[error("this doctor takes no appointments any more")]
    DoctorInactive,
    /// The state machine has no such step, or it is none that a change of the status takes.
    #[error("{why}")]
    InvalidTransition {
        /// The status that it has, as JSON has it.
        from: &'static str,
        /// The status that was asked for.
        to: &'static str,
        /// Why there is no such step, and which one there is.
        why: String,
    },
    /// The status says that something happened whose time has not come.
    #[error("an appointment cannot be {status} before {not_before}")]
    TooEarly {
        /// The status that was asked for.
        status: &'static str,
        /// What has to come first.
        not_before: &'static str,
    },
    /// The time of an appointment that has begun, or is over, stays as it is. The text is its status.
    #[error("an appointment that is {0} cannot be moved any more")]
    NotMovable(&'static str),
    /// A patient cannot undo what has begun.
    #[error("this appointment has begun or is over: ask the clinic")]
    AppointmentStarted,
    /// Another record has the same subject.
    #[error("another record has this subject already")]
    SubjectTaken,
    /// Two entries of a list contradict each other.
    #[error("{0}")]
    InvalidWorkingHours(&'static str),
    /// A change of something that the client must have seen before.
    #[error("send the ETag of what you change in If-Match")]
    PreconditionRequired,
    /// It was changed since the client saw it.
    #[error("it was changed since you read it: read it again")]
    PreconditionFailed,
    /// The key was used for another body.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The first request with this key is still in progress.
    #[error("a request with this Idempotency-Key is still in progress")]
    KeyInFlight,
}

impl Refusal {
    /// What the client is told.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Overlap { .. } => Problem::Overlap,
            Self::OutsideWorkingHours => Problem::OutsideWorkingHours,
            Self::TimeOff => Problem::TimeOff,
            Self::StartsInPast => Problem::StartsInPast,
            Self::UnknownReference(_) => Problem::UnknownReference,
            Self::DoctorInactive => Problem::DoctorInactive,
            Self::InvalidTransition { .. } => Problem::InvalidTransition,
            Self::TooEarly { .. } => Problem::TooEarly,
            Self::NotMovable(_) => Problem::NotMovable,
            Self::AppointmentStarted => Problem::AppointmentStarted,
            Self::SubjectTaken => Problem::SubjectTaken,
            Self::InvalidWorkingHours(_) => Problem::InvalidWorkingHours,
            Self::PreconditionRequired => Problem::PreconditionRequired,
            Self::PreconditionFailed => Problem::PreconditionFailed,
            Self::KeyReused => Problem::KeyReused,
            Self::KeyInFlight => Problem::KeyInFlight,
        }
    }

    /// Members of the problem document beyond RFC 9457's own.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let members = match self {
            Self::Overlap {
                other: Some((starts_at, ends_at)),
            } => json!({ "conflict": { "startsAt": starts_at, "endsAt": ends_at } }),
            Self::InvalidTransition { from, to, .. } => json!({ "from": from, "to": to }),
            _ => json!({}),
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}
