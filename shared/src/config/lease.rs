//! For how long sessions may sit idle, and how many are kept.

use std::time::Duration;

/// What is agreed about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// `DATABASE_LEASE_SHORT_MS`, 50 to 900 000, default 250: how long a transient session may sit
    /// idle.
    pub short: Duration,
    /// `DATABASE_LEASE_LONG`, seconds, 1 to 900, default 300: how long a retained session may sit idle,
    /// at most, however rarely its environment is used; see [`Terms::asked`].
    pub long: Duration,
    /// `DATABASE_LEASE_LONG_MIN`, seconds, 1 to 900, default 1: the same when the retained sessions reach
    /// the mark, and for an environment that was never used before.
    pub crowded: Duration,
    /// `DATABASE_RECOUNT_AFTER_MS`, 1 to 900 000, default 2000: how long a hot environment keeps a
    /// transient session before it asks again, and how long an environment that found the mark reached
    /// opens sessions without asking.
    pub slice: Duration,
    /// `DATABASE_REUSE_WITHIN_MS`, 0 to 900 000, default 250: how recently an environment must have been
    /// used to be hot; 0 closes every transient session with its answer.
    pub hot: Duration,
    /// `DATABASE_RETAINED_PERCENT`, 0 to 100, default 80: the share of the role's slots, in percent, up to
    /// which sessions are retained.
    pub mark: u8,
}

impl Terms {
    /// The lease that an environment asks for, by its own rhythm: twice the time it was last left
    /// alone, so that a session outlives the next pause of the kind. One that was never used
    /// before, as in a burst or a deployment, may never be used again, and asks for no more than in
    /// a crowd.
    pub fn asked(&self, gap: Option<Duration>) -> Duration {
        let least = self.crowded.min(self.long);
        gap.map_or(least, |gap| gap.saturating_mul(2).clamp(least, self.long))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_asks_for_the_lease_that_its_rhythm_needs() {
        let terms = Terms {
            short: Duration::from_millis(250),
            long: Duration::from_secs(300),
            crowded: Duration::from_secs(3),
            slice: Duration::from_secs(2),
            hot: Duration::from_millis(250),
            mark: 80,
        };
        let asked = |gap: Option<u64>| terms.asked(gap.map(Duration::from_secs)).as_secs();
        assert_eq!(asked(None), 3);
        assert_eq!(asked(Some(1)), 3);
        assert_eq!(asked(Some(10)), 20);
        assert_eq!(asked(Some(4000)), 300);
    }
}
