//! One piece of work on one session: a permit is waited for, its session used or a fresh one opened,
//! the work done, twice at most, and the session given back or closed.

use std::time::Duration;

use deadpool::managed::{self, Object, Timeouts};
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Pool, Usage,
    decide::{self, Again, Done, Idle, Return, Reuse},
    permits::{Permit, Permits},
};
use crate::{
    clock,
    database::{
        deadline::Deadline,
        error::DatabaseError,
        lease::{Lease, ReuseHint},
        session::Session,
    },
};

/// How long a transaction that lost a race waits before it is run again, in milliseconds: the
/// transaction that waits for its locks takes longer to wake up than this one takes to lock again.
const AFTER_A_RACE_MS: std::ops::RangeInclusive<u64> = 20..=100;

/// Something to do on a session, which may have to be done a second time on another one.
pub(super) trait Work: Sync {
    /// What comes of it.
    type Output: Send;
    /// Why nothing does.
    type Error: From<DatabaseError> + Send;

    /// What the log says if it is done a second time.
    const RUN_AGAIN: &'static str;

    /// Does the work. `until` bounds the wait for a session that a pooler lends.
    fn run(
        &self,
        pool: &Pool,
        session: Session,
        until: Instant,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(Session, Self::Output), Failed<Self::Error>>> + Send;
}

/// Work that was not done.
#[derive(Debug)]
pub(super) struct Failed<E> {
    pub(super) error: E,
    /// Why it may succeed once more.
    pub(super) again: Option<Again>,
    /// The session, if it is as good as before; one that is not has been closed.
    pub(super) session: Option<Session>,
    /// Whether the session ended under the work.
    pub(super) lost: bool,
}

impl<E> Failed<E> {
    /// Closes the session, of which it is not known what it is doing.
    pub(super) fn closing(error: E, session: Session) -> Self {
        session.close();
        Self {
            error,
            again: None,
            session: None,
            lost: false,
        }
    }
}

/// A permit of the pool, held for one piece of work.
struct Checkout<'p> {
    pool: &'p Pool,
    permit: Object<Permits>,
    hint: ReuseHint,
    deadline: Deadline,
    until: Instant,
    usage: &'p Usage,
}

impl Pool {
    /// Does a piece of work, and a second time if the first one says why that may succeed and a whole
    /// statement timeout is left before the deadline.
    pub(super) async fn perform<W: Work>(
        &self,
        deadline: Deadline,
        usage: &Usage,
        work: &W,
    ) -> Result<W::Output, W::Error> {
        let mut checkout = Checkout::begin(self, deadline, usage).await?;
        let session = checkout.session().await?;
        let failed = match checkout.run(work, session).await {
            Ok(output) => return Ok(output),
            Err(failed) => failed,
        };
        let Some(again) = checkout.run_again(failed.again) else {
            checkout.give_back_after(failed.session).await;
            return Err(failed.error);
        };
        usage.retried();
        tracing::info!(class = again.class(), "{}", W::RUN_AGAIN);
        checkout.prepare_again(again, failed.session).await;
        let session = checkout.session().await?;
        // Waiting may have used the time up that a second run would need.
        if checkout.run_again(Some(again)).is_none() {
            checkout.give_back(session).await;
            return Err(failed.error);
        }
        match checkout.run(work, session).await {
            Ok(output) => Ok(output),
            Err(failed) => {
                checkout.give_back_after(failed.session).await;
                Err(failed.error)
            }
        }
    }
}

impl<'p> Checkout<'p> {
    async fn begin(
        pool: &'p Pool,
        deadline: Deadline,
        usage: &'p Usage,
    ) -> Result<Self, DatabaseError> {
        let hint = pool.last_use().begin(clock::now(), pool.reuse_within);
        let until = deadline.within(pool.pool_timeout);
        let permit = usage.acquiring(permit(&pool.permits, until)).await?;
        Ok(Self {
            pool,
            permit,
            hint,
            deadline,
            until,
            usage,
        })
    }

    /// The permit's session, or a fresh one.
    async fn session(&mut self) -> Result<Session, DatabaseError> {
        let usage = self.usage;
        usage
            .acquiring(async {
                match self.idle_session().await {
                    Some(session) => Ok(session),
                    None => self.fresh_session().await,
                }
            })
            .await
    }

    /// The permit's session, if it has one that is young enough and alive.
    async fn idle_session(&mut self) -> Option<Session> {
        let mut session = self.permit.0.take()?;
        let known = Idle {
            lease: session.lease(),
            age: session.age(),
            idle: session.idle(),
        };
        match decide::reuse(known, &self.pool.limits) {
            Reuse::Use => Some(session),
            Reuse::Ping if session.is_alive(self.deadline.instant()).await => Some(session),
            Reuse::Ping => {
                self.pool.note_loss(self.usage);
                tracing::info!("a session did not survive its idle time and is replaced");
                None
            }
            Reuse::Replace => {
                session.close();
                None
            }
        }
    }

    async fn fresh_session(&self) -> Result<Session, DatabaseError> {
        if Instant::now() >= self.until {
            // The permit came at the last moment, and its session cannot be used.
            return Err(DatabaseError::PoolTimeout);
        }
        // Boxed: a new session is rare, and what opens one is larger than all the rest together.
        let connect = self
            .pool
            .connector
            .connect(self.until, self.hint.gap, self.usage);
        let session = Box::pin(connect).await?;
        self.pool.note_opening(self.usage);
        Ok(session)
    }

    async fn run<W: Work>(
        &mut self,
        work: &W,
        session: Session,
    ) -> Result<W::Output, Failed<W::Error>> {
        let run = work.run(self.pool, session, self.until, self.deadline);
        match self.usage.querying(run).await {
            Ok((session, output)) => {
                self.give_back(session).await;
                Ok(output)
            }
            Err(failed) => {
                if failed.lost {
                    self.pool.note_end(self.usage);
                }
                Err(failed)
            }
        }
    }

    fn run_again(&self, again: Option<Again>) -> Option<Again> {
        decide::run_again(again, self.deadline.left(), self.pool.statement_timeout)
    }

    /// Makes ready for the second run: the first may have used up the time for a session, and what it
    /// lost a race against is given a moment.
    async fn prepare_again(&mut self, again: Again, session: Option<Session>) {
        if let Some(mut session) = session {
            session.rest();
            self.permit.0 = Some(session);
        }
        if again == Again::RaceLost {
            let pause = rand::rng().random_range(AFTER_A_RACE_MS);
            sleep(Duration::from_millis(pause)).await;
        }
        self.until = self.deadline.within(self.pool.pool_timeout);
    }

    async fn give_back_after(&mut self, session: Option<Session>) {
        if let Some(session) = session {
            self.give_back(session).await;
        }
    }

    /// Puts a session whose work is done back into its permit, for the next invocation, or closes it:
    /// its slot at the server is free then before the answer is on its way.
    async fn give_back(&mut self, mut session: Session) {
        self.pool.last_use().end(clock::now());
        let known = Done {
            lease: session.lease(),
            held: session.held(),
            hot: self.hint.hot,
        };
        let keep = match decide::give_back(known, &self.pool.limits) {
            Return::Keep => true,
            Return::Close => false,
            Return::Recount => {
                let count = self.pool.connector.count(&mut session, self.hint.gap);
                match timeout_at(self.deadline.instant(), count).await {
                    Ok(Ok(room)) => room || matches!(session.lease(), Lease::Retained(_)),
                    _ => false,
                }
            }
        };
        if keep {
            session.rest();
            self.permit.0 = Some(session);
        } else {
            if matches!(session.lease(), Lease::Transient(_)) {
                self.usage.closed_transient();
            }
            session.close();
        }
    }
}

/// Waits for a permit, first come, first served.
async fn permit(
    permits: &managed::Pool<Permits>,
    until: Instant,
) -> Result<Object<Permits>, DatabaseError> {
    let timeouts = Timeouts {
        wait: Some(until.saturating_duration_since(Instant::now())),
        ..Timeouts::default()
    };
    permits
        .timeout_get(&timeouts)
        .await
        .map_err(|error| match error {
            managed::PoolError::Timeout(_) => DatabaseError::PoolTimeout,
            // Closed: only at the end of the process.
            other => DatabaseError::SessionLost(other.into()),
        })
}

/// How many sessions sit idle in their permits.
pub(super) fn idle_sessions(permits: &managed::Pool<Permits>) -> usize {
    let mut idle = 0;
    permits.retain(|Permit(session), _| {
        idle += usize::from(session.is_some());
        true
    });
    idle
}
