//! `make deploy`'s steps, in which order and where they end. AWS, SAM and the build are stand-ins that write down what
//! they were asked; the script, the reading of the settings and the budget are the real ones.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::operator::budget::headroom;

/// A copy of what the script reads, the stand-ins, and what they answer.
struct Account {
    folder: TempDir,
}

/// How the script ended.
struct Ended {
    well: bool,
    said: String,
}

impl Account {
    /// With a stage `dev` and no stack yet.
    fn empty() -> Self {
        let account = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in [".ci/deploy", "samconfig.toml", "template.yaml"] {
            account.copy(&root.join(file), file);
        }
        let stand_ins = root.join("tests/api/operator/deploy");
        account.copy(&stand_ins.join("aws"), "aws/bin/aws");
        account.copy(&stand_ins.join("sam"), "sam/bin/sam");
        account.copy(&stand_ins.join("make"), "bin/make");
        account.script("sam/bin/python", "#!/bin/sh\nexec python3 \"$@\"\n");
        // Cargo's part is cargo's, and the program it has built is asked.
        let budget = headroom();
        let budget = Path::new(budget.get_program()).display();
        let cargo = format!(
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec '{budget}' \"$@\"\n"
        );
        account.script("bin/cargo", &cargo);
        account.says("unreserved", "1000");
        account.says("state", "Active");
        account
    }

    /// With a stack that was deployed before.
    fn deployed() -> Self {
        let account = Self::empty();
        account.says("stack", "");
        account.says("release", "of-before");
        account
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn copy(&self, from: &Path, name: &str) {
        let to = self.path(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// What a stand-in answers, or what has happened.
    fn says(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn deploy(&self, database: &str, migrate: &str, parameters: &[&str]) -> Ended {
        fs::write(self.path("calls"), "").unwrap();
        // The stand-ins win over what else is on the path.
        let script = r#"PATH=$WORLD/bin:$PATH exec "$WORLD/.ci/deploy" "$@""#;
        let output = Command::new("sh")
            .args(["-c", script, "deploy", "dev", "arm64"])
            .args([self.path("target"), self.path("sam"), self.path("aws")])
            .args(parameters)
            .env("WORLD", self.folder.path())
            .env("DATABASE", database)
            .env("MIGRATE", migrate)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        Ended {
            well: output.status.success(),
            said: String::from_utf8(said).unwrap(),
        }
    }

    /// What was asked for that changes something, in order.
    fn changes(&self) -> Vec<String> {
        let calls = self.read("calls");
        let changes = calls.lines().filter(|call| {
            ["make build", "sam deploy"].contains(call)
                || ["aws lambda invoke", "aws lambda update-function-code"].contains(call)
        });
        changes.map(str::to_owned).collect()
    }

    fn parameter(&self, name: &str) -> String {
        let parameters: Value = serde_json::from_str(&self.read("parameters")).unwrap();
        parameters[name].as_str().unwrap().to_owned()
    }
}

impl Ended {
    /// It went through, to the API's address.
    fn well(&self) {
        assert!(self.well, "{}", self.said);
        assert!(self.said.contains("https://api.example"), "{}", self.said);
    }

    /// It gave up, and said this.
    fn refused(&self, says: &[&str]) {
        assert!(!self.well, "{}", self.said);
        for text in says {
            assert!(self.said.contains(text), "no {text}: {}", self.said);
        }
    }
}

/// The stage's own server.
const HOLDS: &str = "--max-connections 25";
const BUILD: &str = "make build";
const CODE: &str = "aws lambda update-function-code";
const INVOKE: &str = "aws lambda invoke";
const DEPLOY: &str = "sam deploy";

#[test]
fn the_first_deployment_migrates_once_the_functions_are_there() {
    let account = Account::empty();
    account.deploy(HOLDS, "twice", &[]).well();
    assert_eq!(account.changes(), [BUILD, DEPLOY, INVOKE]);

    // Every parameter is said, so that nothing is kept that nobody has checked.
    let said: Value = serde_json::from_str(&account.read("parameters")).unwrap();
    let text = account.read("template.yaml");
    let (_, parameters) = text.split_once("\nParameters:\n").unwrap();
    let (parameters, _) = parameters.split_once("\nRules:\n").unwrap();
    let name = |line: &str| {
        let name = line.strip_prefix("  ")?.strip_suffix(':')?;
        name.starts_with(char::is_alphabetic)
            .then(|| name.to_owned())
    };
    let names: Vec<String> = parameters.lines().filter_map(name).collect();
    assert!(names.len() > 30, "{names:?}");
    assert_eq!(said.as_object().unwrap().len(), names.len());
    assert!(names.iter().all(|name| said[name].is_string()), "{said}");
    for (name, value) in [
        ("Architecture", "arm64"),
        ("DatabaseConnections", "25"),
        ("LogLevel", "info"),
        ("LogRetentionDays", "7"),
    ] {
        assert_eq!(account.parameter(name), value, "{name}");
    }
}

#[test]
fn a_later_one_migrates_before_and_after() {
    let account = Account::deployed();
    account.deploy(HOLDS, "twice", &[]).well();
    let steps = [BUILD, CODE, INVOKE, DEPLOY, INVOKE];
    assert_eq!(account.changes(), steps);
    let release = account.read("release");

    // The same again is the same release; what is given makes another, and wins.
    account.deploy(HOLDS, "twice", &[]).well();
    assert_eq!(account.read("release"), release);
    account
        .deploy(HOLDS, "twice", &["LogRetentionDays=14", "CorsOrigin=a=b"])
        .well();
    assert_ne!(account.read("release"), release);
    assert_eq!(account.parameter("LogRetentionDays"), "14");
    assert_eq!(account.parameter("CorsOrigin"), "a=b");

    // So do other settings.
    let settings = account.read("samconfig.toml");
    account.says(
        "samconfig.toml",
        &settings.replace("Deployment=AllAtOnce", ""),
    );
    account.deploy(HOLDS, "twice", &[]).well();
    assert_ne!(account.read("release"), release);

    // Its network is gone: it is woken up before it is asked for anything.
    account.says("state", "Inactive");
    account.deploy(HOLDS, "twice", &[]).well();
    let woken = [BUILD, INVOKE, CODE, INVOKE, DEPLOY, INVOKE];
    assert_eq!(account.changes(), woken);
}

#[test]
fn a_failed_migration_deploys_nothing_unless_it_is_left_out() {
    let account = Account::deployed();
    account.says("failing", "");
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["DATABASE_OWNER_URL: refused", "MIGRATE=after"]);
    assert_eq!(account.changes(), [BUILD, CODE, INVOKE]);

    // The new settings mend it.
    account.says("mended", "");
    account.deploy(HOLDS, "after", &[]).well();
    assert_eq!(account.changes(), [BUILD, DEPLOY, INVOKE]);

    // They do not.
    fs::remove_file(account.path("mended")).unwrap();
    account.says("failing", "");
    account
        .deploy(HOLDS, "after", &[])
        .refused(&["the new version serves, but the migrations failed"]);
    account
        .deploy(HOLDS, "never", &[])
        .refused(&["MIGRATE=never", "twice, or after"]);
    assert!(account.changes().is_empty());
}

#[test]
fn changes_that_somebody_declined_are_not_deployed() {
    let account = Account::deployed();
    account.says("declined", "");
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["nothing was deployed", "of-before"]);
    assert_eq!(account.changes(), [BUILD, CODE, INVOKE, DEPLOY]);

    let account = Account::empty();
    account.says("declined", "");
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["nothing was deployed", "no function to migrate with"]);
    assert_eq!(account.changes(), [BUILD, DEPLOY]);
}

#[test]
fn what_does_not_hold_is_not_even_built() {
    let account = Account::deployed();
    account
        .deploy("--max-connections 15", "twice", &[])
        .refused(&["does not hold"]);
    account
        .deploy(HOLDS, "twice", &["DatabaseConnections=200"])
        .refused(&["does not hold"]);
    account.says("unreserved", "10");
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["10 invocations at once", "Concurrent executions"]);
    account
        .deploy(" ", "twice", &[])
        .refused(&["--max-connections N", "--database-url"]);
    assert_eq!(account.read("calls"), "", "AWS was asked");
    assert!(!account.path("target").exists());
}

#[test]
fn without_an_answer_of_awss_nothing_is_deployed() {
    let account = Account::deployed();
    account.says(
        "refusal",
        "An error occurred (AccessDenied): not authorized",
    );
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["AccessDenied"]);
    account.says("silent", "");
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["Could not connect"]);
    assert!(!account.path("target").exists());
}

#[test]
fn settings_are_read_as_sam_reads_them_and_mistakes_named() {
    let account = Account::empty();
    for (parameters, says) in [
        (["DatabaseConections=25"], "DatabaseConections"),
        (["Nonsense"], "NAME=VALUE"),
        (["Architecture=x86_64"], "ARCH=x86_64"),
    ] {
        account.deploy(HOLDS, "twice", &parameters).refused(&[says]);
    }
    let by_token = [
        "DatabaseCredentials=arn:aws:rds-db:eu-central-1:123456789012:dbuser:db-A/application",
        "DatabaseUrl=",
    ];
    account
        .deploy(HOLDS, "twice", &by_token)
        .refused(&["DatabaseUrl=postgresql://USER@HOST"]);
    assert_eq!(account.read("calls"), "", "AWS was asked");

    // For all commands of the stage, but this one has its own.
    let stage = "[dev.global.parameters]\n\
        region = 'eu-north-1'\n\
        stack_name = 'another'\n\
        parameter_overrides = 'LogRetentionDays=60 Tracing=Active'\n\
        [dev.deploy.parameters]\n\
        stack_name = 'clinic-dev'\n";
    let overrides = "parameter_overrides = \"DatabaseConnections=25 DatabaseUrl='postgresql://a:b@host/c?application_name=a b' \
        ParameterKey=JwtIssuer,ParameterValue=https://issuer JwtAudience=app\"\n";
    account.says("samconfig.toml", &format!("{stage}{overrides}"));
    account.deploy(HOLDS, "twice", &[]).well();
    for (name, value) in [
        (
            "DatabaseUrl",
            "postgresql://a:b@host/c?application_name=a b",
        ),
        ("JwtIssuer", "https://issuer"),
        ("LogRetentionDays", "30"),
        ("Tracing", "PassThrough"),
    ] {
        assert_eq!(account.parameter(name), value, "{name}");
    }
    account.says("samconfig.toml", stage);
    account
        .deploy(HOLDS, "twice", &[])
        .refused(&["give DatabaseUrl, JwtIssuer, JwtAudience"]);
}
