//! Why a configuration cannot be used.

use crate::config::database_url::UrlError;

/// Why the configuration cannot be used. Names the variable, never a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable that must be set is not.
    #[error("{name} is not set; {hint}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What to set it to.
        hint: &'static str,
    },
    /// A variable's value cannot be used.
    #[error("{name}={value} cannot be used; accepted is {accepted}")]
    Value {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A variable is set under the name that it had in an earlier release.
    #[error("{old} is now called {new}; set that instead")]
    Renamed {
        /// The old name.
        old: &'static str,
        /// The name that replaced it.
        new: &'static str,
    },
    /// A variable that would reach the driver behind this module's back.
    #[error(
        "{name} is set, and the driver would follow it unasked; unset it and say the same in DATABASE_URL"
    )]
    Unwanted {
        /// The variable.
        name: &'static str,
    },
    /// A setting in the URL's `options` that belongs to a variable or parameter of its own.
    #[error("{variable}: options sets {name}, which has a place of its own: {instead}")]
    OwnSetting {
        /// The variable that gave the URL, or said where it is kept.
        variable: &'static str,
        /// PostgreSQL's setting.
        name: String,
        /// Where to set it.
        instead: &'static str,
    },
    /// Work that a transaction pooler cannot carry.
    #[error(
        "{work} needs a direct connection, and {variable} has pgbouncer=true; give the server's own address, for migrations in DATABASE_OWNER_URL"
    )]
    Pooler {
        /// The variable that gave the URL, or said where it is kept.
        variable: &'static str,
        /// What needs it.
        work: &'static str,
    },
    /// A URL is wrong.
    #[error("{place}: {why}")]
    Url {
        /// Where it came from.
        place: String,
        /// What is wrong with it. Not the error's source, whose text would be repeated.
        why: UrlError,
    },
    /// Stored credentials that cannot be read, or may not be fetched.
    #[error("{variable}: {what}")]
    Stored {
        /// The variable that says where they are.
        variable: &'static str,
        /// What is wrong, and what is accepted.
        what: String,
    },
    /// A file that the URL names cannot be read.
    #[error("{variable}: {name} names {path}, which cannot be read: {source}")]
    File {
        /// The variable that gave the URL, or said where it is kept.
        variable: &'static str,
        /// The parameter.
        name: &'static str,
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Two variables that contradict each other.
    #[error("{one} and {other} contradict each other: {why}")]
    Contradiction {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
        /// What does not go together.
        why: &'static str,
    },
    /// Two limits that contradict each other.
    #[error(
        "DATABASE_STATEMENT_TIMEOUT={statement} s is not below socket_timeout={socket} s in DATABASE_URL: the client would stop listening while the server goes on; lower the one or raise the other"
    )]
    StatementTimeout {
        /// The server's limit, in seconds.
        statement: u64,
        /// The client's limit, in seconds.
        socket: u64,
    },
}
