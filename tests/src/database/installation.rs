//! Finding PostgreSQL's programs. `.ci/setup` puts them where they are missing.

use super::Error;
use super::account::search_path;
use super::builder::work_folder;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// A folder with the programs of the one version to be used, such as another major version than the
/// system's.
const CHOSEN: &str = "HEADROOM_POSTGRESQL";

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
    /// What runs the data of this major version, or new data if there is none: the newest that the
    /// folders hold, the earlier of two that are equal.
    pub(super) fn find(folders: &[PathBuf], data: Option<u32>) -> Result<Self, Error> {
        // Of equals, `max_by_key` takes the last.
        let found = folders.iter().rev().filter_map(|folder| Self::at(folder));
        let fits = |found: &Self| data.is_none_or(|major| found.version.major == major);
        found
            .filter(fits)
            .max_by_key(|found| found.version)
            .ok_or_else(|| {
                let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
                Error::NotFound {
                    oldest: OLDEST,
                    searched: listed(folders),
                    command: install_command(&os_release),
                }
            })
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
}

/// Where this machine may have PostgreSQL.
#[expect(
    clippy::disallowed_methods,
    reason = "the fleet's choice of a server, which is no configuration of the functions"
)]
pub(super) fn usual_folders() -> Vec<PathBuf> {
    if let Some(chosen) = std::env::var_os(CHOSEN) {
        return vec![chosen.into()];
    }
    let mut folders = Vec::new();
    for set_up in [
        work_folder("tools/postgresql"),
        "/var/tmp/headroom-postgresql".into(),
    ] {
        let entries = fs::read_dir(set_up).into_iter().flatten();
        folders.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
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
