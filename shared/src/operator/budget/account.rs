//! Whether Lambda's account limit can grant the reservations.

use super::{
    demand,
    finding::{Finding, Rule},
};
use crate::operator::template::Function;

/// An account's concurrency in a region in which it was never raised.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const CONCURRENCY: u32 = 1_000;

/// What must stay unreserved for functions without a reservation.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>
const UNRESERVED: u32 = 100;

/// What the account cannot grant, or what is not known about it.
pub fn check(functions: &[Function], concurrency: u32) -> Vec<Finding> {
    let mut unknown = Vec::new();
    let mut certain: u32 = 0;
    // Of functions whose condition is not known here.
    let mut possible: u32 = 0;
    for function in functions {
        match (&function.reserved_concurrency, &function.deployed) {
            (Ok(Some(number)), Ok(())) => certain = certain.saturating_add(*number),
            (Ok(Some(number)), Err(_)) => possible = possible.saturating_add(*number),
            (Ok(None), _) => {}
            (Err(error), _) => unknown.push(demand::of_template(error)),
        }
    }
    if exceeds(certain, concurrency) {
        return vec![refused(certain, concurrency)];
    }
    let most = certain.saturating_add(possible);
    if exceeds(most, concurrency) {
        let what = format!(
            "with functions whose Condition is not known here the reservations may sum up to {most}, \
             which the account's concurrency of {concurrency} could not grant"
        );
        unknown.push(Finding::unknown(Rule::Account, what).change(demand::GIVE_PARAMETERS));
    }
    unknown
}

/// Whether so many cannot be reserved. Nothing can always be.
fn exceeds(reserved: u32, concurrency: u32) -> bool {
    reserved > 0 && reserved.saturating_add(UNRESERVED) > concurrency
}

fn refused(reserved: u32, concurrency: u32) -> Finding {
    let needed = reserved.saturating_add(UNRESERVED);
    let what = format!(
        "the reservations sum up to {reserved}, {UNRESERVED} must stay unreserved, and the account has \
         a concurrency of {concurrency}: Lambda would refuse the deployment"
    );
    let quota = format!("have the quota \"Concurrent executions\" raised to {needed}");
    let change = match concurrency.saturating_sub(UNRESERVED) {
        0 => quota,
        most => format!("{quota}, or lower the reservations to {most} in all"),
    };
    Finding::fails(Rule::Account, what).change(change)
}
