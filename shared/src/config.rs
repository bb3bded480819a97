//! What the environment's variables say. The only place that reads them.

mod migration;
mod source;

use std::{env, fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use uuid::Uuid;

use crate::{
    database_url::{DatabaseUrl, MAX_CONNECTION_LIMIT},
    lease::Terms,
};
pub use migration::{Application, Migration};
pub(crate) use source::{MONITOR, OWNER, application, credentials_timeout, parse};
pub use source::{Source, Store, Stored};

/// The default of `DATABASE_STATEMENT_TIMEOUT`. Two statements (one retry) fit beside Prisma's
/// longest usual `pool_timeout`, 20 s, in a function time-out of 29 s.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);
/// The default of `DATABASE_PING_AFTER`. Far below the 350 s after which NAT gateways and network
/// load balancers forget an idle connection, far above the gap between two invocations of a busy
/// environment, which so never pays for a ping.
const PING_AFTER: Duration = Duration::from_secs(30);
/// The default of `DATABASE_LEASE_LONG`, in seconds.
pub(crate) const LEASE_LONG: u64 = 300;
/// The default of `DATABASE_RETENTION_MARK`, in percent.
pub(crate) const RETENTION_MARK: u8 = 80;
/// By how much the server's limit for a statement stays below the client's, so that the server
/// ends the statement before the client stops listening.
const BELOW_SOCKET_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time that a variable may name: Lambda's longest function time-out.
pub(crate) const MAX_SECONDS: u64 = 900;
/// The same in milliseconds, for what is measured in them.
const MAX_MILLISECONDS: u64 = MAX_SECONDS * 1000;

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
    /// A setting in the URL's `options` that belongs to a variable or parameter of its own.
    #[error("DATABASE_URL: options sets {name}, which has a place of its own: {instead}")]
    OwnSetting {
        /// PostgreSQL's setting.
        name: String,
        /// Where to set it.
        instead: &'static str,
    },
    /// Work that a transaction pooler cannot carry.
    #[error(
        "{work} needs a direct connection, and the URL has pgbouncer=true; give the server's own address in DATABASE_OWNER_URL"
    )]
    Pooler {
        /// What needs it.
        work: &'static str,
    },
    /// A URL is wrong; the text names the variable it came from.
    #[error("{0}")]
    Url(String),
    /// Stored credentials that cannot be read, or may not be fetched.
    #[error("{variable}: {what}")]
    Stored {
        /// The variable that says where they are.
        variable: &'static str,
        /// What is wrong, and what is accepted.
        what: String,
    },
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
    /// Two variables that contradict each other.
    #[error("{one} and {other} contradict each other: {why}")]
    Contradiction {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// What does not go together.
        why: &'static str,
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

/// Where metrics go; the names of Powertools for AWS Lambda, so that functions in other languages
/// end up beside these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `POWERTOOLS_METRICS_NAMESPACE`: CloudWatch's namespace. Default `Headroom`.
    pub namespace: String,
    /// `POWERTOOLS_SERVICE_NAME`: the dimension `service`, which keeps two deployments in one
    /// account apart; the template sets it to the stack's name. Default `headroom`.
    pub service: String,
}

impl Metrics {
    /// Reads the variables; none where `METRICS` is `off`.
    pub fn from_env() -> Option<Self> {
        if variable("METRICS").as_deref() == Some("off") {
            return None;
        }
        let or = |name, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
        Some(Self {
            namespace: or("POWERTOOLS_METRICS_NAMESPACE", "Headroom"),
            service: or("POWERTOOLS_SERVICE_NAME", "headroom"),
        })
    }
}

/// Whose sessions the monitor counts: `DATABASE_APPLICATION_ROLE`; where it is not set, the one role
/// with a connection limit.
pub fn application_role() -> Option<String> {
    variable("DATABASE_APPLICATION_ROLE")
}

/// Whether the sessions are closed when Lambda ends the environment, for which an extension must be
/// registered: unless `GRACEFUL_SHUTDOWN` is `off`. Without it the server takes the sessions back
/// when it notices that their client is gone, or when their leases end.
pub fn graceful_shutdown() -> bool {
    variable("GRACEFUL_SHUTDOWN").as_deref() != Some("off")
}

/// How many invocations this environment serves at once: `AWS_LAMBDA_MAX_CONCURRENCY`, which
/// Lambda Managed Instances set; 1 otherwise. Read as the runtime reads it, for which a value that
/// is no positive number means 1.
pub fn concurrency() -> NonZeroU32 {
    variable("AWS_LAMBDA_MAX_CONCURRENCY")
        .and_then(|value| value.parse().ok())
        .unwrap_or(NonZeroU32::MIN)
}

/// Whose days `from` and `to` are where no doctor's clock says: `CLINIC_TIME_ZONE`, an IANA name;
/// default UTC. The database knows the zones.
pub fn clinic_time_zone() -> String {
    variable("CLINIC_TIME_ZONE").unwrap_or_else(|| "UTC".to_owned())
}

/// Where a verified token says who somebody is and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `AUTH_SUBJECT_CLAIM`: what `doctors.subject` and `patients.subject` are compared with.
    /// Default `sub`.
    pub subject: String,
    /// `AUTH_ROLE_CLAIM`: one or more of `staff`, `doctor`, `patient`. Default `cognito:groups`.
    pub role: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            subject: "sub".to_owned(),
            role: "cognito:groups".to_owned(),
        }
    }
}

impl Claims {
    /// Reads the variables.
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            subject: variable("AUTH_SUBJECT_CLAIM").unwrap_or(default.subject),
            role: variable("AUTH_ROLE_CLAIM").unwrap_or(default.role),
        }
    }
}

/// How to reach the database, and how long everything may take.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where the database is, and who logs in; see [`Source`].
    pub url: DatabaseUrl,
    /// `DATABASE_CONNECTION_LIMIT`: the most sessions one environment may open, 1 to 5000. The
    /// template always sets it, so that a budget can be computed from the template alone.
    pub connection_limit: Option<NonZeroU32>,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`; see [`concurrency`].
    pub concurrency: NonZeroU32,
    /// What the server itself holds every session to.
    pub guards: Guards,
    /// How long sessions may sit idle, and how many are kept.
    pub lease: Terms,
    /// `DATABASE_PING_AFTER`, whole seconds, 0 to 900: a session that was idle for longer is asked
    /// for a sign of life before it is used. Default 30.
    pub ping_after: Duration,
}

impl Database {
    /// Reads the variables beside the URL.
    ///
    /// # Errors
    /// [`ConfigError`], which names the variable and what is accepted.
    pub fn from_env(url: DatabaseUrl) -> Result<Self, ConfigError> {
        let explicit =
            number("DATABASE_STATEMENT_TIMEOUT", 1, MAX_SECONDS)?.map(Duration::from_secs);
        Ok(Self {
            guards: Guards::from_env(statement_timeout(explicit, url.socket_timeout)?)?,
            lease: lease_from_env()?,
            connection_limit: number("DATABASE_CONNECTION_LIMIT", 1, MAX_CONNECTION_LIMIT)?
                .and_then(NonZeroU32::new),
            concurrency: concurrency(),
            ping_after: number("DATABASE_PING_AFTER", 0, MAX_SECONDS)?
                .map_or(PING_AFTER, Duration::from_secs),
            url,
        })
    }
}

/// What the server holds a session to, so that it holds also when the client is frozen or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guards {
    /// `DATABASE_STATEMENT_TIMEOUT`, whole seconds, 1 to 900: when the server ends a statement.
    /// Default 4, less where `socket_timeout` is short.
    pub statement_timeout: Duration,
    /// `DATABASE_LOCK_TIMEOUT`, whole seconds, 1 to 900: how long a statement waits for a lock.
    /// Default 2, so that a caller hears "busy" before "too slow".
    pub lock_timeout: Duration,
    /// `DATABASE_IDLE_IN_TRANSACTION_TIMEOUT`, whole seconds, 1 to 900: when the server ends a session
    /// that left a transaction open, as a frozen environment would. Default 5.
    pub idle_in_transaction_timeout: Duration,
    /// `DATABASE_KEEPALIVE_IDLE`, whole seconds, 1 to 900: silence after which the server probes the
    /// connection. Default 30.
    pub keepalive_idle: Duration,
    /// `DATABASE_KEEPALIVE_INTERVAL`, whole seconds, 1 to 900: time between two probes. Default 10.
    pub keepalive_interval: Duration,
    /// `DATABASE_KEEPALIVE_COUNT`, 1 to 100: unanswered probes after which the connection is dead.
    /// Default 3.
    pub keepalive_count: u32,
    /// `DATABASE_CONNECTION_CHECK_INTERVAL_MS`, milliseconds, 0 to 900 000: how often the server looks
    /// whether the client of a running statement is still there. Default 1000; 0 leaves it to the
    /// server, for those that do not let it be set.
    pub connection_check_interval: Duration,
}

impl Guards {
    fn from_env(statement_timeout: Duration) -> Result<Self, ConfigError> {
        Ok(Self {
            statement_timeout,
            lock_timeout: seconds("DATABASE_LOCK_TIMEOUT", 2)?,
            idle_in_transaction_timeout: seconds("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT", 5)?,
            keepalive_idle: seconds("DATABASE_KEEPALIVE_IDLE", 30)?,
            keepalive_interval: seconds("DATABASE_KEEPALIVE_INTERVAL", 10)?,
            keepalive_count: number("DATABASE_KEEPALIVE_COUNT", 1, 100)?.unwrap_or(3),
            connection_check_interval: milliseconds(
                "DATABASE_CONNECTION_CHECK_INTERVAL_MS",
                0,
                1000,
            )?,
        })
    }
}

/// The terms of leases:
/// - `DATABASE_LEASE_SHORT_MS`, 50 to 900 000, default 250: how long a transient session may idle;
/// - `DATABASE_LEASE_LONG`, seconds, default 300: a retained one at most, however rarely its
///   environment is used;
/// - `DATABASE_LEASE_CROWDED`, seconds, default 3: the same when the mark is reached, and for an
///   environment that was never used before;
/// - `DATABASE_LEASE_SLICE_MS`, 1 to 900 000, default 2000: how long a hot environment keeps a
///   transient session before it asks again;
/// - `DATABASE_LEASE_HOT_MS`, 0 to 900 000, default 250: how recently an environment must have been
///   used to be hot; 0 closes every transient session with its answer;
/// - `DATABASE_RETENTION_MARK`, percent of the role's limit, 0 to 100, default 80.
fn lease_from_env() -> Result<Terms, ConfigError> {
    Ok(Terms {
        short: milliseconds("DATABASE_LEASE_SHORT_MS", 50, 250)?,
        long: seconds("DATABASE_LEASE_LONG", LEASE_LONG)?,
        crowded: seconds("DATABASE_LEASE_CROWDED", 3)?,
        slice: milliseconds("DATABASE_LEASE_SLICE_MS", 1, 2000)?,
        hot: milliseconds("DATABASE_LEASE_HOT_MS", 0, 250)?,
        mark: number("DATABASE_RETENTION_MARK", 0, 100)?.unwrap_or(RETENTION_MARK),
    })
}

/// Refuses the variables with which the driver seeds its options and which it offers no way to take
/// out again. The other PG* variables and `.pgpass` are overridden one by one, in `pool`.
pub(crate) fn refuse_driver_variables() -> Result<(), ConfigError> {
    match ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"]
        .into_iter()
        .find(|name| variable(name).is_some())
    {
        Some(name) => Err(ConfigError::Unwanted { name }),
        None => Ok(()),
    }
}

fn seconds(name: &'static str, default: u64) -> Result<Duration, ConfigError> {
    let seconds = number(name, 1, MAX_SECONDS)?;
    Ok(Duration::from_secs(seconds.unwrap_or(default)))
}

fn milliseconds(name: &'static str, least: u64, default: u64) -> Result<Duration, ConfigError> {
    let milliseconds = number(name, least, MAX_MILLISECONDS)?;
    Ok(Duration::from_millis(milliseconds.unwrap_or(default)))
}

/// The server's limit for a statement: as asked, or the default, which gives way to a short
/// `socket_timeout` by staying one second below it (half of it where it is a single second).
pub(crate) fn statement_timeout(
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
