//! What every invocation has, whatever invoked it: a deadline, and the way to the database.

use std::{sync::Arc, time::Duration};

use crate::{
    config::Function,
    database::{
        deadline::Deadline,
        pool::{LazyPool, Pool, Spent, Statistics, Usage},
        reader::Reader,
        transaction::Change,
    },
    http::problem::Error,
};

/// One invocation of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    deadline: Deadline,
    function: Arc<Function>,
    pool: &'static LazyPool,
    usage: Arc<Usage>,
}

impl Invocation {
    pub(crate) fn new(
        deadline: Deadline,
        function: Arc<Function>,
        pool: &'static LazyPool,
    ) -> Self {
        Self {
            deadline,
            function,
            pool,
            usage: Arc::default(),
        }
    }

    /// Where reads run: the environment's pool, within the deadline.
    ///
    /// # Errors
    /// [`Error::InvalidConfiguration`] where the pool cannot be made, and
    /// [`Error::CredentialsUnavailable`] where what it logs in with cannot be fetched.
    pub async fn reader(&self) -> Result<Reader<'_>, Error> {
        Ok(Reader::new(self.pool().await?, self.deadline, &self.usage))
    }

    /// Makes a change in one transaction, within the deadline.
    ///
    /// # Errors
    /// The change's own, and any of [`Error`]'s database classes.
    pub async fn write<C: Change>(&self, change: &C) -> Result<C::Outcome, Error> {
        let pool = self.pool().await?;
        pool.write(self.deadline, &self.usage, change).await
    }

    /// What the environment's pool holds.
    ///
    /// # Errors
    /// Those of [`Invocation::reader`].
    pub async fn pool_statistics(&self) -> Result<Statistics, Error> {
        Ok(self.pool().await?.statistics())
    }

    /// What it, and every clone of it, asked of the pool so far.
    pub(crate) fn spent(&self) -> Spent {
        self.usage.spent()
    }

    /// Whether `time` can still pass before the deadline.
    pub fn leaves(&self, time: Duration) -> bool {
        self.deadline.leaves(time)
    }

    async fn pool(&self) -> Result<&'static Pool, Error> {
        self.pool.get(&self.function, self.deadline).await
    }
}
