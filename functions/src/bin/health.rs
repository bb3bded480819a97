//! `GET /api/live`, for everybody, and `GET /api/health`: is the process up? With `?deep=1`, for
//! staff: is the database, and how full is it?

use serde::{Deserialize, Serialize};
use shared::{
    answer::Response,
    auth::Action,
    error::Error,
    health::{self, ServerHealth},
    pool::Statistics,
    request::Request,
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
#[derive(Deserialize)]
enum Deep {
    #[serde(rename = "1")]
    Yes,
    #[serde(rename = "0")]
    No,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseHealth>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DatabaseHealth {
    reachable: bool,
    #[serde(flatten)]
    server: ServerHealth,
    /// As the pool is between two requests: the session that looked is back in it.
    pool: Statistics,
}

async fn handler(request: Request) -> Result<Response, Error> {
    match request.route() {
        "GET /api/live" => request.many(&Health {
            status: "ok",
            database: None,
        }),
        _ => health(request).await,
    }
}

async fn health(request: Request) -> Result<Response, Error> {
    request.caller()?;
    let query: Query = request.query()?;
    let database = match query.deep {
        Some(Deep::Yes) => {
            request.caller()?.may(Action::SeeOperations)?;
            Some(DatabaseHealth {
                reachable: true,
                server: health::look(request.reader().await?).await?,
                pool: request.pool_statistics().await?,
            })
        }
        Some(Deep::No) | None => None,
    };
    request.many(&Health {
        status: "ok",
        database,
    })
}
