//! What the monitor sees of the database's sessions, also when the application has no slot left.

use std::time::Duration;

use fleet::database::{APPLICATION, Database};
use serde_json::{Value, json};
use shared::{
    config::database_url::DatabaseUrl,
    database::server::activity::{self, Sample},
};
use sqlx::PgConnection;

use crate::{
    database::roles::{connect, login},
    http::metrics::emf::{Document, documents},
    support::{clinic::Clinic, probe::get},
};

pub(crate) const MONITOR: &str = "connection-monitor";

/// A clinic that is watched, with this ceiling.
pub(crate) async fn watched(ceiling: u32) -> Clinic {
    let database = Database::builder().start().await.unwrap();
    let url = login(&database, "monitor", "watching");
    Clinic::open_on(database, "?pool_timeout=1", |fleet| {
        fleet
            .parameter("DatabaseMonitorUrl", &url)
            .function_variable(MONITOR, "DATABASE_URL", &url)
            .function_variable("migrate", "DATABASE_CEILING", ceiling.to_string())
            .variable("POWERTOOLS_SERVICE_NAME", "clinic")
            .variable("DATABASE_LEASE_LONG_MIN", "60")
    })
    .await
}

/// Lets the monitor look.
pub(crate) async fn look(clinic: &Clinic) -> Sample {
    let answer = clinic.fleet.invoke(MONITOR, Value::Null).await;
    serde_json::from_value(answer.expect("a look")).expect("a sample")
}

/// The line of metrics about the whole, the last one.
fn whole(clinic: &Clinic) -> Document {
    let mut lines = documents(clinic, MONITOR);
    lines.retain(|line| line.dimensions() == &json!([["service"]]));
    lines.pop().expect("metrics")
}

async fn application(clinic: &Clinic) -> PgConnection {
    connect(&clinic.application_url())
        .await
        .expect("a session of the application's")
}

#[tokio::test]
async fn sessions_are_counted_by_function_and_version_against_the_ceiling() {
    let mut clinic = watched(20).await;
    for path in ["/api/doctors", "/api/health?deep=1"] {
        assert_eq!(clinic.get(path).await.status, 200);
    }
    clinic.fleet.deploy("doctors", "7");
    assert_eq!(clinic.get("/api/doctors").await.status, 200);

    let sample = look(&clinic).await;
    assert_eq!(
        (sample.role.as_str(), sample.limit),
        (APPLICATION, Some(20))
    );
    assert_eq!((sample.sessions, sample.ceiling()), (3, 20));
    assert_eq!(sample.share(), 15.0);
    let names: Vec<_> = sample
        .functions
        .iter()
        .map(|group| {
            (
                group.function.as_str(),
                group.version.as_str(),
                group.sessions,
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("doctors", "$LATEST", 1),
            ("doctors", "7", 1),
            ("health", "$LATEST", 1)
        ]
    );
    assert_eq!(sample.sum(|group| group.retained), 3);
    assert_eq!((sample.blocked, sample.longest_query), (0, None));
    assert_eq!(sample.oldest_transaction, None);
    // The administrator of this test, the three, and the monitor itself.
    assert_eq!(sample.server_sessions, 5);

    let lines = documents(&clinic, MONITOR);
    // Its own invocation, the whole, and three parts.
    assert_eq!(lines.len(), 1 + 1 + 3);
    let whole = whole(&clinic);
    assert_eq!(whole.text("service"), Some("clinic"));
    let metric = |name: &str| whole.metric(name).unwrap();
    assert_eq!((metric("Sessions"), metric("Ceiling")), (3.0, 20.0));
    assert_eq!(metric("CeilingShare"), 15.0);
    assert_eq!(metric("BlockedSessions"), 0.0);
    let seven = lines
        .iter()
        .find(|line| line.text("function_version") == Some("7"));
    assert_eq!(seven.unwrap().metric("Sessions"), Some(1.0));
    let said = clinic.logged(MONITOR, "sessions");
    assert_eq!(said.len(), 1, "one line");
    assert_eq!(
        said[0]["functions"],
        "doctors/$LATEST=1 doctors/7=1 health/$LATEST=1"
    );

    // Its one connection is closed, and nobody's session was ended.
    let monitors = "select count(*) from pg_stat_activity where usename = 'monitor'";
    let mut left = -1_i64;
    for _ in 0..500 {
        clinic.sql("select pg_stat_clear_snapshot()").await;
        left = sqlx::query_scalar(monitors)
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left, 0);
    assert_eq!(clinic.sessions().await, 3);
    clinic.close().await;
}

#[tokio::test]
async fn blocked_sessions_old_transactions_and_long_queries_are_seen() {
    let mut clinic = watched(20).await;
    clinic.sql("begin").await;
    clinic
        .sql("lock table doctors in access exclusive mode")
        .await;
    let blocked = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
    let sample = loop {
        let sample = look(&clinic).await;
        if sample.blocked > 0 {
            break sample;
        }
        assert!(!blocked.is_finished(), "it was answered: {sample:?}");
    };
    assert_eq!(sample.blocked, 1);
    assert_eq!(sample.functions[0].active, 1);
    assert!(sample.oldest_transaction.unwrap() >= sample.longest_query.unwrap());
    assert_eq!(sample.waits[0].event, "Lock: relation");
    assert_eq!(whole(&clinic).metric("BlockedSessions"), Some(1.0));
    clinic.sql("rollback").await;
    assert!(blocked.await.unwrap().status.as_u16() < 600);
    clinic.close().await;
}

#[tokio::test]
async fn it_looks_while_the_application_has_no_slot_left() {
    let clinic = watched(2).await;
    let mut idle = application(&clinic).await;
    let _other = application(&clinic).await;
    assert_eq!(clinic.get("/api/doctors").await.status, 503);
    sqlx::raw_sql("begin; select 1")
        .execute(&mut idle)
        .await
        .unwrap();
    let sample = look(&clinic).await;
    assert_eq!(
        (sample.sessions, sample.ceiling(), sample.share()),
        (2, 2, 100.0)
    );
    // They said no function's name, and one left a transaction open.
    assert_eq!(sample.functions[0].function, "");
    assert_eq!(sample.functions[0].idle_in_transaction, 1);
    assert!(sample.oldest_transaction.is_some());
    assert_eq!(whole(&clinic).metric("CeilingShare"), Some(100.0));
    clinic.close().await;
}

#[tokio::test]
async fn which_role_is_the_applications_must_be_clear() {
    let mut clinic = watched(20).await;
    let url = login(&clinic.database, "monitor", "watching");
    let url = DatabaseUrl::parse(&url).unwrap();
    clinic
        .sql("create role another login connection limit 5")
        .await;
    let unclear = activity::look_once(&url, None).await.unwrap_err();
    assert!(
        unclear.explanation().contains("DATABASE_APPLICATION_ROLE"),
        "{unclear:?}"
    );
    let sample = activity::look_once(&url, Some("another")).await.unwrap();
    assert_eq!((sample.sessions, sample.ceiling()), (0, 5));
    assert!(activity::look_once(&url, Some("nobody")).await.is_err());
    clinic.close().await;
}
