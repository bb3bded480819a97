//! `headroom plan`, whose plans the check accepts.

use std::path::Path;

use serde_json::Value;

use super::{headroom, run};

#[test]
fn a_plan_is_one_that_the_check_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = folder.path().join("traffic.toml");
    let plan = |text: &str, more: &[&str]| {
        std::fs::write(&traffic, text).unwrap();
        run(headroom()
            .args(["plan", "--ceiling", "90", "--traffic"])
            .arg(&traffic)
            .args(more))
    };
    let busy = "
        [functions.Doctors]
        requests_per_second = 40
        mean_duration_ms = 100
        [functions.Visits]
        requests_per_second = 20
        burst_per_second = 400
        mean_duration_ms = 100
        mean_query_ms = 10
        concurrency = 16";
    let (status, text) = plan(busy, &["--format", "json"]);
    assert_eq!(status, 0, "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    // 4 and 40 in flight, twice that; 80 invocations in 5 environments of 4 sessions.
    assert_eq!(document["budget"], 8 + 20);
    let template = document["template"].as_str().unwrap();
    let template = template.replace(
        "    Properties:\n",
        "    Type: AWS::Serverless::Function\n    Properties:\n      Timeout: 29\n",
    );
    let template = template.replace(
        "        Variables:\n",
        "        Variables:\n          DATABASE_URL: postgresql://clinic@db.example.org/clinic\n",
    );
    let file = folder.path().join("template.yaml");
    std::fs::write(&file, &template).unwrap();
    let (status, text) = run(headroom()
        .args([
            "check",
            "--max-connections",
            "100",
            "--format",
            "json",
            "--template",
        ])
        .arg(&file));
    assert_eq!(status, 0, "{template}\n{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["budget"], 28);

    let (status, text) = plan(busy, &["--safety", "20"]);
    assert_eq!(status, 1, "{text}");
    for words in [
        "does not fit",
        "A ceiling of 280 would hold it",
        "transaction pooler",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    for (wrong, says) in [
        ("[functions.A]\nrequests_per_second = 1", "mean_duration_ms"),
        (
            "[functions.A]\nrequests_per_second = -1\nmean_duration_ms = 5",
            "A: requests_per_second",
        ),
        ("[functions.A]\nrequests = 1", "requests"),
        ("functions = 1", "functions"),
        ("[functions]", "no functions"),
    ] {
        let (status, text) = plan(wrong, &[]);
        assert!(status == 2 && text.contains(says), "{wrong}: {text}");
    }
}

/// Where traffic does not fit, which functions to merge, and whether that is enough.
#[test]
fn fifteen_functions_under_a_ceiling_of_ninety() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = folder.path().join("traffic.toml");
    // The busiest first; then fourteen alike.
    let plan = |busy: u32, quiet: u32| {
        let function = |number: u32, rate: u32| {
            format!(
                "[functions.F{number:02}]\nrequests_per_second = {rate}\nmean_duration_ms = 100\n"
            )
        };
        let quiet: String = (2..=15).map(|number| function(number, quiet)).collect();
        std::fs::write(&traffic, function(1, busy) + &quiet).unwrap();
        let mut command = headroom();
        command.args(["plan", "--ceiling", "90", "--traffic"]);
        run(command.arg(&traffic))
    };
    // 0.4 in flight each, twice that, and one environment for it.
    let (status, text) = plan(380, 4);
    assert!(status == 0 && text.contains("budget 90"), "{text}");
    let (status, text) = plan(400, 4);
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("A ceiling of 94 would hold it: 4 more than there is."),
        "{text}"
    );
    assert!(text.contains("As one function, F02, F03"), "{text}");
    // More of them would save no more.
    assert!(
        text.contains("F10, F11 would need 8 sessions in place of 10: still 2 too many."),
        "{text}"
    );
    // 0.1 in flight: five of them as one save the four that are missing.
    let (status, text) = plan(400, 1);
    assert!(
        status == 1
            && text.contains(
                "F02, F03, F04, F05, F06 would need 1 sessions in place of 5: that would fit."
            ),
        "{text}"
    );
}

/// The lines are those that the template has.
#[test]
fn a_plan_for_a_template_fills_its_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = folder.path().join("traffic.toml");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let plan = |function: &str, more: &[&str]| {
        let text = format!(
            "[functions.{function}]\nrequests_per_second = 40\nmean_duration_ms = 100\n\
             [functions.HealthFunction]\nrequests_per_second = 1\nmean_duration_ms = 10\n"
        );
        std::fs::write(&traffic, text).unwrap();
        let mut command = headroom();
        command.args(["plan", "--ceiling", "90", "--traffic"]);
        command.arg(&traffic).arg("--template").arg(&template);
        run(command.args(more))
    };
    let (status, text) = plan("DoctorsFunction", &[]);
    assert_eq!(status, 0, "{text}");
    let lines = "Mappings:\n  Environments:\n    \"100\":\n      Doctors: 8\n      Health: 1\n";
    assert!(text.ends_with(lines), "{text}");
    let (status, text) = plan("DoctorFunctoin", &[]);
    assert!(
        status == 2 && text.contains("no function DoctorFunctoin; it has:"),
        "{text}"
    );
    let (status, text) = plan("DoctorsFunction", &["--safety", "0.5"]);
    assert!(
        status == 2
            && text.contains("--safety: a factor must be")
            && !text.contains("traffic.toml"),
        "{text}"
    );
}
