//! What the database, or the way to it, did. It knows nothing of HTTP: what a client is told follows
//! in [`crate::http::problem`].

use std::{error::Error as StdError, io};

use crate::config::ConfigError;

/// Why the database did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Every session of this environment's pool was in use for the whole `pool_timeout` (Prisma's
    /// P2024).
    #[error("no session of this environment's pool came free within the pool timeout")]
    PoolTimeout,
    /// The database has no slot for this session or no room for its work, is just starting or
    /// stopping, or kept the statement waiting for a lock (class 53, 57P03, 55P03; Prisma's P2037).
    #[error("the database is busy")]
    Busy(#[source] sqlx::Error),
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
    SessionLost(#[source] BoxError),
    /// The commit was sent and not answered: the change was made, or it was not.
    #[error("the session was lost while the change was being committed")]
    OutcomeUnknown(#[source] BoxError),
    /// The statement took longer than allowed (57014, or `socket_timeout`; Prisma's P1008).
    #[error("the query took longer than it may")]
    QueryTimeout(#[source] BoxError),
    /// A number, a time or a text has a form but no place in the database (22003, 22007, 22008, 22021).
    #[error("a value is out of the range that the database accepts")]
    OutOfRange(#[source] sqlx::Error),
    /// The server has no role of the name that was asked for.
    #[error("there is no such role")]
    UnknownRole,
    /// The variables or the database are not set up as they must be (Prisma's P1013).
    #[error("the configuration cannot be used")]
    InvalidConfiguration(#[source] BoxError),
    /// A defect of this program.
    #[error("an unexpected error")]
    Unexpected(#[source] BoxError),
}

/// Any error, as a cause.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

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

/// What an error of the driver means, without its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// [`DatabaseError::Busy`]
    Busy,
    /// The same, because another transaction won a race for locks or against this one's view of the data.
    RaceLost,
    /// [`DatabaseError::Unreachable`]
    Unreachable,
    /// [`DatabaseError::Authentication`]
    Authentication(&'static str),
    /// [`DatabaseError::Tls`]
    Tls,
    /// [`DatabaseError::SessionLost`]
    SessionLost,
    /// [`DatabaseError::QueryTimeout`]
    QueryTimeout,
    /// [`DatabaseError::OutOfRange`]
    OutOfRange,
    /// [`DatabaseError::InvalidConfiguration`]
    InvalidConfiguration,
    /// [`DatabaseError::Unexpected`]
    Unexpected,
}

impl Kind {
    /// Classifies an error of the driver by SQLSTATE and kind, never by text.
    pub(crate) fn of(error: &sqlx::Error, phase: Phase) -> Self {
        use sqlx::Error as Driver;
        match (error, phase) {
            (Driver::Database(error), _) => {
                Self::of_sqlstate(&error.code().unwrap_or_default(), phase)
            }
            // An error of our own that passed through sqlx's traits.
            (Driver::AnyDriverError(error), _) => match error.downcast_ref() {
                Some(DatabaseError::QueryTimeout(_)) => Self::QueryTimeout,
                Some(DatabaseError::SessionLost(_)) => Self::SessionLost,
                _ => Self::Unexpected,
            },
            // The handshake's failures come as io::ErrorKind::InvalidData from rustls.
            (Driver::Tls(_), _) => Self::Tls,
            (Driver::Io(io), Phase::Connecting(_)) if io.kind() == io::ErrorKind::InvalidData => {
                Self::Tls
            }
            // A server that closes while it is asked for TLS, as one that stops or a load balancer does,
            // looks like one that speaks another protocol: the driver reads no byte and takes it for a
            // wrong one.
            (Driver::Io(_) | Driver::Protocol(_), Phase::Connecting(_)) => Self::Unreachable,
            (Driver::Io(_) | Driver::Protocol(_), Phase::Running) => Self::SessionLost,
            (Driver::Configuration(_), _) => Self::InvalidConfiguration,
            _ => Self::Unexpected,
        }
    }

    fn of_sqlstate(code: &str, phase: Phase) -> Self {
        match code {
            "28P01" | "28000" if let Phase::Connecting(variable) = phase => {
                Self::Authentication(variable)
            }
            "40P01" | "40001" => Self::RaceLost,
            // Starting or stopping; a lock that was not had in time.
            "57P03" | "55P03" => Self::Busy,
            // Out of slots (53300), memory, or room on the disk.
            _ if code.starts_with("53") => Self::Busy,
            "57014" => Self::QueryTimeout,
            // Ended by an administrator, a crash, a dropped database or an idle timeout.
            "57P01" | "57P02" | "57P04" | "57P05" | "25P03" => Self::SessionLost,
            "22003" | "22007" | "22008" | "22021" => Self::OutOfRange,
            _ if code.starts_with("08") => Self::SessionLost,
            // No such database or schema, a setting the server does not know, a table that the
            // migrations have not made yet, a privilege that is missing; a time zone that it does not
            // know (22023): requests name none.
            "3D000" | "3F000" | "42704" | "42P01" | "42703" | "42501" | "22023" => {
                Self::InvalidConfiguration
            }
            _ if phase != Phase::Running => Self::InvalidConfiguration,
            _ => Self::Unexpected,
        }
    }
}

impl DatabaseError {
    /// Classifies an error of the driver; see [`Kind::of`].
    pub(crate) fn of_driver(error: sqlx::Error, phase: Phase) -> Self {
        match Kind::of(&error, phase) {
            Kind::Busy | Kind::RaceLost => Self::Busy(error),
            Kind::Unreachable => Self::Unreachable(error.into()),
            Kind::Authentication(variable) => Self::Authentication {
                variable,
                source: error,
            },
            Kind::Tls => Self::Tls(error),
            Kind::SessionLost => Self::SessionLost(error.into()),
            Kind::QueryTimeout => Self::QueryTimeout(error.into()),
            Kind::OutOfRange => Self::OutOfRange(error),
            Kind::InvalidConfiguration => Self::InvalidConfiguration(error.into()),
            Kind::Unexpected => Self::Unexpected(error.into()),
        }
    }

    /// Whether the session was lost under a statement, so that a read may be run again on a fresh
    /// one.
    pub(crate) fn lost_the_session(&self) -> bool {
        matches!(self, Self::SessionLost(_))
    }

    /// Whether another transaction won a race: the same once more will probably succeed.
    pub(crate) fn lost_a_race(&self) -> bool {
        matches!(self, Self::Busy(error) if Kind::of(error, Phase::Running) == Kind::RaceLost)
    }

    /// Whether connecting again in a moment may succeed: the database is full, starting, stopping
    /// or out of reach.
    pub(crate) fn passes_with_time(&self) -> bool {
        matches!(
            self,
            Self::Busy(_) | Self::Unreachable(_) | Self::SessionLost(_)
        )
    }

    /// The class, as logs and metrics name it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::PoolTimeout => "pool-timeout",
            Self::Busy(_) => "database-busy",
            Self::Unreachable(_) => "unreachable",
            Self::Authentication { .. } => "authentication",
            Self::CredentialsUnavailable(_) => "credentials-unavailable",
            Self::Tls(_) => "tls",
            Self::SessionLost(_) => "closed",
            Self::OutcomeUnknown(_) => "outcome-unknown",
            Self::QueryTimeout(_) => "query-timeout",
            Self::OutOfRange(_) => "bad-request",
            Self::UnknownRole => "not-found",
            Self::InvalidConfiguration(_) => "invalid-configuration",
            Self::Unexpected(_) => "unexpected",
        }
    }

    /// The error with all its causes, for an operator; no client of the API sees it.
    pub fn explanation(&self) -> String {
        explanation(self)
    }

    /// As an error of sqlx, whose traits know no other. `From<sqlx::Error>` takes it out again.
    pub(crate) fn wrapped(self) -> sqlx::Error {
        sqlx::Error::AnyDriverError(Box::new(self))
    }
}

/// An error's text and those of its causes, from the outermost to the innermost.
pub(crate) fn explanation(error: &dyn StdError) -> String {
    let mut parts = vec![error.to_string()];
    parts.extend(causes(error));
    parts.join(": ")
}

/// The texts of an error's causes. Wrappers that are transparent repeat their source's text, which is
/// told once.
pub(crate) fn causes(error: &dyn StdError) -> Vec<String> {
    let mut causes = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        source = cause.source();
    }
    causes
}

/// An error of our own that passed through sqlx's traits, or what went wrong with the rows.
impl From<sqlx::Error> for DatabaseError {
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

impl From<ConfigError> for DatabaseError {
    fn from(error: ConfigError) -> Self {
        Self::InvalidConfiguration(error.into())
    }
}
