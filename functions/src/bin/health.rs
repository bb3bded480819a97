//! `GET /api/live`, for every caller, and `GET /api/health`: is the process up? With `?deep=1`, for
//! staff: is the database, and how full is it?

use serde::Deserialize;
use shared::{
    clinic::permissions::{Action, authorize},
    database::server::health::{self, DatabaseHealth, Deep, Health},
    http::{problem::Error, request::Request, response::Response},
};

fn main() -> Result<(), lambda_http::Error> {
    shared::http::lambda::serve(handler)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    deep: Option<Deep>,
}

async fn handler(request: Request) -> Result<Response, Error> {
    match request.route() {
        "GET /api/live" => live(&request),
        _ => health(request).await,
    }
}

fn live(request: &Request) -> Result<Response, Error> {
    request.no_query()?;
    request.json(&Health {
        status: "ok",
        database: None,
    })
}

async fn health(request: Request) -> Result<Response, Error> {
    let caller = request.caller()?;
    let query: Query = request.query()?;
    let database = match query.deep {
        Some(Deep::Yes) => {
            authorize(&caller, Action::SeeOperations)?;
            Some(DatabaseHealth {
                reachable: true,
                server: health::look(request.reader().await?).await?,
                pool: request.pool_statistics().await?,
            })
        }
        Some(Deep::No) | None => None,
    };
    request.json(&Health {
        status: "ok",
        database,
    })
}
