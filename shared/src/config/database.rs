//! How to reach the database, and how long everything may take.

use std::{num::NonZeroU32, time::Duration};

use super::{ConfigError, MAX_SECONDS, concurrency, milliseconds, number, renamed, seconds};
use crate::{
    config::LeasePolicy,
    config::database_url::{DatabaseUrl, MAX_CONNECTION_LIMIT},
};

/// The default of `DATABASE_STATEMENT_TIMEOUT`. Two statements (one retry) fit beside Prisma's
/// longest usual `pool_timeout`, 20 s, in a function time-out of 29 s.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);
/// The default of `DATABASE_PING_AFTER`. Far below the 350 s after which NAT gateways and network
/// load balancers forget an idle connection, far above the gap between two invocations of a busy
/// environment, which so never pays for a ping.
const PING_AFTER: Duration = Duration::from_secs(30);
/// The default of `DATABASE_LEASE_LONG`, in seconds.
pub(crate) const LEASE_LONG: u64 = 300;
/// The default of `DATABASE_RETAINED_PERCENT`, in percent.
pub(crate) const RETAINED_PERCENT: u8 = 80;
/// By how much the server's limit for a statement stays below the client's, so that the server
/// ends the statement before the client stops listening.
const BELOW_SOCKET_TIMEOUT: Duration = Duration::from_secs(1);

/// How to reach the database, and how long everything may take.
#[derive(Clone, Debug)]
pub struct Database {
    /// Where the database is, and who logs in; see [`crate::config::Source`].
    pub url: DatabaseUrl,
    /// `DATABASE_CONNECTION_LIMIT`: the most sessions one environment may open, 1 to 5000. The
    /// template always sets it, so that a budget can be computed from the template alone.
    pub connection_limit: Option<NonZeroU32>,
    /// `AWS_LAMBDA_MAX_CONCURRENCY`; see [`concurrency`].
    pub concurrency: NonZeroU32,
    /// What the server itself holds every session to.
    pub guards: Guards,
    /// How long sessions may sit idle, and how many are kept.
    pub lease: LeasePolicy,
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
        renamed::refuse_old_names()?;
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

/// What sessions are kept on; [`LeasePolicy`] has the variables and defaults.
fn lease_from_env() -> Result<LeasePolicy, ConfigError> {
    Ok(LeasePolicy {
        short: milliseconds("DATABASE_LEASE_SHORT_MS", 50, 250)?,
        long: seconds("DATABASE_LEASE_LONG", LEASE_LONG)?,
        long_min: seconds("DATABASE_LEASE_LONG_MIN", 1)?,
        recount_after: milliseconds("DATABASE_RECOUNT_AFTER_MS", 1, 2000)?,
        reuse_within: milliseconds("DATABASE_REUSE_WITHIN_MS", 0, 250)?,
        retained_percent: number("DATABASE_RETAINED_PERCENT", 0, 100)?.unwrap_or(RETAINED_PERCENT),
    })
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
