//! What one invocation did with the pool; for its metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// What one invocation asked of the pool so far. Shared, because an invocation may run statements
/// side by side; times of such statements add up.
#[derive(Debug, Default)]
pub struct Usage {
    acquires: AtomicU64,
    acquire_microseconds: AtomicU64,
    queries: AtomicU64,
    query_microseconds: AtomicU64,
    retries: AtomicU64,
    attempts: AtomicU64,
    opened: AtomicU64,
    lost: AtomicU64,
    transient_closes: AtomicU64,
}

/// The sum of it, when the invocation is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Waiting for a slot, for a sign of life, and for new sessions; none where no session was
    /// asked for. What was waited in vain counts too.
    pub acquire_wait: Option<Duration>,
    /// Statements and transactions; none where there was none.
    pub query_time: Option<Duration>,
    /// Reads and transactions that were run once more.
    pub retries: u64,
    /// Attempts to open a session, refused ones included.
    pub attempts: u64,
    /// Sessions that were opened.
    pub opened: u64,
    /// Sessions that were found dead, or died under a statement.
    pub lost: u64,
    /// Transient sessions that were given back with the answer.
    pub transient_closes: u64,
}

impl Usage {
    /// What was spent until now.
    pub fn spent(&self) -> Spent {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let time = |count: &AtomicU64, sum: &AtomicU64| {
            (read(count) > 0).then(|| Duration::from_micros(read(sum)))
        };
        Spent {
            acquire_wait: time(&self.acquires, &self.acquire_microseconds),
            query_time: time(&self.queries, &self.query_microseconds),
            retries: read(&self.retries),
            attempts: read(&self.attempts),
            opened: read(&self.opened),
            lost: read(&self.lost),
            transient_closes: read(&self.transient_closes),
        }
    }

    /// Runs work that gets hold of a session, and takes its time.
    pub(super) async fn acquiring<T>(&self, work: impl Future<Output = T>) -> T {
        timed(&self.acquires, &self.acquire_microseconds, work).await
    }

    /// Runs work on a session, and takes its time.
    pub(super) async fn querying<T>(&self, work: impl Future<Output = T>) -> T {
        timed(&self.queries, &self.query_microseconds, work).await
    }

    /// A read or a transaction is run once more.
    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// A session is about to be opened, or refused.
    pub(super) fn attempted(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// A session was opened.
    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// A session was found dead, or died under a statement.
    pub(super) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A transient session was given back with the answer.
    pub(super) fn closed_transient(&self) {
        self.transient_closes.fetch_add(1, Ordering::Relaxed);
    }
}

async fn timed<T>(count: &AtomicU64, sum: &AtomicU64, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = work.await;
    let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    count.fetch_add(1, Ordering::Relaxed);
    sum.fetch_add(microseconds, Ordering::Relaxed);
    result
}
