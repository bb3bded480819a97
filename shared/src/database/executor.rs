//! What a [`crate::database::reader::Reader`] and a [`crate::database::transaction::Transaction`] have in common: they are
//! executors of sqlx that collect a statement's rows before they hand them on.

use futures_util::future::{self, BoxFuture, FutureExt};

use crate::http::problem::Error;

/// Makes a type with a method `run` an executor. A macro, because sqlx's trait is implemented for a
/// value in one case and for a borrow in the other.
macro_rules! collecting_executor {
    ($lifetime:lifetime, $executor:ty) => {
        impl<$lifetime> Executor<$lifetime> for $executor {
            type Database = Postgres;

            fn fetch_many<'e, 'q, E>(
                self,
                query: E,
            ) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
            where
                $lifetime: 'e,
                E: Execute<'q, Postgres>,
                'q: 'e,
                E: 'q,
            {
                self.run(Statement::of(query))
                    .map_ok(|steps| stream::iter(steps.into_iter().map(Ok)))
                    .try_flatten_stream()
                    .boxed()
            }

            fn fetch_optional<'e, 'q, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
            where
                $lifetime: 'e,
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
                $lifetime: 'e,
            {
                $crate::database::executor::unsupported("prepares and runs a statement in one go")
            }

            fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
            where
                $lifetime: 'e,
            {
                $crate::database::executor::unsupported("describes no statement")
            }
        }
    };
}

pub(crate) use collecting_executor;

/// What sqlx's trait asks for and nothing here needs: a reader's next statement may get another
/// session, to which a prepared one does not belong.
pub(crate) fn unsupported<T: Send + 'static>(what: &str) -> BoxFuture<'static, sqlx::Result<T>> {
    let error = Error::Unexpected(format!("this executor {what}").into());
    future::ready(Err(sqlx::Error::AnyDriverError(Box::new(error)))).boxed()
}
