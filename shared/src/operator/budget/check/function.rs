//! One function for itself: its sessions, its leases, its timeouts.

use std::num::NonZeroU32;

use super::super::{
    demand::{self, Demand, Url, sum},
    finding::{Finding, Rule, Severity},
    settings, time_limits,
};
use crate::{
    config::{LEASE_LONG, MAX_SECONDS, RETAINED_PERCENT},
    operator::template::Function,
};

/// What one function contributes to the budget, and what was found about it.
pub(super) struct Assessment<'a> {
    function: &'a Function,
    pub(super) size: Size,
    /// Whether its URL, as far as it is known, leads to a pooler.
    pub(super) pooler: bool,
    /// Whether its URL is known only once deployed, so that its parameters are assumed.
    pub(super) url_is_assumed: bool,
    /// The longest lease of its retained sessions, in seconds; 0 if that is not known.
    pub(super) lease_seconds: u64,
    /// Up to which share of the ceiling sessions are retained, in percent; 0 if that is not known.
    pub(super) retained_percent: u32,
    pub(super) findings: Vec<Finding>,
}

/// How many sessions a function may have.
pub(super) enum Size {
    Bounded(Demand),
    /// Nothing bounds its environments, each of which may have so many sessions.
    Unbounded(NonZeroU32),
    /// The findings say why.
    Unknown,
}

/// Assesses a function that uses the database. `otherwise` is its URL if its own is not known.
pub(super) fn assess<'a>(function: &'a Function, otherwise: &Url) -> Assessment<'a> {
    let mut findings = settings::old_names(function);
    let url = settings::url(function, otherwise);
    let size = match &url {
        Ok(url) => {
            findings.extend(time_limits::check(function, url));
            size(function, url, &mut findings)
        }
        Err(finding) => {
            findings.push(finding.clone());
            Size::Unknown
        }
    };
    let (lease_seconds, retained_percent) = leases(function).unwrap_or_else(|finding| {
        findings.push(finding);
        (0, 0)
    });
    for finding in &mut findings {
        doubt(function, finding);
    }
    Assessment {
        function,
        size,
        pooler: url.as_ref().is_ok_and(|url| url.settings.pgbouncer),
        url_is_assumed: url.is_ok_and(|url| !url.known),
        lease_seconds,
        retained_percent,
        findings,
    }
}

fn size(function: &Function, url: &Url, findings: &mut Vec<Finding>) -> Size {
    match (demand::environments(function), demand::limit(function, url)) {
        (Ok(Some(environments)), Ok(connection_limit)) => Size::Bounded(Demand {
            function: function.logical_id.clone(),
            environments,
            managed: function.managed.is_some(),
            connection_limit,
        }),
        (Ok(None), Ok(limit)) => Size::Unbounded(limit),
        (environments, limit) => {
            findings.extend(environments.err());
            findings.extend(limit.err());
            Size::Unknown
        }
    }
}

/// How long a function's retained sessions may sit idle, in seconds, and up to which share of the
/// ceiling they are retained, in percent.
fn leases(function: &Function) -> Result<(u64, u32), Finding> {
    let most = MAX_SECONDS as u32;
    let seconds = demand::number(function, "DATABASE_LEASE_LONG", 1, most)?;
    let percent = demand::number(function, "DATABASE_RETAINED_PERCENT", 0, 100)?;
    Ok((
        seconds.map_or(LEASE_LONG, u64::from),
        percent.unwrap_or(RETAINED_PERCENT.into()),
    ))
}

/// What does not hold of a function that may not be deployed at all cannot be told.
fn doubt(function: &Function, finding: &mut Finding) {
    if function.deployed.is_err() && finding.severity == Severity::Fails {
        finding.severity = Severity::Unknown;
        finding
            .what
            .push_str(" (if it is deployed: its Condition is not known here)");
    }
}

impl Assessment<'_> {
    /// The function's logical id.
    pub(super) fn logical_id(&self) -> &str {
        &self.function.logical_id
    }

    /// That nothing bounds its environments, with the room that the other functions leave; none if
    /// something does.
    pub(super) fn without_bound(&self, others: &[Demand], ceiling: u32) -> Option<Finding> {
        let Size::Unbounded(limit) = self.size else {
            return None;
        };
        let property = demand::property(self.function.managed.is_some());
        let room = u64::from(ceiling).saturating_sub(sum(others)) / u64::from(limit.get());
        let what = format!(
            "it uses the database and has no {property}, so that nothing bounds its environments"
        );
        let change = match room {
            0 => format!("set {property}, and lower another function's: the ceiling is used up"),
            _ => format!("set {property}: {room} or less"),
        };
        let mut finding = Finding::fails(Rule::Reservation, what)
            .of(&self.function.logical_id)
            .change(change);
        doubt(self.function, &mut finding);
        Some(finding)
    }
}
