//! The lines of a plan to paste into a template.

use std::collections::BTreeMap;

use shared::operator::{
    budget::plan::{Plan, Share},
    template::{Function, Variable},
};

/// The variable that says how many sessions an environment may open.
const LIMIT: &str = "DATABASE_CONNECTION_LIMIT";

/// Reservations where the template has them, in its mappings or at the functions, and what else the
/// functions do not say yet.
pub(super) fn template(plan: &Plan, there: &[Function]) -> String {
    let mut mappings = BTreeMap::<_, BTreeMap<_, BTreeMap<_, u32>>>::new();
    let mut resources = String::new();
    for share in &plan.functions {
        let function = there.iter().find(|f| f.logical_id == share.function);
        let mapped = function.and_then(|function| function.reserved_in.as_ref());
        let mut properties = String::new();
        match mapped {
            Some(mapped) if share.concurrency.get() == 1 => {
                let lines = mappings.entry(&mapped.mapping).or_default();
                let line = lines.entry(&mapped.line).or_default();
                // Functions may share a value, which has to be enough for each.
                let value = line.entry(&mapped.key).or_default();
                *value = share.environments.max(*value);
            }
            _ => properties.push_str(&bound(share)),
        }
        if !function.is_some_and(|function| says(function, share)) {
            properties.push_str(&format!(
                "      Environment:\n        Variables:\n          {LIMIT}: \"{}\"\n",
                share.connection_limit
            ));
        }
        if !properties.is_empty() {
            resources.push_str(&format!(
                "  {}:\n    Properties:\n{properties}",
                share.function
            ));
        }
    }
    let mut text = String::new();
    if !mappings.is_empty() {
        text.push_str("Mappings:\n");
    }
    for (mapping, lines) in mappings {
        text.push_str(&format!("  {mapping}:\n"));
        for (line, values) in lines {
            text.push_str(&format!("    \"{line}\":\n"));
            for (key, environments) in values {
                text.push_str(&format!("      {key}: {environments}\n"));
            }
        }
    }
    if !resources.is_empty() {
        text.push_str(&format!("Resources:\n{resources}"));
    }
    text
}

/// What bounds a function's environments.
fn bound(share: &Share) -> String {
    if share.concurrency.get() == 1 {
        return format!(
            "      ReservedConcurrentExecutions: {}\n",
            share.environments
        );
    }
    format!(
        "      CapacityProviderConfig:\n        PerExecutionEnvironmentMaxConcurrency: {}\n      \
         FunctionScalingConfig:\n        MaxExecutionEnvironments: {}\n",
        share.concurrency, share.environments
    )
}

/// Whether the function has this connection limit already.
fn says(function: &Function, share: &Share) -> bool {
    let variables = function.variables.as_ref();
    let said = variables.ok().and_then(|variables| variables.get(LIMIT));
    said == Some(&Variable::Literal(share.connection_limit.to_string()))
}
