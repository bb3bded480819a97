//! A sum beyond the ceiling, and the smallest change that would hold.

use super::{
    demand::{self, Demand, sum},
    finding::{Finding, Rule},
};
use crate::template::Function;

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
}
