//! The user that runs the server: PostgreSQL refuses to run as root.

use super::Error;
use nix::unistd::{Gid, Uid, User};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Ordinary users under which a server may run when this process is root, in order of preference.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];

/// Who runs PostgreSQL's programs and owns its files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    uid: Uid,
    gid: Gid,
    stands_in: bool,
}

impl Account {
    /// This process's own user, or an unprivileged one when that is root.
    pub(crate) fn current() -> Result<Self, Error> {
        let uid = Uid::effective();
        if !uid.is_root() {
            return Ok(Self {
                uid,
                gid: Gid::effective(),
                stands_in: false,
            });
        }
        STAND_INS
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                uid: user.uid,
                gid: user.gid,
                stands_in: true,
            })
            .ok_or(Error::NoAccount)
    }

    /// The user's number, which tells apart the folders of several users of one target directory.
    pub(super) fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// A program run by this user, in a folder that every user may enter and without the settings of
    /// the developer's shell: `PG*` variables and a locale would change what the server does and
    /// says.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", search_path())
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.stand_in() {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The user and the group that a process has to become to be this user's; none where it is one
    /// already.
    pub(crate) fn stand_in(&self) -> Option<(u32, u32)> {
        self.stands_in.then(|| (self.uid(), self.gid.as_raw()))
    }

    /// Hands a file or a folder to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        if !self.stands_in {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(self.uid()), Some(self.gid.as_raw()))
            .map_err(Error::io("hand over", path))
    }

    /// The folder itself, created, where this user can reach it; else one in /var/tmp that belongs
    /// to it. A clone under /root is out of reach of every user but root, whatever the clone's own
    /// mode.
    pub(super) fn place(&self, folder: &Path) -> Result<PathBuf, Error> {
        let folder =
            std::path::absolute(folder).map_err(Error::io("find the full path of", folder))?;
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        if self.reaches(&folder)? {
            return Ok(folder);
        }
        let refuge = PathBuf::from(format!("/var/tmp/headroom-{:016x}", fingerprint(&folder)));
        self.claim(&refuge)?;
        tracing::warn!(
            wanted = %folder.display(),
            used = %refuge.display(),
            "the user that runs PostgreSQL cannot reach the data folder; another one is used"
        );
        Ok(refuge)
    }

    /// Asks the kernel rather than reading modes: access lists count too.
    fn reaches(&self, folder: &Path) -> Result<bool, Error> {
        if !self.stands_in {
            return Ok(true);
        }
        let status = self
            .command("test")
            .arg("-x")
            .arg(folder)
            .status()
            .map_err(Error::io("look into", folder))?;
        Ok(status.success())
    }

    /// Creates the folder for this user. Every user may write to /var/tmp and /dev/shm, so one that
    /// exists already has to be this user's, and not a link to elsewhere.
    pub(super) fn claim(&self, folder: &Path) -> Result<(), Error> {
        match fs::DirBuilder::new().mode(0o755).create(folder) {
            Ok(()) => self.own(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(folder).map_err(Error::io("look at", folder))?;
                if found.is_dir() && found.uid() == self.uid() {
                    Ok(())
                } else {
                    Err(Error::ForeignFolder(folder.to_owned()))
                }
            }
            Err(error) => Err(Error::io("create", folder)(error)),
        }
    }
}

/// `PATH`: programs are found through it, and it is all that PostgreSQL's programs get from the
/// developer's shell.
#[expect(
    clippy::disallowed_methods,
    reason = "the way to programs, not a setting"
)]
pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// FNV-1a: the same in every process and every release of the compiler, so that a kept folder is
/// found again.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
