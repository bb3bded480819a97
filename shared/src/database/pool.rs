//! The one pool of an environment, and the only place that opens connections.
//!
//! The frame is deadpool's managed pool: permits in order of arrival and a bounded wait. A permit may
//! hold an idle session. Connecting, checking and closing sessions happen after a permit was had
//! (`checkout`), in the hands of the invocation, which knows its deadline and keeps the cause
//! if it fails. A session is taken out of its permit while it works: whatever goes wrong, also a
//! panic or a dropped future, an empty permit goes back and the session is closed. What is decided on
//! the way are pure functions (`decide`). docs/design/data-layer.md has the comparison with sqlx's own
//! pool.

mod beside;
mod checkout;
mod connect;
mod decide;
pub mod limit;
mod options;
mod permits;
mod read;
mod retention;
mod transact;
mod usage;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool::managed;
use once_cell::sync::OnceCell;
use serde::Serialize;

use crate::{
    config::{self, Function, database_url::DatabaseUrl},
    database::{
        credentials::Credentials,
        deadline::{Deadline, STATEMENT_GRACE, StatementTimeout},
        error::DatabaseError,
        lease::LastUse,
        session::Session,
    },
};
#[cfg(feature = "operator")]
pub(crate) use beside::WATCHING_TIMEOUT;
pub use beside::connect_for_maintenance;
pub(crate) use beside::connect_for_watching;
use checkout::idle_sessions;
use connect::Connector;
pub(crate) use decide::Again;
use decide::Limits;
pub(crate) use options::{guards, quote_identifier};
use permits::{Permits, permits};
pub use usage::{Spent, Usage};

/// This environment's pool. Everything but `serve` is handed a reference.
pub(crate) static POOL: LazyPool = LazyPool {
    credentials: OnceCell::new(),
    pool: OnceCell::new(),
};

/// A pool that is made by the first invocation that uses it.
#[derive(Debug)]
pub struct LazyPool {
    /// Before the pool: what is fetched decides what the pool is like.
    credentials: OnceCell<Arc<Credentials>>,
    pool: OnceCell<Pool>,
}

impl LazyPool {
    /// The pool; makes it on the first call, once its credentials are there. Opens no
    /// connection to the database.
    ///
    /// # Errors
    /// [`DatabaseError::InvalidConfiguration`], on each call until the variables are corrected, and
    /// [`DatabaseError::CredentialsUnavailable`].
    pub async fn get(
        &self,
        function: &Function,
        deadline: Deadline,
    ) -> Result<&Pool, DatabaseError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let credentials = self
            .credentials
            .get_or_try_init(|| Ok::<_, DatabaseError>(Arc::new(Credentials::from_env()?)))?;
        let url = credentials.url(deadline.instant()).await?;
        self.pool.get_or_try_init(|| {
            let config = config::Database::from_env(DatabaseUrl::clone(&url))?;
            Pool::new(&config, function, Arc::clone(credentials))
        })
    }

    /// What the pool holds, if it was made.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.pool.get().map(Pool::statistics)
    }

    /// Closes the pool, if it was made, so that its slots are free at the server before the
    /// process is gone. Waits for nothing.
    pub(crate) fn close(&self) {
        if let Some(pool) = self.pool.get() {
            pool.close();
        }
    }
}

/// At most `connection_limit` sessions.
///
/// A function never holds the pool. It asks the request for a reader, which takes a session for each
/// statement and gives it back:
///
/// ```no_run
/// use shared::http::{lambda, problem::Error, request::Request, response::Response};
///
/// async fn count(request: Request) -> Result<Response, Error> {
///     let reader = request.reader().await?;
///     let doctors: i64 = sqlx::query_scalar("select count(*) from doctors")
///         .fetch_one(reader)
///         .await?;
///     request.resource(&doctors)
/// }
///
/// lambda::serve(count).expect("Lambda's runtime API");
/// ```
#[derive(Debug)]
pub struct Pool {
    permits: managed::Pool<Permits>,
    connector: Connector,
    limits: Limits,
    pool_timeout: Option<Duration>,
    socket_timeout: Option<Duration>,
    statement_timeout: Duration,
    reuse_within: Duration,
    last_use: Mutex<LastUse>,
    opened: AtomicU64,
    lost: AtomicU64,
}

/// What the pool holds and has done; for health and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct Statistics {
    /// The most sessions the pool opens.
    pub limit: usize,
    /// Sessions that are open now, or being opened.
    pub size: usize,
    /// Of these, the ones that no invocation is using.
    pub idle: usize,
    /// Sessions opened since the pool was made.
    pub opened: u64,
    /// Sessions that were found dead, or died under a statement.
    pub lost: u64,
}

impl Pool {
    fn new(
        config: &config::Database,
        function: &Function,
        credentials: Arc<Credentials>,
    ) -> Result<Self, DatabaseError> {
        let connector = Connector::new(config, function, credentials)?;
        config.url.log_warnings();
        let limit = limit::in_force(config);
        let permits = permits(limit).map_err(|error| DatabaseError::Unexpected(error.into()))?;
        tracing::info!(
            environment = %function.environment,
            function = function.name,
            version = function.version,
            connection_limit = limit,
            // Absent if an invocation may wait until its deadline.
            pool_timeout_seconds = config.url.pool_timeout.map(|time| time.as_secs()),
            "database pool created"
        );
        Ok(Self {
            permits,
            connector,
            limits: Limits {
                max_lifetime: config.url.max_connection_lifetime,
                max_idle: config.url.max_idle_connection_lifetime,
                ping_after: config.ping_after,
                recount_after: config.lease.recount_after,
                single_use: config.url.single_use_connections,
            },
            pool_timeout: config.url.pool_timeout,
            socket_timeout: config.url.socket_timeout,
            statement_timeout: config.guards.statement_timeout,
            reuse_within: config.lease.reuse_within,
            last_use: Mutex::default(),
            opened: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// What the pool holds now.
    pub fn statistics(&self) -> Statistics {
        let idle = idle_sessions(&self.permits);
        let permits = self.permits.status();
        Statistics {
            limit: permits.max_size,
            size: permits.size - permits.available + idle,
            idle,
            opened: self.opened.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// How long the client waits for each statement: a second longer than the server runs it, unless the
    /// URL's `socket_timeout` says how long.
    fn client_timeout(&self, deadline: Deadline) -> StatementTimeout {
        let limit = self
            .socket_timeout
            .unwrap_or(self.statement_timeout + STATEMENT_GRACE);
        StatementTimeout::new(deadline, limit)
    }

    fn last_use(&self) -> MutexGuard<'_, LastUse> {
        self.last_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_opening(&self, usage: &Usage) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        usage.opened();
    }

    fn note_loss(&self, usage: &Usage) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        usage.lost();
    }

    /// Notes that a session ended under its work. What ended it has probably ended the idle ones too.
    fn note_end(&self, usage: &Usage) {
        self.note_loss(usage);
        self.permits.retain(|_, _| false);
    }

    fn close(&self) {
        let idle = self.permits.retain(|_, _| false).removed;
        self.permits.close();
        idle.into_iter()
            .filter_map(|permit| permit.0)
            .for_each(Session::close);
    }
}
