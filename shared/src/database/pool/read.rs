//! Statements that only read.

use tokio::time::Instant;

use super::{
    Pool, Usage,
    checkout::{Failed, Work},
    decide::Again,
};
use crate::database::{
    deadline::Deadline,
    error::{DatabaseError, Phase},
    session::{Session, Statement, Steps},
};

/// A statement that only reads.
struct Read(Statement);

impl Work for Read {
    type Output = Steps;
    type Error = DatabaseError;
    const RUN_AGAIN: &'static str = "a read is run again on a fresh session";

    async fn run(
        &self,
        pool: &Pool,
        mut session: Session,
        until: Instant,
        deadline: Deadline,
    ) -> Result<(Session, Steps), Failed<DatabaseError>> {
        match pool
            .run(&mut session, until, deadline, self.0.clone())
            .await
        {
            Ok(steps) => Ok((session, steps)),
            Err(error) => {
                let lost = error.lost_the_session();
                Err(Failed {
                    lost,
                    again: lost.then_some(Again::SessionLost),
                    ..Failed::closing(error, session)
                })
            }
        }
    }
}

impl Pool {
    /// Runs a statement that only reads. If its session turns out to be dead, it is run once
    /// more on a fresh one, provided that a whole statement timeout is left before the deadline.
    ///
    /// # Errors
    /// Any [`DatabaseError`]. The session that an error left behind is closed.
    pub(crate) async fn read(
        &self,
        deadline: Deadline,
        usage: &Usage,
        statement: Statement,
    ) -> Result<Steps, DatabaseError> {
        self.perform(deadline, usage, &Read(statement)).await
    }

    /// Runs a statement, within the client's own limit and the deadline; a pooler's session is waited for
    /// until `until`.
    async fn run(
        &self,
        session: &mut Session,
        until: Instant,
        deadline: Deadline,
        statement: Statement,
    ) -> Result<Steps, DatabaseError> {
        let timeout = self.client_timeout(deadline);
        self.connector
            .begin_reading(session, until, timeout)
            .await?;
        let work = async {
            let steps = session.run(statement).await?;
            self.connector.end_reading(session).await?;
            Ok(steps)
        };
        let steps = timeout.wait_for(work).await?;
        steps.map_err(|error| DatabaseError::of_driver(error, Phase::Running))
    }
}
