//! What the functions tell CloudWatch, in its own format, and that it adds up.

pub(crate) mod emf;

use fleet::database::APPLICATION;
use serde_json::json;

use crate::support::clinic::{Clinic, problem, run_test};
use emf::{Document, documents};

const DOCTORS: &str = "/api/doctors";

fn sum(documents: &[Document], name: &str) -> f64 {
    documents.iter().filter_map(|line| line.metric(name)).sum()
}

fn count(documents: &[Document], name: &str) -> usize {
    let lines = documents.iter();
    lines.filter(|line| line.metric(name).is_some()).count()
}

#[tokio::test]
async fn metrics_of_requests_refusals_and_retries_add_up() {
    run_test(
        Clinic::open_with("?pool_timeout=1", |fleet| {
            fleet
                .variable("POWERTOOLS_SERVICE_NAME", "clinic")
                // Sessions stay until they are killed.
                .variable("DATABASE_LEASE_LONG_MIN", "60")
        }),
        async |clinic| {
            for _ in 0..5 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
            }
            // A session that died between two requests: the read is run again.
            clinic
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
        .await;
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
            // No slot: refused until the pool's time is over.
            clinic
                .sql("alter role application connection limit 0")
                .await;
            clinic
        .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
        .await;
            problem(&clinic.get(DOCTORS).await, 503, "database-busy");
            // The client's own mistake is no outage.
            assert_eq!(clinic.get("/api/doctors?nonsense=1").await.status, 400);
            let requests = 8;

            let lines = documents(clinic, "doctors");
            assert_eq!(lines.len(), requests, "one line an invocation");
            for line in &lines {
                assert_eq!(
                    line.dimensions(),
                    &json!([
                        ["service"],
                        ["service", "function_name", "function_version"]
                    ])
                );
                assert_eq!(line.text("service"), Some("clinic"));
                assert_eq!(line.text("function_name"), Some("doctors"));
                assert_eq!(line.text("function_version"), Some("$LATEST"));
            }
            assert_eq!(count(&lines, "Duration"), requests);
            assert_eq!(sum(&lines, "ColdStart"), 1.0);
            assert_eq!(lines[0].metric("ColdStart"), Some(1.0));
            assert_eq!(sum(&lines, "ServerErrors"), 1.0);
            assert_eq!(sum(&lines, "DatabaseBusy"), 1.0);
            assert_eq!(sum(&lines, "PoolTimeout"), 0.0);
            // One for the killed session, and one for the other killed session, whose read then met 53300.
            assert_eq!(sum(&lines, "Retries"), 2.0);
            assert_eq!(sum(&lines, "SessionsLost"), 2.0);
            // The first, and the one after the first was killed; as the server counts them.
            assert_eq!(sum(&lines, "SessionsOpened"), 2.0);
            let refusals = clinic.database.connections().unwrap().refusals;
            let refused = refusals
                .iter()
                .filter(|refusal| refusal.user == APPLICATION);
            let refused = refused.count() as f64;
            assert!(refused >= 1.0);
            assert_eq!(sum(&lines, "ConnectionAttempts"), 2.0 + refused);
            // The bad request came nowhere near the database.
            assert_eq!(count(&lines, "AcquireWait"), requests - 1);
            assert_eq!(count(&lines, "QueryTime"), requests - 1);
            let busy = lines
                .iter()
                .find(|line| line.metric("DatabaseBusy").is_some());
            let busy = busy.unwrap();
            assert!(busy.metric("AcquireWait").unwrap() > busy.metric("QueryTime").unwrap());
            let last = lines.last().unwrap();
            assert_eq!(
                (last.metric("PoolSize"), last.metric("PoolIdle")),
                (Some(0.0), Some(0.0))
            );
            assert_eq!(lines[4].metric("PoolSize"), Some(1.0));
        },
    )
    .await;
}

#[tokio::test]
async fn a_transient_session_that_is_given_back_is_counted() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("DATABASE_RETAINED_PERCENT", "0")
                .variable("DATABASE_REUSE_WITHIN_MS", "0")
        }),
        async |clinic| {
            for _ in 0..3 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
            }
            let lines = documents(clinic, "doctors");
            assert_eq!(sum(&lines, "TransientCloses"), 3.0);
            assert_eq!(sum(&lines, "SessionsOpened"), 3.0);
        },
    )
    .await;
}

/// A switch that is misspelt must not silently mean the default.
#[tokio::test]
async fn a_switch_is_on_or_off_and_nothing_else() {
    for (name, wrong) in [("METRICS", "Off"), ("GRACEFUL_SHUTDOWN", "false")] {
        run_test(
            Clinic::open_with("", |fleet| fleet.function_variable("doctors", name, wrong)),
            async |clinic| {
                assert_eq!(clinic.get(DOCTORS).await.status, 500);
                let says = format!("{name}={wrong} cannot be used; accepted is on or off");
                assert!(!clinic.logged("doctors", &says).is_empty(), "{says}");
                assert_eq!(clinic.get("/api/live").await.status, 200);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn metrics_can_be_switched_off() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet.function_variable("doctors", "METRICS", "off")
        }),
        async |clinic| {
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
            assert_eq!(clinic.get("/api/live").await.status, 200);
            assert!(documents(clinic, "doctors").is_empty());
            assert_eq!(documents(clinic, "health").len(), 1);
        },
    )
    .await;
}
