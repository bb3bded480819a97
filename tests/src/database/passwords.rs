//! The two roles' passwords, kept beside the data that knows them.

use super::Error;
use super::account::Account;
use super::folder::write_private;
use rand::RngExt;
use rand::distr::Alphanumeric;
use std::fs;
use std::path::{Path, PathBuf};

/// Long enough that it cannot be guessed, and of characters that need no escape in a URL or in SQL.
const LENGTH: usize = 32;

/// What the server's two roles log in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passwords {
    /// The superuser's, `postgres`.
    pub(super) admin: String,
    /// The owner's, `clinic`.
    pub(super) clinic: String,
}

impl Passwords {
    pub(super) fn random() -> Self {
        Self {
            admin: random(),
            clinic: random(),
        }
    }

    /// The ones in force.
    pub(super) fn read(data: &Path) -> Result<Self, Error> {
        let path = in_force(data);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(Self::parse(&text))
    }

    /// The ones that are to come into force, `None` once they are.
    pub(super) fn read_next(data: &Path) -> Option<Self> {
        let text = fs::read_to_string(next(data)).ok()?;
        Some(Self::parse(&text))
    }

    pub(super) fn write(&self, data: &Path, account: &Account) -> Result<(), Error> {
        write_private(&in_force(data), &self.text(), account)
    }

    pub(super) fn write_next(&self, data: &Path, account: &Account) -> Result<(), Error> {
        write_private(&next(data), &self.text(), account)
    }

    /// Notes that the server knows the next ones by now.
    pub(super) fn promote_next(data: &Path) -> Result<(), Error> {
        let path = next(data);
        fs::rename(&path, in_force(data)).map_err(Error::io("rename", &path))
    }

    fn text(&self) -> String {
        format!("{}\n{}\n", self.admin, self.clinic)
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        Self {
            admin: lines.next().unwrap_or_default(),
            clinic: lines.next().unwrap_or_default(),
        }
    }
}

/// A new password.
pub(super) fn random() -> String {
    let letters = rand::rng().sample_iter(Alphanumeric).take(LENGTH);
    letters.map(char::from).collect()
}

fn in_force(data: &Path) -> PathBuf {
    data.join("headroom.passwords")
}

fn next(data: &Path) -> PathBuf {
    data.join("headroom.passwords-next")
}
