//! Sessions are counted from the server's own log, and refusals are none.

use super::{connect, execute, started, until};
use fleet::database::{Database, Stop};
use sqlx::Connection;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_no_session() {
    let database = started().await;
    let mut admin = database.admin().await.unwrap();
    execute(&mut admin, "alter role clinic connection limit 1").await;
    let named = format!("{}?application_name=first%20of%20one", database.url());
    let first = connect(&named).await.unwrap();
    for _ in 0..3 {
        let refused = connect(&database.url()).await.unwrap_err();
        let code = refused.into_database_error().unwrap();
        assert_eq!(code.code().as_deref(), Some("53300"));
    }
    until("the log has it all", || {
        database.connections().unwrap().refusals.len() == 3
    })
    .await;
    let log = database.connections().unwrap();
    let of_clinic: Vec<_> = log.sessions.iter().filter(|s| s.user == "clinic").collect();
    assert_eq!(of_clinic.len(), 1);
    assert_eq!(of_clinic[0].application_name, "first of one");
    assert_eq!(of_clinic[0].database, "clinic");
    assert_eq!(of_clinic[0].end, None);
    assert!(
        log.refusals
            .iter()
            .all(|r| r.sqlstate == "53300" && r.user == "clinic")
    );
    assert_eq!(log.peak("clinic"), 1);

    first.close().await.unwrap();
    until("its end is in the log", || {
        let log = database.connections().unwrap();
        log.sessions
            .iter()
            .any(|s| s.user == "clinic" && s.end.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_a_full_server_is_counted_exactly() {
    // So that each session says something at the beginning and at the end of its statement.
    let database = Database::builder()
        .setting("log_statement", "all")
        .setting("log_duration", "on")
        .start()
        .await
        .unwrap();
    let mut admin = database.admin().await.unwrap();
    execute(&mut admin, "alter role clinic connection limit 3").await;
    let until_then = Instant::now() + Duration::from_secs(3);
    let client = |url: String| async move {
        let (mut let_in, mut refused) = (0, 0);
        while Instant::now() < until_then {
            match connect(&url).await {
                Ok(mut session) => {
                    let_in += 1;
                    execute(&mut session, "select pg_sleep(0.3)").await;
                    session.close().await.unwrap();
                }
                Err(_) => refused += 1,
            }
        }
        (let_in, refused)
    };
    let clients: Vec<_> = (0..8)
        .map(|_| tokio::spawn(client(database.url())))
        .collect();
    let (mut let_in, mut refused) = (0, 0);
    for client in clients {
        let counted = client.await.unwrap();
        let_in += counted.0;
        refused += counted.1;
    }
    assert!(let_in > 3 && refused > 0);
    let mut log = database.connections().unwrap();
    until("every end is in the log", || {
        log = database.connections().unwrap();
        log.sessions
            .iter()
            .all(|s| s.user != "clinic" || s.end.is_some())
    })
    .await;
    assert_eq!(
        log.sessions.iter().filter(|s| s.user == "clinic").count(),
        let_in
    );
    assert_eq!(log.refusals.len(), refused);
    // The server never had a fourth; a handover may look like one.
    assert!(log.peak("clinic") >= 3);
    assert_eq!(log.certain_peak("clinic"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peak_is_the_most_sessions_at_one_moment() {
    let mut database = started().await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(connect(&database.url()).await.unwrap());
    }
    for session in open.drain(..3) {
        session.close().await.unwrap();
    }
    let ended = |database: &Database| {
        let log = database.connections().unwrap();
        log.sessions
            .iter()
            .filter(|s| s.user == "clinic" && s.end.is_some())
            .count()
    };
    until("three ends are in the log", || ended(&database) == 3).await;
    for _ in 0..2 {
        open.push(connect(&database.url()).await.unwrap());
    }
    assert_eq!(database.connections().unwrap().peak("clinic"), 5);

    // The server ends these, with a FATAL line as for a refusal.
    database.restart(Stop::Immediate).await.unwrap();
    until("the crash ended the other four", || ended(&database) == 7).await;
    let mut admin = database.admin().await.unwrap();
    let last = connect(&database.url()).await.unwrap();
    execute(
        &mut admin,
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'clinic'",
    )
    .await;
    until("the administrator ended the last", || ended(&database) == 8).await;
    drop(last);
    let log = database.connections().unwrap();
    assert_eq!(log.peak("clinic"), 5);
    assert_eq!(log.refusals, []);
}
