//! One error for every function, and one match from it to the answer.
//!
//! What the client reads and what the log says differ on purpose: the client gets a stable type
//! and a sentence, the log gets the cause.

use std::{error::Error as StdError, io};

use lambda_http::{
    Body, Response,
    http::{StatusCode, header},
};
use rand::RngExt;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{config::ConfigError, http::refusal::Refusal};

/// What begins the `type` of every problem; the rest is the class, such as `database-busy`.
pub const PROBLEM_TYPE_PREFIX: &str = "urn:headroom:problem:";

/// Seconds after which a caller that met a full or absent database may ask again. The spread keeps
/// those who were refused together from coming back together.
const RETRY_AFTER: std::ops::RangeInclusive<u32> = 1..=3;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is wrong; the text says what, and what is accepted.
    #[error("{0}")]
    BadRequest(String),
    /// Nobody's token was verified.
    #[error("a bearer token is needed")]
    Unauthenticated,
    /// None of the caller's roles may do this, or not with what belongs to others.
    #[error("this is not for the caller")]
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
    /// Every session of this environment's pool was in use for the whole `pool_timeout` (Prisma's
    /// P2024).
    #[error("no session of this environment's pool came free within the pool time-out")]
    PoolTimeout,
    /// The database has no slot for this session or no room for its work, is just starting or
    /// stopping, or kept the statement waiting for a lock (class 53, 57P03, 55P03; Prisma's P2037).
    #[error("the database is busy")]
    DatabaseBusy(#[source] sqlx::Error),
    /// No connection could be made (Prisma's P1001).
    #[error("the database cannot be reached")]
    Unreachable(#[source] BoxError),
    /// The database refused user or password (28P01, 28000; Prisma's P1000).
    #[error("the database refused the credentials in {variable}")]
    Authentication {
        /// The variable that gave them, or said where they are kept.
        variable: &'static str,
        /// What the database said.
        source: sqlx::Error,
    },
    /// Credentials could not be fetched, or the database refuses those that were: while they are
    /// being rotated, both pass.
    #[error("there are no credentials that the database accepts")]
    CredentialsUnavailable(#[source] BoxError),
    /// Encryption or the server's certificate failed (Prisma's P1011).
    #[error("no trusted encrypted connection to the database")]
    Tls(#[source] sqlx::Error),
    /// The session ended in the middle of its work (Prisma's P1017).
    #[error("the session with the database was lost")]
    Closed(#[source] BoxError),
    /// The commit was sent and not answered: the change was made, or it was not.
    #[error("the session was lost while the change was being committed")]
    OutcomeUnknown(#[source] BoxError),
    /// The statement took longer than allowed (57014, or `socket_timeout`; Prisma's P1008).
    #[error("the query took longer than it may")]
    QueryTimeout(#[source] BoxError),
    /// The variables or the database are not set up as they must be (Prisma's P1013).
    #[error("the configuration cannot be used")]
    InvalidConfiguration(#[source] BoxError),
    /// A defect of this program.
    #[error("an unexpected error")]
    Unexpected(#[source] BoxError),
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// Where in a session's life an error of the driver came up; the same error means different
/// things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the session was ready for its first statement, with the credentials that this variable
    /// gave.
    Connecting(&'static str),
    /// While running a statement.
    Running,
}

impl Error {
    /// Classifies an error of the driver by SQLSTATE and kind, never by text.
    pub(crate) fn of_driver(error: sqlx::Error, phase: Phase) -> Self {
        use sqlx::Error as Driver;
        if let Driver::Database(database) = &error {
            let code = database.code().unwrap_or_default().into_owned();
            return Self::of_sqlstate(&code, error, phase);
        }
        match (&error, phase) {
            // The handshake's failures come as io::ErrorKind::InvalidData from rustls.
            (Driver::Tls(_), _) => Self::Tls(error),
            (Driver::Io(io), Phase::Connecting(_)) if io.kind() == io::ErrorKind::InvalidData => {
                Self::Tls(error)
            }
            // A server that closes while it is asked for TLS, as one that stops or a load balancer does,
            // looks like one that speaks another protocol: the driver reads no byte and takes it for a
            // wrong one.
            (Driver::Io(_) | Driver::Protocol(_), Phase::Connecting(_)) => {
                Self::Unreachable(error.into())
            }
            (Driver::Io(_) | Driver::Protocol(_), Phase::Running) => Self::Closed(error.into()),
            (Driver::Configuration(_), _) => Self::InvalidConfiguration(error.into()),
            _ => Self::Unexpected(error.into()),
        }
    }

    fn of_sqlstate(code: &str, error: sqlx::Error, phase: Phase) -> Self {
        match code {
            "28P01" | "28000" if let Phase::Connecting(variable) = phase => Self::Authentication {
                variable,
                source: error,
            },
            // Starting or stopping; a lock that was not had in time; lost a race for locks or against
            // another transaction.
            "57P03" | "55P03" | "40P01" | "40001" => Self::DatabaseBusy(error),
            // Out of slots (53300), memory, or room on the disk.
            _ if code.starts_with("53") => Self::DatabaseBusy(error),
            "57014" => Self::QueryTimeout(error.into()),
            // Ended by an administrator, a crash, a dropped database or an idle time-out.
            "57P01" | "57P02" | "57P04" | "57P05" | "25P03" => Self::Closed(error.into()),
            // A number, a time or a text that has a form but no place in the database.
            "22003" | "22007" | "22008" | "22021" => {
                Self::BadRequest("a value is out of the range that the database accepts".to_owned())
            }
            _ if code.starts_with("08") => Self::Closed(error.into()),
            // No such database or schema, a setting the server does not know, a table that the
            // migrations have not made yet, a privilege that is missing; a time zone that it does not
            // know (22023): requests name none.
            "3D000" | "3F000" | "42704" | "42P01" | "42703" | "42501" | "22023" => {
                Self::InvalidConfiguration(error.into())
            }
            _ if phase != Phase::Running => Self::InvalidConfiguration(error.into()),
            _ => Self::Unexpected(error.into()),
        }
    }

    /// Whether the session was lost under a statement, so that a read may be run again on a fresh
    /// one.
    pub(crate) fn lost_the_session(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// Whether another transaction won a race for locks, or against this one's view of the data: the
    /// same once more will probably succeed.
    pub(crate) fn lost_a_race(&self) -> bool {
        let Self::DatabaseBusy(sqlx::Error::Database(error)) = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40P01" | "40001"))
    }

    /// Whether connecting again in a moment may succeed: the database is full, starting, stopping
    /// or out of reach.
    pub(crate) fn passes_with_time(&self) -> bool {
        matches!(
            self,
            Self::DatabaseBusy(_) | Self::Unreachable(_) | Self::Closed(_)
        )
    }

    /// The class, as logs and metrics name it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad-request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound(_) => "not-found",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Refused(refusal) => refusal.answer().1,
            Self::PoolTimeout => "pool-timeout",
            Self::DatabaseBusy(_) => "database-busy",
            Self::Unreachable(_) => "unreachable",
            Self::Authentication { .. } => "authentication",
            Self::CredentialsUnavailable(_) => "credentials-unavailable",
            Self::Tls(_) => "tls",
            Self::Closed(_) => "closed",
            Self::OutcomeUnknown(_) => "outcome-unknown",
            Self::QueryTimeout(_) => "query-timeout",
            Self::InvalidConfiguration(_) => "invalid-configuration",
            Self::Unexpected(_) => "unexpected",
        }
    }

    /// What the client is told: status, the end of the problem's type, and its title.
    pub(crate) fn answer(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "Not authenticated",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "Not allowed"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Not JSON",
            ),
            Self::Refused(refusal) => refusal.answer(),
            Self::PoolTimeout => (
                StatusCode::SERVICE_UNAVAILABLE,
                "pool-timeout",
                "Too busy, try again shortly",
            ),
            Self::DatabaseBusy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-busy",
                "The database is busy, try again shortly",
            ),
            Self::Unreachable(_) | Self::Closed(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "database-unreachable",
                "The database cannot be reached, try again shortly",
            ),
            Self::OutcomeUnknown(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome-unknown",
                "The change may have been made or not: look, or send it again with the same Idempotency-Key",
            ),
            Self::QueryTimeout(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "query-timeout",
                "The query took too long",
            ),
            Self::CredentialsUnavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "credentials-unavailable",
                "Not ready to serve, try again shortly",
            ),
            Self::Authentication { .. } | Self::Tls(_) | Self::InvalidConfiguration(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "misconfigured",
                "The service is misconfigured",
            ),
            Self::Unexpected(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal server error",
            ),
        }
    }

    /// The answer: `application/problem+json` (RFC 9457), with `Retry-After` where trying again
    /// can help. Only an error of the request itself tells its text.
    pub fn response(&self, request_id: &str) -> Response<Body> {
        let (status, kind, title) = self.answer();
        let detail = match self {
            Self::BadRequest(_)
            | Self::NotFound(_)
            | Self::UnsupportedMediaType
            | Self::Refused(_) => Some(self.to_string()),
            _ => None,
        };
        let members = match self {
            Self::Refused(refusal) => refusal.members(),
            _ => Map::new(),
        };
        let problem = Problem {
            kind: format!("{PROBLEM_TYPE_PREFIX}{kind}"),
            title,
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
        let body = serde_json::to_string(&problem).expect("plain strings are JSON");
        response
            .body(body.into())
            .expect("constant headers are valid")
    }

    /// One line in the log: the class, the chain of causes for whoever must mend it, and the
    /// request that the client can name.
    pub fn log(&self, request_id: &str) {
        let (status, ..) = self.answer();
        let (class, cause) = (self.class(), self.causes().join(": "));
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(class, cause, request_id, "{self}");
        } else if status.is_server_error() {
            tracing::warn!(class, cause, request_id, "{self}");
        } else {
            tracing::debug!(class, request_id, "{self}");
        }
    }

    /// The whole of it, for an operator who invoked the function and not through the API: no client
    /// of the clinic's sees it.
    pub fn explanation(&self) -> String {
        let mut parts = vec![self.to_string()];
        parts.extend(self.causes());
        parts.join(": ")
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut source = self.source();
        while let Some(cause) = source {
            // Wrappers that are transparent repeat their source's text.
            let text = cause.to_string();
            if causes.last() != Some(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        causes
    }
}

/// What comes out of a query: an error of our own that passed through sqlx's traits, or what went
/// wrong with the rows themselves.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::AnyDriverError(inner) => match inner.downcast::<Self>() {
                Ok(error) => *error,
                Err(inner) => Self::Unexpected(inner),
            },
            other => Self::of_driver(other, Phase::Running),
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::InvalidConfiguration(error.into())
    }
}

/// RFC 9457, with the request id by which the log can be searched.
#[derive(Serialize)]
struct Problem<'a> {
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
