//! How many sessions one function may have: environments that may be active × connection limit.

use std::num::NonZeroU32;

use serde::Serialize;

use super::finding::{Finding, Rule};
use crate::{
    config::{
        self,
        database_url::{DatabaseUrl, MAX_CONNECTION_LIMIT},
    },
    database::pool::limit::connection_limit,
    operator::template::{Function, Managed, Variable},
};

/// What a function may ask of the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// The function's logical id.
    pub function: String,
    /// Environments that may be active at once.
    pub environments: u32,
    /// Whether it runs on Lambda Managed Instances, where that number counts for each version and
    /// environments are never frozen.
    pub managed: bool,
    /// Sessions that one environment may open.
    pub connection_limit: NonZeroU32,
}

impl Demand {
    /// Sessions of all environments.
    pub fn connections(&self) -> u64 {
        u64::from(self.environments) * u64::from(self.connection_limit.get())
    }

    /// The property that says how many environments there may be.
    pub fn property(&self) -> &'static str {
        property(self.managed)
    }
}

/// Sessions of all of them.
pub(super) fn sum(demands: &[Demand]) -> u64 {
    demands.iter().map(Demand::connections).sum()
}

pub(super) fn property(managed: bool) -> &'static str {
    if managed {
        "FunctionScalingConfig.MaxExecutionEnvironments"
    } else {
        "ReservedConcurrentExecutions"
    }
}

/// The settings in a function's URL, as far as they are known before the deployment.
#[derive(Clone, Debug)]
pub struct Url {
    /// The URL, or one that stands in for it.
    pub settings: DatabaseUrl,
    /// Whether the settings are the function's own or were given for it. Otherwise they are the
    /// defaults, and the function's may be others.
    pub known: bool,
}

/// Whether a function leads to a database, by any of the variables that do. One that is empty counts
/// as not set, and one for IAM's authentication that says `off` as switched off.
///
/// # Errors
/// Where its variables are known only once deployed.
pub fn uses_database(function: &Function) -> Result<bool, Finding> {
    let variables = function.variables.as_ref().map_err(of_template)?;
    let set = |name: &str, off: &str| match variables.get(name) {
        None => false,
        Some(Variable::Literal(text)) => !text.is_empty() && text != off,
        Some(Variable::Unresolved(_)) => true,
    };
    Ok(config::ROLES.iter().any(|role| {
        let places = [role.url, role.secret, role.parameter];
        places.iter().any(|name| set(name, "")) || set(role.iam, "off")
    }))
}

/// A function's variable; none where it is not set, or not known whether.
pub(super) fn variable<'f>(function: &'f Function, name: &str) -> Option<&'f Variable> {
    function.variables.as_ref().ok()?.get(name)
}

/// A number in one of a function's variables.
///
/// # Errors
/// Where it is no whole number in the range, or not known here.
pub fn number(
    function: &Function,
    name: &'static str,
    least: u32,
    most: u32,
) -> Result<Option<u32>, Finding> {
    let text = match variable(function, name) {
        None => return Ok(None),
        Some(Variable::Literal(text)) if text.is_empty() => return Ok(None),
        Some(Variable::Literal(text)) => text,
        Some(Variable::Unresolved(expression)) => {
            let what = format!("{name} is {expression}, which is not known here");
            return Err(Finding::unknown(Rule::Template, what)
                .of(&function.logical_id)
                .change(GIVE_PARAMETERS));
        }
    };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let what = format!("{name} is no whole number from {least} to {most}");
            Err(Finding::fails(Rule::Configuration, what).of(&function.logical_id))
        }
    }
}

/// What helps against a value that is not known here.
pub(super) const GIVE_PARAMETERS: &str =
    "give the parameters that it depends on, by --parameter NAME=VALUE or --samconfig";

/// The connection limit of one environment, by the same rule as the pool's own.
///
/// # Errors
/// Where it depends on what is not known here.
pub fn limit(function: &Function, url: &Url) -> Result<NonZeroU32, Finding> {
    let variable = number(
        function,
        "DATABASE_CONNECTION_LIMIT",
        1,
        MAX_CONNECTION_LIMIT,
    )?
    .and_then(NonZeroU32::new);
    let asked = url.settings.connection_limit;
    let concurrency = concurrency(function)?;
    let unknown = |what: &str| {
        Err(Finding::unknown(Rule::Template, what)
            .of(&function.logical_id)
            .change("set DATABASE_CONNECTION_LIMIT"))
    };
    match concurrency {
        // More than one invocation at once, and the URL may ask for one session for each.
        Some(concurrency) if !url.known && variable.is_none() && concurrency.get() > 1 => unknown(
            "one environment serves several invocations at once, and the URL, which may ask for as \
             many sessions, is not known here",
        ),
        Some(concurrency) => Ok(connection_limit(asked, variable, concurrency).effective),
        None if variable.is_none() && asked.is_none() => unknown(
            "CapacityProviderConfig has no PerExecutionEnvironmentMaxConcurrency, so that nobody \
             says how many invocations one environment serves at once",
        ),
        None => Ok(connection_limit(asked, variable, NonZeroU32::MAX).effective),
    }
}

/// Invocations that one environment serves at once; none if the template does not say.
fn concurrency(function: &Function) -> Result<Option<NonZeroU32>, Finding> {
    let variable = number(function, "AWS_LAMBDA_MAX_CONCURRENCY", 1, u32::MAX)?;
    let number = match (&function.managed, variable) {
        (_, Some(number)) => Some(number),
        (None, None) => Some(1),
        (Some(Managed { concurrency, .. }), None) => {
            concurrency.clone().map_err(|error| of_template(&error))?
        }
    };
    Ok(number.and_then(NonZeroU32::new))
}

/// Environments that may be active at once; none where nothing bounds them.
///
/// # Errors
/// Where the number is not known here.
pub fn environments(function: &Function) -> Result<Option<u32>, Finding> {
    let number = match &function.managed {
        Some(managed) => &managed.max_environments,
        None => &function.reserved_concurrency,
    };
    number.clone().map_err(|error| of_template(&error))
}

/// A property that a number depends on and that cannot be used, or is not known.
pub(super) fn of_template(error: &crate::operator::template::Unusable) -> Finding {
    let what = format!(
        "{} is {}; accepted is {}",
        error.property, error.found, error.accepted
    );
    Finding::unknown(Rule::Template, what)
        .of(&error.logical_id)
        .change(format!("write that, or {GIVE_PARAMETERS}"))
}
