//! An initialised data folder to copy: `initdb` takes more than a second, a copy a fraction of
//! that.

use super::Error;
use super::account::Account;
use super::folder::{Folder, copy};
use super::installation::Installation;
use super::passwords::Passwords;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Knows upper and lower case of every script, which plain C does not, and is there on every
/// system of its kind.
const LOCALE: &str = if cfg!(target_os = "linux") {
    "C.UTF-8"
} else {
    "en_US.UTF-8"
};

/// Raised whenever a template is made differently, so that old ones are no longer used.
const REVISION: u32 = 3;

/// Gives the folder its data unless it has some.
///
/// The data arrives by one rename: a process that dies before leaves nothing behind that looks
/// initialised, and of two that fill one folder at the same time the slower one takes what the
/// faster one made.
pub(super) fn fill(
    folder: &Folder,
    work: &Path,
    installation: &Installation,
    account: &Account,
) -> Result<(), Error> {
    let data = folder.data();
    if data.is_dir() {
        return Ok(());
    }
    let template = ready(work, installation, account)?;
    let draft = data.with_extension(format!("draft-{}", std::process::id()));
    discard(&draft)?;
    copy(&template, &draft, account)?;
    // Every copy gets passwords of its own, so that a client never talks to a server that took over
    // a port.
    Passwords::random().write_next(&draft, account)?;
    match fs::rename(&draft, &data) {
        Ok(()) => Ok(()),
        Err(_) if data.is_dir() => discard(&draft),
        Err(error) => Err(Error::io("rename", &draft)(error)),
    }
}

/// The template for these programs, made on first use. Parallel tests and processes wait for the
/// first of them.
fn ready(work: &Path, installation: &Installation, account: &Account) -> Result<PathBuf, Error> {
    let name = format!(
        "template-{}-r{REVISION}-u{}",
        installation.version,
        account.uid()
    );
    let lock_path = work.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).map_err(Error::io("create", &lock_path))?;
    lock.lock().map_err(Error::io("lock", &lock_path))?;
    let template = work.join(&name);
    if !template.is_dir() {
        let draft = work.join(format!("{name}.draft"));
        discard(&draft)?;
        initialise(&draft, installation, account)?;
        fs::rename(&draft, &template).map_err(Error::io("rename", &draft))?;
    }
    Ok(template)
}

fn initialise(data: &Path, installation: &Installation, account: &Account) -> Result<(), Error> {
    let passwords = Passwords::random();
    let password_file = data.with_extension("password");
    super::folder::write_private(&password_file, &passwords.admin, account)?;
    // initdb creates the folder itself, as its user, who may not be allowed to write beside it.
    fs::create_dir(data).map_err(Error::io("create", data))?;
    account.own(data)?;
    let mut initdb = account.command(installation.programs.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(data)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", "postgres", "--auth", "scram-sha-256"])
        .args(["--encoding", "UTF8", "--locale", LOCALE, "--no-sync"]);
    let initialised = run(initdb, "initdb", "");
    fs::remove_file(&password_file).map_err(Error::io("remove", &password_file))?;
    initialised?;
    passwords.write(data, account)?;

    // A server without a network, for one user: no client can log in before the passwords are in
    // place.
    let mut alone = account.command(installation.programs.join("postgres"));
    alone
        .args(["--single", "-c", "fsync=off", "-D"])
        .arg(data)
        .arg("postgres");
    // Since PostgreSQL 16 CREATEROLE alone may not grant pg_monitor. The owner may grant it, and has none of its
    // rights itself.
    let monitor = match installation.version.major {
        ..16 => "",
        _ => "grant pg_monitor to clinic with admin true, inherit false, set false\n",
    };
    let statements = format!(
        "create role clinic login createrole password '{}'\n{monitor}create database clinic owner clinic\n",
        passwords.clinic
    );
    run(alone, "creating the database clinic", &statements)
}

/// Runs a program to its end with something to read.
fn run(mut command: Command, what: &str, input: &str) -> Result<(), Error> {
    let failed = |output: String| Error::Program {
        what: what.to_owned(),
        output,
    };
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything says why by its status.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // A lone server goes on after a statement that failed, and ends well.
    if output.status.success() && !said.contains("ERROR:  ") {
        return Ok(());
    }
    Err(failed(said))
}

fn discard(draft: &Path) -> Result<(), Error> {
    if draft.exists() {
        fs::remove_dir_all(draft).map_err(Error::io("remove", draft))?;
    }
    Ok(())
}
