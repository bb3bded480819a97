//! `headroom`, run as an operator runs it, over templates that hold and templates that do not.

mod plan;
mod server;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use cargo_metadata::Message;
use serde_json::Value;

/// The operator's executable, built once per process however many tests ask. Built for itself, so
/// that no other package gets the features that it needs.
pub(crate) fn headroom() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let cargo = fleet::cargo()
            .args(["build", "--package", "shared", "--features", "operator"])
            .args(["--bin", "headroom", "--quiet"])
            .args(["--message-format", "json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        assert!(cargo.status.success(), "headroom does not build");
        Message::parse_stream(cargo.stdout.as_slice())
            .filter_map(|message| match message.unwrap() {
                Message::CompilerArtifact(artifact) => artifact.executable,
                _ => None,
            })
            .last()
            .expect("an executable")
            .into_std_path_buf()
    });
    let mut command = Command::new(built);
    command.env_remove("DATABASE_URL");
    command
}

pub(super) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("api/operator/budget")
        .join(name)
}

pub(crate) fn run(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("headroom runs");
    let text = [stdout, stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(!text.contains("panicked"), "{text}");
    // The fixtures' password.
    assert!(!text.contains("hush"), "{text}");
    (status.code().expect("no signal"), text)
}

/// Checks a fixture against a server of 100 connections, with further arguments.
fn check(template: &str, arguments: &[&str]) -> (i32, String) {
    let mut command = headroom();
    command.args(["check", "--template"]).arg(fixture(template));
    if !arguments.iter().any(|argument| {
        ["--max-", "--rds-", "--aurora-", "--aiven-"]
            .iter()
            .any(|source| argument.starts_with(source))
    }) {
        command.args(["--max-connections", "100"]);
    }
    run(command.args(arguments))
}

#[test]
fn templates_hold_or_do_not() {
    let cases = include_str!("budget/cases.txt").lines();
    let cases = cases.filter(|line| !line.is_empty() && !line.starts_with('#'));
    for case in cases {
        let parts: Vec<&str> = case.split(" | ").collect();
        let [template, arguments, status, says] = parts[..] else {
            panic!("{case}: not four parts");
        };
        // A dash stands for none.
        let arguments = arguments.split(' ').filter(|argument| *argument != "-");
        let (ended, text) = check(template, &arguments.collect::<Vec<&str>>());
        assert_eq!(ended.to_string(), status, "{case}\n{text}");
        let text: Vec<&str> = text.split_whitespace().collect();
        let text = text.join(" ");
        for words in says.split(" ; ").filter(|words| *words != "-") {
            assert!(text.contains(words), "{case}: {words}\n{text}");
        }
    }
}

#[test]
fn samconfig_gives_the_parameters_of_a_stage() {
    let file = fixture("samconfig.toml");
    let file = file.to_str().unwrap();
    let with = |more: &[&str]| check("parameters.yaml", &[&["--samconfig", file], more].concat());
    assert_eq!(with(&[]).0, 0);
    assert_eq!(with(&["--config-env", "prod"]).0, 1);
    // The command line wins.
    let given = ["--config-env", "prod", "--parameter", "Environments=5"];
    assert_eq!(with(&given).0, 0);
    let (status, text) = with(&["--config-env", "staging"]);
    assert_eq!(status, 2);
    assert!(text.contains("it has: default, prod"), "{text}");
}

#[test]
fn every_format_says_the_same_and_colours_are_for_terminals() {
    let (status, table) = check("exceeds.yaml", &[]);
    let (_, markdown) = check("exceeds.yaml", &["--format", "markdown"]);
    let (again, json) = check("exceeds.yaml", &["--format", "json"]);
    assert_eq!((status, again), (1, 1));
    for text in [&table, &markdown, &json] {
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert!(markdown.contains("| budget   |"), "{markdown}");
    assert!(markdown.ends_with("**does not hold**\n"), "{markdown}");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["verdict"], "does-not-hold");
    assert_eq!(report["budget"], 105);
    assert_eq!(report["headroom"], -15);
    assert_eq!(report["functions"][1]["connectionLimit"], 1);
    assert_eq!(report["functions"][1]["environments"], 45);
    assert_eq!(report["findings"][0]["rule"], "budget");
    let change = report["findings"][0]["change"].as_str().unwrap();
    assert!(table.contains(change) && markdown.contains(change));
}

#[test]
fn help_has_examples_and_is_no_failure() {
    for command in ["", "check", "plan", "watch", "advise"] {
        let words = command.split_whitespace().chain(["--help"]);
        let (status, text) = run(headroom().args(words));
        assert!(
            status == 0 && text.contains("Examples:\n"),
            "{command}: {text}"
        );
    }
    assert_eq!(run(headroom().arg("chekc")).0, 2);
}

/// Where a URL does not belong, whoever refuses it does not repeat its password; `run` looks for it.
#[test]
fn a_misplaced_url_keeps_its_password() {
    let url = "postgresql://clinic:hush@db.example.org/clinic?sslmode=require";
    let equals = format!("--record={url}");
    for words in [
        &[url][..],
        &["watch", url],
        &["watch", "--database-url", "--interval", url],
        &["watch", "--database-url", "--once", &equals, url],
        &["check", "--max-connections", url],
        &["check", "--rds-class", url],
        &["check", "--max-connections", "100", "--parameter", url],
        &["check", "--max-connections", "100", "--template", url],
    ] {
        let mut command = headroom();
        command.args(words);
        if words[0] == "check" && words.len() < 6 {
            command.arg("--template").arg(fixture("holds.yaml"));
        }
        let (status, text) = run(&mut command);
        assert_eq!(status, 2, "{words:?}: {text}");
    }
}

/// The project's own template, on the server that its defaults are made for, and on each that its
/// shares of the ceiling are made for.
#[test]
fn the_projects_own_template_holds() {
    let check = |arguments: &[&str]| {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let mut command = headroom();
        run(command
            .args(["check", "--template"])
            .arg(template)
            .args(arguments))
    };
    let (status, text) = check(&["--max-connections", "100"]);
    assert_eq!(status, 0, "{text}");
    for connections in ["25", "50", "100", "200", "400"] {
        let parameter = format!("DatabaseConnections={connections}");
        let server = ["--max-connections", connections];
        let (status, text) = check(&[&["--parameter", &parameter], &server[..]].concat());
        assert_eq!(status, 0, "{text}");
    }
    // RDS keeps more slots to itself.
    let (status, text) = check(&["--max-connections", "100", "--reserved", "6"]);
    assert_eq!(status, 0, "{text}");
    // 77, and 8 in each of two versions.
    let managed = ["--parameter", "ManagedInstances=on"];
    let (status, text) = check(&[&managed, &["--max-connections", "103"][..]].concat());
    assert!(
        status == 0 && text.contains("AppointmentsUpcomingManagedFunction"),
        "{text}"
    );
    let (status, text) = check(&[&managed, &["--max-connections", "102"][..]].concat());
    assert!(
        status == 1 && text.contains("or find 1 more connections"),
        "{text}"
    );
}

/// What `make deploy` would check, for every stage.
#[test]
fn every_stage_of_the_project_holds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../samconfig.toml");
    let template = file.with_file_name("template.yaml");
    for (stage, connections) in [("dev", "25"), ("staging", "50"), ("prod", "100")] {
        let mut command = headroom();
        command.args(["check", "--max-connections", connections, "--template"]);
        command.arg(&template).arg("--samconfig").arg(&file);
        let (status, text) = run(command.args(["--config-env", stage]));
        assert_eq!(status, 0, "{stage}: {text}");
        assert!(!text.contains("unknown"), "{stage}: {text}");
    }
    // Through a pooler that takes a thousand clients.
    let mut command = headroom();
    command.args(["check", "--template"]).arg(&template);
    command.arg("--samconfig").arg(&file).args([
        "--config-env",
        "prod",
        "--max-connections",
        "1000",
        "--superuser-reserved",
        "0",
        "--parameter",
        "DatabaseUrl=",
        "--parameter",
        "DatabasePooler=pooler.example:6432/clinic",
    ]);
    let (status, text) = run(&mut command);
    assert!(
        status == 0 && text.contains("DATABASE_CEILING is 84: behind the pooler"),
        "{text}"
    );
}
