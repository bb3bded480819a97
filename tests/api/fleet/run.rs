//! `make run`, as somebody who types it sees it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    time::Instant,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use fleet::{database::Database, sample::FIRST_DOCTOR};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::probe::{PATIENCE, send};

/// The program, ready.
struct Running {
    child: Child,
    /// What it printed until then.
    lines: Vec<String>,
    /// Where it answers.
    url: String,
    /// What it says meanwhile.
    log: tempfile::NamedTempFile,
}

/// Starts the program and reads what it prints until it is ready.
fn start(database_url: &str) -> Running {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["--port", "0"])
        .env("DATABASE_URL", database_url)
        .stdout(Stdio::piped())
        .stderr(log.reopen().unwrap())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(url) = line.strip_prefix("ready ") {
            let url = url.to_owned();
            return Running {
                child,
                lines,
                url,
                log,
            };
        }
        lines.push(line);
    }
    let said = fs::read_to_string(log.path()).unwrap();
    panic!("it ended before it was ready: {:?}\n{said}", child.wait());
}

/// Sends the signal and waits for the end; whether it was a good one.
async fn end(mut child: Child, signal: Signal) -> bool {
    let pid = i32::try_from(child.id()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        assert!(start.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// Asks for a token with a line of the banner, as a shell in the project's folder would: make's part
/// is make's, and the program it has built is the one under test.
fn token(line: &str) -> Result<String, String> {
    let cargo = tempfile::NamedTempFile::new().unwrap();
    let program = env!("CARGO_BIN_EXE_fleet");
    let script = "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n";
    fs::write(&cargo, format!("{script}exec '{program}' \"$@\"\n")).unwrap();
    let cargo = cargo.into_temp_path();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o700)).unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("{line} && echo \"$TOKEN\"")])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .env("CARGO", &*cargo)
        // Those of a make above this one would be taken for its own.
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// What a line of the banner asks, and with which token.
async fn status(url: &str, token: &str) -> u16 {
    let request = http::Request::get(url).header("authorization", format!("Bearer {token}"));
    let request = request.body(http_body_util::Full::default());
    send(request.unwrap()).await.status.as_u16()
}

#[tokio::test]
async fn the_lines_of_the_banner_work_and_a_signal_ends_everything() {
    let database = Database::builder().start().await.unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let Running {
            child,
            lines,
            url,
            log,
        } = start(&database.url());
        let mut bearer = String::new();
        let (mut tokens, mut pasted) = (0, 0);
        for line in lines.iter().map(|line| line.trim()) {
            let curl = r#"curl -H "Authorization: Bearer $TOKEN" '"#;
            if line.starts_with("TOKEN=") {
                bearer = token(line).unwrap();
                tokens += 1;
            } else if let Some(rest) = line.strip_prefix(curl) {
                let asked = rest.strip_suffix('\'').unwrap();
                assert!(asked.starts_with(&url), "{line}");
                assert_eq!(status(asked, "none").await, 401, "{line}");
                assert_eq!(status(asked, &bearer).await, 200, "{line}");
                pasted += 1;
            }
        }
        assert_eq!((tokens, pasted), (2, 4), "{lines:?}");
        assert!(end(child, signal).await);
        // In order: an environment was told, and closed its session.
        let said = fs::read_to_string(log.path()).unwrap();
        assert!(
            said.contains("appointments-today: [runtime] Graceful shutdown completed"),
            "{said}"
        );
        // Nothing of it is left: no session, so no environment either.
        let mut admin = database.admin().await.unwrap();
        let start = Instant::now();
        loop {
            let left: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where usename <> 'postgres'",
            )
            .fetch_one(&mut admin)
            .await
            .unwrap();
            if left == 0 {
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{left} sessions are left");
        }
    }
    database.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_token_is_a_rows_and_what_is_wrong_is_said() {
    let database = Database::builder().start().await.unwrap();
    let Running { child, url, .. } = start(&database.url());
    let port = url.rsplit(':').next().unwrap();
    let ask = |wish: &str| token(&format!("TOKEN=$(make -s token PORT={port} {wish})"));
    let claims = |token: &str| {
        let payload = token.split('.').nth(1).unwrap();
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
        serde_json::from_slice::<Value>(&payload).unwrap()
    };

    let mut admin = database.admin().await.unwrap();
    let doctor = FIRST_DOCTOR;
    let patient: Uuid = sqlx::query_scalar("select id from patients where subject = 'patient-7'")
        .fetch_one(&mut admin)
        .await
        .unwrap();
    for (wish, role, subject) in [
        ("".to_owned(), "staff", "staff"),
        ("ROLE=staff".to_owned(), "staff", "staff"),
        (format!("ROLE=doctor ID={doctor}"), "doctor", "doctor-1"),
        (format!("ROLE=patient ID={patient}"), "patient", "patient-7"),
    ] {
        let claims = claims(&ask(&wish).unwrap());
        assert_eq!(claims["cognito:groups"], json!([role]), "{wish}");
        assert_eq!(claims["sub"], subject, "{wish}");
    }

    sqlx::query("update doctors set subject = null where id = $1")
        .bind(doctor)
        .execute(&mut admin)
        .await
        .unwrap();
    for (wish, says) in [
        (
            "ROLE=nurse".to_owned(),
            "the role is `nurse`; accepted are doctor, patient and staff".to_owned(),
        ),
        (
            "ROLE=".to_owned(),
            "a role is missing; accepted are".to_owned(),
        ),
        (
            "ROLE=doctor".to_owned(),
            "role doctor needs the id of a row in doctors".to_owned(),
        ),
        (
            "ROLE=patient ID=7".to_owned(),
            "the id is `7`; accepted is the UUID of a row in patients".to_owned(),
        ),
        (
            format!("ROLE=staff ID={doctor}"),
            "staff have no rows, so no id is accepted".to_owned(),
        ),
        (
            format!("ROLE=doctor ID={patient}"),
            format!("there is no doctor with the id {patient}"),
        ),
        (
            format!("ROLE=doctor ID={doctor}"),
            format!("the doctor {doctor} has no subject"),
        ),
    ] {
        let said = ask(&wish).unwrap_err();
        assert!(said.contains(&says), "{wish}: {said}");
    }
    assert!(end(child, Signal::SIGTERM).await);
    let said = ask("ROLE=staff").unwrap_err();
    assert!(said.contains("no fleet answers on port"), "{said}");
    database.shutdown().await.unwrap();
}
