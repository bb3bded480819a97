//! The database's health, as the application's own role sees it.

use serde::Serialize;
use sqlx::PgExecutor;

/// What one look at the server tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerHealth {
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// Sessions of this role, on all databases.
    pub sessions: i64,
    /// The most sessions this role may have: its own limit, or, where it has none, what is left of
    /// `max_connections` without the reserved slots.
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
               case
                   when r.rolconnlimit >= 0 then r.rolconnlimit
                   else current_setting('max_connections')::int
                        - current_setting('superuser_reserved_connections')::int
                        -- PostgreSQL 16 and newer.
                        - coalesce(current_setting('reserved_connections', true)::int, 0)
               end as "session_limit!"
        from pg_roles r
        where r.rolname = current_user
        limit 1
        "#
    )
    .fetch_one(db)
    .await
}
