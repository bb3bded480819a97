//! A client that tries what the API's description allows, and much that it does not: schemathesis,
//! from PyPI, with all its checks. What it is told about this API is in `tests/fuzz/`.

use std::{fs, io, path::Path, process::Stdio};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::python;

/// What is installed.
const PACKAGE: &str = "schemathesis==4.32.5";

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be installed.
    #[error(transparent)]
    Install(#[from] python::Error),
    /// It could not be run, or left no report.
    #[error("schemathesis could not be run: {0}")]
    Run(#[from] io::Error),
    /// What it left is no report of its own.
    #[error("schemathesis ended with {status} and without a report:\n{said}")]
    NoReport {
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed.
        said: String,
    },
}

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// Where the API is, such as `http://127.0.0.1:3000`.
    pub url: &'a str,
    /// Whose token it is tried with.
    pub token: &'a str,
    /// The token of somebody like them, who must not be shown what is theirs: whatever they made or found
    /// in a list that the other one does not have is asked for again as that one.
    pub peer: Option<&'a str>,
    /// Ids of rows that there are: lists by `doctors`, `patients`, `appointments`.
    pub ids: &'a Value,
    /// The most random requests of one kind for each operation, beside the systematic ones.
    pub examples: u32,
    /// The same one tries the same again, as far as the clinic is the same.
    pub seed: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many requests were made up.
    pub cases: u64,
    /// What is not as described: everything that was printed.
    pub failures: Option<String>,
}

impl Trial<'_> {
    /// Tries it.
    ///
    /// # Errors
    /// Where schemathesis is not to be had, or does not get as far as trying.
    pub async fn run(&self) -> Result<Outcome, Error> {
        let told = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let folder = tempfile::tempdir()?;
        let report = folder.path().join("report.json");
        let config = folder.path().join("schemathesis.toml");
        let rules = fs::read_to_string(told.join("schemathesis.toml"))?;
        let people = folder.path().join("people.json");
        fs::write(&people, self.people().to_string())?;
        fs::write(&config, format!("{rules}\n{}", self.auth()))?;
        let output = Command::new(python::programs(PACKAGE).await?.join("schemathesis"))
            .arg("--config-file")
            .arg(&config)
            .arg("run")
            .arg(format!("{}/api/openapi.json", self.url))
            .args(["--seed", &self.seed.to_string()])
            .args(["--max-examples", &self.examples.to_string()])
            .args(["--no-color", "--report", "json", "--report-json-path"])
            .arg(&report)
            .env("FUZZ_URL", self.url)
            .env("FUZZ_TOKEN", self.token)
            .env("FUZZ_PEOPLE", &people)
            .env("FUZZ_IDS", self.ids.to_string())
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", &told)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NO_PROXY", "127.0.0.1")
            // It leaves files where it is run.
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let report = fs::read(&report).unwrap_or_default();
        let report: Value = serde_json::from_slice(&report).unwrap_or_default();
        match report
            .pointer("/test_cases/generated")
            .and_then(Value::as_u64)
        {
            Some(cases) => Ok(Outcome {
                cases,
                failures: (!output.status.success()).then_some(said),
            }),
            None => Err(Error::NoReport {
                status: output.status,
                said,
            }),
        }
    }

    /// How requests get their tokens. With peers there is no other way than a list of people.
    fn auth(&self) -> &'static str {
        match self.peer {
            None => "[auth.openapi.bearer]\nbearer = \"${FUZZ_TOKEN}\"\n",
            Some(_) => {
                "[auth.wfc]\npath = \"${FUZZ_PEOPLE}\"\nuser = \"one\"\npeers = [\"one\", \"other\"]\n"
            }
        }
    }

    /// Web Fuzzing Commons' document of who there is.
    fn people(&self) -> Value {
        let people = [("one", Some(self.token)), ("other", self.peer)];
        let known = people.into_iter().filter_map(|(name, token)| {
            let value = format!("Bearer {}", token?);
            Some(json!({ "name": name, "fixedHeaders": [{ "name": "Authorization", "value": value }] }))
        });
        json!({ "auth": known.collect::<Vec<_>>() })
    }
}
