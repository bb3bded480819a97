//! The platform ends an invocation in the middle of a statement.

use fleet::{Builder, EnvironmentState, Source};
use http::Method;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{Answer, complaint};
use crate::support::{
    clinic::{Clinic, run_test},
    probe::{PATIENCE, Reply, eventually, get, send_as, staff},
};

/// A clinic whose functions have two seconds, and whose statements wait for locks for longer.
async fn clinic(adapt: impl FnOnce(Builder) -> Builder) -> Clinic {
    let template = include_str!("../../../../template.yaml").replace("Timeout: 29", "Timeout: 2");
    Clinic::open_with("", |fleet| {
        let fleet = fleet
            .template_text(template)
            .variable("DATABASE_LOCK_TIMEOUT", "60")
            .variable("DATABASE_STATEMENT_TIMEOUT", "60");
        adapt(fleet)
    })
    .await
}

/// A session that holds this lock until the connection is closed.
async fn blocker(clinic: &Clinic, lock: &'static str) -> PgConnection {
    let mut blocker = clinic.database.admin().await.unwrap();
    for statement in ["begin", lock] {
        sqlx::query(statement).execute(&mut blocker).await.unwrap();
    }
    blocker
}

/// Waits until the request's statement waits for its lock, and takes its environment out of time:
/// one that stands still cannot answer in the last moment by itself. What the caller gets.
async fn runs_out_of_time(
    clinic: &mut Clinic,
    function: &str,
    request: JoinHandle<Reply>,
) -> Reply {
    eventually(
        "a statement that waits for a lock",
        async || locks(clinic, false).await,
        |waiting| *waiting == 1,
    )
    .await;
    let environment = clinic.fleet.environments(function).pop().unwrap();
    assert_eq!(environment.state, EnvironmentState::Busy);
    assert!(clinic.fleet.freeze(&environment.id));
    let reply = request.await.unwrap();
    eventually(
        "the environment to be gone",
        async || clinic.fleet.environments(function)[0].state,
        |state| *state == EnvironmentState::Gone,
    )
    .await;
    let timed_out = clinic.fleet.logs(function).into_iter().any(|line| {
        line.source == Source::Platform && line.text.contains("Task timed out after 2.00 seconds")
    });
    assert!(timed_out, "the platform did not end it");
    reply
}

/// Locks of the application's that were granted, or are waited for.
async fn locks(clinic: &mut Clinic, granted: bool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_locks l join pg_stat_activity a using (pid)
         where a.usename = 'application' and l.granted = $1",
    )
    .bind(granted)
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap()
}

/// Whether a session holds the doctor's row just now.
async fn is_held(clinic: &mut Clinic, doctor: Uuid) -> bool {
    let row = sqlx::query("select from doctors where id = $1 for update nowait");
    row.bind(doctor).execute(&mut clinic.admin).await.is_err()
}

fn assert_ended_by_the_platform(reply: Reply) {
    assert_eq!(reply.status, 500, "{reply:?}");
    assert_eq!(reply.text(), r#"{"message":"Internal Server Error"}"#);
    // Which no case of a misbehaving fleet would let pass.
    let after = PATIENCE;
    assert!(complaint(&Answer { reply, after }, &["database-busy"]).is_some());
}

#[tokio::test]
async fn a_read_killed_in_mid_query_leaves_no_session_and_no_lock() {
    run_test(clinic(|fleet| fleet), async |clinic| {
        let lock = "lock table doctors in access exclusive mode";
        let blocker = blocker(clinic, lock).await;
        let request = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
        let reply = runs_out_of_time(clinic, "doctors", request).await;
        assert_ended_by_the_platform(reply);
        // While what it waited for is still held.
        clinic.sessions_are_gone().await;
        assert_eq!(locks(clinic, false).await, 0);
        blocker.close().await.unwrap();
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_booking_killed_in_mid_query_gives_back_the_row_that_it_holds() {
    run_test(clinic(|fleet| fleet), async |clinic| {
        let (doctor, patient) = (
            clinic.doctor("Dr. Okafor", "UTC").await,
            clinic.patient("Mrs. Lindqvist").await,
        );
        let draft = json!({
            "doctorId": doctor, "patientId": patient, "override": true,
            "startsAt": "2190-01-01T08:00:00Z", "endsAt": "2190-01-01T08:30:00Z",
        });
        let token = staff(&clinic.fleet);
        let path = "/api/appointments";
        let book = |clinic: &Clinic| {
            let fleet = &clinic.fleet;
            send_as(fleet, Method::POST, path, Some(&token), &[], Some(&draft))
        };
        // Lets all sessions read, and none write.
        let blocker = blocker(clinic, "lock table appointments in share mode").await;
        let request = tokio::spawn(book(clinic));
        eventually(
            "the booking to lock the doctor",
            async || is_held(clinic, doctor).await,
            |held| *held,
        )
        .await;
        let reply = runs_out_of_time(clinic, "appointments", request).await;
        assert_ended_by_the_platform(reply);
        clinic.sessions_are_gone().await;
        assert!(!is_held(clinic, doctor).await);
        blocker.close().await.unwrap();
        // Nothing of it was done.
        let booked = book(clinic).await;
        assert_eq!(booked.status, 201, "{booked:?}");
    })
    .await;
}

#[tokio::test]
async fn where_the_server_does_not_look_after_its_clients_the_session_stays() {
    run_test(
        clinic(|fleet| fleet.variable("DATABASE_CONNECTION_CHECK_INTERVAL_MS", "0")),
        async |clinic| {
            let lock = "lock table doctors in access exclusive mode";
            let blocker = blocker(clinic, lock).await;
            let request = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
            runs_out_of_time(clinic, "doctors", request).await;
            // Three times as long as it takes the server to notice where it looks.
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(3) {
                assert_eq!(locks(clinic, false).await, 1, "the check cannot fail");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            blocker.close().await.unwrap();
            clinic.sessions_are_gone().await;
        },
    )
    .await;
}
