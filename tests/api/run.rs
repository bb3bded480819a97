//! `make run`, as somebody who types it sees it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Instant,
};

use fleet::database::Database;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::probe::{PATIENCE, send};

/// Starts the program and reads what it prints until it is ready; the lines, and where it answers.
fn start(database_url: &str) -> (Child, Vec<String>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(["--port", "0"])
        .env("DATABASE_URL", database_url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(url) = line.strip_prefix("ready ") {
            let url = url.to_owned();
            return (child, lines, url);
        }
        lines.push(line);
    }
    panic!("it ended before it was ready: {:?} {lines:?}", child.wait());
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

async fn status(url: &str) -> u16 {
    let request = http::Request::get(url).body(http_body_util::Full::default());
    send(request.unwrap()).await.status.as_u16()
}

#[tokio::test]
async fn the_lines_of_the_banner_work_and_a_signal_ends_everything() {
    let database = Database::builder().start().await.unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (child, lines, url) = start(&database.url());
        let pasted: Vec<&str> = lines
            .iter()
            .filter_map(|line| line.trim().strip_prefix("curl '")?.strip_suffix('\''))
            .collect();
        assert_eq!(pasted.len(), 3, "{lines:?}");
        for line in pasted {
            assert!(line.starts_with(&url), "{line}");
            assert_eq!(status(line).await, 200, "{line}");
        }
        assert!(end(child, signal).await);
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
