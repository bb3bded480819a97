//! Retained or transient: how long a session may sit idle before the server itself ends it. Pure, but
//! for the clock.
//!
//! Every session begins *transient*, on the short lease, which the server enforces whatever becomes
//! of its client. Right after connecting, one statement counts the role's retained sessions and
//! makes this one *retained*, on the long lease, while there are fewer than the retention mark. So
//! idle environments never hold the slots above the mark for longer than a moment.

use std::time::{Duration, SystemTime};

use crate::clock;

/// What a session was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Behind a pooler: the server's sessions are the pooler's.
    None,
    /// Kept for later invocations, for as long as it is not idle for longer.
    Retained(Duration),
    /// Given back within a moment.
    Transient(Duration),
}

impl Lease {
    /// Whether a session that sat idle for `idle` may still be handed out. The server's clock began
    /// a little before the client's, and a statement takes a moment to arrive: a session in the
    /// last fifth of its lease is not worth the risk.
    pub fn still_holds(self, idle: Duration) -> bool {
        match self {
            Self::None => true,
            Self::Retained(length) | Self::Transient(length) => idle < length - length / 5,
        }
    }
}

/// When an environment was last used, by wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rhythm {
    used_at: Option<SystemTime>,
}

/// What an environment's rhythm says about one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// How long the environment had been left alone; none when it is used for the first time.
    pub gap: Option<Duration>,
    /// Used a moment ago, it will probably be used again in a moment.
    pub hot: bool,
}

impl Rhythm {
    /// An invocation begins. `hot` is the longest gap that counts as short.
    pub fn begin(&self, hot: Duration) -> Beat {
        let gap = self.used_at.map(clock::since);
        let hot = gap.is_some_and(|gap| gap < hot);
        Beat { gap, hot }
    }

    /// It is over.
    pub fn end(&mut self) {
        self.used_at = Some(clock::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_not_handed_out_near_the_end_of_its_lease() {
        let lease = Lease::Transient(Duration::from_millis(250));
        assert!(lease.still_holds(Duration::from_millis(199)));
        assert!(!lease.still_holds(Duration::from_millis(200)));
        assert!(Lease::None.still_holds(Duration::MAX));
    }
}
