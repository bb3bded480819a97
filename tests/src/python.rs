//! Programs from PyPI, each in an environment of its own under the target directory.

use std::{
    fs::{self, File},
    io,
    path::PathBuf,
    process::Stdio,
};

use tokio::process::Command;

use crate::database::work_folder;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Python or its `venv` is missing, or PyPI cannot be reached.
    #[error(
        "{package} could not be installed ({command}: {said}); it needs python3 with venv \
         (sudo apt-get install python3-venv) and PyPI"
    )]
    Install {
        /// What was to be installed.
        package: &'static str,
        /// What was run.
        command: String,
        /// What it said, or why it did not run.
        said: String,
    },
    /// The file system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
}

/// The folder with the programs of a package, such as `moto[server]==5.2.5`, or of several that
/// belong together, with spaces between: python3 among them.
/// Installs it where it is not yet; a second caller waits for the first.
///
/// # Errors
/// When it cannot be installed.
pub async fn programs(package: &'static str) -> Result<PathBuf, Error> {
    let folder = work_folder("python");
    fs::create_dir_all(&folder)
        .map_err(io_error("cannot create the folder of Python's programs"))?;
    let busy = "cannot lock the folder of Python's programs";
    let lock = File::create(folder.join("lock")).map_err(io_error(busy))?;
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .expect("waiting for a lock does not panic")
        .map_err(io_error(busy))?;
    let environment = folder.join(package);
    let programs = environment.join("bin");
    let complete = environment.join("complete");
    if !complete.is_file() {
        let path = environment.display().to_string();
        run(package, "python3", &["-m", "venv", "--clear", &path]).await?;
        let python = programs.join("python3").display().to_string();
        let mut pip = vec!["-m", "pip", "install", "--quiet"];
        pip.extend(package.split(' '));
        run(package, &python, &pip).await?;
        fs::write(&complete, "").map_err(io_error("cannot say that a program is complete"))?;
    }
    drop(lock);
    Ok(programs)
}

async fn run(package: &'static str, program: &str, arguments: &[&str]) -> Result<(), Error> {
    let failed = |said: String| Error::Install {
        package,
        command: format!("{program} {}", arguments.join(" ")),
        said,
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    // python3's venv says what is missing on standard output.
    let said = [output.stdout, output.stderr].concat();
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}

fn io_error(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what, source }
}
