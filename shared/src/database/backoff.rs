//! How an environment comes in when the database is full. Pure, but for the dice.

use std::time::Duration;

use rand::RngExt;

/// The first wait of an environment that was refused; see [`backoff`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait of somebody who has just come.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The longest wait of somebody who has waited for [`PATIENCE`] or longer.
const LONGEST_LAST_WAIT: Duration = Duration::from_millis(500);
/// How long it takes for the one to become the other.
const PATIENCE: Duration = Duration::from_secs(4);
/// A login that is refused holds one of the server's slots, and its processors, for as long as it takes.
/// Whoever waits does so, on average, at least so many times as long as that, so that a crowd's logins stay
/// few; DESIGN.md says how the number was chosen.
const LOGIN_SHARE: u32 = 16;
/// The longest that a slow login makes somebody wait, on average.
const LONGEST_CROWDED_WAIT: Duration = Duration::from_secs(2);

/// What somebody has behind them who asks again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refused {
    /// How often they were refused before the last time.
    pub before: u32,
    /// How long ago they asked for the first time.
    pub waited: Duration,
    /// How long the login took that was refused; zero where it did not come to one.
    pub login: Duration,
}

impl Refused {
    /// Refused so often before, and nothing else is known.
    pub fn times(before: u32) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }
}

/// How long to wait before asking again: a random part of 100 ms, doubled each time up to 2 s (full
/// jitter). A refusal costs the server a fork and a login, so that a crowd that asks quickly keeps the
/// machine from serving whom it let in. Whoever has waited long asks more often again, half a second
/// apart at most after 4 s: otherwise each newcomer, who asks often at first, would get the free slot
/// before them. But where the refused login took long, because the server has its hands full of them,
/// the waits grow with it, and lie around their mean instead of beginning at nothing. Never longer than `left`: whoever has little time left asks once more near its
/// end, the last quarter of it, instead of giving up before, and does not ask in ever shorter steps.
pub fn backoff(refused: Refused, left: Duration) -> Duration {
    let share = (refused.waited.as_secs_f64() / PATIENCE.as_secs_f64()).min(1.0);
    let longest = LONGEST_WAIT - (LONGEST_WAIT - LONGEST_LAST_WAIT).mul_f64(share);
    let most = FIRST_WAIT
        .saturating_mul(1 << refused.before.min(10))
        .min(longest);
    let crowded = (refused.login * LOGIN_SHARE).min(LONGEST_CROWDED_WAIT);
    let mut rng = rand::rng();
    // Around its mean, and not from nothing on: whoever is unlucky waits less long.
    let wait = rng
        .random_range(Duration::ZERO..=most)
        .max(rng.random_range(crowded / 2..=crowded * 3 / 2));
    if left <= most.max(crowded * 3 / 2) {
        rng.random_range(left - left / 4..=left)
    } else {
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who has waited for nine seconds.
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
            assert!((0..100).all(|_| backoff(Refused::times(refusals), Duration::MAX) <= most));
            assert!((0..100).all(
                |_| backoff(late(refusals, Duration::ZERO), Duration::MAX) <= LONGEST_LAST_WAIT
            ));
            let left = Duration::from_millis(80);
            let last = |_| backoff(Refused::times(refusals), left);
            assert!(
                (0..100)
                    .map(last)
                    .all(|wait| wait >= left * 3 / 4 && wait <= left)
            );
        }
        let mean = |refusals| {
            let waits = (0..1000).map(|_| backoff(Refused::times(refusals), Duration::MAX));
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
        assert!(quick < LONGEST_LAST_WAIT && slow > 4 * quick);
        // However slow it is, somebody has to ask.
        let slowest = |_| backoff(late(9, Duration::from_secs(20)), Duration::MAX);
        let bounds = LONGEST_CROWDED_WAIT / 2..=LONGEST_CROWDED_WAIT * 3 / 2;
        assert!((0..1000).map(slowest).all(|wait| bounds.contains(&wait)));
    }
}
