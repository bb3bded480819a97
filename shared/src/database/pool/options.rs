//! What the driver is told for one session: every option said explicitly, and the settings that the server
//! is to hold it to.

#![expect(
    clippy::disallowed_types,
    reason = "the driver's options, of the one place that opens connections"
)]

use std::{fmt::Display, fs, io, path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::{
    self, ConfigError, Guards,
    database_url::{DatabaseUrl, Host, TlsMode},
};

/// The driver's options, every one set: what is left out it would take from PG* variables or
/// `.pgpass`.
pub(super) fn options(url: &DatabaseUrl) -> Result<PgConnectOptions, ConfigError> {
    config::refuse_driver_variables()?;
    let options = log_in(PgConnectOptions::new_without_pgpass(), url, &url.password)
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
    let root = match &url.tls.root_certificate {
        Some(root) => read(url, root.parameter, &root.path)?,
        None => Vec::new(),
    };
    let options = options.ssl_root_cert_from_pem(root);
    Ok(match &url.tls.client_certificate {
        Some((certificate, key)) => options
            .ssl_client_cert_from_pem(read(url, "sslclientcert", certificate)?)
            .ssl_client_key_from_pem(read(url, "sslclientkey", key)?),
        None => options,
    })
}

/// Where to, and as whom.
pub(super) fn log_in(
    options: PgConnectOptions,
    url: &DatabaseUrl,
    password: &SecretString,
) -> PgConnectOptions {
    let options = options
        .port(url.port)
        .username(&url.user)
        .password(password.expose_secret())
        .database(&url.database);
    match &url.host {
        Host::Tcp(name) => options.host(name),
        // The host name would be looked up for TLS only, which a socket does not have.
        Host::Socket(directory) => options.host("localhost").socket(directory),
    }
}

/// A PEM file, read once, when the pool is made, so that a missing one is said clearly.
fn read(url: &DatabaseUrl, name: &'static str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::File {
        variable: url.variable,
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

/// Settings that the URL's `options` may not set, and where they are set instead.
pub(super) const OWN_SETTINGS: [(&str, &str); 7] = [
    ("application_name", "the parameter application_name"),
    ("search_path", "the parameter schema"),
    (
        "statement_timeout",
        "the variable DATABASE_STATEMENT_TIMEOUT",
    ),
    ("lock_timeout", "the variable DATABASE_LOCK_TIMEOUT"),
    (
        "idle_in_transaction_session_timeout",
        "the variable DATABASE_IDLE_IN_TRANSACTION_TIMEOUT",
    ),
    (
        "idle_session_timeout",
        "the variables DATABASE_LEASE_SHORT_MS and DATABASE_LEASE_LONG",
    ),
    (
        "client_connection_check_interval",
        "the variable DATABASE_CONNECTION_CHECK_INTERVAL_MS",
    ),
];

/// Adds start-up options. None at all must not become an empty one: poolers refuse the very
/// parameter.
pub(super) fn with_settings<K: Display, V: Display>(
    options: PgConnectOptions,
    settings: &[(K, V)],
) -> PgConnectOptions {
    if settings.is_empty() {
        return options;
    }
    options.options(settings.iter().map(|(name, value)| (name, value)))
}

/// What the server holds each session to, as start-up options; the migrations make the same the
/// role's defaults.
pub(crate) fn guards(guards: &Guards) -> Vec<(&'static str, String)> {
    let milliseconds = |time: Duration| time.as_millis().to_string();
    let seconds = |time: Duration| time.as_secs().to_string();
    let mut settings = vec![
        ("statement_timeout", milliseconds(guards.statement_timeout)),
        ("lock_timeout", milliseconds(guards.lock_timeout)),
        (
            "idle_in_transaction_session_timeout",
            milliseconds(guards.idle_in_transaction_timeout),
        ),
        ("tcp_keepalives_idle", seconds(guards.keepalive_idle)),
        (
            "tcp_keepalives_interval",
            seconds(guards.keepalive_interval),
        ),
        ("tcp_keepalives_count", guards.keepalive_count.to_string()),
        // Every query is bounded and short; compiling one takes longer than any of them (65 ms for a
        // query of 0.5 ms was seen).
        ("jit", "off".to_owned()),
    ];
    if !guards.connection_check_interval.is_zero() {
        settings.push((
            "client_connection_check_interval",
            milliseconds(guards.connection_check_interval),
        ));
    }
    settings
}

/// Quotes a name for use in SQL, so that it means itself whatever it holds.
pub(crate) fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
