//! What can be wrong with a URL, and what is worth a line in the log.

/// Why a URL was refused. Names the part or parameter, never the password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// Not a URL at all; most often an unescaped character in the password.
    #[error(
        "DATABASE_URL is not a URL ({0}); write postgresql://USER:PASSWORD@HOST:5432/DATABASE and percent-encode the characters : / ? # [ ] @ and % in user and password"
    )]
    Unparsable(url::ParseError),
    /// Another scheme.
    #[error("DATABASE_URL must begin with postgresql:// or postgres://")]
    Scheme,
    /// A `#` that would drop the rest of the URL.
    #[error(
        "DATABASE_URL has a # in it, which ends a URL; write %23 where it belongs to a password or a value"
    )]
    Fragment,
    /// An `@` behind the `?`: a password with a question mark in it, of which only the beginning
    /// would be read as password.
    #[error(
        "DATABASE_URL has an @ behind its ?; write %3F for a question mark in the password, and %40 for an @ in a value"
    )]
    AtInQuery,
    /// No role to log in as.
    #[error("DATABASE_URL names no user; write postgresql://USER:PASSWORD@HOST:5432/DATABASE")]
    NoUser,
    /// A part that does not decode to text.
    #[error(
        "the {part} in DATABASE_URL is not text once percent-decoded; accepted is UTF-8 without a NUL character"
    )]
    NotText {
        /// Which part.
        part: &'static str,
    },
    /// A value that cannot mean anything.
    #[error("DATABASE_URL: {name}={value} cannot be used; accepted is {accepted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// Its value, or a stand-in where it could hold a secret.
        value: String,
        /// What is accepted instead.
        accepted: String,
    },
    /// A name that is nearly a known one.
    #[error("DATABASE_URL: {name} is not a parameter; did you mean {nearest}?")]
    Misspelt {
        /// The name as it was written.
        name: String,
        /// The known name it is nearest to.
        nearest: &'static str,
    },
    /// One parameter, given twice.
    #[error("DATABASE_URL: {name} is given more than once; give it once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// Two parameters that contradict each other.
    #[error("DATABASE_URL: {one} contradicts {other}; remove one of them")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Prisma's PKCS#12 identity, which the driver cannot read.
    #[error(
        "DATABASE_URL: {name} (PKCS#12) is not supported; convert the identity with `openssl pkcs12 -nodes` and give the PEM files as sslclientcert and sslclientkey"
    )]
    Pkcs12 {
        /// The parameter.
        name: &'static str,
    },
    /// A client certificate without its key, or a key without its certificate.
    #[error("DATABASE_URL: sslclientcert and sslclientkey belong together; give both or neither")]
    HalfClientCertificate,
    /// Channel binding cannot be promised.
    #[error(
        "DATABASE_URL: channel_binding=require cannot be kept, the driver has no channel binding; accepted is disable or prefer, and sslmode=verify-full protects against the same attack"
    )]
    ChannelBinding,
}

/// Something that works, but should be said once in the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Warning {
    /// A name that nothing here is near to.
    #[error("DATABASE_URL: the parameter {0} is not known and has no effect")]
    Unknown(String),
    /// The connection crosses a network and the server's identity is not verified.
    #[error(
        "DATABASE_URL: sslmode={mode} verifies nothing, whoever sits between here and the database can read and change everything; use sslmode=verify-full (Prisma's sslaccept=strict means the same)"
    )]
    NothingVerified {
        /// The mode in force.
        mode: &'static str,
    },
    /// A root certificate that nothing is verified against.
    #[error(
        "DATABASE_URL: sslcert has no effect with sslmode={mode}; use sslmode=verify-full or sslaccept=strict"
    )]
    UnusedRootCertificate {
        /// The mode in force.
        mode: &'static str,
    },
    /// Verification was asked for and encryption switched off.
    #[error("DATABASE_URL: sslaccept=strict has no effect with sslmode=disable")]
    StrictWithoutTls,
}
