//! Whether Lambda's account limit can grant the reservations.

use super::{
    demand,
    finding::{Finding, Rule},
};
use crate::template::Function;

/// An account's concurrency in a region where nobody raised it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const CONCURRENCY: u32 = 1_000;

/// What must stay unreserved for functions without a reservation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>
const UNRESERVED: u32 = 100;

/// What the account cannot grant, or what is not known about it.
pub fn check(functions: &[Function], concurrency: u32) -> Vec<Finding> {
    let mut unknown = Vec::new();
    let mut reserved: u32 = 0;
    for function in functions {
        match (&function.reserved_concurrency, &function.deployed) {
            (Ok(Some(number)), Ok(())) => reserved = reserved.saturating_add(*number),
            // Whether it is deployed decides only where it would make the difference, which is
            // far from likely; it is counted among what is not known.
            (Ok(Some(_)), Err(error)) | (Err(error), _) => {
                unknown.push(demand::of_template(error));
            }
            (Ok(None), _) => {}
        }
    }
    let needed = reserved.saturating_add(UNRESERVED);
    if reserved > 0 && needed > concurrency {
        let what = format!(
            "the reservations sum up to {reserved}, {UNRESERVED} must stay unreserved, and the \
             account has a concurrency of {concurrency}: Lambda would refuse the deployment"
        );
        let quota = format!("have the quota \"Concurrent executions\" raised to {needed}");
        let change = match concurrency.checked_sub(UNRESERVED) {
            None | Some(0) => quota,
            Some(most) => format!("{quota}, or lower the reservations to {most} in all"),
        };
        return vec![Finding::fails(Rule::Account, what).change(change)];
    }
    unknown
}
