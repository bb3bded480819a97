//! How many sessions an environment may open.

use std::num::NonZeroU32;

use crate::config;

/// Of the invocations that one environment serves at once, the share that gets a session where
/// neither setting says how many: every fourth, rounded up. An invocation holds its session only for the
/// query, not for parsing, authorising and shaping, and waits its turn otherwise. One invocation
/// at a time makes it 1.
const INVOCATIONS_PER_SESSION: u32 = 4;

/// The connection limit in force, and what was asked for and not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// The most sessions that one environment's pool opens.
    pub effective: NonZeroU32,
    /// The larger values that it replaces, each worth one line in the log.
    pub lowered: Vec<Lowered>,
}

/// A limit that was asked for and is more than is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// Where it was asked for: `connection_limit` or `DATABASE_CONNECTION_LIMIT`.
    pub source: &'static str,
    /// What was asked for.
    pub asked: NonZeroU32,
}

/// The effective connection limit: the smallest of the URL's `connection_limit`, the variable
/// `DATABASE_CONNECTION_LIMIT`, and the invocations that one environment serves at once (more
/// sessions than invocations could never be used). Where neither of the first two is given, one
/// session for every four invocations.
///
/// The pool and the budget of a deployment both use this, so that they cannot disagree.
pub fn connection_limit(
    url: Option<NonZeroU32>,
    variable: Option<NonZeroU32>,
    concurrency: NonZeroU32,
) -> ConnectionLimit {
    let share = NonZeroU32::new(concurrency.get().div_ceil(INVOCATIONS_PER_SESSION))
        .unwrap_or(NonZeroU32::MIN);
    let effective = match url.into_iter().chain(variable).min() {
        Some(asked) => asked.min(concurrency),
        None => share,
    };
    let lowered = [
        ("connection_limit", url),
        ("DATABASE_CONNECTION_LIMIT", variable),
    ]
    .into_iter()
    .filter_map(|(source, asked)| asked.map(|asked| Lowered { source, asked }))
    .filter(|lowered| lowered.asked > effective)
    .collect();
    ConnectionLimit { effective, lowered }
}

/// The limit of this environment's pool. A value that is lowered is told in the log.
pub(super) fn in_force(config: &config::Database) -> usize {
    let limit = connection_limit(
        config.url.connection_limit,
        config.connection_limit,
        config.concurrency,
    );
    for lowered in &limit.lowered {
        tracing::warn!(
            source = lowered.source,
            asked = lowered.asked,
            in_force = limit.effective,
            concurrency = config.concurrency,
            "a connection limit is more than this environment may have or can use, and was lowered"
        );
    }
    limit.effective.get() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(url: u32, variable: u32, concurrency: u32) -> (u32, Vec<(&'static str, u32)>) {
        let number = NonZeroU32::new;
        let limit = connection_limit(number(url), number(variable), number(concurrency).unwrap());
        let lowered = limit.lowered.iter().map(|l| (l.source, l.asked.get()));
        (limit.effective.get(), lowered.collect())
    }

    #[test]
    fn one_invocation_at_a_time_needs_one_session() {
        assert_eq!(limit(0, 0, 1), (1, vec![]));
        assert_eq!(limit(10, 0, 1), (1, vec![("connection_limit", 10)]));
        assert_eq!(limit(0, 5, 1), (1, vec![("DATABASE_CONNECTION_LIMIT", 5)]));
    }

    #[test]
    fn the_smallest_wins() {
        assert_eq!(limit(10, 4, 16), (4, vec![("connection_limit", 10)]));
        assert_eq!(limit(3, 4, 16), (3, vec![("DATABASE_CONNECTION_LIMIT", 4)]));
        assert_eq!(
            limit(30, 20, 16),
            (
                16,
                vec![("connection_limit", 30), ("DATABASE_CONNECTION_LIMIT", 20)]
            )
        );
        assert_eq!(limit(4, 4, 16), (4, vec![]));
    }

    #[test]
    fn nobody_said_means_a_quarter_of_the_concurrency() {
        assert_eq!(limit(0, 0, 16), (4, vec![]));
        assert_eq!(limit(0, 0, 17), (5, vec![]));
        assert_eq!(limit(0, 0, 2), (1, vec![]));
    }
}
