use std::io;
use std::path::{Path, PathBuf};

/// Why the fleet has no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server on this machine. One line, with the command that helps.
    #[error(
        "PostgreSQL {oldest} or newer was not found in {searched}: install it with `{command}`"
    )]
    NotFound {
        /// The oldest major version that would have done.
        oldest: u32,
        /// The folders that were searched, joined by commas.
        searched: String,
        /// What installs PostgreSQL on this system.
        command: &'static str,
    },
    /// Only the programs of one major version can read a data folder, and this machine has none of it.
    #[error(
        "PostgreSQL {major} wrote {}, and its programs are not on this machine: install postgresql-{major}, \
         or remove the folder with what is in it",
        data.display()
    )]
    OtherVersion {
        /// The major version that wrote it.
        major: u32,
        /// The folder in question.
        data: PathBuf,
    },
    /// A server already runs on the data folder.
    #[error(
        "a PostgreSQL server (process {pid}) already runs on {}: end it first with `kill -INT {pid}`",
        data.display()
    )]
    AlreadyRunning {
        /// The process that holds the data folder.
        pid: i32,
        /// The folder in question.
        data: PathBuf,
    },
    /// The port is in use by another process.
    #[error("port {0} on 127.0.0.1 is taken")]
    PortTaken(u16),
    /// PostgreSQL refuses to run as root, and there is nobody to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody"
    )]
    NoAccount,
    /// A folder in /var/tmp or /dev/shm that the server would use belongs to another user.
    #[error("{} exists and is not a folder of the server's user", .0.display())]
    ForeignFolder(PathBuf),
    /// One of PostgreSQL's programs ended with an error.
    #[error("{what} failed: {output}")]
    Program {
        /// The program and its purpose.
        what: String,
        /// The last lines of what it said.
        output: String,
    },
    /// The server did not do what it was asked within a generous time.
    #[error("the server did not {what} within {seconds} s")]
    TooSlow {
        /// What was asked of it.
        what: &'static str,
        /// How long it was given.
        seconds: u64,
    },
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and to which path.
        what: String,
        /// The reason.
        source: io::Error,
    },
    /// The server answered, but not as it should.
    #[error("the database: {0}")]
    Sql(#[from] sqlx::Error),
}

impl Error {
    /// Adds the deed and the path to an error of the file system, which names neither.
    pub(super) fn io(deed: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("cannot {deed} {}", path.display());
        move |source| Self::Io { what, source }
    }
}
