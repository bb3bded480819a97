//! What can be wrong with a URL, and what is worth a line in the log. The caller says first where
//! the URL came from: a variable, a secret, the command line.

/// Why a URL was refused. Names the part or parameter, never the password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// Not a URL at all; most often an unescaped character in the password.
    #[error(
        "it is no URL ({0}); write postgresql://USER:PASSWORD@HOST:5432/DATABASE and percent-encode the characters : / ? # [ ] @ and % in user and password"
    )]
    Unparsable(url::ParseError),
    /// Another scheme.
    #[error("it must begin with postgresql:// or postgres://")]
    Scheme,
    /// A `#` that would drop the rest of the URL.
    #[error(
        "it has a # in it, which ends a URL; write %23 where it belongs to a password or a value"
    )]
    Fragment,
    /// An `@` behind the `?`: a password with a question mark in it, of which only the beginning
    /// would be read as password.
    #[error(
        "it has an @ behind its ?; write %3F for a question mark in the password, and %40 for an @ in a value"
    )]
    AtInQuery,
    /// No role to log in as.
    #[error("it names no user; write postgresql://USER:PASSWORD@HOST:5432/DATABASE")]
    NoUser,
    /// A part that does not decode to text.
    #[error(
        "its {part} is not text once percent-decoded; accepted is UTF-8 without a NUL character"
    )]
    NotText {
        /// Which part.
        part: &'static str,
    },
    /// A value that cannot mean anything.
    #[error("{name}={value} cannot be used; accepted is {accepted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// Its value, or a stand-in where it could hold a secret.
        value: String,
        /// What is accepted instead.
        accepted: String,
    },
    /// A name that is nearly a known one.
    #[error("{name} is not a parameter; did you mean {nearest}?")]
    Misspelt {
        /// The name as it was written.
        name: String,
        /// The known name it is nearest to.
        nearest: &'static str,
    },
    /// One parameter, given twice.
    #[error("{name} is given more than once; give it once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// Two parameters that contradict each other.
    #[error("{one} contradicts {other}; remove one of them")]
    Conflict {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// Prisma's PKCS#12 identity, which the driver cannot read.
    #[error(
        "{name} (PKCS#12) is not supported; convert the identity with `openssl pkcs12 -nodes` and give the PEM files as sslclientcert and sslclientkey"
    )]
    Pkcs12 {
        /// The parameter.
        name: &'static str,
    },
    /// A client certificate without its key, or a key without its certificate.
    #[error("sslclientcert and sslclientkey belong together; give both or neither")]
    HalfClientCertificate,
    /// Channel binding cannot be promised.
    #[error(
        "channel_binding=require cannot be kept, the driver has no channel binding; accepted is disable or prefer, and sslmode=verify-full protects against the same attack"
    )]
    ChannelBinding,
}

/// Something that works, but should be said once in the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Warning {
    /// A name that nothing here is near to.
    #[error("the parameter {0} is not known and has no effect")]
    Unknown(String),
    /// The connection crosses a network and the server's identity is not verified.
    #[error(
        "sslmode={mode} verifies nothing, whoever sits between here and the database can read and change everything; use sslmode=verify-full (Prisma's sslaccept=strict means the same)"
    )]
    NothingVerified {
        /// The mode in force.
        mode: &'static str,
    },
    /// A root certificate that nothing is verified against.
    #[error(
        "{name} has no effect with sslmode={mode}; use sslmode=verify-full or sslaccept=strict"
    )]
    UnusedRootCertificate {
        /// The parameter that names it.
        name: &'static str,
        /// The mode in force.
        mode: &'static str,
    },
    /// Verification was asked for and encryption switched off.
    #[error("sslaccept=strict has no effect with sslmode=disable")]
    StrictWithoutTls,
}
