//! What deadpool counts: the right to hold a session, not the session.

use std::convert::Infallible;

use deadpool::managed::{
    self, Manager, Metrics, PoolConfig, QueueMode, RecycleError, RecycleResult, Timeouts,
};

use crate::database::session::Session;

/// The right to hold one session, and the session while it is idle.
#[derive(Debug)]
pub(super) struct Permit(pub(super) Option<Session>);

/// As many permits, handed out in order of arrival.
pub(super) fn permits(limit: usize) -> Result<managed::Pool<Permits>, managed::BuildError> {
    managed::Pool::builder(Permits)
        .config(PoolConfig {
            max_size: limit,
            timeouts: Timeouts::default(),
            // The session used last is the one most likely alive, and the others may age.
            queue_mode: QueueMode::Lifo,
        })
        .runtime(deadpool::Runtime::Tokio1)
        .build()
}

/// Makes permits without a session.
#[derive(Debug)]
pub(super) struct Permits;

impl Manager for Permits {
    type Type = Permit;
    type Error = Infallible;

    async fn create(&self) -> Result<Permit, Infallible> {
        Ok(Permit(None))
    }

    /// A permit without a session is thrown away, so that the next one is looked at: an invocation is
    /// handed a session that is there before another one is opened.
    async fn recycle(&self, permit: &mut Permit, _: &Metrics) -> RecycleResult<Infallible> {
        match permit.0 {
            Some(_) => Ok(()),
            None => Err(RecycleError::message("no session")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;

    use super::permits;

    /// One thread polls the invocations in order: that they arrive in order is certain.
    #[tokio::test]
    async fn the_first_to_come_is_the_first_served() {
        let permits = permits(4).unwrap();
        let served = Mutex::new(Vec::new());
        let invocation = async |number: u32| {
            let permit = permits.get().await.unwrap();
            served.lock().unwrap().push(number);
            // The others come while four are at work.
            tokio::task::yield_now().await;
            drop(permit);
        };
        join_all((0..16).map(invocation)).await;
        assert_eq!(served.into_inner().unwrap(), (0..16).collect::<Vec<_>>());
    }
}
