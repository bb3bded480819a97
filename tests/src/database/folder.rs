//! The folder of one server: its data, its passwords and its log.

use super::Error;
use super::account::Account;
use nix::errno::Errno;
use nix::sys::signal;
use nix::unistd::Pid;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the children of a killed server may take to notice that it is gone.
const ORPHANS_LEAVE_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Throwaway folders carry the process that made them, so that a later one can clear up after a
/// hard kill.
const THROWAWAY: &str = "throwaway-";

/// Where one server keeps everything; removed when dropped if it is a throwaway.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    throwaway: bool,
}

impl Folder {
    /// A folder that stays.
    pub(super) fn kept(root: PathBuf) -> Self {
        Self {
            root,
            throwaway: false,
        }
    }

    /// A new folder that goes with its server.
    pub(super) fn throwaway(work: &Path) -> Result<Self, Error> {
        let name = format!(
            "{THROWAWAY}{}-{}",
            std::process::id(),
            uuid::Uuid::new_v4().simple()
        );
        let root = work.join(name);
        fs::create_dir(&root).map_err(Error::io("create", &root))?;
        Ok(Self {
            root,
            throwaway: true,
        })
    }

    /// PostgreSQL's own data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The major version of the server that wrote the data; none if there is no data yet.
    pub(super) fn major_version(&self) -> Option<u32> {
        let version = fs::read_to_string(self.data().join("PG_VERSION")).ok()?;
        version.trim().parse().ok()
    }

    /// What the server says, sessions included.
    pub(super) fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    pub(super) fn is_throwaway(&self) -> bool {
        self.throwaway
    }

    /// Begins an empty log: the sessions of an earlier life are no longer of interest.
    pub(super) fn forget_log(&self) -> Result<(), Error> {
        let log = self.log();
        match fs::remove_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", &log)(error))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that no server runs on the data, and removes the mark of one that was killed.
    ///
    /// PostgreSQL itself takes the mark for a live server's when another process has got its number
    /// since, so every process is asked where it works: a server and its children all work in their
    /// data folder. Where the system does not tell (it has no /proc), a live process with that
    /// number counts as the server.
    pub(super) fn release(&self) -> Result<(), Error> {
        let data = self.data();
        let mark = data.join("postmaster.pid");
        let Some(server) = first_number(&mark) else {
            return Ok(());
        };
        let already_running = |pid| Error::AlreadyRunning {
            pid,
            data: data.clone(),
        };
        let deadline = Instant::now() + ORPHANS_LEAVE_WITHIN;
        while let Some(at_work) = processes_in(&data) {
            match at_work.first() {
                None => return fs::remove_file(&mark).map_err(Error::io("remove", &mark)),
                Some(_) if at_work.contains(&server) => return Err(already_running(server)),
                Some(orphan) if Instant::now() > deadline => return Err(already_running(*orphan)),
                Some(_) => std::thread::sleep(POLL),
            }
        }
        if is_alive(server) {
            return Err(already_running(server));
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.throwaway {
            // What cannot be removed now is removed by the next process that clears up.
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

/// Removes the throwaway folders of processes that were killed before they could do it themselves.
pub(super) fn clear_up(work: &Path) {
    let Ok(entries) = fs::read_dir(work) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let maker = name
            .to_str()
            .and_then(|name| name.strip_prefix(THROWAWAY))
            .and_then(|name| name.split('-').next())
            .and_then(|pid| pid.parse().ok());
        let Some(maker) = maker else { continue };
        let server = first_number(&entry.path().join("data/postmaster.pid"));
        if !is_alive(maker) && !server.is_some_and(is_alive) {
            // Another process may be clearing up as well.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that a `postmaster.pid` names. A lone backend, as initdb uses, writes its number
/// negated.
pub(super) fn first_number(mark: &Path) -> Option<i32> {
    let text = fs::read_to_string(mark).ok()?;
    text.lines().next()?.trim().parse().ok().map(i32::abs)
}

fn is_alive(pid: i32) -> bool {
    signal::kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// The processes whose working folder this is, `None` where there is no /proc.
fn processes_in(folder: &Path) -> Option<Vec<i32>> {
    let folder = fs::canonicalize(folder).ok()?;
    fs::symlink_metadata("/proc/self/cwd").ok()?;
    let processes = fs::read_dir("/proc").ok()?;
    let at_work = processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
        });
    Some(at_work.collect())
}

/// Copies a folder of plain files for the account. [`fs::copy`] shares the blocks where the file
/// system can.
pub(super) fn copy(from: &Path, to: &Path, account: &Account) -> Result<(), Error> {
    // PostgreSQL refuses a data folder that others can read.
    fs::DirBuilder::new()
        .mode(0o700)
        .create(to)
        .map_err(Error::io("create", to))?;
    account.own(to)?;
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(Error::io("look at", from))?;
        if kind.is_dir() {
            copy(&entry.path(), &target, account)?;
        } else {
            fs::copy(entry.path(), &target).map_err(Error::io("copy to", &target))?;
            account.own(&target)?;
        }
    }
    Ok(())
}

/// Writes a file that only the account can read, whole or not at all.
pub(crate) fn write_private(path: &Path, text: &str, account: &Account) -> Result<(), Error> {
    let draft = path.with_extension("draft");
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(Error::io("write", &draft))?;
    account.own(&draft)?;
    fs::rename(&draft, path).map_err(Error::io("write", path))
}
