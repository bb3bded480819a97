//! The one deadline that acquiring, statement, retry and answer of an invocation share.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::clock;

/// What is left for the answer: shaping it, and handing it to the runtime.
pub(crate) const FOR_THE_ANSWER: Duration = Duration::from_millis(500);

/// The functions' time-out in the template; a test compares the two.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(29);

/// When the work of one invocation must be over: the invocation's own deadline less 500 ms.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of an invocation that Lambda ends at `end`.
    ///
    /// An `end` in the past is taken for a stand-in, such as the constant that `cargo lambda watch`
    /// sends: no platform hands out an invocation whose time is over. The template's time-out
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

    /// Whether `time` can still pass before the deadline.
    pub fn leaves(self, time: Duration) -> bool {
        Instant::now() + time <= self.0
    }
}
