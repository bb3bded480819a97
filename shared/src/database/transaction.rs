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

use crate::{
    database::{
        deadline::Patience,
        executor::collecting_executor,
        session::{Session, Statement, Steps},
    },
    http::problem::Error,
};

/// A change to the database, made in one transaction: all of it or nothing.
///
/// It is a value and not a closure, because it may have to be made twice: where the session is lost
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
    /// What came of it.
    type Outcome: Send;

    /// Makes the change. An error rolls everything back.
    fn make(
        &self,
        db: &mut Transaction,
    ) -> impl Future<Output = Result<Self::Outcome, Error>> + Send;
}

/// An open transaction: an executor of sqlx, so that the same free functions run on it as on a
/// [`crate::database::reader::Reader`].
#[derive(Debug)]
pub struct Transaction {
    session: Session,
    patience: Patience,
    failed: bool,
}

impl Transaction {
    pub(crate) fn new(session: Session, patience: Patience) -> Self {
        Self {
            session,
            patience,
            failed: false,
        }
    }

    pub(crate) fn into_session(self) -> Session {
        self.session
    }

    /// Whether a statement failed, after which the server only rolls back, also when it is told to
    /// commit, and says so nowhere but in the text of its answer.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// Errors of the server stay as they are, for whoever knows the constraint that they name; those of
    /// the clock are wrapped, as a [`crate::database::reader::Reader`]'s are.
    async fn run(&mut self, statement: sqlx::Result<Statement>) -> sqlx::Result<Steps> {
        let steps = match statement {
            Ok(statement) => {
                let steps = self.patience.wait_for(self.session.run(statement)).await;
                steps.unwrap_or_else(|error| Err(sqlx::Error::AnyDriverError(Box::new(error))))
            }
            Err(error) => Err(error),
        };
        self.failed |= steps.is_err();
        steps
    }
}

collecting_executor!('c, &'c mut Transaction);
