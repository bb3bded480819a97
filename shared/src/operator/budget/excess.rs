//! A sum beyond the ceiling, and the smallest change of anything that would hold.

use super::{
    demand::{self, Demand, sum},
    finding::{Finding, Rule},
};
use crate::operator::template::Function;

/// The sum is more than the ceiling, and what would mend it.
pub(super) fn check(functions: &[&Function], demands: &[Demand], ceiling: u32) -> Option<Finding> {
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
    let fits = |demands: &[Demand]| sum(demands) <= ceiling.into();
    Some(mended(finding, demands, fits, Some(more)))
}

/// A finding with the functions to lower, the first of which it is about, until what it says fits;
/// or else `otherwise`.
pub(super) fn mended(
    finding: Finding,
    demands: &[Demand],
    fits: impl Fn(&[Demand]) -> bool,
    otherwise: Option<String>,
) -> Finding {
    let otherwise = otherwise.map_or(String::new(), |otherwise| format!("; or {otherwise}"));
    let Some(changes) = lowered(demands, fits) else {
        return finding.change(format!(
            "one environment of each is too many: merge functions{otherwise}"
        ));
    };
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
        .change(format!("{}{otherwise}", changes.join(", ")))
}

/// Fewer environments that fit: of one function where one alone can give them, else of the largest,
/// down to the same number of sessions each. None where one environment of each does not fit.
///
/// What fits must fit with fewer, too.
fn lowered(demands: &[Demand], fits: impl Fn(&[Demand]) -> bool) -> Option<Vec<(&Demand, u32)>> {
    let alone = demands
        .iter()
        .enumerate()
        .filter_map(|(index, demand)| {
            let mut fewer = demands.to_vec();
            let left = most(demand.environments.into(), |environments| {
                fewer[index].environments = narrow(environments);
                fits(&fewer)
            })?;
            (left > 0).then_some((demand, narrow(left)))
        })
        .min_by_key(|(demand, left)| {
            let fewer = demand.environments - left;
            (fewer, std::cmp::Reverse(demand.connections()))
        });
    if let Some(alone) = alone {
        return Some(vec![alone]);
    }
    // So many sessions each, but one environment at least.
    let levelled = |level: u64| {
        let lower = |demand: &Demand| {
            let fitting = level / u64::from(demand.connection_limit.get());
            Demand {
                environments: demand.environments.min(narrow(fitting).max(1)),
                ..demand.clone()
            }
        };
        demands.iter().map(lower).collect::<Vec<Demand>>()
    };
    let largest = demands.iter().map(Demand::connections).max()?;
    let mut after = levelled(most(largest, |level| fits(&levelled(level)))?);
    // What rounding left over.
    for (index, demand) in demands.iter().enumerate() {
        if after[index].environments < demand.environments {
            after[index].environments += 1;
            if !fits(&after) {
                after[index].environments -= 1;
            }
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

/// The largest number up to `limit` that fits, by halving; none where not even 0 does.
fn most(limit: u64, mut fits: impl FnMut(u64) -> bool) -> Option<u64> {
    if !fits(0) {
        return None;
    }
    let (mut fitting, mut too_many) = (0, limit.saturating_add(1));
    while too_many - fitting > 1 {
        let middle = fitting.midpoint(too_many);
        if fits(middle) {
            fitting = middle;
        } else {
            too_many = middle;
        }
    }
    Some(fitting)
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
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

    fn lowered(demands: &[Demand], ceiling: u32) -> Option<Vec<(&Demand, u32)>> {
        super::lowered(demands, |demands| sum(demands) <= ceiling.into())
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
}
