//! `DATABASE_CEILING`: the limit that the migrations give the application's role.

use super::super::{
    ceiling::Slots,
    demand,
    finding::{Finding, Rule},
};
use crate::operator::template::Function;

/// `DATABASE_CEILING`, which the migrations make the role's own limit, whatever that is now: the
/// smallest one that is known counts, and it must be one that the database has.
///
/// Behind a pooler it bounds what the pooler opens, and not the clients that the functions are.
pub(super) fn check(functions: &[&Function], pooler: bool, slots: &mut Slots) -> Vec<Finding> {
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
