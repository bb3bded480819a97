//! `headroom advise`, on what a real fleet left behind: in recordings, and in CloudWatch.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, MetricDatum},
};
use fleet::moto::{CloudWatch, Moto};
use serde_json::Value;
use shared::clock;
use tempfile::TempDir;

use crate::{
    operator::{
        budget::{headroom, run},
        monitor::{MONITOR, look, watched},
    },
    support::clinic::{Clinic, problem},
};

const DOCTORS: &str = "/api/doctors";

/// A function with this reservation.
fn template(folder: &TempDir, reserved: u32) -> PathBuf {
    let file = folder.path().join(format!("template-{reserved}.yaml"));
    let text = format!(
        "
Resources:
  DoctorsFunction:
    Type: AWS::Serverless::Function
    Metadata: {{ BuildProperties: {{ Binary: doctors }} }}
    Properties:
      ReservedConcurrentExecutions: {reserved}
      Environment: {{ Variables: {{ DATABASE_URL: 'postgresql://u@h/d', DATABASE_CONNECTION_LIMIT: '1' }} }}
"
    );
    fs::write(&file, text).unwrap();
    file
}

fn advise(template: &PathBuf, arguments: &[&str]) -> Command {
    let mut command = headroom();
    command.args(["advise", "--template"]).arg(template);
    command.args(arguments);
    command
}

/// A clinic in which one environment served requests while it was looked at, and which refused
/// one. Its looks, a line of JSON each.
async fn served(looks: usize) -> (Clinic, String) {
    let mut clinic = watched(20).await;
    let mut samples = String::new();
    for _ in 0..looks {
        assert_eq!(clinic.get(DOCTORS).await.status, 200);
        let sample = look(&clinic).await;
        samples += &(serde_json::to_string(&sample).unwrap() + "\n");
    }
    clinic
        .sql("alter role application connection limit 0")
        .await;
    clinic
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
        .await;
    problem(&clinic.get(DOCTORS).await, 503, "database-busy");
    (clinic, samples)
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_of_a_fleet_become_advice() {
    let (clinic, samples) = served(60).await;
    let folder = tempfile::tempdir().unwrap();
    let recorded = folder.path().join("samples.jsonl");
    fs::write(&recorded, &samples).unwrap();
    let recorded = recorded.to_str().unwrap();

    // Twenty environments for one that was needed.
    let (status, text) = run(&mut advise(
        &template(&folder, 20),
        &["--from", recorded, "--format", "json"],
    ));
    assert_eq!(status, 1, "{text}");
    let advice: Value = serde_json::from_str(&text).unwrap();
    let doctors = &advice["functions"][0];
    assert_eq!(doctors["action"], "lower", "{text}");
    assert_eq!(
        (&doctors["peak"], &doctors["looks"]),
        (&1.into(), &60.into())
    );
    assert_eq!(doctors["advisedEnvironments"], 2);
    assert!(doctors["acquireWaitP99"].is_null() && doctors["throttles"].is_null());
    assert_eq!(
        (&advice["ceiling"], &advice["peak"]),
        (&20.into(), &1.into())
    );

    // The function's own log adds what the server does not see.
    let log = folder.path().join("doctors.log");
    let lines = clinic.fleet.logs("doctors").into_iter();
    fs::write(&log, lines.map(|line| line.text + "\n").collect::<String>()).unwrap();
    let log = ["--from", recorded, "--from", log.to_str().unwrap()];
    let (status, text) = run(advise(&template(&folder, 2), &log).args(["--format", "markdown"]));
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("1 times the database had no slot"), "{text}");

    // One environment, fully used, and nobody had to wait for long.
    let (status, text) = run(&mut advise(&template(&folder, 1), &["--from", recorded]));
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("100 %") && text.contains("keep"), "{text}");

    let few = ["--from", recorded, "--min-looks", "61"];
    let (status, text) = run(&mut advise(&template(&folder, 1), &few));
    assert_eq!(status, 2, "{text}");
    let nothing = template(&folder, 1);
    let (status, text) = run(&mut advise(
        &nothing,
        &["--from", nothing.to_str().unwrap()],
    ));
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("holds nothing that was recorded"), "{text}");
    clinic.close().await;
}

/// What nothing can be said about is named, and is no "keep".
#[test]
fn what_is_not_known_is_no_advice() {
    let folder = tempfile::tempdir().unwrap();
    let samples = folder.path().join("samples.jsonl");
    let group = |function: &str, sessions: u32| {
        serde_json::json!({ "function": function, "version": "1", "sessions": sessions, "active": 0,
            "idleInTransaction": 0, "retained": 0, "transient": 0 })
    };
    let sample = serde_json::json!({ "at": "2026-01-01T00:00:00Z", "role": "application", "limit": 90,
        "maxConnections": 100, "reserved": 3, "serverSessions": 9, "sessions": 9, "blocked": 0,
        "functions": [group("own-Shared-x", 8), group("clinic-visits", 1)], "waits": [] });
    fs::write(&samples, format!("{sample}\n").repeat(60)).unwrap();
    let advise = |resources: &str, more: &[&str]| {
        let template = folder.path().join("template.yaml");
        let globals = "Globals: { Function: { ReservedConcurrentExecutions: 20, Environment: { Variables: \
                       { DATABASE_URL: 'postgresql://u@h/d?connection_limit=2' } } } }";
        fs::write(&template, format!("{globals}\nResources:\n{resources}")).unwrap();
        let arguments = ["--format", "json", "--from", samples.to_str().unwrap()];
        let (status, text) = run(advise(&template, &arguments).args(more));
        (
            status,
            serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text)),
        )
    };
    // Its own URL says how many sessions an environment shares, and what has a name is known by it.
    let shared = "  Shared: { Type: AWS::Serverless::Function, Properties: { \
                  CapacityProviderConfig: { PerExecutionEnvironmentMaxConcurrency: 16 }, \
                  FunctionScalingConfig: { MaxExecutionEnvironments: 5 } } }\n";
    let visits = "  Visits: { Type: AWS::Serverless::Function, Properties: { \
                  FunctionName: clinic-visits, ReservedConcurrentExecutions: 1 } }\n";
    let (status, advice) = advise(&format!("{shared}{visits}"), &[]);
    assert_eq!(status, 0, "{advice}");
    assert_eq!(advice["functions"][0]["connectionLimit"], 2);
    assert_eq!(advice["ceiling"], 90);
    let (_, advice) = advise(shared, &["--other-clients", "20"]);
    assert_eq!(advice["ceiling"], 77);

    // Nobody knows whose the second name is, and it may be this function's.
    let (status, advice) = advise(
        &format!("{shared}  Others: {{ Type: AWS::Serverless::Function }}\n"),
        &[],
    );
    assert_eq!(status, 2, "{advice}");
    assert_eq!(advice["functions"][1]["action"], "cannot-tell");
    assert_eq!(advice["unknown"][0], "clinic-visits");

    let unknown = shared.replace(
        "MaxExecutionEnvironments: 5",
        "MaxExecutionEnvironments: !Ref N",
    );
    let wrong = "  Wrong: { Type: AWS::Serverless::Function, Properties: { Environment: { Variables: \
                 { DATABASE_URL: 'postgresql://u@h/d?conection_limit=2' } } } }\n";
    let (status, advice) = advise(&format!("{unknown}{wrong}{visits}"), &[]);
    assert_eq!(status, 2, "{advice}");
    let skipped = advice["skipped"].to_string();
    assert!(
        skipped.contains("!Ref N") && skipped.contains("conection_limit"),
        "{skipped}"
    );

    let nothing = "  Mail: { Type: AWS::Serverless::Function, Properties: { Environment: { Variables: \
                   { DATABASE_URL: '' } } } }\n";
    assert_eq!(advise(nothing, &[]).0, 2);
}

/// What CloudWatch makes of a line of metrics, as if it had been written at this time.
fn extracted(line: &str, at: DateTime) -> Vec<MetricDatum> {
    let Ok(document) = serde_json::from_str::<Value>(line) else {
        return Vec::new();
    };
    let Some(directives) = document["_aws"]["CloudWatchMetrics"].as_array() else {
        return Vec::new();
    };
    let mut data = Vec::new();
    for directive in directives {
        for set in directive["Dimensions"].as_array().unwrap() {
            let dimensions: Vec<Dimension> = set
                .as_array()
                .unwrap()
                .iter()
                .map(|name| {
                    let name = name.as_str().unwrap();
                    let value = document[name].as_str().unwrap();
                    Dimension::builder().name(name).value(value).build()
                })
                .collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                data.push(
                    MetricDatum::builder()
                        .metric_name(name)
                        .set_dimensions(Some(dimensions.clone()))
                        .timestamp(at)
                        .value(document[name].as_f64().unwrap())
                        .build(),
                );
            }
        }
    }
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_in_cloudwatch_become_advice() {
    let looks = 6;
    let (clinic, _) = served(looks).await;
    let cloudwatch = CloudWatch::start().await.unwrap();
    // Whole minutes apart, wherever a minute begins for whoever counts them.
    let now = clock::now();
    let ago = |minutes: u64| DateTime::from(now - Duration::from_secs(60 * minutes + 30));
    for function in ["doctors", MONITOR] {
        // The monitor writes several lines a look; which minute is whose does not matter, so long
        // as the lines of one look stay together.
        let mut looked = 0;
        for line in clinic.fleet.logs(function) {
            if line.text.contains("CeilingShare") {
                looked += 1;
            }
            let data = extracted(&line.text, ago(2 + looked));
            if !data.is_empty() {
                cloudwatch.put_metrics("Headroom", data).await.unwrap();
            }
        }
    }
    let counted = [("Throttles", 3.0), ("ConcurrentExecutions", 4.0)].map(|(name, value)| {
        let function = Dimension::builder().name("FunctionName").value("doctors");
        MetricDatum::builder()
            .metric_name(name)
            .dimensions(function.build())
            .timestamp(ago(2))
            .value(value)
            .build()
    });
    cloudwatch
        .put_metrics("AWS/Lambda", counted.into())
        .await
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let ask = |stack: &str| {
        let arguments = ["--cloudwatch", stack, "--hours", "1", "--min-looks", "6"];
        let mut command = advise(&template(&folder, 4), &arguments);
        command.args(["--format", "json"]);
        command
            .envs(Moto::variables(cloudwatch.port()))
            .env("AWS_REGION", "us-east-1");
        run(&mut command)
    };
    let (status, text) = ask("clinic");
    assert_eq!(status, 1, "{text}");
    let advice: Value = serde_json::from_str(&text).unwrap();
    let doctors = &advice["functions"][0];
    assert_eq!(doctors["action"], "raise", "{text}");
    assert_eq!(doctors["advisedEnvironments"], 5);
    assert_eq!(
        (&doctors["looks"], &doctors["peak"]),
        (&looks.into(), &1.into())
    );
    assert_eq!(
        (&doctors["throttles"], &doctors["databaseBusy"]),
        (&3.into(), &1.into())
    );
    assert_eq!(doctors["concurrency"], 4);
    assert!(
        doctors["acquireWaitP99"].as_f64().unwrap() > 100.0,
        "{text}"
    );
    assert_eq!(advice["ceiling"], 20);

    // Another stack in the same account has nothing of it.
    let (status, text) = ask("another");
    assert_eq!(status, 2, "{text}");
    clinic.close().await;
}
