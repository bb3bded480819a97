//! What was seen of the functions, and of which of the template's functions it was seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{database::server::activity::Sample, operator::template::Function};

/// The shortest beginning of a logical id by which a function is known whose name was cut.
const LEAST_BEGINNING: usize = 8;

/// Everything that was seen, by the functions' names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Looks at all sessions.
    pub looks: Vec<Look>,
    /// What was seen of each function.
    pub functions: BTreeMap<String, Seen>,
}

/// One look at all sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How many there were.
    pub sessions: u32,
    /// How many there might have been.
    pub ceiling: u32,
    /// What the server has for roles that are no superusers.
    pub slots: u32,
}

/// What was seen of one function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Its sessions, of all versions, in each look that saw any.
    pub sessions: Vec<u32>,
    /// Waits for a session, in milliseconds.
    pub acquire_waits: Vec<f64>,
    /// The most invocations at once, as Lambda counted them; none if that is unknown: it is in
    /// CloudWatch alone.
    pub concurrency: Option<u32>,
    /// Refusals and throttles.
    pub counts: Counts,
}

/// How often something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// 503 `database-busy`.
    pub database_busy: u64,
    /// 503 `pool-timeout`.
    pub pool_timeouts: u64,
    /// Every answer of the server's own failures, those included.
    pub server_errors: u64,
    /// Invocations that Lambda refused; none if that is unknown: they are in CloudWatch,
    /// not in the functions' logs.
    pub throttles: Option<u64>,
}

/// Nothing in a recording was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "holds nothing that was recorded: a line is a sample of `headroom watch --record`, the answer of \
     connection-monitor, or a line of a function's metrics"
)]
pub struct Unreadable;

impl Observed {
    /// Reads a recording: samples and lines of metrics, in any order. Other lines, such as the rest
    /// of a function's log, are passed over.
    ///
    /// # Errors
    /// Where there is nothing else.
    pub fn read(&mut self, text: &str) -> Result<(), Unreadable> {
        let mut understood = false;
        for line in text.lines() {
            let Ok(value) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            if let Ok(sample) = Sample::deserialize(&value) {
                self.look(&sample);
                understood = true;
            } else if let Some(name) = invocation(&value) {
                self.invocation(name, &value);
                understood = true;
            }
        }
        if understood { Ok(()) } else { Err(Unreadable) }
    }

    fn look(&mut self, sample: &Sample) {
        self.looks.push(Look {
            sessions: sample.sessions,
            ceiling: sample.ceiling(),
            slots: sample.max_connections.saturating_sub(sample.reserved),
        });
        let mut by_function = BTreeMap::<&str, u32>::new();
        for group in sample.functions.iter().filter(|g| !g.function.is_empty()) {
            *by_function.entry(&group.function).or_default() += group.sessions;
        }
        for (function, sessions) in by_function {
            let seen = self.functions.entry(function.to_owned()).or_default();
            seen.sessions.push(sessions);
        }
    }

    fn invocation(&mut self, name: &str, metrics: &Value) {
        let seen = self.functions.entry(name.to_owned()).or_default();
        seen.acquire_waits.extend(metrics["AcquireWait"].as_f64());
        let count = |name: &str| metrics[name].as_u64().unwrap_or_default();
        seen.counts.database_busy += count("DatabaseBusy");
        seen.counts.pool_timeouts += count("PoolTimeout");
        seen.counts.server_errors += count("ServerErrors");
    }

    /// By logical id, for as far as names say whose they are.
    pub(super) fn by_function(&self, functions: &[Function]) -> ByFunction {
        let mut by_id = ByFunction::default();
        for (name, seen) in &self.functions {
            match logical_id(name, functions) {
                Some(id) => by_id.seen.entry(id.to_owned()).or_default().add(seen),
                None => by_id.unknown.push(name.clone()),
            }
        }
        by_id
    }
}

/// What was seen of each of the template's functions.
#[derive(Default)]
pub(super) struct ByFunction {
    pub(super) seen: BTreeMap<String, Seen>,
    pub(super) unknown: Vec<String>,
}

impl Seen {
    /// The same function under another name: its metrics have all of it, the server a part.
    fn add(&mut self, other: &Self) {
        self.sessions.extend(&other.sessions);
        self.acquire_waits.extend(&other.acquire_waits);
        self.concurrency = self.concurrency.max(other.concurrency);
        self.counts.database_busy += other.counts.database_busy;
        self.counts.pool_timeouts += other.counts.pool_timeouts;
        self.counts.server_errors += other.counts.server_errors;
        self.counts.throttles = match (self.counts.throttles, other.counts.throttles) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
    }
}

/// The function's name in a line of an invocation's metrics.
fn invocation(value: &Value) -> Option<&str> {
    value.get("_aws")?;
    value.get("Duration")?;
    value["function_name"].as_str()
}

/// Which of the template's functions has this name: its `FunctionName`, or what CloudFormation makes
/// of its logical id where it has none, `<stack>-<logical id>-<random>`; the local fleet uses the
/// executable's name. A session shows at most some 40 characters of it, a `~` and a checksum; a name
/// that was cut is known by its beginning, where that is long enough and no other has the same.
pub fn logical_id<'f>(name: &str, functions: &'f [Function]) -> Option<&'f str> {
    let (shown, cut) = match name.rsplit_once('~') {
        Some((shown, _)) => (shown, true),
        None => (name, false),
    };
    let begins = |whole: &str, shown: &str| {
        cut && shown.len() >= LEAST_BEGINNING && whole.starts_with(shown)
    };
    let is = |function: &&Function| {
        let id = &function.logical_id;
        if name == id || function.binary.as_ref().is_ok_and(|binary| name == binary) {
            return true;
        }
        match &function.name {
            Ok(Some(given)) => name == given || begins(given, shown),
            Ok(None) => {
                let parts = shown.match_indices('-');
                shown.contains(&format!("-{id}-"))
                    || parts
                        .into_iter()
                        .any(|(at, _)| begins(id, &shown[at + 1..]))
            }
            // A name that only the deployment knows.
            Err(_) => false,
        }
    };
    let mut found = functions.iter().filter(is);
    match (found.next(), found.next()) {
        (Some(function), None) => Some(&function.logical_id),
        _ => None,
    }
}
