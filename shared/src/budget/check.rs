//! Whether a template's functions stay within what the database grants.

use serde::Serialize;

use super::{
    account,
    ceiling::Slots,
    demand::{self, Demand, Url},
    finding::{Finding, Rule, Severity, Verdict},
    overlap::{self, Overlap, Retention},
    time_limits,
};
use crate::{
    config::{LEASE_LONG, MAX_SECONDS, RETENTION_MARK},
    database_url::DatabaseUrl,
    template::{Function, Template, Unread, Variable},
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
    let mut findings = unread(question.template);
    let functions: Vec<&Function> = question
        .template
        .functions
        .iter()
        .filter(|function| demand::uses_database(function))
        .collect();
    if functions.is_empty() {
        let what = "no function of the template leads to a database by DATABASE_URL, \
                    DATABASE_SECRET_ARN, DATABASE_PARAMETER or DATABASE_IAM…, so there is nothing to \
                    compare";
        findings.push(Finding::unknown(Rule::Template, what));
    }
    let mut slots = question.slots.clone();
    findings.extend(role_ceiling(&functions, &mut slots));
    let ceiling = slots.ceiling();

    let mut retention = Retention {
        lease_seconds: 0,
        mark: 0,
        leases: !question.pooler && question.server_version.is_none_or(|v| v >= LEASES_SINCE),
    };
    let mut demands = Vec::new();
    let mut unbounded = Vec::new();
    let mut assumed = Vec::new();
    for function in &functions {
        let mut found = Vec::new();
        match url(function, &question.url) {
            Ok(url) => {
                if !url.known {
                    assumed.push(function.logical_id.as_str());
                }
                retention.leases &= !url.settings.pgbouncer;
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
    findings.extend(over_budget(&functions, &demands, ceiling));
    let managed: Vec<Demand> = demands
        .iter()
        .filter(|demand| demand.managed)
        .cloned()
        .collect();
    let overlap = overlap::worst(budget, sum(&managed), ceiling, retention);
    findings.extend(overlap_finding(overlap, ceiling, retention, question));
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

fn sum(demands: &[Demand]) -> u64 {
    demands.iter().map(Demand::connections).sum()
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
fn unread(template: &Template) -> Vec<Finding> {
    let finding = |unread: &Unread| match unread {
        Unread::Generated(key) => Finding::unknown(
            Rule::Template,
            format!(
                "{key} makes resources by a rule that is not read, among them perhaps functions"
            ),
        )
        .change("check the template that it expands to"),
        Unread::Nested(id) => Finding::remark(
            Rule::Template,
            format!("{id} is a stack with a template of its own, whose functions are not counted"),
        ),
    };
    template.unread.iter().map(finding).collect()
}

/// The settings of a function's URL: its own where they are known, else those given for it.
fn url(function: &Function, otherwise: &Url) -> Result<Url, Finding> {
    match function.variables.get("DATABASE_URL") {
        Some(Variable::Literal(text)) if !text.is_empty() => match DatabaseUrl::parse(text) {
            Ok(settings) => Ok(Url {
                settings,
                known: true,
            }),
            Err(error) => {
                let finding = Finding::fails(Rule::Configuration, error.to_string());
                Err(finding.of(&function.logical_id))
            }
        },
        _ => Ok(otherwise.clone()),
    }
}

/// How long a function's retained sessions may sit idle, in seconds, and up to which share of the
/// ceiling they are retained, in percent.
fn leases(function: &Function) -> Result<(u64, u32), Finding> {
    let most = MAX_SECONDS as u32;
    let seconds = demand::number(function, "DATABASE_LEASE_LONG", 1, most)?;
    let mark = demand::number(function, "DATABASE_RETENTION_MARK", 0, 100)?;
    Ok((
        seconds.map_or(LEASE_LONG, u64::from),
        mark.unwrap_or(RETENTION_MARK.into()),
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

/// `DATABASE_CEILING`, from which the migrations make the role's own limit: the smallest one that
/// is known counts, and it must be one that the database has.
fn role_ceiling(functions: &[&Function], slots: &mut Slots) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in functions {
        match demand::number(function, "DATABASE_CEILING", 1, u32::MAX) {
            Ok(Some(asked)) => {
                let there = slots.ceiling();
                if asked > there {
                    let what = format!(
                        "DATABASE_CEILING is {asked}, and the database has {there} for the functions"
                    );
                    findings.push(
                        Finding::fails(Rule::Ceiling, what)
                            .of(&function.logical_id)
                            .change(format!("set DATABASE_CEILING to {there}")),
                    );
                } else {
                    slots.role_limit = Some(asked);
                }
            }
            // What is not known here bounds nothing; the sum is compared with the database.
            Ok(None) => {}
            Err(finding) if finding.severity == Severity::Unknown => {}
            Err(finding) => findings.push(finding),
        }
    }
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

/// The sum is more than the ceiling, and what would mend it.
fn over_budget(functions: &[&Function], demands: &[Demand], ceiling: u32) -> Option<Finding> {
    let budget = sum(demands);
    let excess = budget
        .checked_sub(ceiling.into())
        .filter(|excess| *excess > 0)?;
    let what =
        format!("the budget of {budget} sessions exceeds the ceiling of {ceiling} by {excess}");
    let certain: Vec<Demand> = demands
        .iter()
        .filter(|demand| {
            functions
                .iter()
                .any(|function| function.logical_id == demand.function && function.deployed.is_ok())
        })
        .cloned()
        .collect();
    let finding = if sum(&certain) > ceiling.into() {
        Finding::fails(Rule::Budget, what)
    } else {
        let what = format!("{what}, with functions whose Condition is not known here");
        return Some(Finding::unknown(Rule::Budget, what).change(demand::GIVE_PARAMETERS));
    };
    let more = format!("find {excess} more connections");
    Some(match lowered(demands, ceiling) {
        Some(changes) => {
            let first = changes.first().map(|(demand, _)| demand.function.as_str());
            let changes: Vec<String> = changes
                .iter()
                .map(|(demand, environments)| {
                    format!(
                        "lower {} of {} from {} to {environments}",
                        demand.property(),
                        demand.function,
                        demand.environments
                    )
                })
                .collect();
            finding
                .of(first.unwrap_or_default())
                .change(format!("{}; or {more}", changes.join(", ")))
        }
        None => finding.change(format!(
            "one environment of each is too many: merge functions, or {more}"
        )),
    })
}

/// Fewer environments that fit: of one function where one alone can give them, else of the largest,
/// down to the same number of sessions each. None where one environment of each does not fit.
fn lowered(demands: &[Demand], ceiling: u32) -> Option<Vec<(&Demand, u32)>> {
    let ceiling = u64::from(ceiling);
    let excess = sum(demands).saturating_sub(ceiling);
    let alone = demands
        .iter()
        .filter_map(|demand| {
            let fewer = excess.div_ceil(demand.connection_limit.get().into());
            let left = demand.environments.checked_sub(fewer.try_into().ok()?)?;
            (left > 0).then_some((demand, left, fewer))
        })
        .min_by_key(|(demand, _, fewer)| (*fewer, std::cmp::Reverse(demand.connections())));
    if let Some((demand, left, _)) = alone {
        return Some(vec![(demand, left)]);
    }
    // So many sessions each, but one environment at least.
    let levelled = |level: u64| {
        let environments = |demand: &Demand| {
            let fitting = level / u64::from(demand.connection_limit.get());
            let fitting = u32::try_from(fitting).unwrap_or(u32::MAX).max(1);
            demand.environments.min(fitting)
        };
        let lower = |demand: &Demand| Demand {
            environments: environments(demand),
            ..demand.clone()
        };
        demands.iter().map(lower).collect::<Vec<Demand>>()
    };
    // The highest level that fits, by halving.
    let (mut fits, mut too_many) = (0, ceiling + 1);
    while too_many - fits > 1 {
        let level = fits.midpoint(too_many);
        if sum(&levelled(level)) <= ceiling {
            fits = level;
        } else {
            too_many = level;
        }
    }
    let mut after = levelled(fits);
    let mut left = ceiling.checked_sub(sum(&after))?;
    // What rounding left over.
    for (lower, demand) in after.iter_mut().zip(demands) {
        let limit = u64::from(demand.connection_limit.get());
        if lower.environments < demand.environments && limit <= left {
            lower.environments += 1;
            left -= limit;
        }
    }
    let changes = demands.iter().zip(after);
    Some(
        changes
            .filter(|(demand, lower)| lower.environments < demand.environments)
            .map(|(demand, lower)| (demand, lower.environments))
            .collect(),
    )
}

fn overlap_finding(
    overlap: Overlap,
    ceiling: u32,
    retention: Retention,
    question: &Question<'_>,
) -> Option<Finding> {
    if overlap.connections <= ceiling.into() {
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
    Some(finding.change(format!(
        "bring the budget down to {}",
        overlap::largest_budget(ceiling, retention)
    )))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn demand(function: &str, environments: u32, limit: u32) -> Demand {
        Demand {
            function: function.to_owned(),
            environments,
            managed: false,
            connection_limit: NonZeroU32::new(limit).unwrap(),
        }
    }

    #[test]
    fn one_function_gives_way_where_it_can() {
        let demands = [demand("A", 20, 1), demand("B", 70, 1), demand("C", 10, 1)];
        assert_eq!(lowered(&demands, 90), Some(vec![(&demands[1], 60)]));
    }

    #[test]
    fn several_give_way_where_one_cannot() {
        let demands = [demand("A", 5, 1), demand("B", 5, 1), demand("C", 5, 1)];
        let changes = lowered(&demands, 9).unwrap();
        let left: Vec<u32> = changes.iter().map(|(_, left)| *left).collect();
        assert_eq!(left, [3, 3, 3]);
        assert_eq!(lowered(&demands, 2), None);
    }

    proptest! {
        #[test]
        fn what_is_proposed_fits(
            sizes in proptest::collection::vec((1_u32..50, 1_u32..6), 1..20),
            ceiling in 0_u32..200,
        ) {
            let demands: Vec<Demand> = sizes
                .iter()
                .enumerate()
                .map(|(index, (environments, limit))| demand(&index.to_string(), *environments, *limit))
                .collect();
            let least: u32 = demands.iter().map(|demand| demand.connection_limit.get()).sum();
            match lowered(&demands, ceiling) {
                None => prop_assert!(least > ceiling),
                Some(changes) => {
                    let mut after = demands.clone();
                    for (demand, environments) in changes {
                        prop_assert!(environments > 0);
                        let changed = after.iter_mut().find(|one| one.function == demand.function);
                        changed.unwrap().environments = environments;
                    }
                    prop_assert!(sum(&after) <= ceiling.into());
                }
            }
        }
    }

    /// Lines of templates, odd ones among them.
    const LINES: [&str; 30] = [
        "Resources:",
        "Globals:",
        "Parameters:",
        "Conditions:",
        "Mappings:",
        "Function:",
        "Properties:",
        "Environment:",
        "Variables:",
        "Events:",
        "A:",
        "A: &a",
        "B: *a",
        "Type: AWS::Serverless::Function",
        "Type: AWS::Lambda::Function",
        "Condition: A",
        "A: !Condition A",
        "A: !If [A, !Ref A, 5]",
        "A: !Sub ['${A}${', {A: !Split ['', a]}]",
        "DATABASE_URL: postgresql://u:p@h/d?pool_timeout=5",
        "DATABASE_URL: !GetAtt A.B",
        "DATABASE_CONNECTION_LIMIT: !Select [-1, []]",
        "DATABASE_CEILING: 4294967295",
        "ReservedConcurrentExecutions: 4294967295",
        "ReservedConcurrentExecutions: !FindInMap [A, A, A]",
        "Timeout: 900",
        "CapacityProviderConfig: {PerExecutionEnvironmentMaxConcurrency: 1600}",
        "FunctionScalingConfig: {MaxExecutionEnvironments: 4294967295}",
        "Get: {Type: HttpApi, Properties: {Path: [5]}}",
        "- [1.5, ~, {}]",
    ];

    fn answered(text: &str, ceiling: u32) -> Option<Verdict> {
        let template = crate::template::parse(text, &Default::default()).ok()?;
        let settings = DatabaseUrl::parse("postgresql://user@localhost/").unwrap();
        let slots = Slots {
            max_connections: ceiling,
            source: String::new(),
            superuser_reserved: 0,
            reserved: 0,
            other_clients: 0,
            role_limit: None,
        };
        let report = check(&Question {
            template: &template,
            slots,
            url: Url {
                settings,
                known: false,
            },
            account_concurrency: 1_000,
            overlap_fails: true,
            server_version: None,
            pooler: false,
        });
        Some(report.verdict)
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,200}", ceiling: u32) {
            answered(&text, ceiling);
        }

        #[test]
        fn any_lines_are_answered(
            lines in proptest::collection::vec((0_usize..8, 0_usize..LINES.len()), 0..40),
            ceiling: u32,
        ) {
            let lines: Vec<String> = lines
                .into_iter()
                .map(|(depth, line)| format!("{}{}", "  ".repeat(depth), LINES[line]))
                .collect();
            answered(&lines.join("\n"), ceiling);
        }

        /// Under a function's properties, where most lines mean something.
        #[test]
        fn any_properties_are_answered(
            lines in proptest::collection::vec(0_usize..LINES.len(), 0..12),
            ceiling: u32,
        ) {
            let mut text = "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
                            Environment: {Variables: {DATABASE_URL: 'postgresql://u@h/d'}}\n"
                .to_owned();
            let mut lines = lines;
            lines.sort_unstable();
            lines.dedup();
            for line in lines {
                // A key alone opens a mapping that nothing would fill.
                if !LINES[line].ends_with(':') && LINES[line].contains(": ") {
                    text.push_str("      ");
                    text.push_str(LINES[line]);
                    text.push('\n');
                }
            }
            answered(&text, ceiling);
        }
    }
}
