//! What the environment's variables say. The only place that reads them.

use std::{env, fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::database_url::{DatabaseUrl, UrlError};

/// The default of `DATABASE_STATEMENT_TIMEOUT`. Two statements (one retry) fit beside Prisma's
/// longest usual `pool_timeout`, 20 s, in a function time-out of 29 s.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);
/// The default of `DATABASE_PING_AFTER`. Far below the 350 s after which NAT gateways and network
/// load balancers forget an idle connection, far above the gap between two invocations of a busy
/// environment, which so never pays for a ping.
const PING_AFTER: Duration = Duration::from_secs(30);
/// By how much the server's limit for a statement stays below the client's, so that the server
/// ends the statement before the client stops listening.
const BELOW_SOCKET_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time that a variable may name: Lambda's longest function time-out.
const MAX_SECONDS: u64 = 900;

/// Why the configuration cannot be used. Names the variable, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that must be set is not.
    #[error("{name} is not set; {hint}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What to set it to.
        hint: &'static str,
    },
    /// A variable's value cannot be used.
    #[error("{name}={value} cannot be used; accepted is {accepted}")]
    Value {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A variable that would reach the driver behind this module's back.
    #[error(
        "{name} is set, and the driver would follow it unasked; unset it and say the same in DATABASE_URL"
    )]
    Unwanted {
        /// The variable.
        name: &'static str,
    },
    /// The URL is wrong.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A file that the URL names cannot be read.
    #[error("DATABASE_URL: {name} names {path}, which cannot be read: {source}")]
    File {
        /// The parameter.
        name: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Two limits that contradict each other.
    #[error(
        "DATABASE_STATEMENT_TIMEOUT={statement} s is not below socket_timeout={socket} s in DATABASE_URL: the client would stop listening while the server goes on; lower the one or raise the other"
    )]
    StatementTimeout {
        /// The server's limit, in seconds.
        statement: u64,
        /// The client's limit, in seconds.
        socket: u64,
    },
}

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Function {
    /// `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda.
    pub name: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`, set by Lambda; `$LATEST` or a number.
    pub version: String,
    /// This execution environment, made up at its start: log lines of one environment share it.
    pub environment: Uuid,
}

impl Function {
    /// Reads Lambda's variables; `local` where there is no Lambda.
    pub fn from_env() -> Self {
        let or_local = |name| variable(name).unwrap_or_else(|| "local".to_owned());
        Self {
            name: or_local("AWS_LAMBDA_FUNCTION_NAME"),
            version: or_local("AWS_LAMBDA_FUNCTION_VERSION"),
            environment: Uuid::new_v4(),
        }
    }
}

/// The log level: `AWS_LAMBDA_LOG_LEVEL` (which Lambda sets from the function's logging
/// configuration), else `RUST_LOG`, else `info`.
pub fn log_level() -> String {
    variable("AWS_LAMBDA_LOG_LEVEL")
        .or_else(|| variable("RUST_LOG"))
        .unwrap_or_else(|| "info".to_owned())
}

/// How many invocations this environment serves at once: `AWS_LAMBDA_MAX_CONCURRENCY`, which
/// Lambda Managed Instances set; 1 otherwise. Read as the runtime reads it, for which a value that
/// is no positive number means 1.
pub fn concurrency() -> NonZeroU32 {
    variable("AWS_LAMBDA_MAX_CONCURRENCY")
        .and_then(|value| value.parse().ok())
        .unwrap_or(NonZeroU32::MIN)
}

/// How to reach the database, and how long everything may take.
#[derive(Clone, Debug)]
pub struct Database {
    /// `DATABASE_URL`; required.
    pub url: DatabaseUrl,
    /// `DATABASE_CONNECTION_LIMIT`: the most sessions one environment may open, 1 to 5000. The
    /// template always sets it, so that a budget can be computed from the template alone.
    pub connection_limit: Option<NonZeroU32>,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`; see [`concurrency`].
    pub concurrency: NonZeroU32,
    /// `DATABASE_STATEMENT_TIMEOUT`, whole seconds, 1 to 900: when the server ends a statement.
    /// Default 4, less where `socket_timeout` is short.
    pub statement_timeout: Duration,
    /// `DATABASE_PING_AFTER`, whole seconds, 0 to 900: a session that was idle for longer is asked
    /// for a sign of life before it is used. Default 30.
    pub ping_after: Duration,
}

impl Database {
    /// Reads the variables.
    ///
    /// # Errors
    /// [`ConfigError`], which names the variable and what is accepted.
    pub fn from_env() -> Result<Self, ConfigError> {
        // The driver seeds its options with these, and offers no way to take them out again. The
        // other PG* variables and .pgpass are overridden one by one, in `pool`.
        for name in ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"] {
            if variable(name).is_some() {
                return Err(ConfigError::Unwanted { name });
            }
        }
        let url = variable("DATABASE_URL").map(SecretString::from);
        let url = url.ok_or(ConfigError::Missing {
            name: "DATABASE_URL",
            hint: "set it to postgresql://USER:PASSWORD@HOST:5432/DATABASE",
        })?;
        let url = DatabaseUrl::parse(url.expose_secret())?;
        let explicit =
            number("DATABASE_STATEMENT_TIMEOUT", 1, MAX_SECONDS)?.map(Duration::from_secs);
        Ok(Self {
            statement_timeout: statement_timeout(explicit, url.socket_timeout)?,
            connection_limit: number("DATABASE_CONNECTION_LIMIT", 1, 5000)?
                .and_then(NonZeroU32::new),
            concurrency: concurrency(),
            ping_after: number("DATABASE_PING_AFTER", 0, MAX_SECONDS)?
                .map_or(PING_AFTER, Duration::from_secs),
            url,
        })
    }
}

/// The server's limit for a statement: as asked, or the default, which gives way to a short
/// `socket_timeout` by staying one second below it (half of it where it is a single second).
fn statement_timeout(
    explicit: Option<Duration>,
    socket: Option<Duration>,
) -> Result<Duration, ConfigError> {
    let Some(socket) = socket else {
        return Ok(explicit.unwrap_or(STATEMENT_TIMEOUT));
    };
    match explicit {
        Some(statement) if statement >= socket => Err(ConfigError::StatementTimeout {
            statement: statement.as_secs(),
            socket: socket.as_secs(),
        }),
        Some(statement) => Ok(statement),
        None if socket <= BELOW_SOCKET_TIMEOUT => Ok(socket / 2),
        None => Ok(STATEMENT_TIMEOUT.min(socket - BELOW_SOCKET_TIMEOUT)),
    }
}

/// A whole number within bounds.
fn number<T>(name: &'static str, least: T, most: T) -> Result<Option<T>, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    match value.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(Some(number)),
        _ => Err(ConfigError::Value {
            name,
            value,
            accepted: format!("a whole number from {least} to {most}"),
        }),
    }
}

/// One variable; an empty one counts as not set, as a template's empty parameter means it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads variables"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(explicit: Option<u64>, socket: Option<u64>) -> Result<f64, ConfigError> {
        let duration = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        statement_timeout(duration(explicit), duration(socket)).map(|time| time.as_secs_f64())
    }

    #[test]
    fn the_default_statement_timeout_gives_way_to_the_socket_timeout() {
        assert_eq!(seconds(None, None).unwrap(), 4.0);
        assert_eq!(seconds(None, Some(60)).unwrap(), 4.0);
        assert_eq!(seconds(None, Some(3)).unwrap(), 2.0);
        assert_eq!(seconds(None, Some(1)).unwrap(), 0.5);
    }

    #[test]
    fn only_an_explicit_conflict_is_an_error() {
        assert_eq!(seconds(Some(10), Some(11)).unwrap(), 10.0);
        let said = seconds(Some(10), Some(10)).unwrap_err().to_string();
        assert!(
            said.contains("DATABASE_STATEMENT_TIMEOUT=10") && said.contains("socket_timeout=10")
        );
    }
}
