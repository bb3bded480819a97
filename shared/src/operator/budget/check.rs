//! Whether a template's functions stay within what the database grants.

mod function;
mod role_ceiling;
mod versions;

use serde::Serialize;

use self::function::{Assessment, Size, assess};
use super::{
    account,
    ceiling::Slots,
    demand::{self, Demand, Url, sum},
    excess,
    finding::{Finding, Rule, Verdict},
    overlap::{Overlap, Retention},
};
use crate::operator::template::{Function, Template, Unread};

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
    pub ignore_nested_stacks: bool,
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

impl Line {
    fn new(demand: Demand, ceiling: u32) -> Self {
        let connections = demand.connections();
        Self {
            connections,
            share: (ceiling > 0).then(|| connections as f64 * 100.0 / f64::from(ceiling)),
            demand,
        }
    }
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

/// Checks a template against a database: each function for itself, then the sum of all.
pub fn check(question: &Question<'_>) -> Report {
    let template = question.template;
    let mut findings = unread(template, question.ignore_nested_stacks);
    let mut functions: Vec<&Function> = Vec::new();
    for function in &template.functions {
        match demand::uses_database(function) {
            Ok(true) => functions.push(function),
            Ok(false) => {}
            Err(finding) => findings.push(finding),
        }
    }
    findings.extend(functions.is_empty().then(nothing_to_compare));

    let mut assessed: Vec<Assessment> = functions
        .iter()
        .map(|function| assess(function, &question.url))
        .collect();
    let pooler = question.pooler || assessed.iter().any(|function| function.pooler);
    let mut slots = question.slots.clone();
    findings.extend(role_ceiling::check(&functions, pooler, &mut slots));
    let ceiling = slots.ceiling();
    for function in &mut assessed {
        findings.append(&mut function.findings);
    }
    findings.extend(assumption(&assessed));
    let demands: Vec<Demand> = assessed
        .iter()
        .filter_map(|function| match &function.size {
            Size::Bounded(demand) => Some(demand.clone()),
            Size::Unbounded(_) | Size::Unknown => None,
        })
        .collect();
    let unbounded = assessed.iter();
    findings.extend(unbounded.filter_map(|function| function.without_bound(&demands, ceiling)));

    let most = |of: fn(&Assessment) -> u64| assessed.iter().map(of).max().unwrap_or_default();
    let retention = Retention {
        lease_seconds: most(|function| function.lease_seconds),
        percent: most(|function| function.retained_percent.into()),
        leases: !pooler && question.server_version.is_none_or(|v| v >= LEASES_SINCE),
    };
    findings.extend(excess::check(&functions, &demands, ceiling));
    findings.extend(versions::check(&demands, ceiling, retention, question));
    findings.extend(account::check(
        &template.functions,
        question.account_concurrency,
    ));
    let findings = in_order(findings);
    let budget = sum(&demands);
    Report {
        verdict: Verdict::of(&findings),
        overlap: versions::worst(&demands, ceiling, retention),
        functions: demands
            .into_iter()
            .map(|demand| Line::new(demand, ceiling))
            .collect(),
        ceiling,
        budget,
        headroom: i64::from(ceiling) - i64::try_from(budget).unwrap_or(i64::MAX),
        slots,
        findings,
    }
}

/// What does not hold first. What two rules depend on is said once.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| finding.severity);
    let mut said: Vec<Finding> = Vec::new();
    for finding in findings {
        if !said.contains(&finding) {
            said.push(finding);
        }
    }
    said
}

fn nothing_to_compare() -> Finding {
    let what = "no function of the template is known to lead to a database by DATABASE_URL, \
                DATABASE_SECRET_ARN, DATABASE_PARAMETER, or another role's, so there is nothing to \
                compare";
    Finding::unknown(Rule::Template, what)
}

/// What the template may deploy beside what was read.
fn unread(template: &Template, ignore_nested_stacks: bool) -> Vec<Finding> {
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
            if ignore_nested_stacks {
                Finding::remark(Rule::Template, what)
            } else {
                Finding::unknown(Rule::Template, what).change(
                    "check its template too, with its sessions among --other-clients here, and say \
                     so with --ignore-nested-stacks",
                )
            }
        }
    };
    template.unread.iter().map(finding).collect()
}

/// The functions whose URL is assumed to have no parameters.
fn assumption(assessed: &[Assessment<'_>]) -> Option<Finding> {
    let assumed: Vec<&str> = assessed
        .iter()
        .filter(|function| function.url_is_assumed)
        .map(Assessment::logical_id)
        .collect();
    (!assumed.is_empty()).then(|| {
        let what = format!(
            "the URL is known only once deployed, and its parameters are taken for their defaults: {}",
            assumed.join(", ")
        );
        Finding::remark(Rule::Template, what)
            .change("give them with --url-parameters, such as --url-parameters 'pool_timeout=20'")
    })
}

#[cfg(test)]
mod tests;
