//! What a request is refused for although it is well formed: by the clinic's own rules, and by the
//! rules of HTTP about changes. Each has its status, its problem type, and what it tells.

use chrono::{DateTime, Utc};
use lambda_http::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::clinic::appointments::{Since, Status};

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
    Past,
    /// What the body refers to does not exist, or is not the caller's to refer to.
    #[error("{0} names none")]
    UnknownReference(&'static str),
    /// The doctor has left the clinic.
    #[error("this doctor takes no appointments any more")]
    Inactive,
    /// The state machine has no such step, or it is none that a change of the status takes.
    #[error("{}", no_step(*.from, *.to))]
    Transition {
        /// What it is.
        from: Status,
        /// What was asked for.
        to: Status,
    },
    /// The status says that something happened whose time has not come.
    #[error("an appointment cannot be {} before {}", .0, not_before(*.0))]
    TooEarly(Status),
    /// The time of an appointment that has begun, or is over, stays as it is.
    #[error("an appointment that is {0} cannot be moved any more")]
    NotMovable(Status),
    /// A patient cannot undo what has begun.
    #[error("this appointment has begun or is over: ask the clinic")]
    Begun,
    /// Another record has the same subject.
    #[error("another record has this subject already")]
    SubjectTaken,
    /// Two entries of a list contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
    /// A change of something that the client must have seen before.
    #[error("send the ETag of what you change in If-Match")]
    PreconditionRequired,
    /// It was changed since the client saw it.
    #[error("it was changed since you read it: read it again")]
    PreconditionFailed,
    /// The key was used for another body.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// The first request with this key is still at work.
    #[error("a request with this Idempotency-Key is still at work")]
    KeyInFlight,
}

/// What has to come before an appointment can have this status.
fn not_before(status: Status) -> &'static str {
    match status.since() {
        Since::Ever | Since::ItsBeginning => "it begins",
        Since::ItsDay => "the doctor's day on which it begins",
    }
}

/// Why a change of the status is refused.
fn no_step(from: Status, to: Status) -> String {
    if from.back().contains(&to) {
        format!("only staff may take an appointment that is {from} back to {to}")
    } else if from.may_become(to) {
        format!(
            "an appointment that is {from} becomes {to} by POST /api/appointments/{{id}}/cancel, which takes a reason"
        )
    } else {
        format!("an appointment that is {from} cannot become {to}")
    }
}

impl Refusal {
    /// Status, the end of the problem's type, and its title.
    pub(crate) fn answer(&self) -> (StatusCode, &'static str, &'static str) {
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        match self {
            Self::Overlap { .. } => (CONFLICT, "overlap", "The time is taken"),
            Self::OutsideWorkingHours => (
                UNPROCESSABLE,
                "outside-working-hours",
                "Outside working hours",
            ),
            Self::TimeOff => (UNPROCESSABLE, "time-off", "The doctor is away"),
            Self::Past => (UNPROCESSABLE, "past", "In the past"),
            Self::UnknownReference(_) => (UNPROCESSABLE, "unknown-reference", "Refers to nothing"),
            Self::Inactive => (UNPROCESSABLE, "inactive", "No longer at the clinic"),
            Self::Transition { .. } => (CONFLICT, "transition", "Not a step from this status"),
            Self::TooEarly(_) => (CONFLICT, "too-early", "Its time has not come"),
            Self::NotMovable(_) => (CONFLICT, "not-movable", "Can no longer be moved"),
            Self::Begun => (CONFLICT, "begun", "Has begun"),
            Self::SubjectTaken => (CONFLICT, "subject-taken", "The subject is taken"),
            Self::Contradiction(_) => (UNPROCESSABLE, "contradiction", "Contradicts itself"),
            Self::PreconditionRequired => (
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "If-Match is required",
            ),
            Self::PreconditionFailed => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "Changed since it was read",
            ),
            Self::KeyReused => (UNPROCESSABLE, "key-reused", "The key is used"),
            Self::KeyInFlight => (CONFLICT, "key-in-flight", "Already at work"),
        }
    }

    /// Members of the problem document beyond RFC 9457's own.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let members = match self {
            Self::Overlap {
                other: Some((starts_at, ends_at)),
            } => json!({ "conflict": { "startsAt": starts_at, "endsAt": ends_at } }),
            Self::Transition { from, to } => json!({ "from": from, "to": to }),
            _ => json!({}),
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}
