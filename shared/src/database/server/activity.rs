//! Which functions hold the database's sessions, by version and state, and how many the server
//! grants. It reads as a role that may see all sessions, such as the monitor's, and ends none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, types::Json};
use tokio::time::timeout;

use super::limits;
use crate::{
    config::{ConfigError, database_url::DatabaseUrl},
    database::error::{DatabaseError, Phase},
    database::pool,
};

/// How long one look may take, connecting included: a monitor that looks each minute must be done
/// before the next one.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// One look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// When, by the server's clock.
    pub at: DateTime<Utc>,
    /// The application's role.
    pub role: String,
    /// The smaller of its own and its database's connection limit; none if neither has one, or if it
    /// is a superuser, whom no limit binds.
    pub limit: Option<u32>,
    /// The server's `max_connections`.
    pub max_connections: u32,
    /// Of these, slots that the application cannot have: reserved for superusers and by
    /// `reserved_connections`.
    pub reserved: u32,
    /// Sessions of all clients of the server.
    pub server_sessions: u32,
    /// Sessions of the application's role, on all databases.
    pub sessions: u32,
    /// Of these, the ones that wait for a lock.
    pub blocked: u32,
    /// Age of the oldest transaction that any client has open in this database, in seconds; none
    /// if no transaction is open. The look itself does not count.
    pub oldest_transaction: Option<f64>,
    /// How long the application's longest statement has been running, in seconds; none if none
    /// runs.
    pub longest_query: Option<f64>,
    /// The application's sessions by function and version, the largest first.
    pub functions: Vec<Group>,
    /// What the application's active sessions wait for, such as `Lock: transactionid`; the most
    /// frequent first.
    pub waits: Vec<Wait>,
}

/// Sessions of one function's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The function's name; empty if a session does not say, as behind a pooler.
    pub function: String,
    /// Its version.
    pub version: String,
    /// All of its sessions.
    pub sessions: u32,
    /// Of these, running a statement.
    pub active: u32,
    /// Idle with a transaction open.
    pub idle_in_transaction: u32,
    /// Kept for later invocations.
    pub retained: u32,
    /// Given back within a moment.
    pub transient: u32,
}

/// Sessions that wait for the same thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// PostgreSQL's `wait_event_type` and `wait_event`.
    pub event: String,
    /// How many wait.
    pub sessions: u32,
}

impl Sample {
    /// The most sessions that the application can have: its role's limit, or what the server has
    /// for all clients if that is less.
    pub fn ceiling(&self) -> u32 {
        limits::session_limit(self.max_connections, self.reserved, self.limit)
    }

    /// The share of the ceiling in use, in percent; 100 if the ceiling is 0.
    pub fn share(&self) -> f64 {
        match self.ceiling() {
            0 => 100.0,
            ceiling => 100.0 * f64::from(self.sessions) / f64::from(ceiling),
        }
    }

    /// A number of all functions' sessions.
    pub fn sum(&self, of: impl Fn(&Group) -> u32) -> u32 {
        self.functions.iter().map(of).sum()
    }

    /// One line in the log.
    pub fn log(&self) {
        let by_function = self.functions.iter().map(|group| {
            let Group {
                function,
                version,
                sessions,
                ..
            } = group;
            format!("{function}/{version}={sessions}")
        });
        let by_function: Vec<String> = by_function.collect();
        tracing::info!(
            role = self.role,
            sessions = self.sessions,
            limit = self.limit,
            ceiling = self.ceiling(),
            share_percent = self.share(),
            retained = self.sum(|group| group.retained),
            transient = self.sum(|group| group.transient),
            active = self.sum(|group| group.active),
            blocked = self.blocked,
            oldest_transaction_seconds = self.oldest_transaction,
            longest_query_seconds = self.longest_query,
            server_sessions = self.server_sessions,
            max_connections = self.max_connections,
            // One text: the log's format has no lists.
            functions = by_function.join(" "),
            "sessions"
        );
    }
}

/// Connects, looks, and closes the connection. `role` is the application's; without it, the one role
/// with a connection limit beside the one that looks, as the migrations create it.
///
/// # Errors
/// Every error of a connection; [`DatabaseError::InvalidConfiguration`] if it is not clear which role is the
/// application's; [`DatabaseError::UnknownRole`] if there is none of that name.
pub async fn look_once(url: &DatabaseUrl, role: Option<&str>) -> Result<Sample, DatabaseError> {
    let look = async {
        let mut connection = pool::connect_for_watching(url).await?;
        let sample = look(&mut connection, role).await;
        // What was seen counts, whether or not the server gets the Terminate message.
        let _ = connection.close().await;
        sample
    };
    match timeout(LOOK_TIMEOUT, look).await {
        Ok(sample) => sample,
        Err(elapsed) => Err(DatabaseError::Unreachable(elapsed.into())),
    }
}

/// Looks, on a connection that is there; see [`look_once`].
///
/// # Errors
/// Those of [`look_once`], but for the connection's.
pub async fn look(
    connection: &mut PgConnection,
    role: Option<&str>,
) -> Result<Sample, DatabaseError> {
    let failed = |error| DatabaseError::of_driver(error, Phase::Running);
    let role = match role {
        Some(role) => role.to_owned(),
        None => application(connection).await?,
    };
    let limits = limits::of_role(&mut *connection, Some(&role)).await;
    let limits = limits.map_err(failed)?.ok_or(DatabaseError::UnknownRole)?;
    // Waiting for a lock is seen in the wait event: asking who blocks whom would hold up the lock
    // manager.
    let row = sqlx::query!(
        r#"
        with clients as materialized (
            select pid, usename, datname, state, xact_start, query_start,
                   wait_event_type, wait_event,
                   split_part(application_name, '/', 2) as lease,
                   split_part(application_name, '/', 3) as function,
                   split_part(application_name, '/', 4) as version
            from pg_stat_activity
            where backend_type = 'client backend'
        ),
        own as (
            select *, lease in ('retained', 'transient') as named
            from clients
            where usename = $1::text
        )
        select clock_timestamp() as "at!",
               (select count(*) from clients) as "server_sessions!",
               (select count(*) from own) as "sessions!",
               (select count(*) from own where wait_event_type = 'Lock') as "blocked!",
               (
                   select extract(epoch from clock_timestamp() - min(xact_start))::float8
                   from clients
                   where datname = current_database() and pid <> pg_backend_pid()
               ) as oldest_transaction,
               (
                   select extract(epoch from clock_timestamp() - min(query_start))::float8
                   from own
                   where state = 'active'
               ) as longest_query,
               (
                   select coalesce(jsonb_agg(g order by sessions desc, function, version), '[]')
                   from (
                       select case when named then function else '' end as function,
                              case when named then version else '' end as version,
                              count(*) as sessions,
                              count(*) filter (where state = 'active') as active,
                              count(*) filter (where state like 'idle in transaction%') as "idleInTransaction",
                              count(*) filter (where lease = 'retained') as retained,
                              count(*) filter (where lease = 'transient') as transient
                       from own
                       group by 1, 2
                   ) g
               ) as "functions!: Json<Vec<Group>>",
               (
                   select coalesce(jsonb_agg(w order by sessions desc, event), '[]')
                   from (
                       select wait_event_type || ': ' || wait_event as event, count(*) as sessions
                       from own
                       where state = 'active' and wait_event is not null
                       group by 1
                   ) w
               ) as "waits!: Json<Vec<Wait>>"
        limit 1
        "#,
        role
    )
    .fetch_one(connection)
    .await
    .map_err(failed)?;
    let count = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Sample {
        at: row.at,
        role,
        limit: limits.role_limit,
        max_connections: limits.max_connections,
        reserved: limits.superuser_reserved.saturating_add(limits.reserved),
        server_sessions: count(row.server_sessions),
        sessions: count(row.sessions),
        blocked: count(row.blocked),
        oldest_transaction: row.oldest_transaction,
        longest_query: row.longest_query,
        functions: row.functions.0,
        waits: row.waits.0,
    })
}

/// The one role that logs in with a connection limit, beside the one that looks.
async fn application(connection: &mut PgConnection) -> Result<String, DatabaseError> {
    let mut roles: Vec<String> = sqlx::query_scalar!(
        r#"
        select rolname::text as "name!"
        from pg_roles
        where rolcanlogin and not rolsuper and rolconnlimit >= 0 and rolname <> current_user
        order by rolname
        limit 2
        "#
    )
    .fetch_all(connection)
    .await
    .map_err(|error| DatabaseError::of_driver(error, Phase::Running))?;
    match (roles.pop(), roles.is_empty()) {
        (Some(role), true) => Ok(role),
        _ => Err(ConfigError::Missing {
            name: "DATABASE_APPLICATION_ROLE",
            hint: "the server has no role with a connection limit, or several; set it to the one that the functions log in as",
        }
        .into()),
    }
}
