//! What the pool decides, as pure functions of what it knows; `checkout` and `connect` carry it out.

use std::time::Duration;

use crate::database::lease::Lease;

/// The part of the pool's settings that decides about a session's age and its return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The oldest that a session may become; none is no limit.
    pub(super) max_lifetime: Option<Duration>,
    /// The longest that it may sit idle; none is no limit beside its lease.
    pub(super) max_idle: Option<Duration>,
    /// Idle for longer than this, it is pinged before it is used.
    pub(super) ping_after: Duration,
    /// How long a transient session serves before the retained sessions are counted again.
    pub(super) recount_after: Duration,
    /// Whether every session is closed after one use.
    pub(super) single_use: bool,
}

/// What the pool knows of a session that sits in a permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) lease: Lease,
    /// Since it was opened.
    pub(super) age: Duration,
    /// Since it was given back.
    pub(super) idle: Duration,
}

/// What becomes of an idle session that an invocation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// It is used.
    Use,
    /// It is used if it answers a ping.
    Ping,
    /// It is closed, and another one opened.
    Replace,
}

/// Whether an idle session is used again.
pub(super) fn reuse(session: Idle, limits: &Limits) -> Reuse {
    let over = |limit: Option<Duration>, time| limit.is_some_and(|limit| time >= limit);
    // Near its lease's end the server has ended it, or is about to.
    if !session.lease.still_holds(session.idle)
        || over(limits.max_lifetime, session.age)
        || over(limits.max_idle, session.idle)
    {
        Reuse::Replace
    } else if session.idle > limits.ping_after {
        Reuse::Ping
    } else {
        Reuse::Use
    }
}

/// What the pool knows of a session whose work is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) lease: Lease,
    /// Since the lease was granted.
    pub(super) held: Duration,
    /// Whether the environment was used a moment before this invocation, and will probably be again.
    pub(super) hot: bool,
}

/// What becomes of a session whose work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Return {
    /// It is kept for the next invocation.
    Keep,
    /// It is closed before the answer leaves, so that its slot at the server is free.
    Close,
    /// It has served for as long as a transient session may: one more count tells whether there is
    /// room for it.
    Recount,
}

/// Whether a session is kept.
pub(super) fn give_back(session: Done, limits: &Limits) -> Return {
    match session.lease {
        _ if limits.single_use => Return::Close,
        Lease::None | Lease::Retained(_) => Return::Keep,
        Lease::Transient(_) if !session.hot => Return::Close,
        Lease::Transient(_) if session.held < limits.recount_after => Return::Keep,
        Lease::Transient(_) => Return::Recount,
    }
}

/// Why the same work once more may succeed although it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The session was lost under it; a fresh one may do.
    SessionLost,
    /// Another transaction won a race for locks, or against this one's view of the data.
    RaceLost,
}

impl Again {
    /// The class, as logs name it.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::SessionLost => "closed",
            Self::RaceLost => "database-busy",
        }
    }
}

/// Whether work is done a second time: it may succeed, and a whole statement timeout (`needed`) is left
/// before the deadline.
pub(super) fn run_again(again: Option<Again>, left: Duration, needed: Duration) -> Option<Again> {
    again.filter(|_| left >= needed)
}

/// What came of an attempt to open a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedLogin {
    /// Whether waiting may help.
    pub(super) passes: bool,
    /// Until the pool timeout.
    pub(super) left: Duration,
}

/// With less time than this left, an environment does not ask once more: the answer would hardly arrive.
const LAST_ATTEMPT: Duration = Duration::from_millis(100);

/// The time within which an environment whose login was refused asks again; none if it gives up.
pub(super) fn ask_again_within(login: RefusedLogin) -> Option<Duration> {
    let left = login.left.saturating_sub(LAST_ATTEMPT);
    (login.passes && !left.is_zero()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TRANSIENT: Lease = Lease::Transient(Duration::from_millis(250));
    const RETAINED: Lease = Lease::Retained(Duration::from_secs(60));

    fn limits() -> Limits {
        Limits {
            max_lifetime: None,
            max_idle: None,
            ping_after: 30 * SECOND,
            recount_after: 2 * SECOND,
            single_use: false,
        }
    }

    fn asked(lease: Lease, age: u32, idle: Duration, limits: &Limits) -> Reuse {
        let age = age * SECOND;
        reuse(Idle { lease, age, idle }, limits)
    }

    #[test]
    fn a_session_within_its_lease_is_used() {
        let short = Duration::from_millis(199);
        assert_eq!(asked(TRANSIENT, 5, short, &limits()), Reuse::Use);
        assert_eq!(asked(RETAINED, 5, 29 * SECOND, &limits()), Reuse::Use);
        assert_eq!(asked(Lease::None, 5, 29 * SECOND, &limits()), Reuse::Use);
    }

    #[test]
    fn a_session_near_the_end_of_its_lease_is_replaced() {
        let late = Duration::from_millis(200);
        assert_eq!(asked(TRANSIENT, 5, late, &limits()), Reuse::Replace);
        assert_eq!(asked(RETAINED, 60, 48 * SECOND, &limits()), Reuse::Replace);
    }

    #[test]
    fn a_session_that_was_idle_for_long_is_pinged() {
        assert_eq!(asked(RETAINED, 60, 30 * SECOND, &limits()), Reuse::Use);
        assert_eq!(asked(RETAINED, 60, 31 * SECOND, &limits()), Reuse::Ping);
        assert_eq!(
            asked(Lease::None, 600, 500 * SECOND, &limits()),
            Reuse::Ping
        );
    }

    #[test]
    fn a_session_past_the_urls_lifetimes_is_replaced() {
        let old = Limits {
            max_lifetime: Some(300 * SECOND),
            ..limits()
        };
        assert_eq!(asked(RETAINED, 299, SECOND, &old), Reuse::Use);
        assert_eq!(asked(RETAINED, 300, SECOND, &old), Reuse::Replace);
        let idle = Limits {
            max_idle: Some(10 * SECOND),
            ..limits()
        };
        assert_eq!(asked(RETAINED, 60, 9 * SECOND, &idle), Reuse::Use);
        assert_eq!(asked(RETAINED, 60, 10 * SECOND, &idle), Reuse::Replace);
    }

    fn done(lease: Lease, held: Duration, hot: bool) -> Done {
        Done { lease, held, hot }
    }

    #[test]
    fn a_retained_session_and_a_poolers_are_kept() {
        for lease in [RETAINED, Lease::None] {
            for hot in [true, false] {
                let done = done(lease, 100 * SECOND, hot);
                assert_eq!(give_back(done, &limits()), Return::Keep);
            }
        }
    }

    #[test]
    fn a_transient_session_is_closed_unless_its_environment_is_hot() {
        assert_eq!(
            give_back(done(TRANSIENT, SECOND, false), &limits()),
            Return::Close
        );
        assert_eq!(
            give_back(done(TRANSIENT, SECOND, true), &limits()),
            Return::Keep
        );
    }

    #[test]
    fn a_transient_session_asks_for_room_after_its_time() {
        let young = Duration::from_millis(1999);
        assert_eq!(
            give_back(done(TRANSIENT, young, true), &limits()),
            Return::Keep
        );
        assert_eq!(
            give_back(done(TRANSIENT, 2 * SECOND, true), &limits()),
            Return::Recount
        );
        assert_eq!(
            give_back(done(TRANSIENT, 2 * SECOND, false), &limits()),
            Return::Close
        );
    }

    #[test]
    fn a_session_for_a_single_use_is_closed_whatever_its_lease() {
        let single = Limits {
            single_use: true,
            ..limits()
        };
        for lease in [Lease::None, TRANSIENT, RETAINED] {
            assert_eq!(give_back(done(lease, SECOND, true), &single), Return::Close);
        }
    }

    #[test]
    fn work_runs_again_only_while_a_whole_statement_fits() {
        for again in [Again::SessionLost, Again::RaceLost] {
            assert_eq!(run_again(Some(again), 4 * SECOND, 4 * SECOND), Some(again));
            assert_eq!(run_again(Some(again), 3 * SECOND, 4 * SECOND), None);
        }
        assert_eq!(run_again(None, 20 * SECOND, 4 * SECOND), None);
    }

    #[test]
    fn a_refused_environment_asks_again_while_that_can_help_and_there_is_time() {
        let within = |passes, left| ask_again_within(RefusedLogin { passes, left });
        assert_eq!(within(true, 2 * SECOND), Some(Duration::from_millis(1900)));
        assert_eq!(within(true, LAST_ATTEMPT), None);
        assert_eq!(within(false, 2 * SECOND), None);
    }
}
