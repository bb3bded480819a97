//! What a secret or a parameter may hold: a whole URL, or the JSON that RDS keeps. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::config::{self, ConfigError, Stored, database_url::DatabaseUrl};

/// The form that RDS and its rotation functions keep. A secret that RDS itself manages has user and
/// password alone. Other fields, such as the ARN of an administrator's secret, say nothing here.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>
#[derive(Deserialize)]
struct Rds {
    username: String,
    password: SecretString,
    host: Option<String>,
    /// A number, or a text that is one.
    port: Option<Value>,
    dbname: Option<String>,
    engine: Option<String>,
}

/// Reads what was fetched.
///
/// # Errors
/// [`ConfigError`], which names the variable and never what was fetched.
pub(super) fn read(text: &str, stored: &Stored) -> Result<DatabaseUrl, ConfigError> {
    let variable = stored.variable;
    let text = text.trim();
    if !text.starts_with('{') {
        return match stored.base {
            Some((other, _)) => Err(ConfigError::Contradiction {
                one: variable,
                other,
                why: "the stored text is a whole URL, and says everything; unset the other one",
            }),
            None => config::parse(text, variable, &format!("what {variable} names")),
        };
    }
    // The parser's own words may repeat a value.
    let rds: Rds = serde_json::from_str(text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        unusable(
            stored,
            format!("it is not JSON with the texts username and password (at {place})"),
        )
    })?;
    if let Some(engine) = rds.engine.as_deref()
        && !engine.contains("postgres")
    {
        return Err(unusable(stored, "its engine is not PostgreSQL"));
    }
    let url = rds.url(stored)?;
    let place = stored.base.as_ref().map_or(variable, |(name, _)| name);
    config::parse(url.expose_secret(), variable, place)
}

impl Rds {
    /// The URL that says the same. An address in the variable wins: the secret names the database,
    /// the variable may name a proxy in front of it.
    fn url(&self, stored: &Stored) -> Result<SecretString, ConfigError> {
        let refused = |part: &str| unusable(stored, format!("its {part} cannot be used"));
        let mut url = match &stored.base {
            Some((_, base)) => base.clone(),
            None => Url::parse("postgresql:///").expect("a constant URL"),
        };
        if url.host_str().unwrap_or_default().is_empty() {
            let host = self.host.as_deref().ok_or_else(|| {
                unusable(
                    stored,
                    "it has no host; give it in a URL without user and password beside it, \
                     such as postgresql://HOST:5432/DATABASE",
                )
            })?;
            url.set_host(Some(host)).map_err(|_| refused("host"))?;
            let port = match &self.port {
                None => None,
                Some(port) => Some(number(port).ok_or_else(|| refused("port"))?),
            };
            url.set_port(port).map_err(|()| refused("port"))?;
        }
        if url.path().trim_start_matches('/').is_empty()
            && let Some(name) = &self.dbname
        {
            // A URL loses them, escaped or not, and the session would go to another database.
            if matches!(name.as_str(), "." | "..") {
                return Err(refused("dbname"));
            }
            url.set_path(&format!("/{}", escape(name)));
        }
        url.set_username(&escape(&self.username))
            .map_err(|()| refused("username"))?;
        url.set_password(Some(&escape(self.password.expose_secret())))
            .map_err(|()| refused("password"))?;
        Ok(String::from(url).into())
    }
}

fn number(port: &Value) -> Option<u16> {
    match port {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64().and_then(|port| port.try_into().ok()),
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn unusable(stored: &Stored, what: impl Into<String>) -> ConfigError {
    ConfigError::Stored {
        variable: stored.variable,
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, prop_assume, proptest};
    use serde_json::json;

    use super::*;
    use crate::config::{Store, database_url::Host};

    fn stored(base: Option<&str>) -> Stored {
        Stored {
            variable: "DATABASE_SECRET_ARN",
            store: Store::SecretsManager,
            id: "clinic".to_owned(),
            base: base.map(|base| ("DATABASE_URL", Url::parse(base).unwrap())),
        }
    }

    proptest! {
        #[test]
        fn whatever_rds_keeps_arrives_as_it_is(
            user in "[^\0]{1,20}",
            password in "[^\0]{0,40}",
            database in "[^\0/]{1,20}",
        ) {
            prop_assume!(!matches!(database.as_str(), "." | ".."));
            let text = json!({"username": user, "password": password, "host": "db", "dbname": database});
            let url = read(&text.to_string(), &stored(None)).unwrap();
            prop_assert_eq!(url.user, user);
            prop_assert_eq!(url.password.expose_secret(), password);
            prop_assert_eq!(url.database, database);
        }

        #[test]
        fn no_error_holds_what_was_fetched(
            password in "[a-z0-9]{12}[!-~]{0,20}",
            place in 0..6_usize,
        ) {
            let text = [
                json!({"username": "a", "password": password, "host": password, "port": password}),
                json!({"username": "a", "password": [password]}),
                json!({"username": "a", "host": 5, "password": password}),
                json!({"username": "a", "password": password, "engine": password}),
                json!({"username": "", "password": password, "host": "db"}),
                json!(format!("postgresql://a:{password}")),
            ];
            let text = text[place].as_str().map_or_else(|| text[place].to_string(), str::to_owned);
            for base in [None, Some("postgresql://db/clinic?connection_limit=0")] {
                if let Err(error) = read(&text, &stored(base)) {
                    prop_assert!(!error.to_string().contains(&password[..12]), "{}", error);
                }
            }
        }
    }

    #[test]
    fn a_database_that_no_url_can_name_is_refused() {
        for name in [".", ".."] {
            let text = json!({"username": "a", "password": "b", "host": "db", "dbname": name});
            let error = read(&text.to_string(), &stored(None)).unwrap_err();
            assert!(error.to_string().contains("dbname"), "{error}");
        }
    }

    #[test]
    fn an_address_in_the_variable_wins() {
        let text = json!({
            "username": "a", "password": "b", "host": "db", "port": "6432", "dbname": "theirs",
        });
        let read = |base| {
            let url = read(&text.to_string(), &stored(base)).unwrap();
            (url.host, url.port, url.database)
        };
        let tcp = |name: &str| Host::Tcp(name.to_owned());
        assert_eq!(read(None), (tcp("db"), 6432, "theirs".to_owned()));
        assert_eq!(
            read(Some("postgresql:///?schema=s")),
            (tcp("db"), 6432, "theirs".to_owned())
        );
        assert_eq!(
            read(Some("postgresql://proxy/ours")),
            (tcp("proxy"), 5432, "ours".to_owned())
        );
        assert_eq!(
            read(Some("postgresql://proxy:7000?sslmode=verify-full")),
            (tcp("proxy"), 7000, "theirs".to_owned())
        );
    }
}
