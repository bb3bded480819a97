//! Retained or transient: how long a session may sit idle before the server itself ends it, and
//! how an environment comes in when the database is full. Pure, but for the clock and the dice.
//!
//! Every session begins *transient*, on the short lease, which the server enforces whatever becomes
//! of its client. Right after connecting, one statement counts the role's retained sessions and
//! makes this one *retained*, on the long lease, while there are fewer than the retention mark. So
//! idle environments never hold the slots above the mark for longer than a moment.

use std::time::{Duration, SystemTime};

use rand::RngExt;

use crate::clock;

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
/// The longest `application_name`: PostgreSQL's NAMEDATALEN less one.
const NAME_BYTES: usize = 63;
/// Of which this many are left to the first part, so that the function's name stays readable.
const PREFIX_BYTES: usize = 20;

/// What is agreed about leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// `DATABASE_LEASE_SHORT_MS`, 50 to 900 000, default 250: how long a transient session may sit
    /// idle.
    pub short: Duration,
    /// `DATABASE_LEASE_LONG`, seconds, 1 to 900, default 300: how long a retained session may sit idle,
    /// at most, however rarely its environment is used; see [`Terms::asked`].
    pub long: Duration,
    /// `DATABASE_LEASE_CROWDED`, seconds, 1 to 900, default 1: the same when the retained sessions reach
    /// the mark, and for an environment that was never used before.
    pub crowded: Duration,
    /// `DATABASE_LEASE_SLICE_MS`, 1 to 900 000, default 2000: how long a hot environment keeps a
    /// transient session before it asks again, and how long an environment that found the mark reached
    /// opens sessions without asking.
    pub slice: Duration,
    /// `DATABASE_LEASE_HOT_MS`, 0 to 900 000, default 250: how recently an environment must have been
    /// used to be hot; 0 closes every transient session with its answer.
    pub hot: Duration,
    /// `DATABASE_RETENTION_MARK`, 0 to 100, default 80: the share of the role's slots, in percent, up to
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

/// The names that a session shows, as transient and as retained one: everybody can count them, and
/// an operator can see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `headroom/transient/<function>/<version>`
    pub transient: String,
    /// `headroom/retained/<function>/<version>`
    pub retained: String,
}

impl Names {
    /// The names of a function's sessions, at most 63 bytes long: PostgreSQL cuts what is longer, and
    /// with it the version. `prefix` replaces the first part, its slashes turned into hyphens,
    /// because the second part is found by counting them. A function's name that does not fit
    /// keeps its beginning, and a checksum that tells it from its neighbours. What is not printable
    /// ASCII becomes a question mark, as it does at a server before 16; a newer one makes four bytes of
    /// each such byte, which would push the rest out of the name.
    pub fn new(prefix: Option<&str>, function: &str, version: &str) -> Self {
        let printable = |text: &str| text.replace(|c| !matches!(c, ' '..='~'), "?");
        let prefix = printable(prefix.unwrap_or("headroom")).replace('/', "-");
        let (function, version) = (printable(function), printable(version));
        let prefix = cut(&prefix, PREFIX_BYTES);
        let version = cut(&version, PREFIX_BYTES);
        let left = NAME_BYTES - prefix.len() - "/transient/".len() - "/".len() - version.len();
        let function = if function.len() <= left {
            function
        } else {
            let checksum = crc32fast::hash(function.as_bytes()) & 0xffff;
            format!("{}~{checksum:04x}", cut(&function, left - "~0000".len()))
        };
        Self {
            transient: format!("{prefix}/transient/{function}/{version}"),
            retained: format!("{prefix}/retained/{function}/{version}"),
        }
    }
}

/// The beginning of an ASCII text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.len().min(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn a_session_is_not_handed_out_near_the_end_of_its_lease() {
        let lease = Lease::Transient(Duration::from_millis(250));
        assert!(lease.still_holds(Duration::from_millis(199)));
        assert!(!lease.still_holds(Duration::from_millis(200)));
        assert!(Lease::None.still_holds(Duration::MAX));
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

    #[test]
    fn names_say_lease_function_and_version() {
        let names = Names::new(None, "doctors", "$LATEST");
        assert_eq!(names.transient, "headroom/transient/doctors/$LATEST");
        assert_eq!(names.retained, "headroom/retained/doctors/$LATEST");
        let names = Names::new(Some("clinic/web"), "doctors", "7");
        assert_eq!(names.transient, "clinic-web/transient/doctors/7");
    }

    #[test]
    fn lambdas_longest_names_fit_and_stay_apart() {
        let name = |last: &str| Names::new(None, &("f".repeat(63) + last), "1234567").transient;
        assert_eq!(name("a").len(), 63);
        assert_ne!(name("a"), name("b"));
        assert!(name("a").ends_with("/1234567"));
    }

    proptest! {
        #[test]
        fn no_name_is_too_long(prefix in any::<Option<String>>(), function in any::<String>(), version in any::<String>()) {
            let names = Names::new(prefix.as_deref(), &function, &version);
            for (name, lease) in [(&names.transient, "transient"), (&names.retained, "retained")] {
                prop_assert!(name.len() <= 63 && name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert_eq!(name.split('/').nth(1), Some(lease));
            }
        }
    }
}
