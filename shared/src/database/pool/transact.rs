//! Changes on the pool: begin, commit or roll back, and when a transaction is run once more.

use std::time::Duration;

use rand::RngExt;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Pool, Usage};
use crate::{
    database::{
        deadline::{Deadline, Patience, STATEMENT_GRACE},
        session::Session,
        transaction::{Change, Transaction},
    },
    http::problem::{Error, Phase},
};

/// How long a transaction that lost a race stands aside before it is run again, in milliseconds:
/// whoever waits for its locks takes longer to wake up than it takes to come back and lock again.
const STANDING_ASIDE_MS: std::ops::RangeInclusive<u64> = 20..=100;

/// A transaction that did not commit, or of which it is not known.
struct Abandoned {
    error: Error,
    /// The session, where it was rolled back and is as good as before.
    session: Option<Session>,
}

impl Abandoned {
    fn with(error: Error, session: Session) -> Self {
        Self {
            error,
            session: Some(session),
        }
    }

    fn closing(error: Error, session: Session) -> Self {
        session.close();
        Self {
            error,
            session: None,
        }
    }

    /// Whether the session ended under the change, or its commit was not answered.
    fn ended_the_session(&self) -> bool {
        self.error.lost_the_session() || matches!(self.error, Error::OutcomeUnknown(_))
    }

    /// Whether the same once more may succeed: nothing was committed, and what was in the way is
    /// probably gone.
    fn worth_another_run(&self) -> bool {
        self.error.lost_the_session() || self.error.lost_a_race()
    }
}

impl Pool {
    /// Makes a change in one transaction. It is made once more, provided that a whole statement
    /// time-out is left before the deadline, where the session was lost before the commit was sent
    /// (then nothing of it happened), and where another transaction won a race (40P01, 40001).
    ///
    /// Each of its statements may take as long as one that reads, the whole until the deadline.
    ///
    /// # Errors
    /// The change's own; any of [`Error`]'s database classes;
    /// [`Error::OutcomeUnknown`] where the commit was sent and not answered.
    pub(crate) async fn write<C: Change>(
        &self,
        deadline: Deadline,
        usage: &Usage,
        change: &C,
    ) -> Result<C::Outcome, Error> {
        let beat = self.rhythm().begin(self.limits.hot);
        let mut until = deadline.within(self.limits.pool_timeout);
        let mut slot = usage.acquiring(self.slot(until)).await?;
        let mut first = None;
        loop {
            let session = self.session(&mut slot, until, beat, deadline, usage);
            let session = usage.acquiring(session).await?;
            // Waiting may have used the time up that a second run would need.
            if let Some(first) = first.take_if(|_| !deadline.leaves(self.limits.statement_timeout))
            {
                self.give_back(&mut slot, session, beat, deadline, usage)
                    .await;
                return Err(first);
            }
            let transact = self.transact(session, until, deadline, change);
            let abandoned = match usage.querying(transact).await {
                Ok((session, outcome)) => {
                    self.give_back(&mut slot, session, beat, deadline, usage)
                        .await;
                    return Ok(outcome);
                }
                Err(abandoned) => abandoned,
            };
            let run_again = first.is_none()
                && abandoned.worth_another_run()
                && deadline.leaves(self.limits.statement_timeout);
            if abandoned.ended_the_session() {
                self.note_end(usage);
            }
            match abandoned.session {
                Some(mut session) if run_again => {
                    session.rest();
                    slot.0 = Some(session);
                }
                Some(session) => {
                    self.give_back(&mut slot, session, beat, deadline, usage)
                        .await;
                }
                None => {}
            }
            if !run_again {
                return Err(abandoned.error);
            }
            usage.retried();
            tracing::info!(
                class = abandoned.error.class(),
                "a transaction is run again"
            );
            if abandoned.error.lost_a_race() {
                let pause = rand::rng().random_range(STANDING_ASIDE_MS);
                sleep(Duration::from_millis(pause)).await;
            }
            until = deadline.within(self.limits.pool_timeout);
            first = Some(abandoned.error);
        }
    }

    async fn transact<C: Change>(
        &self,
        mut session: Session,
        until: Instant,
        deadline: Deadline,
        change: &C,
    ) -> Result<(Session, C::Outcome), Abandoned> {
        let patience = self.patience(deadline);
        let begun = self.connector.begin_writing(&mut session, until, patience);
        if let Err(error) = begun.await {
            return Err(Abandoned::closing(error, session));
        }
        let mut transaction = Transaction::new(session, patience);
        let outcome = change.make(&mut transaction).await;
        let failed = transaction.failed();
        let session = transaction.into_session();
        match outcome {
            Ok(outcome) if !failed => self.commit(session, patience, outcome).await,
            Ok(_) => {
                let defect = "a change went on after one of its statements had failed";
                Err(Abandoned::closing(
                    Error::Unexpected(defect.into()),
                    session,
                ))
            }
            // Cut off in the middle, the session may still be at work on a statement.
            Err(error @ (Error::QueryTimeout(_) | Error::Closed(_))) => {
                Err(Abandoned::closing(error, session))
            }
            Err(error) => Err(self.roll_back(session, deadline, error).await),
        }
    }

    async fn commit<T>(
        &self,
        mut session: Session,
        patience: Patience,
        outcome: T,
    ) -> Result<(Session, T), Abandoned> {
        let error = match patience.wait_for(session.command("commit")).await {
            Ok(Ok(())) => return Ok((session, outcome)),
            Ok(Err(error)) if is_the_servers_word(&error) => {
                let error = Error::of_driver(error, Phase::Running);
                return Err(Abandoned::with(error, session));
            }
            Ok(Err(error)) => Error::of_driver(error, Phase::Running),
            Err(error) => error,
        };
        let unknown = Error::OutcomeUnknown(error.into());
        Err(Abandoned::closing(unknown, session))
    }

    /// Waits for the server's word: a transaction that is only forgotten would hold its locks for
    /// as long as the environment is frozen.
    async fn roll_back(&self, mut session: Session, deadline: Deadline, error: Error) -> Abandoned {
        let until = deadline.within(Some(STATEMENT_GRACE));
        match timeout_at(until, session.command("rollback")).await {
            Ok(Ok(())) => Abandoned::with(error, session),
            Ok(Err(_)) | Err(_) => Abandoned::closing(error, session),
        }
    }
}

/// Whether the server itself said that the commit failed, and goes on with the session: then it has
/// rolled back, because a race was lost at the last moment or the time was over.
fn is_the_servers_word(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| error.severity() == PgSeverity::Error)
}
