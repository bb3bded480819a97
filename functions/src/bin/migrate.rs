//! Brings the schema up to date, and the roles of those who use it. Invoked at deployment, with any
//! payload; answers with the schema's version.

use serde_json::{Value, json};
use shared::{
    database::{credentials, migrations, roles},
    http::{invocation::Invocation, problem::Error},
};

fn main() -> Result<(), lambda_runtime::Error> {
    shared::http::lambda::serve_event(handler)
}

async fn handler(_: Invocation) -> Result<Value, Error> {
    let config = credentials::migration().await?;
    let version = migrations::run(&config.owner).await?;
    roles::set_up(&config).await?;
    Ok(json!({ "schemaVersion": version }))
}
