//! Connections beside the pool, for work and looks that no request waits for.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::{
    connect::connect,
    options::{options, quote_identifier, with_settings},
};
use crate::{
    config::{ConfigError, database_url::DatabaseUrl},
    database::error::{DatabaseError, Phase},
};

/// How long a look at the server's state waits for a connection, and for its statement.
pub(crate) const WATCHING_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection beside the pool, for work on the whole database: migrations, the sample clinic.
/// Without a limit for statements, because an index on a large table takes as long as it takes.
///
/// # Errors
/// As for any connection; see [`DatabaseError`].
pub async fn connect_for_maintenance(url: &DatabaseUrl) -> Result<PgConnection, DatabaseError> {
    if url.pgbouncer {
        let error = ConfigError::Pooler {
            variable: url.variable,
            work: "work on the whole database",
        };
        return Err(error.into());
    }
    let options = options(url)?.application_name("headroom/maintenance");
    let options = with_settings(options, &[("search_path", quote_identifier(&url.schema))]);
    let timeout = url.connect_timeout.unwrap_or(Duration::from_secs(60));
    let phase = Phase::Connecting(url.variable);
    connect(&options, phase, Instant::now() + timeout).await
}

/// One connection beside the pool, for a look at the server's state. It gives up soon, and so does
/// the server: a look that does not come back tells as much.
///
/// # Errors
/// As for any connection; see [`DatabaseError`].
pub(crate) async fn connect_for_watching(url: &DatabaseUrl) -> Result<PgConnection, DatabaseError> {
    if url.pgbouncer {
        let error = ConfigError::Pooler {
            variable: url.variable,
            work: "a look at the server's sessions",
        };
        return Err(error.into());
    }
    let options = options(url)?.application_name("headroom/monitor");
    let limit = [("statement_timeout", WATCHING_TIMEOUT.as_millis())];
    let timeout = url
        .connect_timeout
        .map_or(WATCHING_TIMEOUT, |time| time.min(WATCHING_TIMEOUT));
    let phase = Phase::Connecting(url.variable);
    connect(
        &with_settings(options, &limit),
        phase,
        Instant::now() + timeout,
    )
    .await
}
