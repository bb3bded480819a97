//! The one pool of an environment, and the only place that opens connections.
//!
//! The frame is deadpool's managed pool: permits in order of arrival and a bounded wait. What it
//! holds are slots, which may be empty. Connecting, checking and closing sessions happen after a
//! slot was taken, in the hands of the invocation, which knows its deadline and keeps the cause
//! when it fails. A session is taken out of its slot while it works: whatever goes wrong, also a
//! panic or a dropped future, an empty slot goes back and the session is closed. DESIGN.md has the
//! comparison with sqlx's own pool.

mod census;
mod connect;
pub mod limit;
mod options;
mod slots;
mod transact;
mod usage;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool::managed::{self, Object, PoolConfig, QueueMode, Timeouts};
use once_cell::sync::OnceCell;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::{
    config::{self, Function, database_url::DatabaseUrl},
    database::{
        credentials::Credentials,
        deadline::{Deadline, Patience, STATEMENT_GRACE},
        lease::{Beat, Lease, Rhythm},
        session::{Session, Statement, Steps},
    },
    http::problem::{Error, Phase},
};
use connect::Connector;
#[cfg(feature = "operator")]
pub(crate) use connect::WATCHING_PATIENCE;
pub use connect::connect_for_maintenance;
pub(crate) use connect::connect_for_watching;
pub(crate) use options::{guards, quote_identifier};
use slots::{Slot, Slots};
pub use usage::{Spent, Usage};

/// This environment's pool. Everything but `serve` is handed a reference.
pub(crate) static POOL: LazyPool = LazyPool {
    credentials: OnceCell::new(),
    pool: OnceCell::new(),
};

/// A pool that is made on first use, by whichever invocation comes first.
#[derive(Debug)]
pub struct LazyPool {
    /// Before the pool: what is fetched decides what the pool is like.
    credentials: OnceCell<Arc<Credentials>>,
    pool: OnceCell<Pool>,
}

impl LazyPool {
    /// The pool; makes it where there is none yet, once its credentials are there. Opens no
    /// connection to the database.
    ///
    /// # Errors
    /// [`Error::InvalidConfiguration`], on each call until the variables are mended, and
    /// [`Error::CredentialsUnavailable`].
    pub async fn get(&self, function: &Function, deadline: Deadline) -> Result<&Pool, Error> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let credentials = self
            .credentials
            .get_or_try_init(|| Ok::<_, Error>(Arc::new(Credentials::from_env()?)))?;
        let url = credentials.url(deadline.instant()).await?;
        self.pool.get_or_try_init(|| {
            let config = config::Database::from_env(DatabaseUrl::clone(&url))?;
            Pool::new(&config, function, Arc::clone(credentials))
        })
    }

    /// What the pool holds, where there is one.
    pub(crate) fn statistics(&self) -> Option<Statistics> {
        self.pool.get().map(Pool::statistics)
    }

    /// Closes the pool, where there is one, so that its slots are free at the server before the
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
///     request.one(&doctors)
/// }
///
/// lambda::serve(count).expect("Lambda's runtime API");
/// ```
#[derive(Debug)]
pub struct Pool {
    slots: managed::Pool<Slots>,
    connector: Connector,
    limits: Limits,
    rhythm: Mutex<Rhythm>,
    opened: AtomicU64,
    lost: AtomicU64,
}

/// How long everything may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    pool_timeout: Option<Duration>,
    socket_timeout: Option<Duration>,
    statement_timeout: Duration,
    slice: Duration,
    hot: Duration,
    max_lifetime: Option<Duration>,
    max_idle: Option<Duration>,
    ping_after: Duration,
    single_use: bool,
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
    ) -> Result<Self, Error> {
        let connector = Connector::new(config, function, credentials)?;
        let limit = limit::connection_limit(
            config.url.connection_limit,
            config.connection_limit,
            config.concurrency,
        );
        config.url.log_warnings();
        for lowered in &limit.lowered {
            tracing::warn!(
                source = lowered.source,
                asked = lowered.asked,
                in_force = limit.effective,
                concurrency = config.concurrency,
                "a connection limit is more than this environment may have or can use, and was lowered"
            );
        }
        let size = limit.effective.get() as usize;
        let slots = managed::Pool::builder(Slots)
            .config(PoolConfig {
                max_size: size,
                timeouts: Timeouts::default(),
                // The session used last is the one most likely alive, and the others may age.
                queue_mode: QueueMode::Lifo,
            })
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Unexpected(error.into()))?;
        tracing::info!(
            environment = %function.environment,
            function = function.name,
            version = function.version,
            connection_limit = size,
            // Absent where an invocation may wait until its deadline.
            pool_timeout_seconds = config.url.pool_timeout.map(|time| time.as_secs()),
            "database pool created"
        );
        Ok(Self {
            slots,
            connector,
            limits: Limits {
                pool_timeout: config.url.pool_timeout,
                socket_timeout: config.url.socket_timeout,
                statement_timeout: config.guards.statement_timeout,
                slice: config.lease.slice,
                hot: config.lease.hot,
                max_lifetime: config.url.max_connection_lifetime,
                max_idle: config.url.max_idle_connection_lifetime,
                ping_after: config.ping_after,
                single_use: config.url.single_use_connections,
            },
            rhythm: Mutex::default(),
            opened: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    /// Runs a statement that only reads. Where its session turns out to be dead, it is run once
    /// more on a fresh one, provided that a whole statement time-out is left before the deadline.
    ///
    /// # Errors
    /// Any of [`Error`]'s database classes. The session that an error left behind is closed.
    pub(crate) async fn read(
        &self,
        deadline: Deadline,
        usage: &Usage,
        statement: Statement,
    ) -> Result<Steps, Error> {
        let beat = self.rhythm().begin(self.limits.hot);
        let mut until = deadline.within(self.limits.pool_timeout);
        let mut slot = usage.acquiring(self.slot(until)).await?;
        let mut lost = None;
        loop {
            let session = self.session(&mut slot, until, beat, deadline, usage);
            let mut session = usage.acquiring(session).await?;
            // Waiting may have used the time up that a second run would need.
            if let Some(lost) = lost.take_if(|_| !deadline.leaves(self.limits.statement_timeout)) {
                self.give_back(&mut slot, session, beat, deadline, usage)
                    .await;
                return Err(lost);
            }
            let run = self.run(&mut session, until, deadline, statement.clone());
            let error = match usage.querying(run).await {
                Ok(steps) => {
                    self.give_back(&mut slot, session, beat, deadline, usage)
                        .await;
                    return Ok(steps);
                }
                Err(error) => error,
            };
            session.close();
            if !error.lost_the_session() {
                return Err(error);
            }
            self.note_end(usage);
            if lost.is_some() || !deadline.leaves(self.limits.statement_timeout) {
                return Err(error);
            }
            // The first attempt may have used the time up.
            until = deadline.within(self.limits.pool_timeout);
            usage.retried();
            tracing::info!(
                class = error.class(),
                "a read is run again on a fresh session"
            );
            lost = Some(error);
        }
    }

    /// What the pool holds now.
    pub fn statistics(&self) -> Statistics {
        let mut idle = 0;
        self.slots.retain(|slot, _| {
            idle += usize::from(slot.0.is_some());
            true
        });
        let slots = self.slots.status();
        Statistics {
            limit: slots.max_size,
            size: slots.size - slots.available + idle,
            idle,
            opened: self.opened.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    /// Waits for a slot, first come, first served.
    async fn slot(&self, until: Instant) -> Result<Object<Slots>, Error> {
        let timeouts = Timeouts {
            wait: Some(until.saturating_duration_since(Instant::now())),
            ..Timeouts::default()
        };
        self.slots
            .timeout_get(&timeouts)
            .await
            .map_err(|error| match error {
                managed::PoolError::Timeout(_) => Error::PoolTimeout,
                // Closed: only at the end of the process.
                other => Error::Closed(other.into()),
            })
    }

    /// The slot's session, or a fresh one.
    async fn session(
        &self,
        slot: &mut Slot,
        until: Instant,
        beat: Beat,
        deadline: Deadline,
        usage: &Usage,
    ) -> Result<Session, Error> {
        match self.idle_session(slot, deadline, usage).await {
            Some(session) => Ok(session),
            None => self.fresh_session(until, beat, usage).await,
        }
    }

    /// The slot's session, if it has one that is young enough and alive.
    async fn idle_session(
        &self,
        slot: &mut Slot,
        deadline: Deadline,
        usage: &Usage,
    ) -> Option<Session> {
        let mut session = slot.0.take()?;
        let idle = session.idle();
        if !session.lease().still_holds(idle) {
            // The server has ended it, or is about to.
            session.close();
            return None;
        }
        let over = |limit: Option<Duration>, time| limit.is_some_and(|limit| time >= limit);
        if over(self.limits.max_lifetime, session.age()) || over(self.limits.max_idle, idle) {
            session.close();
            return None;
        }
        if idle > self.limits.ping_after && !session.is_alive(deadline.instant()).await {
            self.note_loss(usage);
            tracing::info!("a session did not survive its idle time and is replaced");
            return None;
        }
        Some(session)
    }

    async fn fresh_session(
        &self,
        until: Instant,
        beat: Beat,
        usage: &Usage,
    ) -> Result<Session, Error> {
        if Instant::now() >= until {
            // The slot came at the last moment, and what was in it cannot be used.
            return Err(Error::PoolTimeout);
        }
        // Boxed: a new session is rare, and what opens one is larger than all the rest together.
        let session = Box::pin(self.connector.connect(until, beat.gap, usage)).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        usage.opened();
        Ok(session)
    }

    /// Notes that a session ended under its work. What ended it has probably ended the idle ones too.
    fn note_end(&self, usage: &Usage) {
        self.note_loss(usage);
        self.slots.retain(|_, _| false);
    }

    fn note_loss(&self, usage: &Usage) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        usage.lost();
    }

    /// Runs a statement, within the client's own limit and the deadline; a pooler's session is waited for
    /// until `until`.
    async fn run(
        &self,
        session: &mut Session,
        until: Instant,
        deadline: Deadline,
        statement: Statement,
    ) -> Result<Steps, Error> {
        let patience = self.patience(deadline);
        self.connector
            .begin_reading(session, until, patience)
            .await?;
        let work = async {
            let steps = session.run(statement).await?;
            self.connector.end_reading(session).await?;
            Ok(steps)
        };
        let steps = patience.wait_for(work).await?;
        steps.map_err(|error| Error::of_driver(error, Phase::Running))
    }

    /// How long the client waits for each statement.
    fn patience(&self, deadline: Deadline) -> Patience {
        let limit = self
            .limits
            .socket_timeout
            .unwrap_or(self.limits.statement_timeout + STATEMENT_GRACE);
        Patience::new(deadline, limit)
    }

    /// Puts a session that did its work back into its slot, for the next invocation, or says
    /// goodbye: its slot at the server is free then before the answer is on its way.
    async fn give_back(
        &self,
        slot: &mut Slot,
        mut session: Session,
        beat: Beat,
        deadline: Deadline,
        usage: &Usage,
    ) {
        self.rhythm().end();
        let keep = match session.lease() {
            _ if self.limits.single_use => false,
            Lease::None | Lease::Retained(_) => true,
            Lease::Transient(_) if !beat.hot => false,
            Lease::Transient(_) if session.held() < self.limits.slice => true,
            // A slice is over: one more round trip tells whether there is room for another.
            Lease::Transient(_) => {
                let count = self.connector.count(&mut session, beat.gap);
                match timeout_at(deadline.instant(), count).await {
                    Ok(Ok(room)) => room || matches!(session.lease(), Lease::Retained(_)),
                    _ => false,
                }
            }
        };
        if keep {
            session.rest();
            slot.0 = Some(session);
        } else {
            if matches!(session.lease(), Lease::Transient(_)) {
                usage.closed_transient();
            }
            session.close();
        }
    }

    fn rhythm(&self) -> MutexGuard<'_, Rhythm> {
        self.rhythm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let idle = self.slots.retain(|_, _| false).removed;
        self.slots.close();
        idle.into_iter()
            .filter_map(|slot| slot.0)
            .for_each(Session::close);
    }
}
