//! `.ci/setup`: what is missing is installed, or one line says what to type.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};

/// What the script itself needs of a machine.
const TOOLS: [&str; 10] = [
    "bash", "cat", "dirname", "env", "grep", "head", "id", "ls", "mktemp", "uname",
];

/// A machine whose PATH holds the tools and these stand-ins alone: python3 and curl are missing.
/// PostgreSQL, PgBouncer and libfaketime are found where packages put them.
fn set_up(what: &str, setup: &str, stand_ins: &[(&str, &str)]) -> (Output, String) {
    let machine = tempfile::tempdir().unwrap();
    let path = machine.path();
    for tool in TOOLS {
        let found = Command::new("sh")
            .args(["-c", &format!("command -v {tool}")])
            .output()
            .unwrap();
        symlink(
            String::from_utf8(found.stdout).unwrap().trim(),
            path.join(tool),
        )
        .unwrap();
    }
    for (name, script) in stand_ins {
        let file = path.join(name);
        fs::write(&file, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let log = path.join("log");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/setup");
    let output = Command::new(script)
        .args([what, "/nonexistent/target"])
        .env_clear()
        .envs([("PATH", path), ("LOG", &log)])
        .env("SETUP", setup)
        .output()
        .unwrap();
    let installed = fs::read_to_string(log).unwrap_or_default();
    (output, installed)
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[test]
fn with_the_set_up_switched_off_one_line_says_what_is_missing() {
    let (output, _) = set_up("test", "off", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "setup: missing, and SETUP=off: python3-venv curl. \
         Type: sudo apt-get install python3-venv curl\n"
    );
}

#[test]
fn packages_are_installed_without_a_question() {
    let apt = r#"echo "apt-get $*" >> "$LOG""#;
    let sudo = r#"[ "$1" = -n ] && shift; [ "$1" = true ] || exec "$@""#;
    let (output, installed) = set_up("test", "on", &[("apt-get", apt), ("sudo", sudo)]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        installed,
        "apt-get update -qq\napt-get install -y -qq --no-install-recommends python3-venv curl\n"
    );
    assert_eq!(said(&output).lines().count(), 1);
}

#[test]
fn without_a_package_manager_the_tests_stop_with_one_line() {
    let (output, _) = set_up("test", "on", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "setup: missing, and not to be installed without root or sudo: python3-venv curl. \
         Type: sudo apt-get install python3-venv curl\n"
    );
}

#[test]
fn running_needs_postgresql_alone() {
    let (output, _) = set_up("run", "off", &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "");
}

#[test]
fn a_version_that_cannot_be_fetched_is_named() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/setup");
    let output = Command::new(script)
        .args(["postgresql", "13", "/nonexistent/target"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        "setup: PostgreSQL 14 to 18 can be fetched, not 13\n"
    );
}
