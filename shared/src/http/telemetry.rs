//! What each invocation leaves behind: one line in the log, and one of metrics. Neither holds anything
//! personal: no path, no query string, no body, no subject.

pub(crate) mod access_log;
pub mod metrics;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use lambda_http::{Context, http::StatusCode};
use tokio::time::Instant;

use crate::{
    clock,
    config::{self, ConfigError, Function},
    database::pool::{Spent, Statistics},
    http::telemetry::metrics::{Emitter, Measured},
};

/// Begins and ends the invocations of this environment.
pub(crate) struct Telemetry {
    function: Arc<Function>,
    metrics: Option<Emitter>,
    /// Whether none has begun yet.
    cold: AtomicBool,
}

/// An invocation that has begun.
pub(crate) struct Begun<'t> {
    telemetry: &'t Telemetry,
    pub(crate) context: Context,
    start: Instant,
    cold: bool,
}

/// How an invocation ended.
pub(crate) struct Outcome<'a> {
    /// The route's key, such as `GET /api/doctors/{id}`: a path would hold ids. None where it was
    /// invoked directly.
    pub(crate) route: Option<&'a str>,
    /// What an invocation that is no request would have been answered with.
    pub(crate) status: StatusCode,
    /// The end of the problem's type, where the answer is one.
    pub(crate) problem: Option<&'static str>,
    pub(crate) spent: Spent,
    /// What the pool holds now; none where it was not made yet.
    pub(crate) pool: Option<Statistics>,
}

impl Telemetry {
    pub(crate) fn new(function: &Arc<Function>) -> Result<Self, ConfigError> {
        Ok(Self {
            function: Arc::clone(function),
            metrics: config::Metrics::from_env()?.map(Emitter::of_invocations),
            cold: AtomicBool::new(true),
        })
    }

    /// One begins.
    pub(crate) fn begin(&self, context: Context) -> Begun<'_> {
        Begun {
            telemetry: self,
            context,
            start: Instant::now(),
            cold: self.cold.swap(false, Ordering::Relaxed),
        }
    }
}

impl Begun<'_> {
    /// It is over: writes the lines.
    pub(crate) fn end(&self, outcome: &Outcome<'_>) {
        let Telemetry {
            function, metrics, ..
        } = self.telemetry;
        let duration = self.start.elapsed();
        let request_id = &self.context.request_id;
        tracing::info!(
            request_id,
            trace_id = self.context.xray_trace_id.as_deref().map(root),
            route = outcome.route,
            status = outcome.status.as_u16(),
            problem = outcome.problem,
            duration_ms = duration.as_secs_f64() * 1000.0,
            environment = %function.environment,
            cold = self.cold,
            "invocation over"
        );
        if let Some(metrics) = metrics {
            metrics.emit(&Measured {
                at: clock::now(),
                function,
                request_id,
                cold: self.cold,
                duration,
                status: outcome.status,
                problem: outcome.problem,
                spent: outcome.spent,
                pool: outcome.pool,
            });
        }
    }
}

/// The trace's id in X-Ray's header, which looks like `Root=1-…;Parent=…;Sampled=1`; what looks
/// otherwise is taken as it is.
fn root(header: &str) -> &str {
    let mut parts = header.split(';');
    parts
        .find_map(|part| part.trim().strip_prefix("Root="))
        .unwrap_or(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_traces_id() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!(root(header), "1-5759e988-bd862e3fe1be46a994272793");
        assert_eq!(root("Sampled=0; Root=1-a-b"), "1-a-b");
        assert_eq!(root("else"), "else");
    }
}
