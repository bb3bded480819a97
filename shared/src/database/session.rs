//! One session with the database: a connection, and what the pool must know about it.

use std::time::{Duration, SystemTime};

use futures_util::{FutureExt, TryStreamExt};
use sqlx::{
    Either, Execute, Executor, PgConnection, Postgres, SqlSafeStr, SqlStr,
    error::BoxDynError,
    postgres::{PgArguments, PgQueryResult, PgRow, PgStatement},
};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, timeout_at},
};

use crate::{clock, database::lease::Lease};

/// How long a sign of life may take. A healthy server answers within a round trip; a connection
/// that a firewall forgot would otherwise hang for minutes.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// What a statement yields: rows, and how many were affected.
pub(crate) type Steps = Vec<Either<PgQueryResult, PgRow>>;

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    connection: PgConnection,
    named_statements: bool,
    lease: Lease,
    opened_at: SystemTime,
    used_at: SystemTime,
    granted_at: SystemTime,
}

impl Session {
    /// A session that was just opened. Without `named_statements` every statement is prepared
    /// unnamed, which leaves nothing behind on a server connection that a pooler lends out.
    pub(crate) fn new(connection: PgConnection, named_statements: bool) -> Self {
        let now = clock::now();
        Self {
            connection,
            named_statements,
            lease: Lease::None,
            opened_at: now,
            used_at: now,
            granted_at: now,
        }
    }

    /// Runs one statement to its end. The rows are collected: every query is bounded, so they are
    /// few, and the session is free again before they are looked at.
    pub(crate) async fn run(&mut self, mut statement: Statement) -> sqlx::Result<Steps> {
        statement.named &= self.named_statements;
        self.connection.fetch_many(statement).try_collect().await
    }

    /// Runs statements without arguments and without rows, in one round trip.
    pub(crate) async fn command(&mut self, sql: impl SqlSafeStr) -> sqlx::Result<()> {
        self.connection
            .execute(sqlx::raw_sql(sql))
            .await
            .map(|_| ())
    }

    /// Runs one statement without arguments that yields one row, in one round trip.
    pub(crate) async fn row(&mut self, sql: impl SqlSafeStr) -> sqlx::Result<PgRow> {
        self.connection.fetch_one(sqlx::raw_sql(sql)).await
    }

    /// What the session was granted.
    pub(crate) fn lease(&self) -> Lease {
        self.lease
    }

    /// Notes what the session was granted, from now on.
    pub(crate) fn grant(&mut self, lease: Lease) {
        self.lease = lease;
        self.granted_at = clock::now();
    }

    /// Time since the lease was granted, by wall clock.
    pub(crate) fn held(&self) -> Duration {
        clock::since(self.granted_at)
    }

    /// Time since the session was opened, by wall clock.
    pub(crate) fn age(&self) -> Duration {
        clock::since(self.opened_at)
    }

    /// Time since the session was last given back, by wall clock.
    pub(crate) fn idle(&self) -> Duration {
        clock::since(self.used_at)
    }

    /// Notes that the session is given back now.
    pub(crate) fn rest(&mut self) {
        self.used_at = clock::now();
    }

    /// Asks the server for a sign of life: one round trip, bounded, and over by `until`.
    pub(crate) async fn is_alive(&mut self, until: Instant) -> bool {
        let until = until.min(Instant::now() + PING_TIMEOUT);
        let ping = sqlx::Connection::ping(&mut self.connection);
        matches!(timeout_at(until, ping).await, Ok(Ok(())))
    }

    /// Says goodbye, so that the server frees the slot at once, and waits for nothing. The goodbye is
    /// written when the driver's future is asked for the first time; the rest of it, over TLS, would
    /// wait for the server to end the session. Unconstrained, because a task that has read much may be
    /// told to come back later. Where the network takes nothing, the socket is closed all the same.
    pub(crate) fn close(self) {
        let goodbye = sqlx::Connection::close(self.connection);
        if let Some(Err(error)) = unconstrained(goodbye).now_or_never() {
            tracing::debug!(%error, "a session could not be closed gracefully");
        }
    }
}

/// One statement with its arguments. Made from whatever sqlx's macros make, so that it can be run
/// again on another session.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    /// Whether the server may keep it prepared under a name, for the next time.
    named: bool,
}

impl Statement {
    /// Takes a query apart.
    ///
    /// # Errors
    /// Where an argument has no form that the database understands.
    pub(crate) fn of<'q>(mut query: impl Execute<'q, Postgres>) -> sqlx::Result<Self> {
        Ok(Self {
            arguments: query.take_arguments().map_err(sqlx::Error::Encode)?,
            named: query.persistent(),
            sql: query.sql(),
        })
    }
}

impl Execute<'_, Postgres> for Statement {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.named
    }
}
