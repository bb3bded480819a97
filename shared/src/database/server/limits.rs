//! How many sessions a role may have: the one query for it, and the one rule.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgExecutor, Row};

#[cfg(feature = "operator")]
use crate::{
    config::database_url::DatabaseUrl,
    database::error::{DatabaseError, Phase},
    database::pool,
};

/// SQL: the smaller of the connection limits of the role `r` (a row of `pg_roles`) and of the database
/// `d` (a row of `pg_database`); null if neither has one, or for a superuser, who is bound by none.
pub(crate) const ROLE_LIMIT: &str = "case when not r.rolsuper \
    then least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1)) end";

/// SQL: the slots that only roles with privileges get beside the superusers' own, by
/// `reserved_connections` (PostgreSQL 16 and newer) and by Amazon's setting.
pub(crate) const RESERVED: &str = "(coalesce(current_setting('reserved_connections', true)::int, 0) \
    + coalesce(current_setting('rds.rds_reserved_connections', true)::int, 0))";

/// What the server grants a role, and what the role has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// The server's version, such as `15.18`.
    pub server_version: String,
    /// Its major version, such as 15.
    pub version: u32,
    /// `max_connections`.
    pub max_connections: u32,
    /// `superuser_reserved_connections`.
    pub superuser_reserved: u32,
    /// `reserved_connections` (PostgreSQL 16), and what RDS keeps for its own roles.
    pub reserved: u32,
    /// The smaller of the role's and the database's own limit; none if neither has one, or if the role
    /// is a superuser, whom no limit stops.
    pub role_limit: Option<u32>,
    /// The role's sessions, on all databases.
    pub sessions: i64,
    /// The session's `statement_timeout`.
    pub statement_timeout: Duration,
}

impl ServerLimits {
    /// Whether something between here and the server dropped the settings with which [`read`]
    /// connected: a pooler.
    #[cfg(feature = "operator")]
    pub fn behind_pooler(&self) -> bool {
        self.statement_timeout != pool::WATCHING_TIMEOUT
    }

    /// The most sessions that the role may have; see [`session_limit`].
    pub fn session_limit(&self) -> u32 {
        session_limit(
            self.max_connections,
            self.superuser_reserved.saturating_add(self.reserved),
            self.role_limit,
        )
    }
}

/// The most sessions that a role may have: its own limit, or what is left of `max_connections` beside
/// the `reserved` slots if that is less. 0 if more is reserved than there is.
pub fn session_limit(max_connections: u32, reserved: u32, role_limit: Option<u32>) -> u32 {
    let slots = max_connections.saturating_sub(reserved);
    role_limit.map_or(slots, |limit| limit.min(slots))
}

/// Connects and reads. `role` is the one whose limit counts; without it, the one that the URL names.
///
/// # Errors
/// Every error of a connection; [`DatabaseError::UnknownRole`] if the server has no such role.
#[cfg(feature = "operator")]
pub async fn read(url: &DatabaseUrl, role: Option<&str>) -> Result<ServerLimits, DatabaseError> {
    let mut connection = pool::connect_for_watching(url).await?;
    let limits = of_role(&mut connection, role).await;
    // What was read counts, whether or not the server gets the Terminate message.
    let _ = sqlx::Connection::close(connection).await;
    limits
        .map_err(|error| DatabaseError::of_driver(error, Phase::Running))?
        .ok_or(DatabaseError::UnknownRole)
}

/// Asks the server; none if it has no such role. Without `role`, the one that logged in counts.
pub(super) async fn of_role(
    db: impl PgExecutor<'_>,
    role: Option<&str>,
) -> sqlx::Result<Option<ServerLimits>> {
    // Not checked against the schema: it asks the catalog alone, and settings that only some
    // servers have.
    let query = format!(
        "select current_setting('server_version') as server_version, \
                current_setting('server_version_num')::int / 10000 as version, \
                current_setting('max_connections')::int as max_connections, \
                current_setting('superuser_reserved_connections')::int as superuser_reserved, \
                {RESERVED} as reserved, \
                {ROLE_LIMIT} as role_limit, \
                (select count(*) from pg_stat_activity a where a.usesysid = r.oid) as sessions, \
                (extract(epoch from current_setting('statement_timeout')::interval) * 1000)::int \
                    as statement_timeout_ms \
         from pg_roles r, pg_database d \
         where r.rolname = coalesce($1, session_user) and d.datname = current_database() \
         limit 1"
    );
    let row = sqlx::query(AssertSqlSafe(query))
        .bind(role)
        .fetch_optional(db)
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let number = |name| row.try_get(name).map(i32::unsigned_abs);
    let role_limit: Option<i32> = row.try_get("role_limit")?;
    Ok(Some(ServerLimits {
        server_version: row.try_get("server_version")?,
        version: number("version")?,
        max_connections: number("max_connections")?,
        superuser_reserved: number("superuser_reserved")?,
        reserved: number("reserved")?,
        role_limit: role_limit.map(i32::unsigned_abs),
        sessions: row.try_get("sessions")?,
        statement_timeout: Duration::from_millis(number("statement_timeout_ms")?.into()),
    }))
}

#[cfg(test)]
mod tests {
    use super::session_limit;

    #[test]
    fn a_role_has_its_limit_or_what_is_not_reserved() {
        assert_eq!(session_limit(100, 3, None), 97);
        assert_eq!(session_limit(100, 3, Some(50)), 50);
        assert_eq!(session_limit(100, 3, Some(98)), 97);
        assert_eq!(session_limit(5, 9, Some(4)), 0);
    }
}
