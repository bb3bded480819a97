//! The schema's migrations, compiled in, and how they are applied to a database that is in use.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, PgConnection,
    migrate::{MigrateError, Migration, Migrator},
};

use crate::{
    config::database_url::DatabaseUrl,
    database::error::DatabaseError,
    database::{backoff::Backoff, pool},
};

/// Every migration under `shared/migrations`.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a migration waits for a lock at a time. A statement that comes to the table meanwhile waits behind
/// it, also to read: well below the lock time-out of the functions' sessions.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);

/// For how long it tries again. The function that migrates has a quarter of an hour in all.
const PATIENCE: Duration = Duration::from_secs(600);

/// The longest pause between two attempts, in which those who waited behind the first one go on.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The advisory lock by which runs take turns. Any number that nothing else uses.
const TURN: i64 = 0x6865_6164_726f_6f6d;

/// Applies what is missing and answers with the version of the newest migration. Harmless when
/// run again, also after a run that was interrupted; two runs at once take turns.
///
/// # Errors
/// As for any connection, and [`DatabaseError::Unexpected`] where a migration fails; what it did is
/// rolled back, and what was applied before it stays.
pub async fn run(url: &DatabaseUrl) -> Result<i64, DatabaseError> {
    let mut connection = pool::connect_for_maintenance(url).await?;
    take_turn(&mut connection).await?;
    for migration in MIGRATOR.iter() {
        apply(&mut connection, migration).await?;
    }
    // The migrations are done whether or not the server hears the goodbye.
    let _ = sqlx::Connection::close(connection).await;
    let newest = MIGRATOR.iter().map(|migration| migration.version).max();
    Ok(newest.unwrap_or_default())
}

/// Waits until no other run is at work; the turn ends with the session. The driver's own lock is taken
/// behind this one: who waits for that does so inside a statement, and an index that is built
/// concurrently would wait for that statement's end in turn.
async fn take_turn(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let mut backoff = Backoff::begin();
    loop {
        let mine: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(TURN)
            .fetch_one(&mut *connection)
            .await?;
        if mine {
            return Ok(());
        }
        backoff.wait(Duration::ZERO, LONGEST_PAUSE).await;
    }
}

/// Applies one migration unless that was done, once more where a lock was not to be had.
async fn apply(connection: &mut PgConnection, migration: &Migration) -> Result<(), DatabaseError> {
    let mut backoff = Backoff::begin();
    loop {
        clear_the_way(connection, migration).await?;
        match MIGRATOR.run_to(migration.version, &mut *connection).await {
            Ok(()) => return Ok(()),
            Err(error) if is_locked_out(&error) && backoff.waited() < PATIENCE => {
                tracing::info!(
                    migration = migration.version,
                    "a lock was not to be had; trying again"
                );
                backoff.wait(Duration::ZERO, LONGEST_PAUSE).await;
            }
            Err(error) => return Err(DatabaseError::Unexpected(error.into())),
        }
    }
}

/// What a migration finds: how long it may wait for a lock, and no remains of itself.
///
/// One without a transaction builds an index concurrently. It holds up no other statement, and waits for every
/// transaction that is open, however long. Interrupted, it leaves an index that is maintained and
/// never used, and that `if not exists` would take for the whole.
async fn clear_the_way(connection: &mut PgConnection, migration: &Migration) -> sqlx::Result<()> {
    let patience = match migration.no_tx {
        true => Duration::ZERO,
        false => LOCK_TIMEOUT,
    };
    sqlx::query("select set_config('lock_timeout', $1, false)")
        .bind(patience.as_millis().to_string())
        .execute(&mut *connection)
        .await?;
    if !migration.no_tx {
        return Ok(());
    }
    let remains: Vec<String> = sqlx::query_scalar(
        "select format('drop index concurrently %I.%I', n.nspname, c.relname)
         from pg_index i
         join pg_class c on c.oid = i.indexrelid
         join pg_namespace n on n.oid = c.relnamespace
         where not i.indisvalid
           and n.nspname = current_schema()
           and strpos($1, ' ' || c.relname || ' ') > 0",
    )
    .bind(migration.sql.as_str())
    .fetch_all(&mut *connection)
    .await?;
    for drop in remains {
        // Not user input: the names are quoted by the server.
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Whether a migration failed for want of a lock: another attempt may find it free.
fn is_locked_out(error: &MigrateError) -> bool {
    let MigrateError::ExecuteMigration(error, _) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(|error| error.code());
    // lock_not_available, deadlock_detected.
    matches!(code.as_deref(), Some("55P03" | "40P01"))
}
