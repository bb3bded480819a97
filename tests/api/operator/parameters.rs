//! `headroom parameters`, which `make deploy` asks for a stage's settings.

use std::path::Path;

use serde_json::{Value, json};

use super::budget::{fixture, headroom, run};

/// The project's own template and settings.
fn of_stage(stage: &str, more: &[&str]) -> (i32, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = headroom();
    command.args(["parameters", "--config-env", stage, "--template"]);
    command.arg(root.join("template.yaml"));
    command.arg("--samconfig").arg(root.join("samconfig.toml"));
    run(command.args(more))
}

/// A template whose parameter Environments has no default, and whose DatabaseUrl is secret.
fn of_fixture(more: &[&str]) -> (i32, String) {
    let mut command = headroom();
    command.args(["parameters", "--template"]);
    command.arg(fixture("parameters.yaml"));
    run(command.args(more))
}

#[test]
fn a_stage_has_a_stack_a_region_and_a_value_for_every_parameter() {
    let one = |name| of_stage("prod", &[name]);
    assert_eq!(one("AWS::StackName"), (0, "clinic-prod\n".to_owned()));
    assert_eq!(one("AWS::Region"), (0, "eu-central-1\n".to_owned()));
    // Given, and by default.
    assert_eq!(one("DatabaseCeiling"), (0, "84\n".to_owned()));
    assert_eq!(one("LogLevel"), (0, "info\n".to_owned()));
    let (status, text) = one("LogLevels");
    assert_eq!(status, 2);
    assert!(text.contains("no parameter LogLevels"), "{text}");

    let (status, text) = of_stage("dev", &["--format", "json", "--architecture", "x86_64"]);
    assert_eq!(status, 0, "{text}");
    let parameters: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parameters["Architecture"], "x86_64");
    assert_eq!(parameters["LogRetentionDays"], "7");
    assert_eq!(parameters["AWS::Region"], Value::Null, "not a parameter");
}

#[test]
fn secrets_are_for_programs_alone() {
    let url = "DatabaseUrl=postgresql://clinic:known@db.example.org/clinic";
    let given = ["--parameter", "Environments=5", "--parameter", url];
    for format in ["table", "markdown"] {
        let (status, text) = of_fixture(&[&given[..], &["--format", format]].concat());
        assert_eq!(status, 0, "{text}");
        assert!(
            text.contains("(hidden)") && !text.contains("known"),
            "{text}"
        );
    }
    let (status, text) = of_fixture(&[&given[..], &["--format", "json"]].concat());
    assert_eq!(status, 0, "{text}");
    let parameters: Value = serde_json::from_str(&text).unwrap();
    let (_, url) = url.split_once('=').unwrap();
    assert_eq!(
        parameters,
        json!({ "DatabaseUrl": url, "Environments": "5" })
    );
}

#[test]
fn what_is_missing_misspelt_or_said_twice_is_refused_by_name() {
    for (arguments, says) in [
        (&[][..], "give Environments in samconfig.toml"),
        (&["AWS::StackName"], "give stack_name in samconfig.toml"),
        (
            &["--parameter", "Enviroments=1"],
            "no parameter Enviroments",
        ),
        (&["--parameter", "Environments"], "NAME=VALUE"),
        (
            &["--architecture", "arm64"],
            "no parameter Architecture; it has: Environments",
        ),
        (&["Environments", "--format", "json"], "cannot be used with"),
    ] {
        let (status, text) = of_fixture(arguments);
        assert_eq!(status, 2, "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let twice = ["--architecture", "arm64", "-p", "Architecture=x86_64"];
    let (status, text) = of_stage("dev", &twice);
    assert!(status == 2 && text.contains("ARCH=x86_64"), "{text}");
    let (status, text) = of_stage("test", &[]);
    assert!(
        status == 2 && text.contains("it has: default, dev, prod, staging"),
        "{text}"
    );
}
