//! What the files around the code promise.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use saphyr::{LoadableYamlNode, Yaml};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Each workflow's file name and text.
fn workflows() -> Vec<(String, String)> {
    let mut workflows: Vec<(String, String)> = fs::read_dir(root().join(".github/workflows"))
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let text = read(&format!(".github/workflows/{name}"));
            (name, text)
        })
        .collect();
    workflows.sort();
    let names: Vec<&str> = workflows.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ci.yml", "release.yml", "weekly.yml"]);
    workflows
}

/// The value of `key = "…"` in Cargo.toml.
fn manifest(key: &str) -> String {
    let manifest = read("Cargo.toml");
    let line = format!("{key} = \"");
    let value = manifest.lines().find_map(|text| text.strip_prefix(&line));
    value.unwrap().trim_end_matches('"').to_owned()
}

/// The jobs of a workflow: names and bodies.
fn jobs<'y>(workflow: &'y Yaml<'_>) -> Vec<(&'y str, &'y Yaml<'y>)> {
    let jobs = workflow["jobs"].as_mapping().expect("jobs");
    jobs.iter()
        .map(|(name, job)| (name.as_str().unwrap(), job))
        .collect()
}

#[test]
fn a_workflow_gets_no_more_permissions_than_each_job_asks_for() {
    for (name, text) in workflows() {
        let documents = Yaml::load_from_str(&text).expect(&name);
        let [workflow] = documents.as_slice() else {
            panic!("{name} is not one document");
        };
        let granted = workflow["permissions"].as_mapping().expect(&name);
        assert!(granted.is_empty(), "{name} grants every job something");
        assert!(workflow["concurrency"]["group"].is_string(), "{name}");
        for (job, body) in jobs(workflow) {
            assert!(body["permissions"].is_mapping(), "{name}: {job}");
            assert!(body["timeout-minutes"].is_integer(), "{name}: {job}");
            let writes = body["permissions"].as_mapping().unwrap().iter();
            let writes = writes.filter(|(_, access)| access.as_str() != Some("read"));
            let writes: Vec<&str> = writes.map(|(scope, _)| scope.as_str().unwrap()).collect();
            let expected: &[&str] = match (name.as_str(), job) {
                ("release.yml", "attest") => &["attestations", "id-token"],
                ("release.yml", "publish") => &["contents"],
                _ => &[],
            };
            assert_eq!(writes, expected, "{name}: {job}");
        }
    }
}

#[test]
fn every_action_is_pinned_by_a_commit_and_the_checkout_keeps_no_credentials() {
    for (name, text) in workflows() {
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let (_, action) = line.split_once("uses: ").unwrap();
            let (_, pin) = action.split_once('@').expect(line);
            let (commit, version) = pin.split_once(" # v").expect(line);
            assert!(
                commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
                "{name}: {line}"
            );
            assert_eq!(version.split('.').count(), 3, "{name}: {line}");
        }
        assert_eq!(
            text.matches("uses: actions/checkout@").count(),
            text.matches("persist-credentials: false").count(),
            "{name}"
        );
    }
}

#[test]
fn ci_tries_the_minimum_rust_of_the_manifest() {
    let ci = read(".github/workflows/ci.yml");
    let documents = Yaml::load_from_str(&ci).unwrap();
    let versions = documents[0]["jobs"]["oldest-rust"]["strategy"]["matrix"]["rust"]
        .as_vec()
        .unwrap();
    let versions: Vec<&str> = versions.iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(versions, [manifest("rust-version")]);
}

#[test]
fn the_changelog_has_the_version_of_the_manifest_with_its_date() {
    let heading = format!("## [{}] - ", manifest("version"));
    let changelog = read("CHANGELOG.md");
    let dates: Vec<&str> = changelog
        .lines()
        .filter_map(|line| line.strip_prefix(&heading))
        .collect();
    let [date] = dates.as_slice() else {
        panic!("{dates:?} under {heading}");
    };
    date.parse::<chrono::NaiveDate>().expect("a date");
}

#[test]
fn nothing_else_lies_at_the_top() {
    let listed = Command::new("git")
        .args(["ls-tree", "--name-only", "HEAD"])
        .current_dir(root())
        .output();
    // An archive of the sources has no history to ask, and nothing that was not committed.
    let names: BTreeSet<String> = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect(),
        _ => fs::read_dir(root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "target")
            .collect(),
    };
    let allowed = [
        "Cargo.toml",
        "functions",
        "shared",
        "template.yaml",
        "tests",
        "Makefile",
        "README.md",
        "docs",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "Cargo.lock",
        "samconfig.toml",
        "clippy.toml",
        "deny.toml",
        "typos.toml",
    ];
    let foreign: Vec<&String> = names
        .iter()
        .filter(|name| !name.starts_with('.') && !allowed.contains(&name.as_str()))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
