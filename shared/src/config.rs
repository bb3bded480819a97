//! What the environment's variables say. The only place that reads them.

mod database;
pub mod database_url;
mod error;
mod lease;
mod migration;
mod renamed;
mod source;

use std::{env, fmt::Display, num::NonZeroU32, str::FromStr, time::Duration};

use uuid::Uuid;

pub use database::{Database, Guards};
#[cfg(feature = "operator")]
pub(crate) use database::{LEASE_LONG, RETAINED_PERCENT, statement_timeout};
pub use error::ConfigError;
pub use lease::LeasePolicy;
pub use migration::{Application, Migration};
#[cfg(feature = "operator")]
pub(crate) use renamed::RENAMED;
#[cfg(feature = "operator")]
pub(crate) use source::{APPLICATION, ROLES};
pub(crate) use source::{MONITOR, OWNER, application, credentials_timeout, parse};
pub use source::{Source, Store, Stored};

/// The longest time that a variable may name: Lambda's longest function time-out.
pub(crate) const MAX_SECONDS: u64 = 900;
/// The same in milliseconds, for what is measured in them.
const MAX_MILLISECONDS: u64 = MAX_SECONDS * 1000;

/// Who this process is.
#[derive(Clone, Debug)]
pub struct Function {
    /// `AWS_LAMBDA_FUNCTION_NAME`, set by Lambda.
    pub name: String,
    /// `AWS_LAMBDA_FUNCTION_VERSION`, set by Lambda; `$LATEST` or a number.
    pub version: String,
    /// This execution environment, made up at its start: log lines of one environment share it.
    pub environment: Uuid,
}

impl Function {
    /// Reads Lambda's variables; `local` where there is no Lambda.
    pub fn from_env() -> Self {
        let or_local = |name| variable(name).unwrap_or_else(|| "local".to_owned());
        Self {
            name: or_local("AWS_LAMBDA_FUNCTION_NAME"),
            version: or_local("AWS_LAMBDA_FUNCTION_VERSION"),
            environment: Uuid::new_v4(),
        }
    }
}

/// The log level: `RUST_LOG`, else `AWS_LAMBDA_LOG_LEVEL` (which Lambda sets from the function's
/// logging configuration, whether or not that names a level), else `info`.
pub fn log_level() -> String {
    variable("RUST_LOG")
        .or_else(|| variable("AWS_LAMBDA_LOG_LEVEL"))
        .unwrap_or_else(|| "info".to_owned())
}

/// Where metrics go; the names of Powertools for AWS Lambda, so that functions in other languages
/// end up beside these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// `POWERTOOLS_METRICS_NAMESPACE`: CloudWatch's namespace. Default `Headroom`.
    pub namespace: String,
    /// `POWERTOOLS_SERVICE_NAME`: the dimension `service`, which keeps two deployments in one
    /// account apart; the template sets it to the stack's name. Default `headroom`.
    pub service: String,
}

impl Metrics {
    /// Reads the variables; none where `METRICS` is `off`, on by default.
    ///
    /// # Errors
    /// [`ConfigError::Value`] where `METRICS` is neither `on` nor `off`.
    pub fn from_env() -> Result<Option<Self>, ConfigError> {
        if !switched("METRICS", true)? {
            return Ok(None);
        }
        let or = |name, default: &str| variable(name).unwrap_or_else(|| default.to_owned());
        Ok(Some(Self {
            namespace: or("POWERTOOLS_METRICS_NAMESPACE", "Headroom"),
            service: or("POWERTOOLS_SERVICE_NAME", "headroom"),
        }))
    }
}

/// Whose sessions the monitor counts: `DATABASE_APPLICATION_ROLE`; where it is not set, the one role
/// with a connection limit.
pub fn application_role() -> Option<String> {
    variable("DATABASE_APPLICATION_ROLE")
}

/// Whether the sessions are closed when Lambda ends the environment, for which an extension must be
/// registered: unless `GRACEFUL_SHUTDOWN` is `off`. Without it the server takes the sessions back
/// when it notices that their client is gone, or when their leases end.
///
/// # Errors
/// [`ConfigError::Value`] where it is neither `on` nor `off`.
pub fn graceful_shutdown() -> Result<bool, ConfigError> {
    switched("GRACEFUL_SHUTDOWN", true)
}

/// How many invocations this environment serves at once: `AWS_LAMBDA_MAX_CONCURRENCY`, which
/// Lambda Managed Instances set; 1 otherwise. Read as the runtime reads it, for which a value that
/// is no positive number means 1.
pub fn concurrency() -> NonZeroU32 {
    variable("AWS_LAMBDA_MAX_CONCURRENCY")
        .and_then(|value| value.parse().ok())
        .unwrap_or(NonZeroU32::MIN)
}

/// Whose days `from` and `to` are where no doctor's clock says: `CLINIC_TIME_ZONE`, an IANA name;
/// default UTC. The database knows the zones.
pub fn clinic_time_zone() -> String {
    variable("CLINIC_TIME_ZONE").unwrap_or_else(|| "UTC".to_owned())
}

/// Where a verified token says who the caller is and which roles they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `AUTH_SUBJECT_CLAIM`: what `doctors.subject` and `patients.subject` are compared with.
    /// Default `sub`.
    pub subject: String,
    /// `AUTH_ROLE_CLAIM`: one or more of `staff`, `doctor`, `patient`. Default `cognito:groups`.
    pub role: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            subject: "sub".to_owned(),
            role: "cognito:groups".to_owned(),
        }
    }
}

impl Claims {
    /// Reads the variables.
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            subject: variable("AUTH_SUBJECT_CLAIM").unwrap_or(default.subject),
            role: variable("AUTH_ROLE_CLAIM").unwrap_or(default.role),
        }
    }
}

/// Refuses the variables with which the driver seeds its options and which it offers no way to take
/// out again. The other PG* variables and `.pgpass` are overridden one by one, in `pool`.
pub(crate) fn refuse_driver_variables() -> Result<(), ConfigError> {
    match ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"]
        .into_iter()
        .find(|name| variable(name).is_some())
    {
        Some(name) => Err(ConfigError::Unwanted { name }),
        None => Ok(()),
    }
}

fn seconds(name: &'static str, default: u64) -> Result<Duration, ConfigError> {
    let seconds = number(name, 1, MAX_SECONDS)?;
    Ok(Duration::from_secs(seconds.unwrap_or(default)))
}

fn milliseconds(name: &'static str, least: u64, default: u64) -> Result<Duration, ConfigError> {
    let milliseconds = number(name, least, MAX_MILLISECONDS)?;
    Ok(Duration::from_millis(milliseconds.unwrap_or(default)))
}

/// A whole number within bounds.
fn number<T>(name: &'static str, least: T, most: T) -> Result<Option<T>, ConfigError>
where
    T: FromStr + PartialOrd + Display,
{
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    match value.parse::<T>() {
        Ok(number) if number >= least && number <= most => Ok(Some(number)),
        _ => Err(ConfigError::Value {
            name,
            value,
            accepted: format!("a whole number from {least} to {most}"),
        }),
    }
}

/// A switch, `on` or `off`.
fn switched(name: &'static str, default: bool) -> Result<bool, ConfigError> {
    match variable(name) {
        None => Ok(default),
        Some(value) if value == "on" => Ok(true),
        Some(value) if value == "off" => Ok(false),
        Some(value) => Err(ConfigError::Value {
            name,
            value,
            accepted: "on or off".to_owned(),
        }),
    }
}

/// One variable; an empty one counts as not set, as a template's empty parameter means it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads variables"
)]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
