//! Whether acquiring, statement, one retry and the answer fit into the invocation's time.
//!
//! docs/design/data-layer.md, "Which timeouts nest how?", has the reasons.

use std::time::Duration;

use super::{
    demand::{self, Url},
    finding::{Finding, Rule},
};
use crate::{
    config::{self, MAX_SECONDS},
    database::deadline::FOR_THE_ANSWER,
    operator::template::Function,
};

/// API Gateway waits no longer for an HTTP API's integration.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const GATEWAY: Duration = Duration::from_secs(30);

/// The longest time-out of a function behind it, in whole seconds.
const BELOW_GATEWAY: Duration = Duration::from_secs(29);

/// What does not fit.
pub fn check(function: &Function, url: &Url) -> Vec<Finding> {
    let timeout = match &function.timeout {
        Ok(timeout) => *timeout,
        Err(error) => return vec![demand::of_template(error)],
    };
    let most = MAX_SECONDS as u32;
    let explicit = match demand::number(function, "DATABASE_STATEMENT_TIMEOUT", 1, most) {
        Ok(explicit) => explicit.map(|seconds| Duration::from_secs(seconds.into())),
        Err(finding) => return vec![finding],
    };
    let statement = match config::statement_timeout(explicit, url.settings.socket_timeout) {
        Ok(statement) => statement,
        Err(error) => {
            let finding = Finding::fails(Rule::Configuration, error.to_string());
            return vec![finding.of(&function.logical_id)];
        }
    };
    let mut findings = Vec::new();
    let behind_gateway = match &function.behind_gateway {
        Ok(behind_gateway) => *behind_gateway,
        Err(error) if timeout >= GATEWAY => {
            findings.push(demand::of_template(error));
            false
        }
        // It holds for both, and so does what is advised.
        Err(_) => true,
    };
    if behind_gateway && timeout >= GATEWAY {
        findings.push(
            Finding::fails(
                Rule::TimeLimits,
                format!(
                    "Timeout is {} s, and API Gateway stops listening after {}: the function's own \
                     answer would not arrive",
                    timeout.as_secs(),
                    GATEWAY.as_secs()
                ),
            )
            .change(format!("lower Timeout to {}", BELOW_GATEWAY.as_secs())),
        );
    }
    let longest = if behind_gateway {
        BELOW_GATEWAY
    } else {
        Duration::from_secs(MAX_SECONDS)
    };
    findings.extend(nesting(
        Nesting {
            timeout,
            bound: timeout.min(longest),
            longest,
            pool: url.settings.pool_timeout,
            statement,
        },
        url.known,
    ));
    findings
        .into_iter()
        .map(|finding| finding.of(&function.logical_id))
        .collect()
}

/// The limits that have to nest.
struct Nesting {
    /// The function's time-out.
    timeout: Duration,
    /// What of it counts: behind API Gateway no more than that waits.
    bound: Duration,
    /// What the time-out may be raised to.
    longest: Duration,
    /// `pool_timeout`; none is until the deadline.
    pool: Option<Duration>,
    statement: Duration,
}

impl Nesting {
    /// What two runs of a statement and the answer take.
    fn work(&self) -> Duration {
        self.statement * 2 + FOR_THE_ANSWER
    }

    /// The longest whole `pool_timeout` that fits; none where not even a second does.
    fn fitting_pool(&self) -> Option<u64> {
        let left = self.bound.checked_sub(self.work())?.as_secs();
        (left > 0).then_some(left)
    }

    /// The longest whole statement time-out that fits beside this wait into this time; none where not
    /// even a second does.
    fn fitting_statement(bound: Duration, pool: Duration) -> Option<u64> {
        let left = bound.checked_sub(pool + FOR_THE_ANSWER)?.as_secs() / 2;
        (left > 0).then_some(left)
    }

    /// Where neither another wait nor another time-out of the function is enough: the smallest change
    /// of the statement's time-out, and what has to change beside it.
    fn lower_statement(&self) -> String {
        let least = Duration::from_secs(1);
        let pool = self.pool.unwrap_or(least);
        let set = |statement: u64| format!("set DATABASE_STATEMENT_TIMEOUT to {statement}");
        let timeout = format!("Timeout: {}", self.longest.as_secs());
        if let Some(statement) = Self::fitting_statement(self.bound, pool)
            && self.pool.is_some()
        {
            set(statement)
        } else if let Some(statement) = Self::fitting_statement(self.longest, pool)
            && self.pool.is_some()
        {
            format!("{} and {timeout}", set(statement))
        } else {
            let statement = Self::fitting_statement(self.longest, least).unwrap_or(1);
            format!(
                "{}, pool_timeout={} in the URL and {timeout}",
                set(statement),
                least.as_secs()
            )
        }
    }
}

fn nesting(limits: Nesting, url_is_known: bool) -> Option<Finding> {
    let pool = limits.pool;
    let what = match pool {
        None => "pool_timeout=0 waits for a session until the deadline, and leaves no time for \
                 the statement"
            .to_owned(),
        Some(pool) if pool + limits.work() > limits.bound => format!(
            "pool_timeout {}, statement {}, the same once more and {} for the answer are {}, more \
             than {} {}{}",
            seconds(pool),
            seconds(limits.statement),
            seconds(FOR_THE_ANSWER),
            seconds(pool + limits.work()),
            if limits.bound < limits.timeout {
                "what API Gateway leaves,"
            } else {
                "Timeout"
            },
            seconds(limits.bound),
            if url_is_known {
                ""
            } else {
                " (the URL is not known here, so pool_timeout is taken for its default)"
            }
        ),
        Some(_) => return None,
    };
    let raised = |pool: Duration| {
        let needed = pool + limits.work();
        let whole = needed.as_secs() + u64::from(needed.subsec_nanos() > 0);
        (Duration::from_secs(whole) <= limits.longest).then_some(whole)
    };
    let lower_pool = limits
        .fitting_pool()
        .map(|most| format!("set pool_timeout={most} in the URL"));
    let raise_timeout = raised(pool.unwrap_or(Duration::from_secs(1))).map(|timeout| match pool {
        Some(_) => format!("set Timeout: {timeout}"),
        None => format!("set pool_timeout=1 in the URL and Timeout: {timeout}"),
    });
    let change = match (raise_timeout, lower_pool) {
        (Some(raise), Some(lower)) if pool.is_some() => format!("{raise}, or {lower}"),
        (_, Some(lower)) => lower,
        (Some(raise), None) => raise,
        (None, None) => limits.lower_statement(),
    };
    Some(Finding::fails(Rule::TimeLimits, what).change(change))
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limits(timeout: u64, pool: Option<u64>, statement: u64) -> Nesting {
        let timeout = Duration::from_secs(timeout);
        Nesting {
            timeout,
            bound: timeout,
            longest: Duration::from_secs(29),
            pool: pool.map(Duration::from_secs),
            statement: Duration::from_secs(statement),
        }
    }

    fn change(timeout: u64, pool: Option<u64>, statement: u64) -> String {
        let finding = nesting(limits(timeout, pool, statement), true).expect("does not fit");
        finding.change.expect("a change")
    }

    #[test]
    fn prismas_longest_usual_wait_fits_the_template() {
        assert_eq!(nesting(limits(29, Some(20), 4), true), None);
        assert_eq!(nesting(limits(29, Some(10), 4), true), None);
        assert!(nesting(limits(29, Some(21), 4), true).is_some());
    }

    #[test]
    fn the_smallest_change_is_named() {
        assert_eq!(
            change(10, Some(10), 4),
            "set Timeout: 19, or set pool_timeout=1 in the URL"
        );
        assert_eq!(change(29, Some(25), 4), "set pool_timeout=20 in the URL");
        assert_eq!(change(29, None, 4), "set pool_timeout=20 in the URL");
        assert_eq!(change(3, Some(10), 4), "set Timeout: 19");
        assert_eq!(
            change(3, None, 4),
            "set pool_timeout=1 in the URL and Timeout: 10"
        );
        assert_eq!(
            change(29, Some(10), 20),
            "set DATABASE_STATEMENT_TIMEOUT to 9"
        );
        assert_eq!(
            change(3, Some(10), 20),
            "set DATABASE_STATEMENT_TIMEOUT to 9 and Timeout: 29"
        );
        for pool in [None, Some(28)] {
            assert_eq!(
                change(3, pool, 20),
                "set DATABASE_STATEMENT_TIMEOUT to 13, pool_timeout=1 in the URL and Timeout: 29"
            );
        }
    }

    proptest! {
        #[test]
        fn the_pool_timeout_that_is_named_fits(timeout in 1_u64..900, pool in 0_u64..900, statement in 1_u64..900) {
            if let Some(most) = limits(timeout, Some(pool), statement).fitting_pool() {
                prop_assert!(nesting(limits(timeout, Some(most), statement), true).is_none());
                prop_assert!(nesting(limits(timeout, Some(most + 1), statement), true).is_some());
            }
        }

        #[test]
        fn the_statement_timeout_that_is_named_fits(timeout in 2_u64..900, pool in 1_u64..900) {
            let fitting = Nesting::fitting_statement(Duration::from_secs(timeout), Duration::from_secs(pool));
            if let Some(most) = fitting {
                prop_assert!(nesting(limits(timeout, Some(pool), most), true).is_none());
                prop_assert!(nesting(limits(timeout, Some(pool), most + 1), true).is_some());
            }
        }
    }
}
