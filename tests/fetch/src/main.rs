//! `fetch-postgresql MAJOR FOLDER`: PostgreSQL's programs of a major version, from their publisher into a folder.
//!
//! The download itself has no test: the tests reach 127.0.0.1 alone.

use std::{collections::HashMap, env, error::Error, fs, path::PathBuf, time::Duration};

use postgresql_embedded::{PostgreSQL, Settings, VersionReq};
use tokio::time::timeout;

/// Where ready-made builds for most systems are published.
const RELEASES: &str = "https://github.com/theseus-rs/postgresql-binaries";

/// Some 30 MB have to arrive within this time: a network that swallows packets must not hang the set-up.
const LIMIT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(major), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fetch-postgresql MAJOR FOLDER".into());
    };
    let into = PathBuf::from(folder);
    // The crate's set-up goes on to initialise a data folder as the user of this process, which may
    // be root. A folder that looks initialised makes it stop at the programs.
    let data_dir = into.join("initialised");
    fs::create_dir_all(&data_dir)?;
    fs::write(data_dir.join("postgresql.conf"), "")?;
    let mut postgresql = PostgreSQL::new(Settings {
        releases_url: RELEASES.to_owned(),
        version: VersionReq::parse(&format!("^{major}"))?,
        password_file: into.join("unused"),
        installation_dir: into,
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
    timeout(LIMIT, postgresql.setup()).await??;
    Ok(())
}
