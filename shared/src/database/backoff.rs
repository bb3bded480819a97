//! How long to wait before asking again for what was refused, such as a slot of a full database.

use std::time::Duration;

use rand::{Rng, RngExt};
use tokio::time::{Instant, sleep};

/// The first wait after a refusal; see [`wait`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait at first.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait from [`SETTLED_AFTER`] on.
const LONGEST_LATE_WAIT: Duration = Duration::from_millis(500);
/// How long it takes for the one to become the other.
const SETTLED_AFTER: Duration = Duration::from_secs(4);
/// A refused login holds one of the server's slots, and its processors, for as long as it takes. An
/// environment waits, on average, at least so many times as long, so that a crowd has few logins under way;
/// docs/design/ceiling.md says how the number was chosen.
const LOGIN_SHARE: u32 = 16;
/// The longest average wait that a slow login causes.
const LONGEST_CROWDED_WAIT: Duration = Duration::from_secs(2);

/// One wait for something that is refused again and again.
#[derive(Debug)]
pub(crate) struct Backoff {
    start: Instant,
    refusals: u32,
}

impl Backoff {
    /// Nothing was refused yet.
    pub(crate) fn begin() -> Self {
        Self {
            start: Instant::now(),
            refusals: 0,
        }
    }

    /// How often [`Backoff::wait`] was called.
    pub(crate) fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Time since the first attempt began.
    pub(crate) fn waited(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits before the next attempt, at most `left`. `login` is how long the refused login took; zero if
    /// it did not come to one.
    pub(crate) async fn wait(&mut self, login: Duration, left: Duration) {
        let refused = Refused {
            before: self.refusals,
            waited: self.waited(),
            login,
        };
        self.refusals += 1;
        // The dice do not outlive the statement: they are not Send.
        let wait = wait(refused, left, &mut rand::rng());
        sleep(wait).await;
    }
}

/// What lies behind an environment that asks again.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    /// Refusals before the last one.
    before: u32,
    /// Time since the first attempt.
    waited: Duration,
    /// How long the refused login took; zero if it did not come to one.
    login: Duration,
}

/// How long to wait before asking again: a random part of 100 ms, doubled each time up to 2 s (full
/// jitter). A refusal costs the server a fork and a login, so a crowd that asks quickly keeps the
/// machine from serving the sessions that it let in. An environment that has waited long asks more often
/// again, at most half a second apart after 4 s: otherwise each newcomer, which asks often at first, would
/// get the free slot before it. If the refused login took long, because the server is busy with logins,
/// the waits grow with it, and lie around their mean instead of beginning at nothing. Never longer than
/// `left`: an environment with little time left asks once more near its end, in the last quarter, and does
/// not ask in ever shorter steps.
fn wait(refused: Refused, left: Duration, dice: &mut impl Rng) -> Duration {
    let share = (refused.waited.as_secs_f64() / SETTLED_AFTER.as_secs_f64()).min(1.0);
    let longest = LONGEST_WAIT - (LONGEST_WAIT - LONGEST_LATE_WAIT).mul_f64(share);
    let most = FIRST_WAIT
        .saturating_mul(1 << refused.before.min(10))
        .min(longest);
    let crowded = (refused.login * LOGIN_SHARE).min(LONGEST_CROWDED_WAIT);
    if left <= most.max(crowded * 3 / 2) {
        return dice.random_range(left - left / 4..=left);
    }
    // Around its mean, so that an unlucky environment waits less long.
    let with_the_login = dice.random_range(crowded / 2..=crowded * 3 / 2);
    dice.random_range(Duration::ZERO..=most).max(with_the_login)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refused so often before, and nothing else is known.
    fn times(before: u32) -> Refused {
        Refused {
            before,
            ..Refused::default()
        }
    }

    fn backoff(refused: Refused, left: Duration) -> Duration {
        wait(refused, left, &mut rand::rng())
    }

    /// After nine seconds.
    fn late(before: u32, login: Duration) -> Refused {
        let waited = Duration::from_secs(9);
        Refused {
            before,
            waited,
            login,
        }
    }

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        for refusals in 0..40 {
            let most = Duration::from_millis(100 * (1 << refusals.min(5))).min(LONGEST_WAIT);
            assert!((0..100).all(|_| backoff(times(refusals), Duration::MAX) <= most));
            assert!((0..100).all(
                |_| backoff(late(refusals, Duration::ZERO), Duration::MAX) <= LONGEST_LATE_WAIT
            ));
            let left = Duration::from_millis(80);
            let last = |_| backoff(times(refusals), left);
            assert!(
                (0..100)
                    .map(last)
                    .all(|wait| wait >= left * 3 / 4 && wait <= left)
            );
        }
        let mean = |refusals| {
            let waits = (0..1000).map(|_| backoff(times(refusals), Duration::MAX));
            waits.sum::<Duration>() / 1000
        };
        assert!(mean(4) > mean(0) * 4);
    }

    #[test]
    fn waits_grow_with_the_time_that_a_refused_login_takes() {
        let mean = |login| {
            let waits = (0..1000).map(|_| backoff(late(9, login), Duration::MAX));
            waits.sum::<Duration>() / 1000
        };
        let quick = mean(Duration::from_millis(5));
        let slow = mean(Duration::from_millis(200));
        assert!(quick < LONGEST_LATE_WAIT && slow > 4 * quick);
        // However slow it is, the waits are bounded.
        let slowest = |_| backoff(late(9, Duration::from_secs(20)), Duration::MAX);
        let bounds = LONGEST_CROWDED_WAIT / 2..=LONGEST_CROWDED_WAIT * 3 / 2;
        assert!((0..1000).map(slowest).all(|wait| bounds.contains(&wait)));
    }
}
