//! What a caller and the log are told when the database is absent, full, slow or set up wrongly.

use std::time::{Duration, Instant};

use fleet::{
    Source,
    database::{Database, Stop},
    proxy::Proxy,
};

use sqlx::{Connection, PgConnection};

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{eventually, get},
};

/// Everything the function logged, for what it must not hold.
fn log_of(clinic: &Clinic, function: &str) -> String {
    let lines = clinic.fleet.logs(function).into_iter();
    let own = lines.filter(|line| line.source != Source::Platform);
    own.map(|line| line.text + "\n").collect()
}

#[tokio::test]
async fn a_stopped_database_is_503_and_the_environment_serves_again() {
    run_test(Clinic::open(), async |clinic| {
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        clinic.database.stop(Stop::Fast).await.unwrap();
        problem(
            &clinic.get("/api/doctors").await,
            503,
            "database-unreachable",
        );
        problem(
            &clinic.get("/api/doctors").await,
            503,
            "database-unreachable",
        );
        clinic.database.start().await.unwrap();
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        assert_eq!(clinic.fleet.environments("doctors").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_full_database_is_503() {
    run_test(
        Clinic::open_with("?pool_timeout=1", |fleet| fleet),
        async |clinic| {
            clinic
                .sql("alter role application connection limit 0")
                .await;
            problem(&clinic.get("/api/doctors").await, 503, "database-busy");
            clinic
                .sql("alter role application connection limit 1")
                .await;
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn whatever_it_is_that_is_full_it_is_503() {
    let database = Database::builder().max_connections(8).start().await;
    run_test(
        Clinic::open_on(database.unwrap(), "?pool_timeout=1", |fleet| fleet),
        async |clinic| {
            let refused = async |clinic: &Clinic, by: &str| {
                let before = clinic.log_length();
                problem(&clinic.get("/api/doctors").await, 503, "database-busy");
                let log = std::fs::read_to_string(clinic.database.log_file()).unwrap();
                assert!(log[before..].contains(by), "{}", &log[before..]);
            };
            clinic.sql("alter database clinic connection limit 0").await;
            refused(clinic, "too many connections for database").await;
            clinic
                .sql("alter database clinic connection limit -1")
                .await;
            // Three of the eight are reserved, one is this test's own administrator's.
            let mut others = Vec::new();
            for _ in 0..4 {
                others.push(connect(&clinic.database.url()).await);
            }
            refused(clinic, "connection slots are reserved").await;
            for _ in 0..3 {
                others.push(clinic.database.admin().await.unwrap());
            }
            refused(clinic, "too many clients already").await;
            drop(others);
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
        },
    )
    .await;
}

#[expect(clippy::disallowed_methods, reason = "another application's session")]
async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

#[tokio::test]
async fn a_slow_statement_is_504_and_the_next_request_works() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet.variable("DATABASE_STATEMENT_TIMEOUT", "1")
        }),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            clinic.sql("begin").await;
            clinic
                .sql("lock table doctors in access exclusive mode")
                .await;
            problem(&clinic.get("/api/doctors").await, 504, "query-timeout");
            clinic.sql("rollback").await;
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn a_network_that_swallows_everything_is_503_within_the_deadline() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .variable(
                    "DATABASE_URL",
                    format!("{url}?connect_timeout=1&pool_timeout=3"),
                )
                .variable("DATABASE_STATEMENT_TIMEOUT", "1")
        }),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            proxy.stall();
            let start = Instant::now();
            problem(
                &clinic.get("/api/doctors").await,
                503,
                "database-unreachable",
            );
            assert!(
                start.elapsed() < Duration::from_secs(29),
                "{:?}",
                start.elapsed()
            );
            proxy.heal();
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn wrong_credentials_are_500_misconfigured_and_clear_in_the_log() {
    let database = Database::builder().start().await.unwrap();
    let url = format!(
        "postgresql://application:wrong-secret@127.0.0.1:{}/clinic",
        database.port()
    );
    run_test(
        Clinic::open_on(database, "", |fleet| fleet.variable("DATABASE_URL", url)),
        async |clinic| {
            problem(&clinic.get("/api/doctors").await, 500, "misconfigured");
            let log = log_of(clinic, "doctors");
            assert!(
                log.contains("the database refused the credentials in DATABASE_URL"),
                "{log}"
            );
            assert!(!log.contains("wrong-secret"), "{log}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_wrong_configuration_is_500_misconfigured_and_named_in_the_log() {
    for (parameters, says) in [
        ("?conection_limit=1", "did you mean connection_limit?"),
        (
            "?connection_limit=0",
            "connection_limit=0 cannot be used; accepted is a whole number",
        ),
        ("?sslmode=require", "no trusted encrypted connection"),
        (
            "?sslmode=verify-full&sslcert=/nowhere.pem",
            "sslcert names /nowhere.pem",
        ),
        ("?options=-c%20no_such_setting=1", "no_such_setting"),
        ("?schema=nowhere", "does not exist"),
    ] {
        run_test(
            Clinic::open_with(parameters, |fleet| fleet),
            async |clinic| {
                problem(&clinic.get("/api/doctors").await, 500, "misconfigured");
                let log = log_of(clinic, "doctors");
                assert!(log.contains(says), "{parameters}: {log}");
                // The process is up all the same.
                assert_eq!(clinic.get("/api/live").await.status, 200);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_setting_under_its_old_name_is_refused_with_the_new_name_in_the_log() {
    let clinic = Clinic::open_with("", |fleet| {
        fleet.function_variable("doctors", "DATABASE_LEASE_CROWDED", "1")
    })
    .await;
    problem(&clinic.get("/api/doctors").await, 500, "misconfigured");
    let log = log_of(&clinic, "doctors");
    let says = "DATABASE_LEASE_CROWDED is now called DATABASE_LEASE_LONG_MIN; set that instead";
    assert!(log.contains(says), "{log}");
    clinic.close().await;
}

#[tokio::test]
async fn warnings_about_the_url_are_in_the_log_once() {
    let database = Database::builder().start().await.unwrap();
    let unknown = "?target_session_attrs=any";
    let url = database.application_url() + unknown;
    run_test(
        Clinic::open_on(database, unknown, |fleet| {
            fleet.function_variable("migrate", "DATABASE_URL", url)
        }),
        async |clinic| {
            for _ in 0..3 {
                assert_eq!(clinic.get("/api/doctors").await.status, 200);
            }
            // Also where no pool is made.
            for function in ["doctors", "migrate"] {
                let said = clinic.logged(
            function,
            "DATABASE_URL: the parameter target_session_attrs is not known and has no effect",
        );
                assert_eq!(said.len(), 1, "{function}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_network_that_fails_while_the_database_is_full_does_not_hide_that_it_is_full() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            // Nothing but the end of the time cuts an attempt short.
            let url = format!("{url}?pool_timeout=4&connect_timeout=0");
            fleet.variable("DATABASE_URL", url)
        }),
        async |clinic| {
            clinic
                .sql("alter role application connection limit 0")
                .await;
            let request = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
            // A request that comes a second time has heard the first refusal.
            eventually(
                "two refusals",
                async || clinic.database.connections().unwrap().refusals,
                |refusals| refusals.len() > 1,
            )
            .await;
            proxy.stall();
            problem(&request.await.unwrap(), 503, "database-busy");
        },
    )
    .await;
}
