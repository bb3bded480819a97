//! What a client is told when its request is not carried out.
//!
//! What the client reads and what the log says differ on purpose: the client gets a [`Problem`], stable
//! and without detail about the service; the log gets the [`Error`] with its causes.

use std::error::Error as StdError;

use lambda_http::{
    Body, Response,
    http::{StatusCode, header},
};
use rand::RngExt;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::ConfigError,
    database::error::{BoxError, DatabaseError, causes, explanation},
    http::refusal::Refusal,
};

/// What begins the `type` of every problem; the rest is its name, such as `database-busy`.
pub const PROBLEM_TYPE_PREFIX: &str = "urn:headroom:problem:";

/// Seconds after which a caller that met a full or absent database may ask again. The spread keeps
/// callers that were refused together from coming back together.
const RETRY_AFTER: std::ops::RangeInclusive<u32> = 1..=3;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong; the text says what, and what is accepted.
    #[error("{0}")]
    BadRequest(String),
    /// No token was verified.
    #[error("a bearer token is needed")]
    Unauthenticated,
    /// None of the caller's roles may do this, or not with what belongs to others.
    #[error("you do not have permission to do this")]
    Forbidden,
    /// What the path names does not exist, or is private.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The body is not JSON.
    #[error("the body must be JSON, with Content-Type: application/json")]
    UnsupportedMediaType,
    /// The request is well formed and against the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database did not do its part.
    #[error(transparent)]
    Database(DatabaseError),
    /// A defect of this program.
    #[error("an unexpected error")]
    Unexpected(#[source] BoxError),
}

/// The kinds of problem. Each has one status, one `type` and one title.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the title of each says what it is")]
pub enum Problem {
    BadRequest,
    Unauthenticated,
    Forbidden,
    NotFound,
    UnsupportedMediaType,
    Overlap,
    OutsideWorkingHours,
    TimeOff,
    StartsInPast,
    UnknownReference,
    DoctorInactive,
    InvalidTransition,
    TooEarly,
    NotMovable,
    AppointmentStarted,
    SubjectTaken,
    InvalidWorkingHours,
    PreconditionRequired,
    PreconditionFailed,
    KeyReused,
    KeyInFlight,
    PoolTimeout,
    DatabaseBusy,
    DatabaseUnreachable,
    OutcomeUnknown,
    QueryTimeout,
    CredentialsUnavailable,
    Misconfigured,
    Internal,
}

impl Problem {
    /// Every kind.
    pub const ALL: [Self; 29] = [
        Self::BadRequest,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::UnsupportedMediaType,
        Self::Overlap,
        Self::OutsideWorkingHours,
        Self::TimeOff,
        Self::StartsInPast,
        Self::UnknownReference,
        Self::DoctorInactive,
        Self::InvalidTransition,
        Self::TooEarly,
        Self::NotMovable,
        Self::AppointmentStarted,
        Self::SubjectTaken,
        Self::InvalidWorkingHours,
        Self::PreconditionRequired,
        Self::PreconditionFailed,
        Self::KeyReused,
        Self::KeyInFlight,
        Self::PoolTimeout,
        Self::DatabaseBusy,
        Self::DatabaseUnreachable,
        Self::OutcomeUnknown,
        Self::QueryTimeout,
        Self::CredentialsUnavailable,
        Self::Misconfigured,
        Self::Internal,
    ];

    /// Status, the end of the type, and the title.
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        const CONFLICT: StatusCode = StatusCode::CONFLICT;
        const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        const INTERNAL: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Not authenticated",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Not JSON",
            ),
            Self::Overlap => (CONFLICT, "overlap", "The time is taken"),
            Self::OutsideWorkingHours => (
                UNPROCESSABLE,
                "outside-working-hours",
                "Outside working hours",
            ),
            Self::TimeOff => (UNPROCESSABLE, "time-off", "The doctor is away"),
            Self::StartsInPast => (UNPROCESSABLE, "starts-in-past", "Starts in the past"),
            Self::UnknownReference => (UNPROCESSABLE, "unknown-reference", "Unknown reference"),
            Self::DoctorInactive => (UNPROCESSABLE, "doctor-inactive", "Doctor is inactive"),
            Self::InvalidTransition => (
                CONFLICT,
                "invalid-transition",
                "Not a step from this status",
            ),
            Self::TooEarly => (CONFLICT, "too-early", "Too early"),
            Self::NotMovable => (CONFLICT, "not-movable", "Can no longer be moved"),
            Self::AppointmentStarted => {
                (CONFLICT, "appointment-started", "Appointment has started")
            }
            Self::SubjectTaken => (CONFLICT, "subject-taken", "The subject is taken"),
            Self::InvalidWorkingHours => (
                UNPROCESSABLE,
                "invalid-working-hours",
                "Invalid working hours",
            ),
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
            Self::KeyInFlight => (CONFLICT, "key-in-flight", "Request in progress"),
            Self::PoolTimeout => (UNAVAILABLE, "pool-timeout", "Too busy, try again shortly"),
            Self::DatabaseBusy => (
                UNAVAILABLE,
                "database-busy",
                "The database is busy, try again shortly",
            ),
            Self::DatabaseUnreachable => (
                UNAVAILABLE,
                "database-unreachable",
                "The database cannot be reached, try again shortly",
            ),
            Self::OutcomeUnknown => (
                UNAVAILABLE,
                "outcome-unknown",
                "The change may have been made or not: look, or send it again with the same Idempotency-Key",
            ),
            Self::QueryTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "query-timeout",
                "The query took too long",
            ),
            Self::CredentialsUnavailable => (
                UNAVAILABLE,
                "credentials-unavailable",
                "Not ready to serve, try again shortly",
            ),
            Self::Misconfigured => (INTERNAL, "misconfigured", "The service is misconfigured"),
            Self::Internal => (INTERNAL, "internal", "Internal server error"),
        }
    }

    /// The status code.
    pub const fn status(self) -> StatusCode {
        self.parts().0
    }

    /// The end of the `type`, as metrics name it too.
    pub const fn name(self) -> &'static str {
        self.parts().1
    }

    /// The title: the same for each problem of this kind.
    pub const fn title(self) -> &'static str {
        self.parts().2
    }

    /// The `type`, whole.
    pub fn urn(self) -> String {
        format!("{PROBLEM_TYPE_PREFIX}{}", self.name())
    }
}

/// What the client is told of each error of the database.
impl From<&DatabaseError> for Problem {
    fn from(error: &DatabaseError) -> Self {
        match error {
            DatabaseError::PoolTimeout => Self::PoolTimeout,
            DatabaseError::Busy(_) => Self::DatabaseBusy,
            DatabaseError::Unreachable(_) | DatabaseError::SessionLost(_) => {
                Self::DatabaseUnreachable
            }
            DatabaseError::OutcomeUnknown(_) => Self::OutcomeUnknown,
            DatabaseError::QueryTimeout(_) => Self::QueryTimeout,
            DatabaseError::CredentialsUnavailable(_) => Self::CredentialsUnavailable,
            DatabaseError::Authentication { .. }
            | DatabaseError::Tls(_)
            | DatabaseError::InvalidConfiguration(_) => Self::Misconfigured,
            DatabaseError::OutOfRange(_) => Self::BadRequest,
            DatabaseError::UnknownRole => Self::NotFound,
            DatabaseError::Unexpected(_) => Self::Internal,
        }
    }
}

impl Error {
    /// The class, as logs and the errors of direct invocations name it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Database(error) => error.class(),
            Self::Unexpected(_) => "unexpected",
            other => other.problem().name(),
        }
    }

    /// What the client is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::BadRequest(_) => Problem::BadRequest,
            Self::Unauthenticated => Problem::Unauthenticated,
            Self::Forbidden => Problem::Forbidden,
            Self::NotFound(_) => Problem::NotFound,
            Self::UnsupportedMediaType => Problem::UnsupportedMediaType,
            Self::Refused(refusal) => refusal.problem(),
            Self::Database(error) => error.into(),
            Self::Unexpected(_) => Problem::Internal,
        }
    }

    /// The response: `application/problem+json` (RFC 9457), with `Retry-After` if trying again
    /// can help. Only an error of the request itself tells its text.
    pub fn response(&self, request_id: &str) -> Response<Body> {
        let problem = self.problem();
        let status = problem.status();
        let detail = match self {
            Self::BadRequest(_)
            | Self::NotFound(_)
            | Self::UnsupportedMediaType
            | Self::Refused(_)
            | Self::Database(DatabaseError::OutOfRange(_)) => Some(self.to_string()),
            _ => None,
        };
        let members = match self {
            Self::Refused(refusal) => refusal.members(),
            _ => Map::new(),
        };
        let document = Document {
            kind: problem.urn(),
            title: problem.title(),
            status: status.as_u16(),
            detail,
            request_id,
            members,
        };
        let mut response = Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/problem+json")
            .header(header::CACHE_CONTROL, "no-store");
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) {
            let seconds = rand::rng().random_range(RETRY_AFTER);
            response = response.header(header::RETRY_AFTER, seconds);
        }
        if status == StatusCode::UNAUTHORIZED {
            response = response.header(header::WWW_AUTHENTICATE, "Bearer");
        }
        let body = serde_json::to_string(&document).expect("plain strings are JSON");
        response
            .body(body.into())
            .expect("constant headers are valid")
    }

    /// One line in the log: the class, the causes for the operator, and the request id that the
    /// client was told.
    pub fn log(&self, request_id: &str) {
        let status = self.problem().status();
        let (class, cause) = (self.class(), causes(self).join(": "));
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(class, cause, request_id, "{self}");
        } else if status.is_server_error() {
            tracing::warn!(class, cause, request_id, "{self}");
        } else {
            tracing::debug!(class, request_id, "{self}");
        }
    }

    /// The error with all its causes, for an operator who invoked the function directly: no client of
    /// the API sees it.
    pub fn explanation(&self) -> String {
        explanation(self as &dyn StdError)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Database(error.into())
    }
}

/// RFC 9457, with the request id by which the log can be searched.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(rename = "requestId")]
    request_id: &'a str,
    #[serde(flatten)]
    members: Map<String, Value>,
}
