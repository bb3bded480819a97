//! `DATABASE_URL` as Prisma's users write it. Nothing here reads a file, a variable or a clock.
//!
//! A URL that works with Prisma works here unchanged, with the same meaning and the same units
//! (Prisma's own reading is prisma-engines, `quaint/src/connector/postgres/url.rs`). Where Prisma
//! drops something in silence, this module says it: a misspelt name is an error that names the
//! nearest known one, any other unknown name is one [`Warning`], and a value that cannot mean
//! anything is an error that names the parameter, the value and what is accepted. docs/design/database-url.md lists
//! what Prisma tolerates and this refuses.

mod error;
mod parameter;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::Url;

pub use error::{UrlError, Warning};
use parameter::Parameters;

/// Prisma's default for `pool_timeout`.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);
/// Prisma's default for `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Prisma's default for `max_idle_connection_lifetime`.
const MAX_IDLE_CONNECTION_LIFETIME: Duration = Duration::from_secs(300);
/// Prisma's default for `statement_cache_size`.
const STATEMENT_CACHE_SIZE: u32 = 100;
/// The most that `connection_limit` may be: RDS caps `max_connections` there, and a larger number
/// in one environment's URL is a slip of the keyboard, not a plan.
pub(crate) const MAX_CONNECTION_LIMIT: u32 = 5000;

/// Everything a URL says about how to reach the database and how its pool behaves.
///
/// `Debug` shows no password: the field's own type hides it.
#[derive(Clone, Debug)]
pub struct DatabaseUrl {
    /// The variable that gave it, or said where it is kept; for messages. `DATABASE_URL` unless
    /// its reader says otherwise.
    pub variable: &'static str,
    /// Where the server listens.
    pub host: Host,
    /// The server's port; 5432 unless the URL says otherwise.
    pub port: u16,
    /// The role, percent-decoded.
    pub user: String,
    /// The role's password, percent-decoded; empty where the URL has none.
    pub password: SecretString,
    /// The database's name, percent-decoded; `postgres` where the URL has none, as in Prisma.
    pub database: String,
    /// The schema that unqualified names are looked up in; `public` by default.
    pub schema: String,
    /// How the connection is encrypted and what is verified.
    pub tls: Tls,
    /// The most sessions the URL allows one environment; `None` where it does not say.
    pub connection_limit: Option<NonZeroU32>,
    /// How long an invocation waits for a session, connecting included; `None` is until its
    /// deadline.
    pub pool_timeout: Option<Duration>,
    /// How long one attempt to connect may take; `None` leaves it to `pool_timeout`.
    pub connect_timeout: Option<Duration>,
    /// How long the client waits for one query; `None` leaves it to the statement time-out.
    pub socket_timeout: Option<Duration>,
    /// The age at which a session is replaced at its next checkout, by wall clock.
    pub max_connection_lifetime: Option<Duration>,
    /// The idle time after which a session is replaced at its next checkout, by wall clock.
    pub max_idle_connection_lifetime: Option<Duration>,
    /// How many prepared statements a session keeps; 0 prepares each time.
    pub statement_cache_size: u32,
    /// A transaction pooler stands in front of the database: no named statements, nothing set on
    /// the session.
    pub pgbouncer: bool,
    /// Every session is closed after one use.
    pub single_use_connections: bool,
    /// The first part of the sessions' `application_name`, where the URL gives one.
    pub application_name: Option<String>,
    /// Settings for the session's start, from `options=-c name=value`.
    pub options: Vec<(String, String)>,
    /// What should be said once, in the log, about this URL.
    pub warnings: Vec<Warning>,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name or an address, without brackets.
    Tcp(String),
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

impl Host {
    /// Whether the server is on this machine, so that nothing crosses a network.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name) => f.write_str(name),
            Self::Socket(directory) => directory.display().fmt(f),
        }
    }
}

/// How the connection is encrypted and what is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// What is encrypted and verified.
    pub mode: TlsMode,
    /// The authority that signed the server's certificate; the public ones where there is none.
    pub root_certificate: Option<RootCertificate>,
    /// PEM files of a client certificate and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// The PEM file of the authority that signed the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCertificate {
    /// The parameter that names it: `sslcert` as Prisma means it, or `sslrootcert`.
    pub parameter: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// PostgreSQL's `sslmode`, without `allow`, which the driver treats as plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Disable,
    /// Encrypted where the server offers it; verifies nothing.
    Prefer,
    /// Encrypted; verifies nothing, so that an attacker in between can read and change everything.
    Require,
    /// Encrypted, and the certificate is signed by a known authority.
    VerifyCa,
    /// Encrypted, signed by a known authority, and made out to this host.
    VerifyFull,
}

impl TlsMode {
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether the server has to prove who it is.
    pub(crate) fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

impl DatabaseUrl {
    /// Says in the log what should be said about this URL, and where it came from.
    pub(crate) fn log_warnings(&self) {
        for warning in &self.warnings {
            tracing::warn!("{}: {warning}", self.variable);
        }
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// Whatever cannot mean anything, by name: see [`UrlError`]. No error holds the password.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text).map_err(UrlError::Unparsable)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(UrlError::Scheme);
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        if url.query().is_some_and(|query| query.contains('@')) {
            return Err(UrlError::AtInQuery);
        }
        let user = decode("user name", url.username())?;
        if user.is_empty() {
            return Err(UrlError::NoUser);
        }
        let password = decode("password", url.password().unwrap_or_default())?;
        // The first segment, as in Prisma: a slash at the end means nothing.
        let path = url.path().trim_start_matches('/');
        let database = decode("database name", path.split('/').next().unwrap_or_default())?;

        let mut parameters = Parameters::read(&url, &password)?;
        let pgbouncer = parameters.boolean("pgbouncer")?.unwrap_or(false);
        let host = host(&url, &mut parameters)?;
        let tls = tls(&host, &mut parameters)?;
        channel_binding(&mut parameters)?;

        Ok(Self {
            variable: "DATABASE_URL",
            port: url.port().unwrap_or(5432),
            user,
            password: SecretString::from(password),
            database: if database.is_empty() {
                "postgres".to_owned()
            } else {
                database
            },
            schema: parameters
                .text("schema")?
                .unwrap_or_else(|| "public".to_owned()),
            connection_limit: parameters
                .integer("connection_limit", 1, MAX_CONNECTION_LIMIT)?
                .and_then(NonZeroU32::new),
            pool_timeout: parameters.seconds("pool_timeout", Some(POOL_TIMEOUT))?,
            connect_timeout: parameters.seconds("connect_timeout", Some(CONNECT_TIMEOUT))?,
            socket_timeout: parameters.positive_seconds("socket_timeout")?,
            max_connection_lifetime: parameters.seconds("max_connection_lifetime", None)?,
            max_idle_connection_lifetime: parameters.seconds(
                "max_idle_connection_lifetime",
                Some(MAX_IDLE_CONNECTION_LIFETIME),
            )?,
            statement_cache_size: parameters
                .integer("statement_cache_size", 0, 10_000)?
                .unwrap_or(STATEMENT_CACHE_SIZE),
            pgbouncer,
            single_use_connections: parameters
                .boolean("single_use_connections")?
                .unwrap_or(false),
            application_name: parameters.text("application_name")?,
            options: parameters.options()?,
            host,
            tls,
            warnings: parameters.into_warnings(),
        })
    }
}

/// The parameter `host` wins over the URL's own host, as in Prisma; a path is a socket directory.
fn host(url: &Url, parameters: &mut Parameters) -> Result<Host, UrlError> {
    let name = match parameters.text("host")? {
        Some(host) => host,
        None => decode("host", url.host_str().unwrap_or_default())?,
    };
    let name = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(&name);
    Ok(if name.is_empty() {
        Host::Tcp("localhost".to_owned())
    } else if Path::new(name).is_absolute() {
        Host::Socket(PathBuf::from(name))
    } else {
        Host::Tcp(name.to_owned())
    })
}

fn tls(host: &Host, parameters: &mut Parameters) -> Result<Tls, UrlError> {
    let asked = parameters.choice(
        "sslmode",
        &[
            ("disable", TlsMode::Disable),
            ("prefer", TlsMode::Prefer),
            ("require", TlsMode::Require),
            ("verify-ca", TlsMode::VerifyCa),
            ("verify-full", TlsMode::VerifyFull),
        ],
    )?;
    let strict = parameters.choice(
        "sslaccept",
        &[("strict", true), ("accept_invalid_certs", false)],
    )?;
    let mode = match (asked.unwrap_or(TlsMode::Prefer), strict) {
        (TlsMode::Disable, Some(true)) => {
            parameters.warn(Warning::StrictWithoutTls);
            TlsMode::Disable
        }
        (_, Some(true)) => TlsMode::VerifyFull,
        (mode, Some(false)) if mode.verifies() => {
            return Err(UrlError::Conflict {
                one: "sslaccept=accept_invalid_certs",
                other: "an sslmode that verifies",
            });
        }
        (mode, _) => mode,
    };

    let (prismas, libpqs) = ("sslcert", "sslrootcert");
    let root_certificate = match (parameters.text(prismas)?, parameters.text(libpqs)?) {
        (Some(_), Some(_)) => {
            return Err(UrlError::Conflict {
                one: "sslcert",
                other: "sslrootcert, which means the same: the authority of the server's certificate",
            });
        }
        (Some(path), None) => Some((prismas, path)),
        (None, Some(path)) => Some((libpqs, path)),
        (None, None) => None,
    };
    let root_certificate = root_certificate.map(|(parameter, path)| RootCertificate {
        parameter,
        path: path.into(),
    });
    for name in ["sslidentity", "sslpassword"] {
        if parameters.text(name)?.is_some() {
            return Err(UrlError::Pkcs12 { name });
        }
    }
    let client_certificate = match (
        parameters.text("sslclientcert")?,
        parameters.text("sslclientkey")?,
    ) {
        (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
        (None, None) => None,
        _ => return Err(UrlError::HalfClientCertificate),
    };

    // PostgreSQL offers no TLS on a Unix socket, and libpq ignores sslmode there.
    let mode = match host {
        Host::Socket(_) => TlsMode::Disable,
        Host::Tcp(_) => mode,
    };
    if !host.is_local() && !mode.verifies() {
        parameters.warn(Warning::NothingVerified { mode: mode.name() });
    }
    if let Some(RootCertificate {
        parameter: name, ..
    }) = root_certificate
        && !mode.verifies()
    {
        let mode = mode.name();
        parameters.warn(Warning::UnusedRootCertificate { name, mode });
    }
    Ok(Tls {
        mode,
        root_certificate,
        client_certificate,
    })
}

/// The driver speaks SCRAM without channel binding, so only its absence can be promised.
fn channel_binding(parameters: &mut Parameters) -> Result<(), UrlError> {
    let required = parameters.choice(
        "channel_binding",
        &[("disable", false), ("prefer", false), ("require", true)],
    )?;
    if required == Some(true) {
        return Err(UrlError::ChannelBinding);
    }
    Ok(())
}

/// Percent-decodes one part of the URL.
fn decode(part: &'static str, text: &str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| UrlError::NotText { part })?;
    if decoded.contains('\0') {
        return Err(UrlError::NotText { part });
    }
    Ok(decoded.into_owned())
}
