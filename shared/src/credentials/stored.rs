//! What a secret or a parameter may hold: a whole URL, or the JSON that RDS keeps. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::{
    config::{self, ConfigError, Stored},
    database_url::DatabaseUrl,
};

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
