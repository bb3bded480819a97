//! From what was measured to new limits: raise, keep or lower. Pure arithmetic, over whatever was
//! observed: recorded looks at the sessions, lines of metrics, CloudWatch.

pub mod cloudwatch;
mod observed;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use serde::Serialize;

use crate::operator::{budget::demand::Demand, template::Function};
pub use observed::{Counts, Look, Observed, Seen, Unreadable, logical_id};

/// Looks without which nothing is said: an hour of one a minute.
pub const LOOKS: usize = 60;

/// The share of its connections, in percent, from which a function counts as full.
const FULL: f64 = 90.0;
/// The same up to which it has more than it needs, most of the time ...
const IDLE: f64 = 50.0;
/// ... and at its peak.
const IDLE_PEAK: f64 = 75.0;
/// A wait for a session that a caller notices, in milliseconds. A new session takes some 20.
const WAITING: f64 = 100.0;
/// What is left above a peak, and what a raise adds: a quarter.
const MARGIN: f64 = 1.25;

/// A function as it is deployed.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its environments and connection limit.
    pub demand: Demand,
    /// Whether one environment serves several invocations at once, so that more than one session
    /// can be of use to it.
    pub shared_environments: bool,
}

/// A function that uses the database and that nothing can be said about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// Its logical id.
    pub function: String,
    /// Why not.
    pub why: String,
}

/// What to do with one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// More is needed.
    Raise,
    /// It is right, or what is wrong is not its fault.
    Keep,
    /// Less would do.
    Lower,
    /// Too little was seen.
    CannotTell,
}

/// The advice for one function, with the figures behind it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// What it is now.
    #[serde(flatten)]
    pub demand: Demand,
    /// Sessions that it may have now.
    pub connections: u64,
    /// What to do.
    pub action: Action,
    /// Environments that it should have; the same as now where that is not what changes.
    pub advised_environments: u32,
    /// Sessions that each of them should have.
    pub advised_connection_limit: NonZeroU32,
    /// Why.
    pub why: String,
    /// Looks at its sessions.
    pub looks: usize,
    /// The most sessions that a look saw.
    pub peak: u32,
    /// The most invocations at once, as Lambda counted them; none if that is unknown.
    pub concurrency: Option<u32>,
    /// What 99 of 100 looks did not exceed.
    pub p99: u32,
    /// That, in percent of the connections it may have.
    pub p99_share: f64,
    /// What 99 of 100 waits for a session did not exceed, in milliseconds; of CloudWatch, of the
    /// longest in each minute. None where no wait was seen.
    pub acquire_wait_p99: Option<f64>,
    /// Refusals and throttles.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The advice for all functions.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// One for each function that uses the database.
    pub functions: Vec<Recommendation>,
    /// Those of which the limits are not known, or that have none.
    pub skipped: Vec<Skipped>,
    /// The most sessions that the database granted, without those of other clients; none where
    /// nobody saw.
    pub ceiling: Option<u32>,
    /// The most that were in use, of all functions.
    pub peak: u32,
    /// What all may have now.
    pub budget: u64,
    /// What they would have.
    pub advised_budget: u64,
    /// Names that were seen and are no function of the template's.
    pub unknown: Vec<String>,
}

impl Advice {
    /// Whether a limit should change.
    pub fn changes(&self) -> bool {
        let mut functions = self.functions.iter();
        functions.any(|advice| matches!(advice.action, Action::Raise | Action::Lower))
    }

    /// Whether too little is known of some function, or there is none.
    pub fn incomplete(&self) -> bool {
        let mut functions = self.functions.iter();
        self.functions.is_empty()
            || !self.skipped.is_empty()
            || functions.any(|advice| advice.action == Action::CannotTell)
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The functions whose limits are known.
    pub deployed: &'a [Deployed],
    /// Those that use the database and whose limits are not.
    pub skipped: &'a [Skipped],
    /// All of the template's, by whose names others are known.
    pub functions: &'a [Function],
    /// What was seen.
    pub observed: &'a Observed,
    /// Looks below which nothing is said about a function.
    pub looks: usize,
    /// Sessions of all other clients.
    pub other_clients: u32,
}

/// Compares what was seen with what is deployed.
pub fn advise(question: &Question<'_>) -> Advice {
    let observed = question.observed;
    let by_id = observed.by_function(question.functions);
    let mut advised: Vec<Recommendation> = question
        .deployed
        .iter()
        .map(|deployed| {
            let function = &deployed.demand.function;
            match by_id.seen.get(function) {
                Some(seen) => recommend(deployed, seen, observed.looks.len(), question.looks),
                None => {
                    let nothing = Seen::default();
                    let unseen =
                        recommend(deployed, &nothing, observed.looks.len(), question.looks);
                    unrecognised(unseen, &by_id.unknown)
                }
            }
        })
        .collect();
    let ceiling = |look: &Look| {
        let left = look.slots.saturating_sub(question.other_clients);
        look.ceiling.min(left)
    };
    let ceiling = observed.looks.iter().map(ceiling).min();
    if let Some(ceiling) = ceiling {
        fit(&mut advised, ceiling.into());
    }
    let all: Vec<u32> = observed.looks.iter().map(|look| look.sessions).collect();
    Advice {
        budget: advised.iter().map(|advice| advice.connections).sum(),
        advised_budget: advised.iter().map(advised_connections).sum(),
        functions: advised,
        skipped: question.skipped.to_vec(),
        ceiling,
        peak: all.into_iter().max().unwrap_or_default(),
        unknown: by_id.unknown,
    }
}

/// A function that no look saw, among names that are nobody's, may be one of them.
fn unrecognised(mut advice: Recommendation, unknown: &[String]) -> Recommendation {
    if !unknown.is_empty() && advice.action != Action::CannotTell {
        advice.action = Action::CannotTell;
        advice.advised_environments = advice.demand.environments;
        advice.advised_connection_limit = advice.demand.connection_limit;
        advice.why =
            "nothing was seen by its name, and it may be one of those that are not in the \
                      template"
                .to_owned();
    }
    advice
}

fn advised_connections(advice: &Recommendation) -> u64 {
    u64::from(advice.advised_environments) * u64::from(advice.advised_connection_limit.get())
}

fn recommend(
    deployed: &Deployed,
    seen: &Seen,
    looks_in_all: usize,
    looks_needed: usize,
) -> Recommendation {
    let demand = &deployed.demand;
    let connections = demand.connections();
    // A look that did not see the function saw none of its sessions.
    let mut sessions = seen.sessions.clone();
    sessions.resize(looks_in_all.max(sessions.len()), 0);
    let peak = sessions.iter().copied().max().unwrap_or_default();
    let p99 = percentile(&mut sessions).unwrap_or_default();
    // A look each minute misses most bursts. Where an environment serves one invocation at a time,
    // Lambda's own count says how many there were.
    let needed = match seen.concurrency {
        Some(concurrency) if !deployed.shared_environments => {
            peak.max(concurrency.saturating_mul(demand.connection_limit.get()))
        }
        _ => peak,
    };
    let share = |sessions: u32| match connections {
        0 => 0.0,
        connections => 100.0 * f64::from(sessions) / connections as f64,
    };
    let acquire_wait_p99 = percentile(&mut seen.acquire_waits.clone());
    let mut advice = Recommendation {
        demand: demand.clone(),
        connections,
        action: Action::Keep,
        advised_environments: demand.environments,
        advised_connection_limit: demand.connection_limit,
        why: String::new(),
        looks: sessions.len(),
        peak,
        concurrency: seen.concurrency,
        p99,
        p99_share: share(p99),
        acquire_wait_p99,
        counts: seen.counts,
    };
    let Counts {
        database_busy,
        pool_timeouts,
        throttles,
        ..
    } = seen.counts;
    let throttled = throttles.is_some_and(|throttles| throttles > 0);
    let waits = acquire_wait_p99.is_some_and(|wait| wait > WAITING);
    if sessions.len() < looks_needed {
        advice.action = Action::CannotTell;
        advice.why = format!(
            "{} looks are too few; {looks_needed} are needed",
            sessions.len()
        );
    } else if pool_timeouts > 0 && deployed.shared_environments {
        advice.action = Action::Raise;
        advice.advised_connection_limit = demand.connection_limit.saturating_add(1);
        advice.why = format!("its own pool was full: {pool_timeouts} pool time-outs");
    } else if throttled {
        raise(&mut advice);
        advice.why = "Lambda throttled it: its environments were all busy".to_owned();
    } else if database_busy > 0 {
        advice.why = format!(
            "{database_busy} times the database had no slot: that is the ceiling, not this limit"
        );
    } else if share(p99) >= FULL && waits {
        raise(&mut advice);
        advice.why = "all of its sessions were in use, and requests waited for one".to_owned();
    } else if share(p99) <= IDLE && share(needed) <= IDLE_PEAK {
        let environments = with_margin(needed).div_ceil(demand.connection_limit.get());
        if environments.max(1) < demand.environments {
            advice.action = Action::Lower;
            advice.advised_environments = environments.max(1);
            advice.why = format!("it never needed more than {needed} of {connections} sessions");
            if seen.concurrency.is_none() {
                advice.why.push_str(
                    ", as far as looks can tell: compare with Lambda's ConcurrentExecutions",
                );
            }
        } else {
            advice.why = "the least that keeps a margin".to_owned();
        }
    } else {
        advice.why = "used, and nobody waited".to_owned();
    }
    advice
}

fn raise(advice: &mut Recommendation) {
    let now = advice.demand.environments;
    advice.action = Action::Raise;
    advice.advised_environments = with_margin(now).max(now.saturating_add(1));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and a number of sessions is not negative"
)]
fn with_margin(number: u32) -> u32 {
    (f64::from(number) * MARGIN).ceil() as u32
}

/// Takes raises back for which the ceiling has no room, the least urgent first.
fn fit(advised: &mut [Recommendation], ceiling: u64) {
    loop {
        let budget: u64 = advised.iter().map(advised_connections).sum();
        if budget <= ceiling {
            return;
        }
        let urgency = |advice: &&mut Recommendation| {
            let counts = advice.counts;
            (counts.throttles, counts.pool_timeouts, advice.p99)
        };
        let raised = advised
            .iter_mut()
            .filter(|advice| advice.action == Action::Raise);
        // What is over the ceiling without any raise is for `headroom check` to say.
        let Some(advice) = raised.min_by_key(urgency) else {
            return;
        };
        advice.action = Action::Keep;
        advice.advised_environments = advice.demand.environments;
        advice.advised_connection_limit = advice.demand.connection_limit;
        advice.why = format!(
            "{}; there is no room for more below the ceiling of {ceiling}: raise that, or put a \
             pooler in between",
            advice.why
        );
    }
}

/// What 99 of 100 values do not exceed (nearest rank); none of none.
fn percentile<T: PartialOrd + Copy>(values: &mut [T]) -> Option<T> {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (values.len() * 99).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}
