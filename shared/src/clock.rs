//! The wall clock, in one place.
//!
//! Between two invocations an environment is frozen, and a monotonic clock may stand still with
//! it; only the wall clock knows how long a session was left alone. Within one invocation
//! (see [`crate::database::deadline`]) the monotonic clock is the right one.

use std::time::{Duration, SystemTime};

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// How long ago `then` was; zero where the clock was set back since.
pub fn since(then: SystemTime) -> Duration {
    now().duration_since(then).unwrap_or_default()
}
