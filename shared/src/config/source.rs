//! Where a role's credentials come from: exactly one of four places.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{ConfigError, seconds, switched, variable};
use crate::config::database_url::{DatabaseUrl, UrlError};

/// The variables of one role.
#[derive(Debug)]
pub(crate) struct Variables {
    /// The whole URL; beside a secret or a parameter, what those leave out.
    pub(crate) url: &'static str,
    /// A secret of Secrets Manager: name or ARN.
    pub(crate) secret: &'static str,
    /// A parameter of Systems Manager's Parameter Store: name or ARN.
    pub(crate) parameter: &'static str,
    /// `on`: RDS IAM authentication.
    pub(crate) iam: &'static str,
}

/// All roles: a function with a variable of one of them has a database.
#[cfg(feature = "operator")]
pub(crate) const ROLES: [Variables; 3] = [APPLICATION, OWNER, MONITOR];

/// The role that the functions log in as.
pub(crate) const APPLICATION: Variables = Variables {
    url: "DATABASE_URL",
    secret: "DATABASE_SECRET_ARN",
    parameter: "DATABASE_PARAMETER",
    iam: "DATABASE_IAM_AUTH",
};

/// The role that owns the tables.
pub(crate) const OWNER: Variables = Variables {
    url: "DATABASE_OWNER_URL",
    secret: "DATABASE_OWNER_SECRET_ARN",
    parameter: "DATABASE_OWNER_PARAMETER",
    iam: "DATABASE_OWNER_IAM_AUTH",
};

/// The role that watches.
pub(crate) const MONITOR: Variables = Variables {
    url: "DATABASE_MONITOR_URL",
    secret: "DATABASE_MONITOR_SECRET_ARN",
    parameter: "DATABASE_MONITOR_PARAMETER",
    iam: "DATABASE_MONITOR_IAM_AUTH",
};

/// `DATABASE_CREDENTIALS_TIMEOUT`, whole seconds, 1 to 900, default 5: how long fetching credentials
/// may take. A warm answer takes milliseconds; the rest is for one attempt that is lost.
pub(crate) fn credentials_timeout() -> Result<Duration, ConfigError> {
    seconds("DATABASE_CREDENTIALS_TIMEOUT", 5)
}

/// Where the credentials of the functions' role are; required.
pub(crate) fn application() -> Result<Source, ConfigError> {
    Source::from_env(&APPLICATION)?.ok_or(ConfigError::Missing {
        name: "DATABASE_URL",
        hint: "set it to postgresql://USER:PASSWORD@HOST:5432/DATABASE, or set DATABASE_SECRET_ARN or \
               DATABASE_PARAMETER to where the credentials are kept",
    })
}

/// Where one role's credentials are.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the variable itself.
    Url(DatabaseUrl),
    /// In the variable itself, without a password: each new session logs in with a token that is
    /// signed for it.
    Iam(DatabaseUrl),
    /// In Secrets Manager or in Parameter Store.
    Stored(Stored),
}

/// Credentials that are kept elsewhere.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The variable that says where.
    pub variable: &'static str,
    /// Which service keeps them.
    pub store: Store,
    /// The secret's or the parameter's name or ARN.
    pub id: String,
    /// The variable with the URL beside it, and its value: without user and password, for what the
    /// stored credentials leave out.
    pub base: Option<(&'static str, Url)>,
}

/// A service that keeps credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS Systems Manager's Parameter Store.
    ParameterStore,
}

impl Source {
    /// Reads one role's variables; none where none of them is set.
    ///
    /// # Errors
    /// [`ConfigError`], also where two of them contradict each other.
    pub(crate) fn from_env(names: &Variables) -> Result<Option<Self>, ConfigError> {
        let url = variable(names.url).map(SecretString::from);
        let secret = variable(names.secret);
        let parameter = variable(names.parameter);
        let iam = switched(names.iam, false)?;
        let contradiction = |one, other, why| Err(ConfigError::Contradiction { one, other, why });
        let (name, store, id) = match (secret, parameter) {
            (Some(_), Some(_)) => {
                return contradiction(
                    names.secret,
                    names.parameter,
                    "credentials come from one place; unset one of them",
                );
            }
            (Some(id), None) => (names.secret, Store::SecretsManager, id),
            (None, Some(id)) => (names.parameter, Store::ParameterStore, id),
            (None, None) => return Self::in_url(names, url, iam),
        };
        if iam {
            return contradiction(
                names.iam,
                name,
                "a token takes the place of a stored password; unset one of them",
            );
        }
        let base = url.map(|url| base(names.url, &url)).transpose()?;
        if let Some(base) = &base
            && !(base.username().is_empty() && base.password().is_none())
        {
            return contradiction(
                names.url,
                name,
                "both name who logs in; leave USER:PASSWORD@ out of the URL, which then only says \
                 what the stored credentials leave out",
            );
        }
        Ok(Some(Self::Stored(Stored {
            variable: name,
            store,
            id,
            base: base.map(|base| (names.url, base)),
        })))
    }

    /// Nothing is stored elsewhere: it is all in the URL.
    fn in_url(
        names: &Variables,
        url: Option<SecretString>,
        iam: bool,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(url) = url else {
            return if iam {
                Err(ConfigError::Missing {
                    name: names.url,
                    hint: "IAM authentication needs it: postgresql://USER@HOST:5432/DATABASE?sslmode=verify-full",
                })
            } else {
                Ok(None)
            };
        };
        let url = parse(url.expose_secret(), names.url, names.url)?;
        if !iam {
            return Ok(Some(Self::Url(url)));
        }
        let contradiction = |why| {
            Err(ConfigError::Contradiction {
                one: names.iam,
                other: names.url,
                why,
            })
        };
        if !url.password.expose_secret().is_empty() {
            return contradiction(
                "a token takes the password's place; leave the password out of the URL",
            );
        }
        if !url.tls.mode.verifies() {
            return contradiction(
                "a token is sent as it is, and whoever poses as the server could use it; \
                 accepted is sslmode=verify-full or sslmode=verify-ca",
            );
        }
        Ok(Some(Self::Iam(url)))
    }
}

/// Reads a URL that came from `variable`; its errors speak of `place`.
pub(crate) fn parse(
    text: &str,
    variable: &'static str,
    place: &str,
) -> Result<DatabaseUrl, ConfigError> {
    let url = DatabaseUrl::parse(text).map_err(|error| in_place(error, place))?;
    Ok(DatabaseUrl { variable, ..url })
}

fn in_place(why: UrlError, place: &str) -> ConfigError {
    ConfigError::Url {
        place: place.to_owned(),
        why,
    }
}

fn base(name: &'static str, text: &SecretString) -> Result<Url, ConfigError> {
    let url = Url::parse(text.expose_secret())
        .map_err(|error| in_place(UrlError::Unparsable(error), name))?;
    match url.scheme() {
        "postgres" | "postgresql" => Ok(url),
        _ => Err(in_place(UrlError::Scheme, name)),
    }
}
