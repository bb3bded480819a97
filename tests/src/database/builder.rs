//! What a database is to be like, and its start.

use super::account::Account;
use super::connection_log::LINE_PREFIX;
use super::folder::{self, Folder, write_private};
use super::installation::{self, Installation};
use super::{Database, Error, memory, template};
use rand::RngExt;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Below the ports that systems hand to clients: a client that tries again and again while the
/// server is down would otherwise be given the server's own port one day, and talk to itself.
const PORTS: RangeInclusive<u16> = 20_000..=32_000;

/// Another process may take a port between the look and the start.
const START_ATTEMPTS: usize = 10;

/// Describes a [`Database`] before it starts.
#[derive(Clone, Debug)]
pub struct Builder {
    kept: Option<PathBuf>,
    work_folder: Option<PathBuf>,
    program_folders: Option<Vec<PathBuf>>,
    port: u16,
    max_connections: u32,
    settings: Vec<(String, String)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            kept: None,
            work_folder: None,
            program_folders: None,
            port: 0,
            max_connections: 100,
            settings: Vec::new(),
        }
    }
}

impl Builder {
    /// Keeps data and log in this folder, relative to the work folder; the next start finds them.
    /// Default: a folder that goes with the server.
    pub fn kept(mut self, folder: impl Into<PathBuf>) -> Self {
        self.kept = Some(folder.into());
        self
    }

    /// Where templates, throwaway data and a fetched server go. Default: `postgresql` in the target
    /// directory, and memory for throwaway data where the system has a folder for that.
    pub fn work_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.work_folder = Some(folder.into());
        self
    }

    /// Looks for `postgres` and `initdb` in these folders alone. Default: where systems put them,
    /// and `PATH`.
    pub fn program_folders(mut self, folders: impl Into<Vec<PathBuf>>) -> Self {
        self.program_folders = Some(folders.into());
        self
    }

    /// The port on 127.0.0.1. Default 0: a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// All slots of the server, the superuser's three included. Default 100, as PostgreSQL has it.
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// One more line for `postgresql.conf`; it wins over the lines that the fleet writes itself.
    pub fn setting(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.settings.push((name.into(), value.to_string()));
        self
    }

    /// Starts the server; it lets clients in when this returns.
    ///
    /// # Errors
    /// When there is no PostgreSQL, when a server already runs on a kept folder, when the given
    /// port is taken, and when the server itself fails to start, with what it said.
    pub async fn start(self) -> Result<Database, Error> {
        let account = Account::current()?;
        let wanted = self
            .work_folder
            .clone()
            .unwrap_or_else(|| work_folder("postgresql"));
        let work = account.place(&wanted)?;
        let folders = self
            .program_folders
            .clone()
            .unwrap_or_else(installation::usual_folders);
        let mut database = tokio::task::spawn_blocking(move || {
            let (installation, folder) = self.prepare(&work, &folders, &account)?;
            Database::new(installation, folder, account, self.port)
        })
        .await
        .expect("the preparation neither panics nor is cancelled")?;

        if database.port != 0 {
            database.start().await?;
            return Ok(database);
        }
        let mut attempts = 1;
        loop {
            database.port = free_port()?;
            match database.start().await {
                Err(Error::PortTaken(_)) if attempts < START_ATTEMPTS => attempts += 1,
                result => return result.map(|()| database),
            }
        }
    }

    /// A folder that is ready for a server: initialised, configured and not in use.
    fn prepare(
        &self,
        work: &Path,
        programs: &[PathBuf],
        account: &Account,
    ) -> Result<(Installation, Folder), Error> {
        let folder = match &self.kept {
            Some(wanted) => Folder::kept(account.place(&work.join(wanted))?),
            None => {
                let in_memory = match &self.work_folder {
                    Some(_) => None,
                    None => memory::folder(account),
                };
                let parent = in_memory.as_deref().unwrap_or(work);
                folder::clear_up(parent);
                Folder::throwaway(parent)?
            }
        };
        let major = folder.major_version();
        let installation = match (Installation::find(programs, major), major) {
            (Err(Error::NotFound { .. }), Some(major)) => {
                let data = folder.data();
                return Err(Error::OtherVersion { major, data });
            }
            (found, _) => found?,
        };
        template::fill(&folder, work, &installation, account)?;
        folder.release()?;
        folder.forget_log()?;
        let configuration = self.configuration(&folder);
        write_private(
            &folder.data().join("postgresql.conf"),
            &configuration,
            account,
        )?;
        Ok((installation, folder))
    }

    /// The whole of `postgresql.conf`: what it does not say is PostgreSQL's default.
    fn configuration(&self, folder: &Folder) -> String {
        let mut settings = vec![
            ("listen_addresses", Ipv4Addr::LOCALHOST.to_string()),
            // A socket's path may have 107 bytes, which a target directory exceeds easily.
            ("unix_socket_directories", String::new()),
            ("max_connections", self.max_connections.to_string()),
            ("password_encryption", "scram-sha-256".to_owned()),
            ("timezone", "UTC".to_owned()),
            // What the replay of the log expects.
            ("log_timezone", "UTC".to_owned()),
            ("lc_messages", "C".to_owned()),
            ("log_connections", "on".to_owned()),
            ("log_disconnections", "on".to_owned()),
            ("log_line_prefix", LINE_PREFIX.to_owned()),
        ];
        if folder.is_throwaway() {
            // Nothing of it survives the machine anyway. What was committed survives the server all
            // the same: a test that crashes it finds what a real crash leaves.
            settings.extend(["fsync", "full_page_writes"].map(|safety| (safety, "off".to_owned())));
        }
        let own = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        settings
            .into_iter()
            .chain(own)
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect()
    }
}

/// A port of 127.0.0.1 that is free just now.
pub(crate) fn free_port() -> Result<u16, Error> {
    let mut taken = None;
    for _ in 0..START_ATTEMPTS {
        let port = rand::rng().random_range(PORTS);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(_) => taken = Some(port),
        }
    }
    Err(Error::PortTaken(taken.unwrap_or_default()))
}

/// Cargo marks its target directory. A program that lies elsewhere uses the system's folder for
/// temporary files.
pub(crate) fn work_folder(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(
            || std::env::temp_dir().join(format!("headroom-{name}")),
            |target| target.join(name),
        )
}
