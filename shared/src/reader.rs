//! Where queries that only read run. An executor of sqlx, so that the same free functions run on
//! it, on a transaction and on a plain connection.

use futures_util::{
    FutureExt, TryFutureExt, future,
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};
use sqlx::{
    Describe, Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use crate::{
    deadline::Deadline,
    error::Error,
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
    /// [`Error`] takes it out again.
    async fn run(self, statement: sqlx::Result<Statement>) -> sqlx::Result<Steps> {
        let steps = self.pool.read(self.deadline, self.usage, statement?).await;
        steps.map_err(|error| sqlx::Error::AnyDriverError(Box::new(error)))
    }
}

impl<'c> Executor<'c> for Reader<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Postgres>,
        'q: 'e,
        E: 'q,
    {
        self.run(Statement::of(query))
            .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
            .try_flatten_stream()
            .boxed()
    }

    fn fetch_optional<'e, 'q, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: Execute<'q, Postgres>,
        'q: 'e,
        E: 'q,
    {
        self.run(Statement::of(query))
            .map_ok(|steps| steps.into_iter().find_map(Either::right))
            .boxed()
    }

    fn prepare_with<'e>(
        self,
        _: SqlStr,
        _: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        unsupported("prepares and runs a statement in one go")
    }

    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        unsupported("describes no statement")
    }
}

/// What sqlx's trait asks for and a pool of sessions cannot give: a prepared statement belongs to
/// one session, and the next statement may get another.
fn unsupported<T: Send + 'static>(what: &str) -> BoxFuture<'static, sqlx::Result<T>> {
    let error = Error::Unexpected(format!("a reader {what}").into());
    future::ready(Err(sqlx::Error::AnyDriverError(Box::new(error)))).boxed()
}
