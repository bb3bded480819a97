//! The database's health, as the application's own role sees it.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

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
/// The driver's.
pub async fn look(db: impl PgExecutor<'_>) -> sqlx::Result<ServerHealth> {
    sqlx::query_as!(
        ServerHealth,
        r#"
        select current_setting('server_version') as "server_version!",
               (select count(*) from pg_stat_activity where usesysid = r.oid) as "sessions!",
               least(
                   -- No limit binds a superuser.
                   case when not r.rolsuper then nullif(r.rolconnlimit, -1) end,
                   case when not r.rolsuper then nullif(d.datconnlimit, -1) end,
                   current_setting('max_connections')::int
                       - current_setting('superuser_reserved_connections')::int
                       -- PostgreSQL 16 and newer, and Amazon's.
                       - coalesce(current_setting('reserved_connections', true)::int, 0)
                       - coalesce(current_setting('rds.rds_reserved_connections', true)::int, 0)
               ) as "session_limit!"
        from pg_roles r, pg_database d
        where r.rolname = session_user and d.datname = current_database()
        limit 1
        "#
    )
    .fetch_one(db)
    .await
}
