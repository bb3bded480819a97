//! Changes: begin, commit or roll back, and what may be made once more.

use sqlx::postgres::{PgDatabaseError, PgSeverity};
use tokio::time::{Instant, timeout_at};

use super::{
    Pool, Usage,
    checkout::{Failed, Work},
    decide::Again,
};
use crate::database::{
    deadline::{Deadline, STATEMENT_GRACE, StatementTimeout},
    error::{DatabaseError, Phase},
    session::Session,
    transaction::{Change, Transaction},
};

/// A change in one transaction.
struct Write<'c, C>(&'c C);

impl<C: Change> Work for Write<'_, C> {
    type Output = C::Outcome;
    type Error = C::Error;
    const RUN_AGAIN: &'static str = "a transaction is run again";

    async fn run(
        &self,
        pool: &Pool,
        mut session: Session,
        until: Instant,
        deadline: Deadline,
    ) -> Result<(Session, C::Outcome), Failed<C::Error>> {
        let timeout = pool.client_timeout(deadline);
        let begin = pool.connector.begin_writing(&mut session, until, timeout);
        if let Err(error) = begin.await {
            return Err(failed(error, session));
        }
        let mut transaction = Transaction::new(session, timeout);
        let outcome = self.0.make(&mut transaction).await;
        let failure = transaction.failure();
        let session = transaction.into_session();
        match (outcome, failure) {
            (Ok(outcome), None) => match commit(session, timeout).await {
                Ok(session) => Ok((session, outcome)),
                Err(failed) => Err(failed.of_change()),
            },
            (Ok(_), Some(_)) => {
                let defect = "a change went on after one of its statements had failed";
                let error = DatabaseError::Unexpected(defect.into());
                Err(Failed::closing(error.into(), session))
            }
            // Cut off in the middle, the session may still be at work on a statement.
            (Err(error), Some(failure)) if failure.cut_off => Err(Failed {
                lost: failure.lost,
                again: failure.again(),
                ..Failed::closing(error, session)
            }),
            (Err(error), failure) => {
                let again = failure.and_then(|failure| failure.again());
                Err(roll_back(session, deadline, error, again).await)
            }
        }
    }
}

impl Pool {
    /// Makes a change in one transaction. It is made once more, provided that a whole statement
    /// timeout is left before the deadline, if the session was lost before the commit was sent
    /// (then nothing of it happened), and if another transaction won a race (40P01, 40001).
    ///
    /// Each of its statements may take as long as one that reads, the whole until the deadline.
    ///
    /// # Errors
    /// The change's own; any [`DatabaseError`];
    /// [`DatabaseError::OutcomeUnknown`] if the commit was sent and not answered.
    pub(crate) async fn write<C: Change>(
        &self,
        deadline: Deadline,
        usage: &Usage,
        change: &C,
    ) -> Result<C::Outcome, C::Error> {
        self.perform(deadline, usage, &Write(change)).await
    }
}

impl Failed<DatabaseError> {
    fn of_change<E: From<DatabaseError>>(self) -> Failed<E> {
        let Self {
            error,
            again,
            session,
            lost,
        } = self;
        Failed {
            error: error.into(),
            again,
            session,
            lost,
        }
    }
}

/// A `begin` that failed.
fn failed<E: From<DatabaseError>>(error: DatabaseError, session: Session) -> Failed<E> {
    let lost = error.lost_the_session();
    let again = lost.then_some(Again::SessionLost);
    Failed {
        lost,
        again: again.or(error.lost_a_race().then_some(Again::RaceLost)),
        ..Failed::closing(error.into(), session)
    }
}

async fn commit(
    mut session: Session,
    timeout: StatementTimeout,
) -> Result<Session, Failed<DatabaseError>> {
    let error = match timeout.wait_for(session.command("commit")).await {
        Ok(Ok(())) => return Ok(session),
        Ok(Err(error)) if server_rejected_commit(&error) => {
            let error = DatabaseError::of_driver(error, Phase::Running);
            let again = error.lost_a_race().then_some(Again::RaceLost);
            let lost = error.lost_the_session();
            let again = again.or(lost.then_some(Again::SessionLost));
            return Err(Failed {
                error,
                again,
                lost,
                session: Some(session),
            });
        }
        Ok(Err(error)) => DatabaseError::of_driver(error, Phase::Running),
        Err(error) => error,
    };
    Err(Failed {
        lost: true,
        ..Failed::closing(DatabaseError::OutcomeUnknown(error.into()), session)
    })
}

/// Waits for the server's answer: a transaction that is only forgotten would hold its locks for
/// as long as the environment is frozen.
async fn roll_back<E>(
    mut session: Session,
    deadline: Deadline,
    error: E,
    again: Option<Again>,
) -> Failed<E> {
    let until = deadline.within(Some(STATEMENT_GRACE));
    match timeout_at(until, session.command("rollback")).await {
        Ok(Ok(())) => Failed {
            error,
            again,
            session: Some(session),
            lost: false,
        },
        Ok(Err(_)) | Err(_) => Failed {
            again,
            ..Failed::closing(error, session)
        },
    }
}

/// Whether the server itself said that the commit failed, and goes on with the session: then it has
/// rolled back, because a race was lost at the last moment or the time was over.
fn server_rejected_commit(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| error.severity() == PgSeverity::Error)
}
