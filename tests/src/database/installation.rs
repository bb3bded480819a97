//! Finding PostgreSQL's programs, or fetching them.

use super::Error;
use super::account::search_path;
use postgresql_embedded::{PostgreSQL, Settings, VersionReq};
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// `idle_session_timeout`, on which the leases stand, came with this major version.
const OLDEST: u32 = 14;

/// Folders of programs: a parent, how the names in it begin, and where the programs lie below each.
const USUAL_PLACES: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// Where ready-made builds for most systems are published.
pub(super) const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries";

/// Some 30 MB have to arrive within this time; a network that swallows packets must not hang a test
/// run for longer.
const FETCH_LIMIT: Duration = Duration::from_secs(300);

/// The version of a server's programs, such as 15.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Decides the format of the data folder.
    pub major: u32,
    /// Bug fixes.
    pub minor: u32,
}

impl Version {
    /// Reads "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)", "… 18beta1" or "… 17.5".
    fn parse(announced: &str) -> Option<Self> {
        let (_, version) = announced.split_once("(PostgreSQL) ")?;
        let mut numbers = version
            .split(|c: char| !c.is_ascii_digit())
            .map(|number| number.parse().unwrap_or(0));
        Some(Self {
            major: numbers.next().filter(|major| *major > 0)?,
            minor: numbers.next().unwrap_or(0),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A folder with the programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    pub(super) programs: PathBuf,
    pub(super) version: Version,
}

impl Installation {
    /// The newest that the folders hold, the earlier of two that are equal; `None` when none is new
    /// enough.
    pub(super) fn newest_in(folders: &[PathBuf]) -> Option<Self> {
        // Of equals, `max_by_key` takes the last.
        folders
            .iter()
            .rev()
            .filter_map(|folder| Self::at(folder))
            .max_by_key(|found| found.version)
    }

    fn at(folder: &Path) -> Option<Self> {
        let postgres = folder.join("postgres");
        if !postgres.is_file() || !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(postgres).arg("--version").output().ok()?;
        let version = Version::parse(&String::from_utf8_lossy(&output.stdout))?;
        (version.major >= OLDEST).then(|| Self {
            programs: folder.to_owned(),
            version,
        })
    }

    /// Fetches a build for this machine into the folder, or finds the one fetched before.
    ///
    /// Untested as far as the download itself is concerned: the tests reach 127.0.0.1 alone, and
    /// prove that a download which fails ends in one clear line.
    pub(super) async fn fetch(
        into: &Path,
        releases: &str,
        searched: &[PathBuf],
    ) -> Result<Self, Error> {
        let fetched = async {
            tracing::info!(
                from = releases,
                "no PostgreSQL on this machine: fetching one"
            );
            tokio::time::timeout(FETCH_LIMIT, download(into, releases))
                .await
                .map_err(|_| format!("nothing within {} s", FETCH_LIMIT.as_secs()))?
        };
        let cause = match fetched.await {
            Ok(programs) => match Self::at(&programs) {
                Some(installation) => return Ok(installation),
                None => format!("{} holds no server", programs.display()),
            },
            Err(cause) => cause,
        };
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        Err(Error::NotFound {
            oldest: OLDEST,
            searched: listed(searched),
            cause: cause.replace('\n', " "),
            command: install_command(&os_release),
        })
    }
}

/// Where this machine may have PostgreSQL.
pub(super) fn usual_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (parent, beginning, below) in USUAL_PLACES {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        folders.extend(
            entries
                .filter_map(Result::ok)
                .filter(|entry| entry.file_name().to_string_lossy().starts_with(beginning))
                .map(|entry| entry.path().join(below)),
        );
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    folders.extend(std::env::split_paths(&search_path()));
    folders
}

async fn download(into: &Path, releases: &str) -> Result<PathBuf, String> {
    // The crate's set-up goes on to initialise a data folder as the user of this process, which may
    // be root. A folder that looks initialised makes it stop at the programs.
    let data_dir = into.join("initialised");
    let prepared = fs::create_dir_all(&data_dir)
        .and_then(|()| fs::write(data_dir.join("postgresql.conf"), ""));
    prepared.map_err(|error| error.to_string())?;
    let mut postgresql = PostgreSQL::new(Settings {
        releases_url: releases.to_owned(),
        version: VersionReq::parse("^17").map_err(|error| error.to_string())?,
        installation_dir: into.to_owned(),
        password_file: into.join("unused"),
        data_dir,
        host: String::new(),
        port: 0,
        username: String::new(),
        password: String::new(),
        temporary: false,
        timeout: None,
        configuration: HashMap::new(),
        trust_installation_dir: false,
        socket_dir: None,
    });
    postgresql
        .setup()
        .await
        .map_err(|error| with_causes(&error))?;
    Ok(postgresql.settings().binary_dir())
}

/// An error and all that it stems from: what says why the network failed lies at the bottom.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        next = cause.source();
    }
    said
}

fn listed(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "no folder at all".to_owned();
    }
    let names: Vec<String> = folders
        .iter()
        .map(|folder| folder.display().to_string())
        .collect();
    names.join(", ")
}

/// What installs a server, with the extension `btree_gist`, on the system that /etc/os-release
/// describes.
fn install_command(os_release: &str) -> &'static str {
    let family: Vec<&str> = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split(' '))
        .collect();
    let is = |name| family.contains(&name);
    if is("debian") || is("ubuntu") {
        "sudo apt-get install postgresql"
    } else if is("fedora") || is("rhel") || is("amzn") {
        "sudo dnf install postgresql-server postgresql-contrib"
    } else if is("alpine") {
        "sudo apk add postgresql postgresql-contrib"
    } else if is("arch") {
        "sudo pacman -S postgresql"
    } else if is("suse") || is("opensuse") {
        "sudo zypper install postgresql-server postgresql-contrib"
    } else {
        "brew install postgresql@17"
    }
}

#[cfg(test)]
mod tests {
    use super::{Version, install_command};

    #[test]
    fn a_version_is_read_from_any_package_of_the_server() {
        for (announced, major, minor) in [
            (
                "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n",
                15,
                12,
            ),
            ("postgres (PostgreSQL) 17.5\n", 17, 5),
            ("postgres (PostgreSQL) 18beta1\n", 18, 0),
        ] {
            assert_eq!(Version::parse(announced), Some(Version { major, minor }));
        }
        assert_eq!(Version::parse("postgres (PostgreSQL) devel"), None);
        assert_eq!(Version::parse("command not found"), None);
    }

    #[test]
    fn a_newer_version_is_greater_by_number() {
        let version = |major, minor| Version { major, minor };
        assert!(version(15, 10) > version(15, 9));
        assert!(version(16, 0) > version(15, 12));
    }

    #[test]
    fn the_install_command_suits_the_system() {
        for (os_release, program) in [
            ("ID=debian\n", "apt-get"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get"),
            ("ID=\"amzn\"\nID_LIKE=\"fedora\"\n", "dnf"),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf"),
            ("NAME=\"Alpine Linux\"\nID=alpine\n", "apk"),
            ("", "brew"),
        ] {
            assert!(
                install_command(os_release).contains(program),
                "{os_release}"
            );
        }
    }
}
