//! `GET /api/health`: is the process up? With `?deep=1` also: is the database, and how full is it?

use serde::Deserialize;
use serde_json::json;
use shared::{
    error::Error,
    health,
    request::{self, Request, Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    deep: Option<Deep>,
}

/// Whether the database is looked at.
#[derive(Clone, Copy, PartialEq, Deserialize)]
enum Deep {
    #[serde(rename = "1")]
    Yes,
    #[serde(rename = "0")]
    No,
}

async fn handler(request: Request) -> Result<Response, Error> {
    let query: Query = request.query()?;
    if query.deep != Some(Deep::Yes) {
        return request::json(&json!({ "status": "ok" }));
    }
    let server = health::look(request.reader()?).await?;
    let pool = request.pool_statistics()?;
    request::json(&json!({
        "status": "ok",
        "database": {
            "reachable": true,
            "serverVersion": server.server_version,
            "sessions": server.sessions,
            "sessionLimit": server.session_limit,
            "pool": { "limit": pool.limit, "size": pool.size, "idle": pool.idle },
        },
    }))
}
