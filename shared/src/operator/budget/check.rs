//! Whether a template's functions stay within what the database grants.

use serde::Serialize;

use super::{
    account,
    ceiling::Slots,
    demand::{self, Demand, Url, sum},
    excess,
    finding::{Finding, Rule, Severity, Verdict},
    overlap::{self, Overlap, Retention},
    settings, time_limits,
};
use crate::{
    config::{LEASE_LONG, MAX_SECONDS, RETAINED_PERCENT},
    operator::template::{Function, Template, Unread},
};

/// The first version of PostgreSQL that ends idle sessions by itself.
const LEASES_SINCE: u32 = 14;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What is deployed.
    pub template: &'a Template,
    /// What the database has.
    pub slots: Slots,
    /// The settings of functions whose URL is known only once deployed.
    pub url: Url,
    /// The account's concurrency.
    pub account_concurrency: u32,
    /// Whether two versions side by side have to fit, too.
    pub overlap_fails: bool,
    /// The server's major version, where it is known.
    pub server_version: Option<u32>,
    /// Whether nested stacks lead to no database, or are checked for themselves.
    pub nested_are_apart: bool,
    /// Whether the functions are known to reach the server through a pooler.
    pub pooler: bool,
}

/// One function in the budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Its demand.
    #[serde(flatten)]
    pub demand: Demand,
    /// Sessions of all its environments.
    pub connections: u64,
    /// Their share of the ceiling, in percent; none where the ceiling is 0.
    pub share: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it comes to.
    pub verdict: Verdict,
    /// The functions that use the database and whose sessions can be counted.
    pub functions: Vec<Line>,
    /// The database's slots.
    pub slots: Slots,
    /// The most sessions that the functions may have.
    pub ceiling: u32,
    /// The most that they can have.
    pub budget: u64,
    /// Ceiling less budget; negative where the budget is the larger one.
    pub headroom: i64,
    /// The worst case of a deployment.
    pub overlap: Overlap,
    /// What does not hold, what cannot be told, what should be known; in this order.
    pub findings: Vec<Finding>,
}

/// Answers.
pub fn check(question: &Question<'_>) -> Report {
    let mut findings = unread(question.template, question.nested_are_apart);
    let mut functions: Vec<&Function> = Vec::new();
    for function in &question.template.functions {
        match demand::uses_database(function) {
            Ok(true) => functions.push(function),
            Ok(false) => {}
            Err(finding) => findings.push(finding),
        }
    }
    if functions.is_empty() {
        let what = "no function of the template is known to lead to a database by DATABASE_URL, \
                    DATABASE_SECRET_ARN, DATABASE_PARAMETER, or another role's, so there is nothing to \
                    compare";
        findings.push(Finding::unknown(Rule::Template, what));
    }
    let urls: Vec<Result<Url, Finding>> = functions
        .iter()
        .map(|function| settings::url(function, &question.url))
        .collect();
    let pooler = question.pooler || urls.iter().flatten().any(|url| url.settings.pgbouncer);
    let mut slots = question.slots.clone();
    findings.extend(role_ceiling(&functions, pooler, &mut slots));
    let ceiling = slots.ceiling();

    let mut retention = Retention {
        lease_seconds: 0,
        mark: 0,
        leases: !pooler && question.server_version.is_none_or(|v| v >= LEASES_SINCE),
    };
    let mut demands = Vec::new();
    let mut unbounded = Vec::new();
    let mut assumed = Vec::new();
    for (function, url) in functions.iter().zip(urls) {
        let mut found = settings::old_names(function);
        match url {
            Ok(url) => {
                if !url.known {
                    assumed.push(function.logical_id.as_str());
                }
                found.extend(time_limits::check(function, &url));
                match (
                    demand::environments(function),
                    demand::limit(function, &url),
                ) {
                    (Ok(Some(environments)), Ok(connection_limit)) => demands.push(Demand {
                        function: function.logical_id.clone(),
                        environments,
                        managed: function.managed.is_some(),
                        connection_limit,
                    }),
                    (Ok(None), Ok(limit)) => unbounded.push((*function, limit.get())),
                    (environments, limit) => {
                        found.extend(environments.err());
                        found.extend(limit.err());
                    }
                }
            }
            Err(finding) => found.push(finding),
        }
        match leases(function) {
            Ok((seconds, mark)) => {
                retention.lease_seconds = retention.lease_seconds.max(seconds);
                retention.mark = retention.mark.max(mark);
            }
            Err(finding) => found.push(finding),
        }
        if function.deployed.is_err() {
            found.iter_mut().for_each(doubt);
        }
        findings.extend(found);
    }
    findings.extend(assumption(&assumed));
    for (function, limit) in unbounded {
        let mut finding = no_bound(function, limit, &demands, ceiling);
        if function.deployed.is_err() {
            doubt(&mut finding);
        }
        findings.push(finding);
    }

    let budget = sum(&demands);
    findings.extend(excess::check(&functions, &demands, ceiling));
    let overlap = worst(&demands, ceiling, retention);
    findings.extend(
        both_run(&demands, ceiling)
            .or_else(|| overlap_finding(&demands, ceiling, retention, question)),
    );
    findings.extend(account::check(
        &question.template.functions,
        question.account_concurrency,
    ));
    findings.sort_by_key(|finding| finding.severity);
    // What two rules depend on is said once.
    let mut said: Vec<Finding> = Vec::new();
    for finding in findings {
        if !said.contains(&finding) {
            said.push(finding);
        }
    }
    let findings = said;
    Report {
        verdict: Verdict::of(&findings),
        functions: demands
            .into_iter()
            .map(|demand| {
                let connections = demand.connections();
                Line {
                    connections,
                    share: (ceiling > 0).then(|| connections as f64 * 100.0 / f64::from(ceiling)),
                    demand,
                }
            })
            .collect(),
        ceiling,
        budget,
        headroom: i64::from(ceiling) - i64::try_from(budget).unwrap_or(i64::MAX),
        slots,
        overlap,
        findings,
    }
}

/// What does not hold of a function that may not be deployed at all cannot be told.
fn doubt(finding: &mut Finding) {
    if finding.severity == Severity::Fails {
        finding.severity = Severity::Unknown;
        finding
            .what
            .push_str(" (if it is deployed: its Condition is not known here)");
    }
}

/// What the template may deploy beside what was read.
fn unread(template: &Template, nested_are_apart: bool) -> Vec<Finding> {
    let finding = |unread: &Unread| match unread {
        Unread::Generated(key) => Finding::unknown(
            Rule::Template,
            format!(
                "{key} makes resources by a rule that is not read, among them perhaps functions"
            ),
        )
        .change("check the template that it expands to"),
        Unread::Nested(id) => {
            let what = format!(
                "{id} is a stack with a template of its own, whose functions are not counted"
            );
            if nested_are_apart {
                Finding::remark(Rule::Template, what)
            } else {
                Finding::unknown(Rule::Template, what).change(
                    "check its template too, with its sessions among --other-clients here, and say \
                     so with --nested-apart",
                )
            }
        }
    };
    template.unread.iter().map(finding).collect()
}

/// How long a function's retained sessions may sit idle, in seconds, and up to which share of the
/// ceiling they are retained, in percent.
fn leases(function: &Function) -> Result<(u64, u32), Finding> {
    let most = MAX_SECONDS as u32;
    let seconds = demand::number(function, "DATABASE_LEASE_LONG", 1, most)?;
    let mark = demand::number(function, "DATABASE_RETAINED_PERCENT", 0, 100)?;
    Ok((
        seconds.map_or(LEASE_LONG, u64::from),
        mark.unwrap_or(RETAINED_PERCENT.into()),
    ))
}

fn assumption(functions: &[&str]) -> Option<Finding> {
    (!functions.is_empty()).then(|| {
        let what = format!(
            "the URL is known only once deployed, and its parameters are taken for their defaults: {}",
            functions.join(", ")
        );
        Finding::remark(Rule::Template, what)
            .change("give them with --url-parameters, such as --url-parameters 'pool_timeout=20'")
    })
}

/// `DATABASE_CEILING`, which the migrations make the role's own limit, whatever that is now: the
/// smallest one that is known counts, and it must be one that the database has.
///
/// Behind a pooler it bounds what the pooler opens, and not the clients that the functions are.
fn role_ceiling(functions: &[&Function], pooler: bool, slots: &mut Slots) -> Vec<Finding> {
    let there = Slots {
        role_limit: None,
        ..slots.clone()
    }
    .ceiling();
    let mut findings = Vec::new();
    let mut smallest = None;
    for function in functions {
        match demand::number(function, "DATABASE_CEILING", 1, u32::MAX) {
            Ok(Some(asked)) if pooler => {
                let what = format!(
                    "DATABASE_CEILING is {asked}: behind the pooler the server grants its pools for \
                     the role so many sessions, and its size has to stay within them"
                );
                findings.push(Finding::remark(Rule::Ceiling, what).of(&function.logical_id));
            }
            Ok(Some(asked)) if asked > there => {
                let what = format!(
                    "DATABASE_CEILING is {asked}, and the database has {there} for the functions"
                );
                findings.push(
                    Finding::fails(Rule::Ceiling, what)
                        .of(&function.logical_id)
                        .change(format!("set DATABASE_CEILING to {there}")),
                );
            }
            Ok(Some(asked)) => {
                smallest = Some(smallest.map_or(asked, |known: u32| known.min(asked)));
            }
            Ok(None) => {}
            Err(finding) => findings.push(finding),
        }
    }
    slots.role_limit = smallest.or(slots.role_limit);
    findings
}

fn no_bound(function: &Function, limit: u32, demands: &[Demand], ceiling: u32) -> Finding {
    let managed = function.managed.is_some();
    let property = demand::property(managed);
    let room = u64::from(ceiling).saturating_sub(sum(demands)) / u64::from(limit);
    let what = format!(
        "it uses the database and has no {property}, so that nothing bounds its environments"
    );
    let change = match room {
        0 => format!("set {property}, and lower another function's: the ceiling is used up"),
        _ => format!("set {property}: {room} or less"),
    };
    Finding::fails(Rule::Reservation, what)
        .of(&function.logical_id)
        .change(change)
}

/// Sessions of Managed Instances' environments, which a new version brings a second time.
fn managed(demands: &[Demand]) -> u64 {
    let managed = demands.iter().filter(|demand| demand.managed);
    managed.map(Demand::connections).sum()
}

fn worst(demands: &[Demand], ceiling: u32, retention: Retention) -> Overlap {
    overlap::worst(sum(demands), managed(demands), ceiling, retention)
}

/// Environments of Managed Instances are never frozen: those of both versions are active, and no
/// lease ends what they hold.
fn both_run(demands: &[Demand], ceiling: u32) -> Option<Finding> {
    let both = |demands: &[Demand]| sum(demands) + managed(demands);
    let beyond = both(demands).saturating_sub(ceiling.into());
    (managed(demands) > 0 && beyond > 0 && sum(demands) <= ceiling.into()).then(|| {
        let what = format!(
            "while a new version replaces the old one, environments of Managed Instances run twice, \
             and all together may ask for {} sessions of {ceiling}",
            both(demands)
        );
        excess::mended(
            Finding::fails(Rule::Overlap, what),
            demands,
            |demands| both(demands) <= ceiling.into(),
            Some(format!("find {beyond} more connections")),
        )
    })
}

fn overlap_finding(
    demands: &[Demand],
    ceiling: u32,
    retention: Retention,
    question: &Question<'_>,
) -> Option<Finding> {
    let overlap = worst(demands, ceiling, retention);
    let beyond = overlap.connections.saturating_sub(ceiling.into());
    if beyond == 0 {
        return None;
    }
    let both = format!(
        "while a new version replaces the old one, both may ask for {} sessions of {ceiling}",
        overlap.connections
    );
    let (fails, what) = match overlap.seconds {
        Some(seconds) => (
            question.overlap_fails,
            format!(
                "{both}: for {seconds} s at most the server keeps idle sessions of frozen \
                 environments, and newcomers wait for a slot"
            ),
        ),
        None => (
            true,
            format!(
                "{both}, and no lease ends the old one's: {}",
                match question.server_version {
                    Some(version) if version < LEASES_SINCE =>
                        "the server is older than PostgreSQL 14",
                    _ => "sessions of a pooler have none",
                }
            ),
        ),
    };
    let finding = if fails {
        Finding::fails(Rule::Overlap, what)
    } else {
        Finding::remark(Rule::Overlap, what)
    };
    // With more slots, more sessions would be retained.
    let more = overlap
        .seconds
        .is_none()
        .then(|| format!("find {beyond} more connections"));
    Some(excess::mended(
        finding,
        demands,
        |demands| worst(demands, ceiling, retention).connections <= ceiling.into(),
        more,
    ))
}

#[cfg(test)]
mod tests;
