//! Where changes run: one short transaction on one session.

use futures_util::{
    FutureExt, TryFutureExt,
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::database::{
    deadline::StatementTimeout,
    error::{DatabaseError, Kind, Phase},
    executor::collecting_executor,
    pool::Again,
    session::{Session, Statement, Steps},
};

/// A change to the database, made in one transaction: all of it or nothing.
///
/// It is a value and not a closure, because it may have to be made twice: if the session is lost
/// before the commit, or another transaction won a race. So it takes nothing with it that a first
/// attempt would use up.
///
/// ```no_run
/// use shared::{
///     database::transaction::{Change, Transaction},
///     http::{problem::Error, request::Request},
/// };
/// use sqlx::types::Uuid;
///
/// struct Rename<'a> {
///     doctor: Uuid,
///     name: &'a str,
/// }
///
/// impl Change for Rename<'_> {
///     /// Whether the doctor exists.
///     type Outcome = bool;
///     type Error = Error;
///
///     async fn make(&self, db: &mut Transaction) -> Result<bool, Error> {
///         let renamed = sqlx::query("update doctors set full_name = $2 where id = $1")
///             .bind(self.doctor)
///             .bind(self.name)
///             .execute(db)
///             .await?;
///         Ok(renamed.rows_affected() == 1)
///     }
/// }
///
/// async fn rename(request: &Request, doctor: Uuid) -> Result<bool, Error> {
///     let name = "Ada Adams";
///     request.write(&Rename { doctor, name }).await
/// }
/// ```
pub trait Change: Sync {
    /// What is known once it is made.
    type Outcome: Send;
    /// Why it was not made.
    type Error: From<DatabaseError> + Send;

    /// Makes the change. An error rolls everything back.
    fn make(
        &self,
        db: &mut Transaction,
    ) -> impl Future<Output = Result<Self::Outcome, Self::Error>> + Send;
}

/// An open transaction: an executor of sqlx, so that the same free functions run on it as on a
/// [`crate::database::reader::Reader`].
#[derive(Debug)]
pub struct Transaction {
    session: Session,
    timeout: StatementTimeout,
    failure: Option<Failure>,
}

/// What is known of the statement that failed in a transaction. After it the server only rolls back,
/// also if it is told to commit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    /// Whether the session may still be at work on the statement.
    pub(crate) cut_off: bool,
    /// Whether the session was lost under it.
    pub(crate) lost: bool,
    /// Whether another transaction won a race.
    raced: bool,
}

impl Failure {
    fn of(error: &sqlx::Error) -> Self {
        let kind = Kind::of(error, Phase::Running);
        Self {
            cut_off: matches!(kind, Kind::SessionLost | Kind::QueryTimeout),
            lost: kind == Kind::SessionLost,
            raced: kind == Kind::RaceLost,
        }
    }

    /// Why the same change once more may succeed.
    pub(crate) fn again(self) -> Option<Again> {
        if self.lost {
            Some(Again::SessionLost)
        } else {
            self.raced.then_some(Again::RaceLost)
        }
    }
}

impl Transaction {
    pub(crate) fn new(session: Session, timeout: StatementTimeout) -> Self {
        Self {
            session,
            timeout,
            failure: None,
        }
    }

    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// The first statement that failed. What a change makes of the error does not count: whether it is
    /// made again follows from what the server said.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Errors of the server stay as they are, because a change looks at the constraint that they name.
    async fn run(&mut self, statement: sqlx::Result<Statement>) -> sqlx::Result<Steps> {
        let steps = match statement {
            Ok(statement) => {
                let steps = self.timeout.wait_for(self.session.run(statement)).await;
                steps.unwrap_or_else(|error| Err(error.wrapped()))
            }
            Err(error) => Err(error),
        };
        steps.inspect_err(|error| {
            self.failure.get_or_insert_with(|| Failure::of(error));
        })
    }
}

collecting_executor!('c, &'c mut Transaction);
