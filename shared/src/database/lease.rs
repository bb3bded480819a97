//! Retained or transient: how long a session may sit idle before the server itself ends it. Pure.
//!
//! Every session begins *transient*, on the short lease, which the server enforces whatever becomes
//! of its client. Right after connecting, one statement counts the role's retained sessions and
//! makes this one *retained*, on the long lease, while there are fewer than the retention mark. So
//! idle environments never hold the slots above the mark for longer than a moment.

use std::time::{Duration, SystemTime};

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
pub struct LastUse {
    used_at: Option<SystemTime>,
}

/// What an environment's last use says about its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReuseHint {
    /// How long ago the environment was used; none if this is its first use.
    pub gap: Option<Duration>,
    /// Used a moment ago, it will probably be used again in a moment.
    pub hot: bool,
}

impl LastUse {
    /// An invocation begins at `now`. It is hot if the last one ended less than `reuse_within` ago. A
    /// clock that was set back since says nothing, and counts as no time.
    pub fn begin(&self, now: SystemTime, reuse_within: Duration) -> ReuseHint {
        let gap = self
            .used_at
            .map(|then| now.duration_since(then).unwrap_or_default());
        let hot = gap.is_some_and(|gap| gap < reuse_within);
        ReuseHint { gap, hot }
    }

    /// An invocation ended at `now`.
    pub fn end(&mut self, now: SystemTime) {
        self.used_at = Some(now);
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

    #[test]
    fn an_environment_is_hot_within_a_moment_of_its_last_use() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let moment = Duration::from_millis(250);
        let mut last_use = LastUse::default();
        let first = last_use.begin(start, moment);
        assert_eq!((first.gap, first.hot), (None, false));
        last_use.end(start);
        let after = |ms| last_use.begin(start + Duration::from_millis(ms), moment);
        assert!(after(249).hot);
        assert!(!after(250).hot);
        assert_eq!(after(250).gap, Some(moment));
        // The clock was set back.
        let back = last_use.begin(start - moment, moment);
        assert_eq!((back.gap, back.hot), (Some(Duration::ZERO), true));
    }
}
