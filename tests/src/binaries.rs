//! The executables that environments run.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::Message;
use tokio::sync::OnceCell;

/// Which of cargo's profiles to build with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Quick to build: for tests.
    Dev,
    /// What is deployed: for measurements.
    Release,
}

/// Executables by name.
#[derive(Clone, Debug, Default)]
pub struct Binaries {
    paths: BTreeMap<String, PathBuf>,
}

/// Why there are no executables.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run, or its messages not be read.
    #[error("cargo could not be run: {0}")]
    Cargo(#[from] std::io::Error),
    /// Cargo ran, and said why on standard error.
    #[error("the functions do not build: cargo ended with {0}")]
    Failed(std::process::ExitStatus),
}

impl Binaries {
    /// No executables yet; see [`Binaries::with`].
    pub fn none() -> Self {
        Self::default()
    }

    /// Builds the package `functions` and finds its executables where cargo says they are, so that
    /// a target directory set by variable or configuration is honoured. Whoever stops waiting
    /// stops cargo.
    pub async fn build(profile: Profile) -> Result<Self, BuildError> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let mut command = tokio::process::Command::from(cargo());
        command
            .args(["build", "--package", "functions", "--bins", "--quiet"])
            .args(["--message-format", "json-render-diagnostics"])
            .arg("--manifest-path")
            .arg(manifest)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        if profile == Profile::Release {
            command.arg("--release");
        }
        let cargo = command.output().await?;
        if !cargo.status.success() {
            return Err(BuildError::Failed(cargo.status));
        }
        let mut paths = BTreeMap::new();
        for message in Message::parse_stream(cargo.stdout.as_slice()) {
            if let Message::CompilerArtifact(artifact) = message?
                && let Some(path) = artifact.executable
            {
                paths.insert(artifact.target.name, path.into_std_path_buf());
            }
        }
        Ok(Self { paths })
    }

    /// Executables that were built for Lambda: in a folder of their own each, named `bootstrap`, as
    /// `cargo lambda build` leaves them.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn bootstraps(folder: &Path) -> std::io::Result<Self> {
        let mut paths = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let bootstrap = entry.path().join("bootstrap");
            if bootstrap.is_file() {
                let name = entry.file_name().to_string_lossy().into_owned();
                paths.insert(name, bootstrap);
            }
        }
        Ok(Self { paths })
    }

    /// The executables of the dev profile, built once per process however many tests ask.
    pub async fn shared() -> Result<&'static Self, BuildError> {
        static BUILT: OnceCell<Binaries> = OnceCell::const_new();
        BUILT.get_or_try_init(|| Self::build(Profile::Dev)).await
    }

    /// Adds or replaces one executable.
    #[must_use]
    pub fn with(mut self, name: &str, path: impl Into<PathBuf>) -> Self {
        self.paths.insert(name.to_owned(), path.into());
        self
    }

    /// The executable of that name.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.paths.get(name).map(PathBuf::as_path)
    }

    /// The names there are, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }
}

/// A cargo to build with: inside `cargo test` and `cargo run`, the very one that runs.
///
/// It must not see what that cargo says about the package it runs: some build scripts compile
/// again when they meet another package's folder, and the next build back again.
#[expect(
    clippy::disallowed_methods,
    reason = "not configuration: cargo sets it for what it runs"
)]
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            command.env_remove(&*name);
        }
    }
    command
}
