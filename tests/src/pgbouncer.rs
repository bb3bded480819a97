//! PgBouncer in front of a database, in transaction mode: many clients on few server sessions, as
//! a transaction pooler or a managed proxy gives them.
//!
//! It is the machine's own program, Debian's 1.18 or a later one, with a configuration of its own; a
//! service that the package may have started plays no part.

use std::{
    env, fs,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use percent_encoding::percent_decode_str;
use tempfile::TempDir;
use tokio::process::Child;
use url::Url;

use crate::{
    database::{self, Account, Database, free_port, write_private},
    spawner::{self, Spawner},
};

/// Where packages put a program that only administrators start, beside `PATH`.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Another process may take a port between the look and the start.
const START_ATTEMPTS: usize = 10;

const STARTS_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(5);

/// What it says once it listens.
const READY: &str = "process up: PgBouncer";

/// What it says, in one of its versions or another, when the port is taken.
const PORT_TAKEN: [&str; 2] = ["Address already in use", "Address in use"];

/// Why there is no pooler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine has no PgBouncer.
    #[error(
        "PgBouncer was not found in PATH, /usr/sbin or /usr/local/sbin: install it with \
         `sudo apt-get install pgbouncer`"
    )]
    NotFound,
    /// The URL names no user, or none that PgBouncer could know.
    #[error(
        "a pooler needs the URL of a role that logs in with a password, postgresql://USER:PASSWORD@HOST/DATABASE"
    )]
    Url,
    /// PgBouncer ended right away, with what it said.
    #[error("PgBouncer did not start: {0}")]
    Ended(String),
    /// PgBouncer did not listen within a minute, with what it said.
    #[error("PgBouncer did not listen within a minute: {0}")]
    TooSlow(String),
    /// The file system, or the start of a process, said no.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// No port, no user, or no file of that user's.
    #[error(transparent)]
    Database(#[from] database::Error),
}

/// Describes a [`PgBouncer`] before it starts.
#[derive(Clone, Debug)]
pub struct Builder<'a> {
    database: &'a Database,
    url: &'a str,
    pool_size: u32,
    settings: Vec<(String, String)>,
}

impl Builder<'_> {
    /// How many sessions it opens at the server at most, per role and database. Default 20, as
    /// PgBouncer has it.
    #[must_use]
    pub fn pool_size(mut self, sessions: u32) -> Self {
        self.pool_size = sessions;
        self
    }

    /// One more line for the section `[pgbouncer]`; it wins over those that are written here.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// Starts it; it takes clients when this returns. It opens its first session at the server for
    /// its first client. Must be called inside a Tokio runtime, which has to outlive it.
    ///
    /// # Errors
    /// When the machine has no PgBouncer, and when it does not start, with what it said.
    pub async fn start(self) -> Result<PgBouncer, Error> {
        let program = find_program().ok_or(Error::NotFound)?;
        let mut url = Url::parse(self.url).map_err(|_| Error::Url)?;
        let login = Login::of(&url).ok_or(Error::Url)?;
        let account = Account::current()?;
        // Beside the data, where the account can reach it: in the folder of a throwaway database
        // everything is removed even after a hard kill.
        let data = self.database.data_folder();
        let parent = data.parent().expect("the data lies in a server's folder");
        let folder = tempfile::Builder::new()
            .prefix("pgbouncer-")
            .tempdir_in(parent)
            .map_err(io_error("cannot create PgBouncer's folder"))?;
        account.own(folder.path())?;
        let logins = folder.path().join("logins.txt");
        write_private(&logins, &login.line(), &account)?;

        let spawner = Spawner::new().map_err(io_error("cannot start a thread"))?;
        let mut attempts = 1;
        loop {
            let port = free_port()?;
            let configuration = folder.path().join("pgbouncer.ini");
            write_private(&configuration, &self.configuration(port, &logins), &account)?;
            match start(&spawner, &program, &configuration, &account).await {
                Err(Error::Ended(said))
                    if attempts < START_ATTEMPTS
                        && PORT_TAKEN.iter().any(|taken| said.contains(taken)) =>
                {
                    attempts += 1;
                }
                Err(error) => return Err(error),
                Ok(process) => {
                    let refused = "a URL with a user has a host and may have a port";
                    url.set_host(Some("127.0.0.1")).expect(refused);
                    url.set_port(Some(port)).expect(refused);
                    return Ok(PgBouncer {
                        process,
                        url: url.into(),
                        port,
                        _spawner: spawner,
                        _folder: folder,
                    });
                }
            }
        }
    }

    /// The whole of `pgbouncer.ini`: what it does not say is PgBouncer's default. Of two lines for
    /// one setting, the last one counts.
    fn configuration(&self, port: u16, logins: &Path) -> String {
        let server = self.database.port();
        let mut lines = format!(
            "[databases]\n\
             * = host=127.0.0.1 port={server}\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = scram-sha-256\n\
             auth_file = {}\n\
             pool_mode = transaction\n\
             default_pool_size = {}\n\
             max_client_conn = 1000\n",
            logins.display(),
            self.pool_size,
        );
        for (name, value) in &self.settings {
            lines.push_str(&format!("{name} = {value}\n"));
        }
        lines
    }
}

/// A running PgBouncer on a free port of 127.0.0.1. It ends, and with it every session that it has
/// at the server, when it is dropped, and on Linux also when the whole process is killed.
#[derive(Debug)]
pub struct PgBouncer {
    process: Child,
    url: String,
    port: u16,
    /// Keeps the thread that started the process, to which the kernel ties the process's life.
    _spawner: Spawner,
    _folder: TempDir,
}

impl PgBouncer {
    /// Describes a pooler to start in front of a database. `url` is a role's URL for it: whoever
    /// logs in through the pooler is that role.
    pub fn builder<'a>(database: &'a Database, url: &'a str) -> Builder<'a> {
        Builder {
            database,
            url,
            pool_size: 20,
            settings: Vec::new(),
        }
    }

    /// The role's URL through the pooler, with the parameters that it had.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process; none when it has ended and that was noticed.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }
}

/// Whom it lets in, and as whom it logs in at the server.
struct Login {
    user: String,
    password: String,
}

impl Login {
    fn of(url: &Url) -> Option<Self> {
        let decode = |text| percent_decode_str(text).decode_utf8().ok();
        let user = decode(url.username())?.into_owned();
        let password = decode(url.password()?)?.into_owned();
        (!user.is_empty()).then_some(Self { user, password })
    }

    /// A line of the file that `auth_file` names. It holds the password itself: from a SCRAM
    /// verifier PgBouncer could check its clients, but log in at the server only as a client that it
    /// has just checked, and only with the very verifier that the server has.
    fn line(&self) -> String {
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        format!("{} {}\n", quote(&self.user), quote(&self.password))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the way to programs, not a setting"
)]
fn find_program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
}

/// Starts the process and waits until it listens. Its own word is waited for: a connection attempt
/// could meet the process that has taken the port.
async fn start(
    spawner: &Spawner,
    program: &Path,
    configuration: &Path,
    account: &Account,
) -> Result<Child, Error> {
    let log = configuration.with_extension("log");
    let said = File::create(&log).map_err(io_error("cannot create PgBouncer's log"))?;
    let mut command = spawner::command(program);
    command
        .arg(configuration)
        .current_dir("/")
        .stdout(Stdio::null())
        .stderr(said);
    // It refuses to run as root.
    if let Some((user, group)) = account.stand_in() {
        command.uid(user).gid(group);
    }
    let mut process = spawner
        .spawn(command)
        .await
        .map_err(io_error("cannot start PgBouncer"))?;
    let deadline = Instant::now() + STARTS_WITHIN;
    loop {
        // In this order: what it said at its end is complete once it has ended.
        let ended = process
            .try_wait()
            .map_err(io_error("cannot wait for PgBouncer"))?;
        let said = fs::read_to_string(&log).map_err(io_error("cannot read PgBouncer's log"))?;
        if ended.is_some() {
            return Err(Error::Ended(said.trim().to_owned()));
        }
        if said.contains(READY) {
            return Ok(process);
        }
        if Instant::now() > deadline {
            return Err(Error::TooSlow(said.trim().to_owned()));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what, source }
}
