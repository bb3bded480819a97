//! The database's health, as the application's own role sees it.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

use super::limits;
use crate::database::pool::Statistics;

/// Whether to check the database.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub enum Deep {
    /// It is, for staff.
    #[serde(rename = "1")]
    Yes,
    /// It is not.
    #[serde(rename = "0")]
    No,
}

/// The state of the process and, if it was checked, of the database.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`.
    pub status: &'static str,
    /// The state of the database, if it was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseHealth>,
}

/// How the database is, and the environment's pool.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DatabaseHealth {
    /// True: if the database does not answer, the response is a problem.
    pub reachable: bool,
    /// What one look at it told.
    #[serde(flatten)]
    pub server: ServerHealth,
    /// As the pool is between two requests: the session that looked is back in it.
    pub pool: Statistics,
}

/// What one look at the server tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServerHealth {
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// Sessions of this role, on all databases.
    pub sessions: i64,
    /// The most sessions this role may have: the smallest of its own limit, the database's, and what is
    /// left of `max_connections` without the reserved slots.
    pub session_limit: i32,
}

/// Looks at the server: its version, and how many of the role's sessions are in use.
///
/// # Errors
/// [`sqlx::Error`] if the query fails.
pub async fn look(db: impl PgExecutor<'_>) -> sqlx::Result<ServerHealth> {
    let limits = limits::of_role(db, None).await?;
    let limits = limits.ok_or(sqlx::Error::RowNotFound)?;
    Ok(ServerHealth {
        session_limit: i32::try_from(limits.session_limit()).unwrap_or(i32::MAX),
        server_version: limits.server_version,
        sessions: limits.sessions,
    })
}
