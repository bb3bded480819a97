//! `headroom`, run as an operator runs it, over templates that hold and templates that do not.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use cargo_metadata::Message;
use fleet::{
    database::{self, Database},
    pgbouncer::PgBouncer,
};
use serde_json::Value;

use crate::support::clinic::{CEILING, Clinic};

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

fn fixture(name: &str) -> PathBuf {
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

/// What a running server says counts, and its password is never repeated.
#[tokio::test]
async fn a_server_says_what_it_grants() {
    let mut clinic = Clinic::open().await;
    clinic
        .sql("alter role current_user connection limit 5")
        .await;
    let live = |url: &str, more: &[&str]| {
        let mut command = headroom();
        command
            .args(["check", "--template"])
            .arg(fixture("holds.yaml"));
        command.args(["--format", "json", "--database-url", url]);
        let (status, text) = run(command.args(more));
        (status, text)
    };
    let application = clinic.application_url();
    let (status, text) = live(&application, &[]);
    assert_eq!(status, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["slots"]["maxConnections"], 100);
    assert_eq!(report["slots"]["superuserReserved"], 3);
    assert_eq!(report["slots"]["roleLimit"], CEILING);
    assert_eq!(report["ceiling"], 90);
    let admin = clinic.database.admin_url();
    let report = |more: &[&str]| -> Value {
        let (_, text) = live(&admin, more);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    // No limit stops a superuser, and another role's may be asked for.
    assert_eq!(report(&[])["slots"]["roleLimit"], Value::Null);
    let role = ["--role", database::APPLICATION, "--other-clients", "0"];
    assert_eq!(report(&role)["ceiling"], CEILING);
    let (status, text) = live(&admin, &["--role", "nobody-there"]);
    assert!(status == 2 && text.contains("no such role"), "{text}");

    // Also where it goes wrong, the URL's password is not repeated.
    let secret = "nobody-may-read-this";
    let (host, name) = admin
        .rsplit_once('@')
        .map(|(_, rest)| rest.split_once('/').unwrap())
        .unwrap();
    for url in [
        format!("postgresql://application:{secret}@{host}/{name}"),
        format!("postgresql://application:{secret}@127.0.0.1:1/{name}"),
        format!("postgresql://application:{secret}@{host}/{name}?pgbouncer=true"),
        format!("postgresql://application:{secret}@{host}/{name}?sslmode=allow"),
        format!("mysql://application:{secret}@{host}/{name}"),
    ] {
        let (status, text) = live(&url, &[]);
        assert_eq!(status, 2, "{text}");
        assert!(
            text.starts_with("headroom: ") && !text.contains(secret),
            "{text}"
        );
    }
    // Out of the variable, as the help recommends.
    let (status, text) = run(headroom()
        .args(["check", "--database-url", "--template"])
        .arg(fixture("small.yaml"))
        .env("DATABASE_URL", &application));
    assert_eq!(status, 0, "{text}");

    // The migrations will set the role's limit to what the template says, so the old one bounds nothing.
    clinic
        .sql("alter role application connection limit 20")
        .await;
    let (status, text) = run(headroom()
        .args(["check", "--template"])
        .arg(fixture("ceiling.yaml"))
        .args(["--parameter", "Ceiling=60", "--database-url", &application]));
    assert!(status == 0 && text.contains("≤60"), "{text}");
    let (status, text) = live(&application, &[]);
    assert!(status == 1 && text.contains("\"ceiling\": 20"), "{text}");
    clinic.close().await;
}

#[tokio::test]
async fn a_smaller_server_is_noticed() {
    let database = Database::builder()
        .max_connections(50)
        .setting("superuser_reserved_connections", 5)
        .start()
        .await
        .unwrap();
    let mut command = headroom();
    command
        .args(["check", "--template"])
        .arg(fixture("small.yaml"));
    let (status, text) = run(command.args(["--database-url", &database.admin_url()]));
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("exceeds the ceiling of 38 by 2"), "{text}");
    database.shutdown().await.unwrap();
}

/// Leases end nothing behind a pooler, so it must be noticed, also where nobody says so.
#[tokio::test]
async fn a_pooler_in_between_is_noticed() {
    let clinic = Clinic::open().await;
    let direct = clinic.application_url();
    let live = |url: &str| {
        let mut command = headroom();
        command
            .args(["check", "--template"])
            .arg(fixture("holds.yaml"));
        run(command.args(["--database-url", url]))
    };
    let (status, text) = live(&direct);
    assert_eq!(status, 0, "{text}");

    // It refuses the settings of a session's start, or, told to ignore them, drops them.
    let refusing = PgBouncer::builder(&clinic.database, &direct).start().await;
    let refusing = refusing.unwrap();
    let (status, text) = live(refusing.url());
    assert!(
        status == 2 && text.contains("startup parameter"),
        "{status} {text}"
    );
    let ignoring = PgBouncer::builder(&clinic.database, &direct)
        .setting("ignore_startup_parameters", "options")
        .start()
        .await
        .unwrap();
    let (status, text) = live(ignoring.url());
    assert!(
        status == 1 && text.contains("sessions of a pooler have none"),
        "{status} {text}"
    );
    drop((refusing, ignoring));
    clinic.close().await;
}
