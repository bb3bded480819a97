//! Where queries that only read run. An executor of sqlx, so that the same free functions run on
//! it, on a transaction and on a plain connection.

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
    deadline::Deadline,
    executor::collecting_executor,
    pool::{Pool, Usage},
    session::{Statement, Steps},
};

/// Runs each statement on a session of the pool, within the deadline, and once more on a fresh
/// session where the first one turns out to be dead. Only for statements that may be run twice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'r> {
    pool: &'static Pool,
    deadline: Deadline,
    usage: &'r Usage,
}

impl<'r> Reader<'r> {
    pub(crate) fn new(pool: &'static Pool, deadline: Deadline, usage: &'r Usage) -> Self {
        Self {
            pool,
            deadline,
            usage,
        }
    }

    /// The error is wrapped, because sqlx's traits know only sqlx's own; `From<sqlx::Error>` for
    /// [`Error`](crate::http::problem::Error) takes it out again.
    async fn run(self, statement: sqlx::Result<Statement>) -> sqlx::Result<Steps> {
        let steps = self.pool.read(self.deadline, self.usage, statement?).await;
        steps.map_err(|error| sqlx::Error::AnyDriverError(Box::new(error)))
    }
}

collecting_executor!('c, Reader<'c>);
