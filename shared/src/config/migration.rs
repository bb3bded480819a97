//! What the migrations are told beside the functions' own variables.

use std::num::NonZeroU32;

use super::{ConfigError, Database, Guards, number};
use crate::config::database_url::DatabaseUrl;

/// The most sessions that PostgreSQL can be told to allow (its `MAX_BACKENDS`).
const MAX_BACKENDS: u32 = 262_143;

/// Who migrates, and which roles a migration sets up.
#[derive(Clone, Debug)]
pub struct Migration {
    /// `DATABASE_OWNER_URL` or its kin, else the functions' own: the role that owns the tables.
    pub owner: DatabaseUrl,
    /// The role that the functions log in as, where it is another one than the owner.
    pub application: Option<Application>,
    /// `DATABASE_MONITOR_URL` or its kin: a role that watches; no default.
    pub monitor: Option<DatabaseUrl>,
}

/// The role that the functions log in as.
#[derive(Clone, Debug)]
pub struct Application {
    /// The functions' own, from which only role and password are taken: it may lead to a pooler.
    pub url: DatabaseUrl,
    /// `DATABASE_CEILING`, 1 to 262 143, no default: the most sessions that the server lets the
    /// role have, whatever the fleet does.
    pub ceiling: NonZeroU32,
    /// What becomes the role's defaults: the same that sessions ask for when they start, so that
    /// it holds behind a pooler too, which hands no start-up options on.
    pub guards: Guards,
}

impl Migration {
    /// Reads the variables beside the URLs.
    ///
    /// # Errors
    /// [`ConfigError`], which names the variable and what is accepted.
    pub fn from_env(
        application: DatabaseUrl,
        owner: Option<DatabaseUrl>,
        monitor: Option<DatabaseUrl>,
    ) -> Result<Self, ConfigError> {
        let Database { url, guards, .. } = Database::from_env(application)?;
        let ceiling = number("DATABASE_CEILING", 1, MAX_BACKENDS)?.and_then(NonZeroU32::new);
        for other in [Some(&url), owner.as_ref()] {
            if let (Some(monitor), Some(other)) = (&monitor, other)
                && monitor.user == other.user
            {
                return Err(ConfigError::Contradiction {
                    one: monitor.variable,
                    other: other.variable,
                    why: "they name the same role, and the monitor needs one of its own",
                });
            }
        }
        let application = match &owner {
            Some(owner) if owner.user != url.user => {
                if owner.schema != url.schema {
                    return Err(ConfigError::Contradiction {
                        one: owner.variable,
                        other: url.variable,
                        why: "they name different schemas, and the functions would not find their tables",
                    });
                }
                Some(Application {
                    url: url.clone(),
                    ceiling: ceiling.ok_or(ConfigError::Missing {
                        name: "DATABASE_CEILING",
                        hint: "set it to the number of sessions that the database grants the application",
                    })?,
                    guards,
                })
            }
            _ => None,
        };
        Ok(Self {
            owner: owner.unwrap_or(url),
            application,
            monitor,
        })
    }
}
