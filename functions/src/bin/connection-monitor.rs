//! Looks at the database's sessions, each minute, as the monitor's role: metrics and a line in the
//! log, the same as the answer. One connection, closed at its end; no session is ended.

use serde_json::Value;
use shared::{
    config::{self, Metrics},
    database::{credentials, server::activity},
    http::{invocation::Invocation, problem::Error, telemetry::metrics},
};

fn main() -> Result<(), lambda_runtime::Error> {
    shared::http::lambda::serve_event(handler)
}

async fn handler(_: Invocation) -> Result<Value, Error> {
    // In this function DATABASE_URL and its like are the monitor's.
    let url = credentials::application().await?;
    let role = config::application_role();
    let sample = activity::look_once(&url, role.as_deref()).await?;
    sample.log();
    if let Some(config) = Metrics::from_env()? {
        metrics::emit_sessions(config, &sample);
    }
    serde_json::to_value(sample).map_err(|error| Error::Unexpected(error.into()))
}
