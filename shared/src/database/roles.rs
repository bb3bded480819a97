//! The roles beside the owner: the application's, which may do what the functions do and has no
//! more sessions than its ceiling, and the monitor's.
//!
//! What is missing is found by comparing the catalog with what is wanted, so that a second run
//! changes nothing, and a run by an owner without the right to create roles passes once an administrator
//! else did it. Passwords never leave this process: the server is sent SCRAM verifiers.

mod plan;

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    config::{Migration, database_url::DatabaseUrl},
    database::error::DatabaseError,
    database::{
        backoff::Backoff,
        pool::{connect_for_maintenance, quote_identifier},
    },
};
use plan::{Plan, Verifiers};

/// How often a run is begun again that another one overtook. A lock would not keep them apart:
/// roles belong to the whole server, and advisory locks to one database.
const ATTEMPTS: u32 = 10;

/// How long to try to log in as a role before its password counts as unknown to the server.
const LOGIN_PATIENCE: Duration = Duration::from_secs(10);

/// Creates or alters the roles that the configuration names; with none it does nothing. Harmless
/// when run again, and when several run at once.
///
/// # Errors
/// As for any connection, and [`DatabaseError::InvalidConfiguration`] with the SQL for an administrator
/// where the owner may not do it. Then nothing was changed.
pub async fn set_up(config: &Migration) -> Result<(), DatabaseError> {
    if config.application.is_none() && config.monitor.is_none() {
        return Ok(());
    }
    let mut connection = connect_for_maintenance(&config.owner).await?;
    let mut backoff = Backoff::begin();
    loop {
        match try_to_set_up(&mut connection, config).await {
            Err(Failure::Overtaken(_)) if backoff.refusals() + 1 < ATTEMPTS => {
                backoff.wait(Duration::ZERO, Duration::MAX).await;
            }
            Err(Failure::Overtaken(error)) => return Err(error.into()),
            Err(Failure::Other(error)) => return Err(error),
            Ok(()) => break,
        }
    }
    // The roles are set up whether or not the server gets the Terminate message.
    let _ = connection.close().await;
    Ok(())
}

/// Why an attempt changed nothing.
enum Failure {
    /// Another run changed the same role at the same moment.
    Overtaken(sqlx::Error),
    Other(DatabaseError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match sqlstate(&error).as_deref() {
            // "tuple concurrently updated" is an internal error; two that create one role, or give
            // it one setting, meet as duplicates.
            Some("XX000" | "42710" | "23505" | "40001" | "40P01") => Self::Overtaken(error),
            _ => Self::Other(error.into()),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Other(error)
    }
}

/// The owner lacks a right; an administrator can do it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the role {owner} may not set up the roles ({cause}); the schema is up to date; let an \
     administrator run this in the database {database}, and then migrate again:\n{script}"
)]
struct MissingRight {
    owner: String,
    cause: String,
    database: String,
    script: String,
}

async fn try_to_set_up(connection: &mut PgConnection, config: &Migration) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    match change(&mut transaction, config).await {
        Ok(advised) => {
            transaction.commit().await?;
            if !advised.is_empty() {
                let sql = advised.join(";\n");
                tracing::warn!(
                    sql,
                    "the roles are not wholly as they should be; let an administrator run this SQL"
                );
            }
            Ok(())
        }
        Err(failure) => {
            // Where this fails, the session is gone, and with it what it did.
            let _ = transaction.rollback().await;
            Err(failure)
        }
    }
}

/// Finds what is missing and does it. Answers with what an administrator should do besides.
async fn change(connection: &mut PgConnection, config: &Migration) -> Result<Vec<String>, Failure> {
    let application = config.application.as_ref().map(|role| &role.url);
    let verifiers = Verifiers {
        application: verifier(&config.owner, application).await,
        monitor: verifier(&config.owner, config.monitor.as_ref()).await,
    };
    let plan = Plan::new(connection, config, &verifiers).await?;
    let missing_right = |cause: String| {
        Failure::Other(DatabaseError::InvalidConfiguration(Box::new(
            MissingRight {
                owner: config.owner.user.clone(),
                cause,
                database: config.owner.database.clone(),
                script: plan.script(),
            },
        )))
    };
    for statement in &plan.needed {
        // Not user input: identifiers are quoted, and literals hold digits or a verifier.
        let statement = sqlx::raw_sql(AssertSqlSafe(statement.as_str()));
        if let Err(error) = statement.execute(&mut *connection).await {
            return Err(match sqlstate(&error).as_deref() {
                Some(INSUFFICIENT_PRIVILEGE) => missing_right(error.to_string()),
                _ => error.into(),
            });
        }
    }
    // A grant by a role that may not grant is only a warning.
    let left = Plan::new(connection, config, &Verifiers::default()).await?;
    if !left.needed.is_empty() {
        return Err(missing_right("a statement had no effect".to_owned()));
    }
    tracing::info!(changes = plan.needed.len(), "the roles are as they must be");
    Ok(left.advised)
}

/// SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// What the server is to store as a role's password, where it does not know it yet. An owner
/// cannot read what is stored, but a client that can log in has the right password. It is not stored
/// anew without need, so that a pooler's copy stays valid.
async fn verifier(owner: &DatabaseUrl, role: Option<&DatabaseUrl>) -> Option<String> {
    let role = role?;
    // Without a password the role logs in by other means: a certificate, a cloud's own tokens.
    if role.password.expose_secret().is_empty() || can_log_in(owner, role).await {
        return None;
    }
    let password = role.password.expose_secret().as_bytes();
    Some(postgres_protocol::password::scram_sha_256(password))
}

/// Whether the server lets the role in, at the owner's address: the role's own may be a pooler's.
async fn can_log_in(owner: &DatabaseUrl, role: &DatabaseUrl) -> bool {
    let url = DatabaseUrl {
        user: role.user.clone(),
        password: SecretString::from(role.password.expose_secret()),
        ..owner.clone()
    };
    let mut backoff = Backoff::begin();
    loop {
        match connect_for_maintenance(&url).await {
            Ok(connection) => {
                // What was to be learned is known, whether or not the server gets the Terminate message.
                let _ = connection.close().await;
                return true;
            }
            // A full role says nothing about the password: the server may count before it asks.
            Err(error) if error.passes_with_time() && backoff.waited() < LOGIN_PATIENCE => {
                backoff.wait(Duration::ZERO, Duration::MAX).await;
            }
            Err(_) => return false,
        }
    }
}
