//! Two versions side by side, while a deployment replaces the old one.

use super::{
    super::{
        demand::{Demand, sum},
        excess,
        finding::{Finding, Rule},
        overlap::{self, Overlap, Retention},
    },
    LEASES_SINCE, Question,
};

/// Sessions of Managed Instances' environments, which a new version brings a second time.
fn managed(demands: &[Demand]) -> u64 {
    let managed = demands.iter().filter(|demand| demand.managed);
    managed.map(Demand::connections).sum()
}

/// What does not fit while both versions have sessions.
pub(super) fn check(
    demands: &[Demand],
    ceiling: u32,
    retention: Retention,
    question: &Question<'_>,
) -> Option<Finding> {
    both_run(demands, ceiling).or_else(|| both_hold(demands, ceiling, retention, question))
}

/// The worst case of a deployment.
pub(super) fn worst(demands: &[Demand], ceiling: u32, retention: Retention) -> Overlap {
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

/// Frozen environments of the old version hold sessions until a lease ends them.
fn both_hold(
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
