//! `make queries`: has every checked query described by a real database, and keeps what it said in
//! `.sqlx/`. With `--check`, which `make test` uses, only compares.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use fleet::database::Database;
use shared::{config::database_url::DatabaseUrl, database::pool};
use sqlx::migrate::Migrator;

/// Checks every query of the crate `shared` against a throwaway database with all migrations. Run at
/// the top of the checkout.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Change nothing; fail where .sqlx/ is not what the database says.
    #[arg(long)]
    check: bool,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().check).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("queries: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(check: bool) -> Result<bool, Error> {
    // What stands in the files now, and not what this program was built with: with queries that
    // were not described yet it cannot be built anew.
    let workspace = std::env::current_dir()?;
    let committed = workspace.join(".sqlx");
    let database = Database::builder().start().await?;
    let migrations = Migrator::new(workspace.join("shared/migrations")).await?;
    let mut owner = pool::connect_for_maintenance(&DatabaseUrl::parse(&database.url())?).await?;
    migrations.run(&mut owner).await?;

    let described = tempfile::tempdir()?;
    let url = database.url();
    let directory = described.path().to_owned();
    tokio::task::spawn_blocking(move || describe(&workspace, &url, &directory)).await??;
    database.shutdown().await?;

    let (before, now) = (read(&committed)?, read(described.path())?);
    let same = before == now;
    if check {
        for file in before.keys().chain(now.keys()) {
            if before.get(file) != now.get(file) {
                eprintln!("{} is stale; run `make queries`", file.display());
            }
        }
        return Ok(same);
    }
    for file in before.keys() {
        fs::remove_file(committed.join(file))?;
    }
    for (file, text) in &now {
        fs::write(committed.join(file), text)?;
    }
    eprintln!("{} queries in .sqlx/", now.len());
    Ok(true)
}

/// Compiles the crate `shared` with the database at hand: sqlx's macros then ask it about each
/// query and write down what it says.
fn describe(workspace: &Path, url: &str, directory: &Path) -> Result<(), Error> {
    // A compiler flag that was never used before, so that cargo does compile.
    let never_used = format!("queries=\"{}\"", directory.display());
    let status = fleet::cargo()
        .args(["rustc", "--quiet", "--package", "shared", "--lib", "--"])
        .args(["--cfg", &never_used])
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", directory)
        .env("DATABASE_URL", url)
        .current_dir(workspace)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the queries do not compile: cargo ended with {status}").into())
    }
}

fn read(directory: &Path) -> io::Result<BTreeMap<PathBuf, String>> {
    fs::read_dir(directory)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().into(), fs::read_to_string(entry.path())?))
        })
        .collect()
}
