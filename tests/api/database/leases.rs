//! Retained or transient: how long a session stays with its environment, and who ends it.

use fleet::{
    Builder, EnvironmentState,
    database::{APPLICATION, Database},
    proxy::Proxy,
};
use sqlx::{Connection, PgConnection};

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{eventually, get},
};

const DOCTORS: &str = "/api/doctors";

/// Sessions that the function has had so far.
fn opened(clinic: &Clinic) -> usize {
    let log = clinic.database.connections().unwrap();
    let of_function = log
        .sessions
        .iter()
        .filter(|session| session.application_name.contains("/doctors/"));
    of_function.count()
}

/// The environment counts as hot, and a transient session stays, for longer than any test takes.
fn always_hot(fleet: Builder) -> Builder {
    fleet
        .variable("DATABASE_LEASE_SHORT_MS", "600000")
        .variable("DATABASE_REUSE_WITHIN_MS", "600000")
}

async fn is_frozen(clinic: &Clinic) {
    eventually(
        "the environment to be frozen",
        async || clinic.fleet.environments("doctors")[0].state,
        |state| *state == EnvironmentState::Frozen,
    )
    .await;
}

#[tokio::test]
async fn a_lease_ends_the_session_of_a_frozen_environment_and_the_next_request_works() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("DATABASE_LEASE_LONG", "1")
                .variable("DATABASE_LEASE_LONG_MIN", "1")
        }),
        async |clinic| {
            for _ in 0..2 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
                is_frozen(clinic).await;
                clinic.sessions_are_gone().await;
            }
            // The client knew: nothing was lost, and nothing run again.
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
            assert!(
                clinic
                    .logged("doctors", "a read is run again on a fresh session")
                    .is_empty()
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_read_that_the_end_of_the_lease_overtook_is_run_again() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .variable("DATABASE_URL", url)
                .variable("DATABASE_LEASE_LONG", "5")
                .variable("DATABASE_LEASE_LONG_MIN", "5")
                // The client listens for longer than the lease lasts.
                .variable("DATABASE_STATEMENT_TIMEOUT", "10")
        }),
        async |clinic| {
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
            // The client sends its statement while the lease lasts, and it arrives afterwards.
            proxy.stall();
            let request = tokio::spawn(get(&clinic.fleet, DOCTORS));
            eventually(
                "the server to end the session",
                async || std::fs::read_to_string(clinic.database.log_file()).unwrap(),
                |log| log.contains(" 57P05 "),
            )
            .await;
            proxy.heal();
            let reply = request.await.unwrap();
            assert_eq!(reply.status, 200, "{reply:?}");
            let again = clinic.logged("doctors", "a read is run again on a fresh session");
            assert_eq!(again.len(), 1, "{again:?}");
            assert_eq!(opened(clinic), 2);
        },
    )
    .await;
}

#[tokio::test]
async fn above_the_mark_a_session_is_given_back_with_its_answer() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("DATABASE_RETAINED_PERCENT", "0")
                .variable("DATABASE_REUSE_WITHIN_MS", "0")
                // Not the server's doing.
                .variable("DATABASE_LEASE_SHORT_MS", "600000")
        }),
        async |clinic| {
            for requests in 1..=3 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
                // Nothing runs in it any more that could say goodbye now.
                clinic
                    .fleet
                    .freeze(&clinic.fleet.environments("doctors")[0].id);
                clinic.sessions_are_gone().await;
                assert_eq!(opened(clinic), requests);
            }
        },
    )
    .await;
}

/// Asks often, each time on a new session above the mark; how many of them counted.
async fn counts_above_the_mark(slice_ms: &str) -> usize {
    let server = Database::builder().setting("log_statement", "all");
    run_test(
        Clinic::open_on(server.start().await.unwrap(), "", |fleet| {
            fleet
                .variable("DATABASE_RETAINED_PERCENT", "0")
                .variable("DATABASE_REUSE_WITHIN_MS", "0")
                .variable("DATABASE_RECOUNT_AFTER_MS", slice_ms)
        }),
        async |clinic| {
            for requests in 1..=5 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
                clinic.sessions_are_gone().await;
                assert_eq!(opened(clinic), requests);
            }
            let log = std::fs::read_to_string(clinic.database.log_file()).unwrap();
            log.matches("pg_try_advisory_xact_lock(").count()
        },
    )
    .await
}

#[tokio::test]
async fn an_environment_that_found_the_mark_reached_does_not_count_again_within_a_slice() {
    assert_eq!(counts_above_the_mark("600000").await, 1);
    assert_eq!(counts_above_the_mark("1").await, 5);
}

#[tokio::test]
async fn a_hot_environment_keeps_its_transient_session_for_a_slice() {
    run_test(
        Clinic::open_with("", |fleet| {
            always_hot(fleet).variable("DATABASE_RETAINED_PERCENT", "0")
        }),
        async |clinic| {
            for _ in 0..30 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
            }
            // The first answer gave its session back, because nothing said that more would follow.
            assert_eq!(opened(clinic), 2);
            is_frozen(clinic).await;
            assert_eq!(clinic.sessions().await, 1);
            // The role is full: at the end of its slice the session is given back.
            clinic
                .sql("alter role application connection limit 1")
                .await;
            let sessions = async || {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
                clinic.sessions().await
            };
            eventually("the slice to end", sessions, |sessions| *sessions == 0).await;
        },
    )
    .await;
}

/// A session of the application's own role that counts as retained.
#[expect(clippy::disallowed_methods, reason = "another environment's session")]
async fn retained(clinic: &Clinic) -> PgConnection {
    let url = clinic.application_url() + "?application_name=headroom/retained/other/1";
    PgConnection::connect(&url).await.unwrap()
}

/// What the function's session is, if it has one.
async fn lease(clinic: &mut Clinic) -> Option<String> {
    sqlx::query_scalar(
        "select split_part(application_name, '/', 2) from pg_stat_activity
         where usename = $1 and application_name like '%/doctors/%'",
    )
    .bind(APPLICATION)
    .fetch_optional(&mut clinic.admin)
    .await
    .unwrap()
}

/// A clinic where one session is retained, and a network that counts.
async fn clinic_of_one_retained(slice_ms: &str) -> (Clinic, Proxy) {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    let clinic = Clinic::open_on(database, "", |fleet| {
        always_hot(fleet)
            .variable("DATABASE_URL", url)
            .variable("DATABASE_LEASE_LONG_MIN", "300")
            // Of the role's 90.
            .variable("DATABASE_RETAINED_PERCENT", "2")
            .variable("DATABASE_RECOUNT_AFTER_MS", slice_ms)
    })
    .await;
    (clinic, proxy)
}

/// Asks once, and counts the round trips to the database.
async fn trips(clinic: &Clinic, proxy: &Proxy) -> u64 {
    let before = proxy.round_trips();
    assert_eq!(clinic.get(DOCTORS).await.status, 200);
    proxy.round_trips() - before
}

#[tokio::test]
async fn a_slice_costs_one_round_trip_at_its_end_and_may_end_with_a_retained_session() {
    // Every answer ends a slice.
    run_test(clinic_of_one_retained("1"), async |(clinic, proxy)| {
        let other = retained(clinic).await;
        // The second one finds the environment hot.
        for _ in 0..2 {
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
        }
        let sessions = opened(clinic);
        for _ in 0..3 {
            assert_eq!(trips(clinic, proxy).await, 2);
            // There are slots, but none to retain: renewed.
            assert_eq!(lease(clinic).await.as_deref(), Some("transient"));
        }
        other.close().await.unwrap();
        let next_lease = async || {
            let lease = lease(clinic).await;
            if lease.as_deref() != Some("retained") {
                assert_eq!(trips(clinic, proxy).await, 2);
            }
            lease
        };
        eventually("a retained session", next_lease, |lease| {
            lease.as_deref() == Some("retained")
        })
        .await;
        for _ in 0..3 {
            assert_eq!(trips(clinic, proxy).await, 1);
        }
        // All of it was one session.
        assert_eq!(opened(clinic), sessions);
    })
    .await;
}

#[tokio::test]
async fn within_a_slice_a_transient_session_costs_nothing() {
    run_test(clinic_of_one_retained("600000"), async |(clinic, proxy)| {
        let other = retained(clinic).await;
        for _ in 0..2 {
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
        }
        for _ in 0..3 {
            assert_eq!(trips(clinic, proxy).await, 1);
            assert_eq!(lease(clinic).await.as_deref(), Some("transient"));
        }
        other.close().await.unwrap();
    })
    .await;
}

async fn sessions_are(clinic: &mut Clinic, wanted: i64) {
    eventually(
        "the sessions",
        async || clinic.sessions().await,
        |sessions| *sessions == wanted,
    )
    .await;
}

#[tokio::test]
async fn without_a_limit_of_the_role_the_servers_slots_count_and_one_warning_says_so() {
    const WARNING: &str = "the database role has no connection limit, or is a superuser: all slots \
                           of the server count as its own, and nothing keeps it from taking them";
    // Of 23 slots three are reserved: a twentieth of the others is one, of the role's 90 it would
    // be four.
    let database = Database::builder().max_connections(23).start().await;
    run_test(
        Clinic::open_on(database.unwrap(), "", |fleet| {
            fleet
                .variable("DATABASE_RETAINED_PERCENT", "5")
                .variable("DATABASE_REUSE_WITHIN_MS", "0")
                // Every session asks.
                .variable("DATABASE_RECOUNT_AFTER_MS", "1")
                .variable("DATABASE_LEASE_LONG_MIN", "300")
        }),
        async |clinic| {
            clinic
                .sql("alter role application connection limit -1")
                .await;
            let other = retained(clinic).await;
            for requests in 1..=3 {
                assert_eq!(clinic.get(DOCTORS).await.status, 200);
                sessions_are(clinic, 1).await;
                assert_eq!(opened(clinic), requests);
            }
            assert_eq!(clinic.logged("doctors", WARNING).len(), 1);
            other.close().await.unwrap();
            clinic.sessions_are_gone().await;
            assert_eq!(clinic.get(DOCTORS).await.status, 200);
            assert_eq!(lease(clinic).await.as_deref(), Some("retained"));
            assert_eq!(clinic.logged("doctors", WARNING).len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn with_a_limit_of_the_role_no_warning_is_logged() {
    run_test(Clinic::open(), async |clinic| {
        assert_eq!(clinic.get(DOCTORS).await.status, 200);
        let warnings = clinic.fleet.logs("doctors").into_iter();
        let warnings: Vec<_> = warnings.filter(|line| line.text.contains("WARN")).collect();
        assert!(warnings.is_empty(), "{warnings:?}");
    })
    .await;
}
