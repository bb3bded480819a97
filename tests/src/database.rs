//! PostgreSQL for the local fleet: a server of its own for each test, and one with data that stays
//! for `make run`.
//!
//! - `installation`: the server's programs, found or fetched
//! - `account`: who runs them when this process is root
//! - `template`: an initialised data folder to copy
//! - `folder`, `passwords`: what a server keeps; `memory`: where, if it is not kept
//! - `server`: its process
//! - `connection_log`: its sessions, from its own log
//!
//! Nothing listens but 127.0.0.1, and no client logs in without a password. A server ends with its
//! [`Database`], also when a test panics; on Linux also when the whole process is killed.

mod account;
mod builder;
mod connection_log;
mod error;
mod folder;
mod installation;
mod memory;
mod passwords;
mod server;
mod template;

pub use builder::Builder;
pub use connection_log::{ConnectionLog, Refusal, Session};
pub use error::Error;
pub use installation::Version;
pub use server::Stop;

pub(crate) use account::Account;
pub(crate) use builder::{free_port, work_folder};
pub(crate) use folder::write_private;

use folder::Folder;
use installation::Installation;
use passwords::Passwords;
use server::Server;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::fs;
use std::path::PathBuf;

/// The database that the application uses, and the role that owns it.
pub const CLINIC: &str = "clinic";

/// The role that the functions log in as. The migrations make it.
pub const APPLICATION: &str = "application";

/// The superuser, and the database that it connects to.
pub const ADMIN: &str = "postgres";

/// A PostgreSQL server with an empty database `clinic`, owned by an ordinary role `clinic` that may
/// create roles.
#[derive(Debug)]
pub struct Database {
    /// Before `folder`: the server has to be gone when its data is removed.
    server: Option<Server>,
    folder: Folder,
    installation: Installation,
    account: Account,
    passwords: Passwords,
    /// A new one each time: the migrations tell it to the server.
    application_password: String,
    port: u16,
}

impl Database {
    /// Describes a database to start: a throwaway one on a free port unless told otherwise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// On the port that the builder was given, 0 while it has to find one.
    fn new(
        installation: Installation,
        folder: Folder,
        account: Account,
        port: u16,
    ) -> Result<Self, Error> {
        let passwords = Passwords::read(&folder.data())?;
        Ok(Self {
            server: None,
            folder,
            installation,
            account,
            passwords,
            application_password: passwords::random(),
            port,
        })
    }

    /// The owner's URL, without parameters.
    pub fn url(&self) -> String {
        self.url_of(CLINIC, &self.passwords.clinic)
    }

    /// The application's URL, without parameters, for the functions and for the migrations, which
    /// make a role of it that can log in.
    pub fn application_url(&self) -> String {
        let server = self.server_url(APPLICATION, &self.application_password);
        format!("{server}/{CLINIC}")
    }

    /// The superuser's URL, without parameters. Superusers are exempt from a role's `CONNECTION
    /// LIMIT`.
    pub fn admin_url(&self) -> String {
        self.url_of(ADMIN, &self.passwords.admin)
    }

    /// A connection of the superuser's, to the database `clinic`.
    ///
    /// # Errors
    /// When the server is stopped or has no slot left.
    pub async fn admin(&self) -> Result<PgConnection, Error> {
        let url = format!("{}/{CLINIC}", self.server_url(ADMIN, &self.passwords.admin));
        connect(&url).await
    }

    /// The port on 127.0.0.1, the same for the database's whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The version of the server's programs.
    pub fn version(&self) -> Version {
        self.installation.version
    }

    /// Where the data really is: in /var/tmp when the server's user cannot reach the folder that
    /// was asked for.
    pub fn data_folder(&self) -> PathBuf {
        self.folder.data()
    }

    /// The server's own log.
    pub fn log_file(&self) -> PathBuf {
        self.folder.log()
    }

    /// Every session since this database was first started, from the server's log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn connections(&self) -> Result<ConnectionLog, Error> {
        let path = self.folder.log();
        let log = fs::read(&path).map_err(Error::io("read", &path))?;
        Ok(ConnectionLog::parse(&String::from_utf8_lossy(&log)))
    }

    /// Starts the server again after [`stop`](Self::stop), on the same port with the same data; a
    /// running one goes on running.
    ///
    /// # Errors
    /// When the port was taken meanwhile, and when the server fails to start, with what it said.
    pub async fn start(&mut self) -> Result<(), Error> {
        if self.server.is_some() {
            return Ok(());
        }
        let server =
            Server::start(&self.installation, &self.folder, self.port, &self.account).await?;
        self.server = Some(server);
        match Passwords::read_next(&self.folder.data()) {
            Some(next) => self.change_passwords(next).await,
            None => Ok(()),
        }
    }

    /// Ends the server; the data stays for the next [`start`](Self::start).
    ///
    /// # Errors
    /// When the server does not end within a minute.
    pub async fn stop(&mut self, how: Stop) -> Result<(), Error> {
        match self.server.take() {
            Some(server) => server.stop(how).await,
            None => Ok(()),
        }
    }

    /// Ends the server and starts it again, on the same port.
    ///
    /// # Errors
    /// Those of [`stop`](Self::stop) and of [`start`](Self::start).
    pub async fn restart(&mut self, how: Stop) -> Result<(), Error> {
        self.stop(how).await?;
        self.start().await
    }

    /// Ends the server in order and removes what is not to be kept.
    ///
    /// # Errors
    /// When the server does not end within a minute.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        self.stop(Stop::Fast).await
    }

    /// Gives the roles their new passwords. A process killed in the middle leaves a server that
    /// knows the new ones already, and a note that it may not: then the old ones are refused.
    async fn change_passwords(&mut self, next: Passwords) -> Result<(), Error> {
        match connect(&self.admin_url()).await {
            Ok(mut admin) => {
                let change = format!(
                    "alter role {ADMIN} password '{}'; alter role {CLINIC} password '{}'",
                    next.admin, next.clinic
                );
                sqlx::raw_sql(AssertSqlSafe(change))
                    .execute(&mut admin)
                    .await?;
                admin.close().await?;
            }
            Err(Error::Sql(sqlx::Error::Database(refusal)))
                if refusal.code().as_deref() == Some(INVALID_PASSWORD) => {}
            Err(error) => return Err(error),
        }
        Passwords::promote_next(&self.folder.data())?;
        self.passwords = next;
        Ok(())
    }

    fn url_of(&self, role_and_database: &str, password: &str) -> String {
        let server = self.server_url(role_and_database, password);
        format!("{server}/{role_and_database}")
    }

    fn server_url(&self, role: &str, password: &str) -> String {
        format!("postgresql://{role}:{password}@127.0.0.1:{}", self.port)
    }
}

/// SQLSTATE `invalid_password`.
const INVALID_PASSWORD: &str = "28P01";

#[expect(
    clippy::disallowed_methods,
    reason = "an administrator's connection beside the application's pool, which it is to observe"
)]
async fn connect(url: &str) -> Result<PgConnection, Error> {
    Ok(PgConnection::connect(url).await?)
}
