//! What a running server grants, read from the server itself.

use serde::Serialize;
use sqlx::{PgExecutor, Row};

use crate::{
    config::database_url::DatabaseUrl,
    database::pool,
    http::problem::{Error, Phase},
};

/// What the server says about its slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerLimits {
    /// The server's major version, such as 15.
    pub version: u32,
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections` (PostgreSQL 16), and what RDS keeps for its own roles.
    pub reserved: u32,
    /// The smaller of the role's and the database's own limit; none where neither has one, or where
    /// the role is a superuser, whom no limit stops.
    pub role_limit: Option<u32>,
    /// Whether somebody between here and the server dropped the start-up settings: a pooler.
    pub pooler: bool,
}

/// Connects and reads. `role` is whose limit counts: the one that the URL names, where none is
/// given.
///
/// # Errors
/// As for any connection; [`Error::NotFound`] where the server has no such role.
pub async fn read(url: &DatabaseUrl, role: Option<&str>) -> Result<ServerLimits, Error> {
    let mut connection = pool::connect_for_watching(url).await?;
    let limits = look(&mut connection, role).await;
    // What was read is read, whether or not the server hears the goodbye.
    let _ = sqlx::Connection::close(connection).await;
    limits
        .map_err(|error| Error::of_driver(error, Phase::Running))?
        .ok_or(Error::NotFound("role"))
}

async fn look(db: impl PgExecutor<'_>, role: Option<&str>) -> sqlx::Result<Option<ServerLimits>> {
    // Not checked against the schema: it asks the catalog alone, and settings that only some
    // servers have.
    let row = sqlx::query(
        "select current_setting('server_version_num')::int / 10000 as version, \
                current_setting('max_connections')::int as max_connections, \
                current_setting('superuser_reserved_connections')::int as superuser_reserved, \
                coalesce(current_setting('reserved_connections', true)::int, 0) \
                    + coalesce(current_setting('rds.rds_reserved_connections', true)::int, 0) \
                    as reserved, \
                case when r.rolsuper then null \
                     else least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1)) end \
                    as role_limit, \
                current_setting('statement_timeout')::interval <> $1 * interval '1 second' as pooler \
         from pg_roles r, pg_database d \
         where r.rolname = coalesce($2, session_user) and d.datname = current_database() \
         limit 1",
    )
    .bind(pool::WATCHING_PATIENCE.as_secs_f64())
    .bind(role)
    .fetch_optional(db)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let number = |name| row.try_get(name).map(i32::unsigned_abs);
    let role_limit: Option<i32> = row.try_get("role_limit")?;
    Ok(Some(ServerLimits {
        version: number("version")?,
        max_connections: number("max_connections")?,
        superuser_reserved: number("superuser_reserved")?,
        reserved: number("reserved")?,
        role_limit: role_limit.map(i32::unsigned_abs),
        pooler: row.try_get("pooler")?,
    }))
}
