//! The one deadline that acquiring, statement, retry and answer of an invocation share.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use crate::{clock, database::error::DatabaseError};

/// What is left for the answer: shaping it, and handing it to the runtime.
pub(crate) const FOR_THE_ANSWER: Duration = Duration::from_millis(500);

/// The functions' timeout in the template; a test compares the two.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);

/// By how much the client waits longer for a statement than the server runs it. An answer that
/// is still missing then is not slow, its connection is dead.
pub(crate) const STATEMENT_GRACE: Duration = Duration::from_secs(1);

/// When the work of one invocation must be over: the invocation's own deadline less 500 ms.
///
/// ```
/// use std::time::{Duration, SystemTime};
///
/// use shared::database::deadline::Deadline;
///
/// let deadline = Deadline::of_invocation(SystemTime::now() + Duration::from_secs(10));
/// assert!(deadline.leaves(Duration::from_secs(5)));
/// // The last half second is for the answer.
/// assert!(!deadline.leaves(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of an invocation that Lambda ends at `end`.
    ///
    /// An `end` in the past is taken for a stand-in, such as the constant that `cargo lambda watch`
    /// sends: no platform hands out an invocation whose time is over. The template's timeout
    /// counts instead.
    pub fn of_invocation(end: SystemTime) -> Self {
        let left = match end.duration_since(clock::now()) {
            Ok(left) if !left.is_zero() => left,
            _ => FUNCTION_TIMEOUT,
        };
        Self(Instant::now() + left.saturating_sub(FOR_THE_ANSWER))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The moment after `time`, or the deadline where that comes first; `None` is the deadline.
    pub fn within(self, time: Option<Duration>) -> Instant {
        match time {
            Some(time) => self.0.min(Instant::now() + time),
            None => self.0,
        }
    }

    /// The time left before the deadline; zero past it.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether `time` can still pass before the deadline.
    pub fn leaves(self, time: Duration) -> bool {
        Instant::now() + time <= self.0
    }
}

/// How long the client waits for each statement of one invocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatementTimeout {
    deadline: Deadline,
    limit: Duration,
}

impl StatementTimeout {
    /// At most `limit` for a statement, and never beyond the deadline.
    pub(crate) fn new(deadline: Deadline, limit: Duration) -> Self {
        Self { deadline, limit }
    }

    /// Waits for one statement.
    ///
    /// # Errors
    /// [`DatabaseError::QueryTimeout`] at the deadline, which says nothing about the session: the statement
    /// began late. [`DatabaseError::SessionLost`] past the limit: the server's own is shorter and should have ended
    /// the statement by then, so the connection is dead.
    pub(crate) async fn wait_for<T>(
        self,
        statement: impl Future<Output = T>,
    ) -> Result<T, DatabaseError> {
        let until = self.deadline.within(Some(self.limit));
        match timeout_at(until, statement).await {
            Ok(result) => Ok(result),
            Err(elapsed) if until == self.deadline.instant() => {
                Err(DatabaseError::QueryTimeout(elapsed.into()))
            }
            Err(elapsed) => Err(DatabaseError::SessionLost(elapsed.into())),
        }
    }
}
