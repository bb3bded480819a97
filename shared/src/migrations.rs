//! The schema's migrations, compiled in.

use sqlx::migrate::Migrator;

use crate::{database_url::DatabaseUrl, error::Error, pool};

/// Every migration under `shared/migrations`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Applies what is missing and answers with the version of the newest migration. Harmless when
/// run again; two runs at once take turns, by an advisory lock that ends with its session.
///
/// # Errors
/// As for any connection, and [`Error::Unexpected`] where a migration fails; what it did is
/// rolled back.
pub async fn run(url: &DatabaseUrl) -> Result<i64, Error> {
    let mut connection = pool::connect_for_maintenance(url).await?;
    MIGRATOR
        .run(&mut connection)
        .await
        .map_err(|error| Error::Unexpected(error.into()))?;
    // The migrations are done whether or not the server hears the goodbye.
    let _ = sqlx::Connection::close(connection).await;
    let newest = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(newest.unwrap_or_default())
}
