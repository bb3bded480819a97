//! Brings the schema up to date. Invoked at deployment, with any payload; answers with the schema's
//! version.

use serde_json::{Value, json};
use shared::{config::Database, error::Error, migrations};

fn main() -> Result<(), lambda_runtime::Error> {
    shared::lambda::serve_event(handler)
}

async fn handler() -> Result<Value, Error> {
    let version = migrations::run(&Database::from_env()?.url).await?;
    Ok(json!({ "schemaVersion": version }))
}
