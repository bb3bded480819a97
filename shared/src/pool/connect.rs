//! Opening one session: every option said explicitly, the attempt bounded, its failure classified.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place that opens connections"
)]

use std::{fs, io, path::Path, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, ConnectOptions, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    config::{self, ConfigError, Function},
    database_url::{DatabaseUrl, Host, TlsMode},
    error::{Error, Phase},
    session::Session,
};

/// Knows how to open sessions, and what must be said around each piece of work on them.
pub(super) struct Connector {
    options: PgConnectOptions,
    connect_timeout: Option<Duration>,
    named_statements: bool,
    /// Behind a transaction pooler each piece of work is a transaction of its own, opened with
    /// these statements: what is set ends with it, and never reaches the next client of the
    /// pooler's server connection.
    begin: Option<String>,
}

// The options' own Debug would show the password.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(config: &config::Database, function: &Function) -> Result<Self, Error> {
        let url = &config.url;
        let milliseconds = config.statement_timeout.as_millis();
        let search_path = quote_identifier(&url.schema);
        let name = url.application_name.as_deref().unwrap_or("headroom");
        let mut options = options(url)?
            .application_name(&format!("{name}/{}/{}", function.name, function.version))
            .options(url.options.iter().map(|(name, value)| (name, value)));
        let mut begin = None;
        if url.pgbouncer {
            begin = Some(format!(
                "begin read only; set local statement_timeout = {milliseconds}; set local search_path = {search_path}"
            ));
        } else {
            // Start-up options cost no round trip.
            options = options
                .options([("search_path", search_path)])
                .options([("statement_timeout", milliseconds)]);
        }
        Ok(Self {
            options,
            connect_timeout: url.connect_timeout,
            named_statements: !url.pgbouncer && url.statement_cache_size > 0,
            begin,
        })
    }

    /// Opens one session before `until`, in at most `connect_timeout`.
    pub(super) async fn connect(&self, until: Instant) -> Result<Session, Error> {
        let until = match self.connect_timeout {
            Some(time) => until.min(Instant::now() + time),
            None => until,
        };
        let connection = connect(&self.options, until).await?;
        Ok(Session::new(connection, self.named_statements))
    }

    /// What precedes a piece of work; nothing on a direct connection.
    pub(super) async fn begin(&self, session: &mut Session) -> sqlx::Result<()> {
        if let Some(begin) = &self.begin {
            // Not user input: a number, and a quoted identifier from the configuration.
            session.command(AssertSqlSafe(begin.as_str())).await?;
        }
        Ok(())
    }

    /// What follows a piece of work; nothing on a direct connection.
    pub(super) async fn end(&self, session: &mut Session) -> sqlx::Result<()> {
        if self.begin.is_some() {
            session.command("commit").await?;
        }
        Ok(())
    }
}

/// One connection beside the pool, for work on the whole database: migrations, the sample clinic.
/// Without a limit for statements, because an index on a large table takes as long as it takes.
///
/// # Errors
/// As for any connection; see [`Error`].
pub async fn connect_for_maintenance(url: &DatabaseUrl) -> Result<PgConnection, Error> {
    let options = options(url)?
        .application_name("headroom/maintenance")
        .options([("search_path", quote_identifier(&url.schema))]);
    let patience = url.connect_timeout.unwrap_or(Duration::from_secs(60));
    connect(&options, Instant::now() + patience).await
}

async fn connect(options: &PgConnectOptions, until: Instant) -> Result<PgConnection, Error> {
    match timeout_at(until, options.connect()).await {
        Ok(result) => result.map_err(|error| Error::of_driver(error, Phase::Connecting)),
        Err(elapsed) => Err(Error::Unreachable(elapsed.into())),
    }
}

/// The driver's options, every one set: what is left out it would take from PG* variables or
/// `.pgpass`.
fn options(url: &DatabaseUrl) -> Result<PgConnectOptions, ConfigError> {
    let options = PgConnectOptions::new_without_pgpass()
        .port(url.port)
        .username(&url.user)
        .password(url.password.expose_secret())
        .database(&url.database)
        .statement_cache_capacity(url.statement_cache_size as usize)
        .ssl_mode(match url.tls.mode {
            TlsMode::Disable => PgSslMode::Disable,
            TlsMode::Prefer => PgSslMode::Prefer,
            TlsMode::Require => PgSslMode::Require,
            TlsMode::VerifyCa => PgSslMode::VerifyCa,
            TlsMode::VerifyFull => PgSslMode::VerifyFull,
        })
        // PgBouncer refuses it as a start-up parameter, and doubles come out exact without it
        // since PostgreSQL 12.
        .extra_float_digits(None);
    let options = match &url.host {
        Host::Tcp(name) => options.host(name),
        // The host name would be looked up for TLS only, which a socket does not have.
        Host::Socket(directory) => options.host("localhost").socket(directory),
    };
    let root = match &url.tls.root_certificate {
        Some(path) => read("sslcert", path)?,
        None => Vec::new(),
    };
    let options = options.ssl_root_cert_from_pem(root);
    Ok(match &url.tls.client_certificate {
        Some((certificate, key)) => options
            .ssl_client_cert_from_pem(read("sslclientcert", certificate)?)
            .ssl_client_key_from_pem(read("sslclientkey", key)?),
        None => options,
    })
}

/// A PEM file, read once, when the pool is made, so that a missing one is said clearly.
fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::File {
        name,
        path: path.display().to_string(),
        source,
    };
    let bytes = fs::read(path).map_err(unreadable)?;
    if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        Ok(bytes)
    } else {
        Err(unreadable(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not PEM",
        )))
    }
}

/// Quotes a name for use in SQL, so that it means itself whatever it holds.
fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
