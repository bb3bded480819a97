//! What one invocation tells.

use std::time::{Duration, SystemTime};

use lambda_http::http::StatusCode;
use metrique_writer::{Entry, EntryWriter, MetricValue, unit::Count};

use super::counted;
use crate::{
    config::Function,
    database::pool::{Spent, Statistics},
};

/// One invocation, when it is over.
pub(crate) struct Measured<'a> {
    pub(crate) at: SystemTime,
    pub(crate) function: &'a Function,
    pub(crate) request_id: &'a str,
    /// Whether it was its environment's first.
    pub(crate) cold: bool,
    pub(crate) duration: Duration,
    pub(crate) status: StatusCode,
    /// The end of the problem's type, where the answer is one.
    pub(crate) problem: Option<&'static str>,
    pub(crate) spent: Spent,
    /// Absent where the environment has no pool.
    pub(crate) pool: Option<Statistics>,
}

impl Entry for Measured<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        writer.timestamp(self.at);
        writer.value("function_name", &self.function.name);
        writer.value("function_version", &self.function.version);
        // No dimensions, and so no metrics of their own: to find the lines of one request.
        writer.value("request_id", self.request_id);
        writer.value("environment", &self.function.environment.to_string());

        writer.value("ColdStart", &counted(u64::from(self.cold)));
        writer.value("Duration", &self.duration);
        let failed = self.status.is_server_error();
        writer.value("ServerErrors", &counted(u64::from(failed)));
        if let Some(name) = self.problem.filter(|_| failed).and_then(metric) {
            writer.value(name, &counted(1));
        }

        let Spent {
            acquire_wait,
            query_time,
            retries,
            attempts,
            opened,
            lost,
            transient_closes,
        } = self.spent;
        writer.value("AcquireWait", &acquire_wait);
        writer.value("QueryTime", &query_time);
        writer.value("Retries", &counted(retries));
        writer.value("ConnectionAttempts", &counted(attempts));
        writer.value("SessionsOpened", &counted(opened));
        writer.value("SessionsLost", &counted(lost));
        writer.value("TransientCloses", &counted(transient_closes));
        if let Some(pool) = self.pool {
            // Zero idle sessions say something, unlike zero events.
            writer.value("PoolSize", &pool.size.with_unit::<Count>());
            writer.value("PoolIdle", &pool.idle.with_unit::<Count>());
        }
    }
}

/// The metric that counts a problem of the database's; the others are `ServerErrors` only.
fn metric(problem: &str) -> Option<&'static str> {
    Some(match problem {
        "database-busy" => "DatabaseBusy",
        "database-unreachable" => "DatabaseUnreachable",
        "pool-timeout" => "PoolTimeout",
        "outcome-unknown" => "OutcomeUnknown",
        "credentials-unavailable" => "CredentialsUnavailable",
        "query-timeout" => "QueryTimeout",
        _ => return None,
    })
}
