//! One capped pool per environment, whatever happens to its sessions.

use std::time::{Duration, Instant};

use fleet::{
    EnvironmentState,
    database::{APPLICATION, Database},
    proxy::Proxy,
};
use http::StatusCode;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{eventually, get},
};

const UPCOMING: &str = "appointments-upcoming";

/// A clinic whose sessions stay however long the machine takes between two requests.
async fn lasting() -> Clinic {
    Clinic::open_with("", |fleet| fleet.variable("DATABASE_LEASE_LONG_MIN", "300")).await
}

#[tokio::test]
async fn a_thousand_requests_make_one_pool_and_one_session() {
    run_test(lasting(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let path = format!("/api/doctors/{doctor}/appointments/upcoming");
        for request in 0..1000 {
            assert_eq!(clinic.get(&path).await.status, 200);
            if request % 100 == 0 {
                assert!(clinic.sessions().await <= 1);
            }
        }
        assert_eq!(clinic.fleet.environments(UPCOMING).len(), 1);
        let created = clinic.logged(UPCOMING, "database pool created");
        assert_eq!(created.len(), 1, "{created:?}");
        let line = &created[0];
        assert_eq!(line["connection_limit"], 1);
        assert_eq!(line["pool_timeout_seconds"], 10);
        assert_eq!(line["function"], UPCOMING);
        assert_eq!(line["version"], "$LATEST");
        assert!(Uuid::try_parse(line["environment"].as_str().unwrap()).is_ok());

        // The server's own log: the migration's session, and one that served all the requests.
        let log = clinic.database.connections().unwrap();
        let served = log
            .sessions
            .iter()
            .filter(|s| s.application_name.contains(UPCOMING));
        assert_eq!(served.count(), 1);
    })
    .await;
}

#[tokio::test]
async fn forty_clients_on_a_reserved_concurrency_of_twenty_have_at_most_twenty_sessions() {
    let database = Database::builder().setting("log_duration", "on");
    let database = database.start().await.unwrap();
    run_test(
        Clinic::open_on(database, "?connection_limit=1", |fleet| {
            fleet.reserved_concurrency(UPCOMING, 20)
        }),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let patient = clinic.patient("Mrs. Lindqvist").await;
            clinic
                .visits(
                    doctor,
                    patient,
                    "now() + interval '1 hour'",
                    300,
                    "scheduled",
                )
                .await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            let mut clients = JoinSet::new();
            for _ in 0..40 {
                let requests: Vec<_> = (0..10).map(|_| get(&clinic.fleet, &path)).collect();
                clients.spawn(async move {
                    let mut statuses = Vec::new();
                    for request in requests {
                        statuses.push(request.await.status);
                    }
                    statuses
                });
            }
            let statuses: Vec<StatusCode> =
                clients.join_all().await.into_iter().flatten().collect();
            let count = |status: u16| statuses.iter().filter(|seen| **seen == status).count();
            assert_eq!(count(200) + count(429), 400, "{statuses:?}");
            assert!(count(200) >= 20, "{statuses:?}");

            let log = clinic.database.connections().unwrap();
            let peak = log.certain_peak(APPLICATION);
            assert!(peak <= 20, "{peak} sessions at once");
            assert!(peak > 1, "the clients did not come together");
            let pools = clinic.logged(UPCOMING, "database pool created").len();
            assert_eq!(pools, clinic.fleet.environments(UPCOMING).len());
        },
    )
    .await;
}

#[tokio::test]
async fn a_session_that_died_while_the_environment_was_frozen_is_replaced_unnoticed() {
    run_test(lasting(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let path = format!("/api/doctors/{doctor}/appointments/upcoming");
        assert_eq!(clinic.get(&path).await.status, 200);
        for _ in 0..3 {
            eventually("the environment to be frozen", async || clinic.fleet.environments(UPCOMING)[0].state, |state| *state == EnvironmentState::Frozen)
            .await;
            clinic
                .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
                .await;
            assert_eq!(clinic.get(&path).await.status, 200);
        }
        assert_eq!(clinic.fleet.environments(UPCOMING).len(), 1);
        assert_eq!(
            clinic
                .logged(UPCOMING, "a read is run again on a fresh session")
                .len(),
            3
        );
        assert_eq!(clinic.logged(UPCOMING, "database pool created").len(), 1);
    }).await;
}

#[tokio::test]
async fn a_session_long_idle_is_asked_for_a_sign_of_life_and_a_busy_one_is_not() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .variable("DATABASE_URL", url)
                .variable("DATABASE_LEASE_LONG_MIN", "300")
                // Idle for longer than nothing: always.
                .function_variable("doctors", "DATABASE_PING_AFTER", "0")
        }),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;

            // A busy session: one round trip each, a known doctor, an unknown one, one with visits.
            let patient = clinic.patient("Mrs. Lindqvist").await;
            clinic
                .visits(
                    doctor,
                    patient,
                    "now() + interval '1 hour'",
                    300,
                    "scheduled",
                )
                .await;
            for read in [
                "appointments/upcoming",
                "appointments/today",
                "appointments?from=2026-01-01&to=2027-01-01",
                "availability?from=2032-01-01&to=2032-02-01",
                "dashboard?from=2026-01-01&to=2027-01-01",
            ] {
                let known = format!("/api/doctors/{doctor}/{read}");
                assert_eq!(clinic.get(&known).await.status, 200);
                for path in [known, format!("/api/doctors/{}/{read}", Uuid::new_v4())] {
                    let before = proxy.round_trips();
                    clinic.get(&path).await;
                    assert_eq!(proxy.round_trips() - before, 1, "{path}");
                }
            }
            // The same with the ping: one more.
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            let before = proxy.round_trips();
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            assert_eq!(proxy.round_trips() - before, 2);
        },
    )
    .await;
}

#[tokio::test]
async fn several_invocations_at_once_share_one_pool() {
    let database = Database::builder().setting("log_duration", "on");
    let database = database.start().await.unwrap();
    run_test(
        Clinic::open_on(database, "?connection_limit=4", |fleet| {
            fleet.max_concurrency(UPCOMING, 16).function_variable(
                UPCOMING,
                "DATABASE_CONNECTION_LIMIT",
                "8",
            )
        }),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            // All at once, to an environment that is not even started.
            let requests: JoinSet<_> = (0..16).map(|_| get(&clinic.fleet, &path)).collect();
            for reply in requests.join_all().await {
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            assert_eq!(clinic.fleet.environments(UPCOMING).len(), 1);
            assert_eq!(clinic.logged(UPCOMING, "database pool created").len(), 1);
            assert_eq!(
                clinic.logged(UPCOMING, "database pool created")[0]["connection_limit"],
                4
            );
            let log = clinic.database.connections().unwrap();
            let peak = log.certain_peak(APPLICATION);
            assert!(peak <= 4, "{peak}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_lowered_limit_is_said_once() {
    run_test(
        Clinic::open_with("?connection_limit=10", |fleet| fleet),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            for _ in 0..3 {
                assert_eq!(clinic.get(&path).await.status, 200);
            }
            let said = clinic.logged(
        UPCOMING,
        "a connection limit is more than this environment may have or can use, and was lowered",
    );
            assert_eq!(said.len(), 1, "{said:?}");
            assert_eq!(
                (&said[0]["asked"], &said[0]["in_force"]),
                (&10.into(), &1.into())
            );
        },
    )
    .await;
}

#[tokio::test]
async fn waiting_for_the_environments_own_pool_ends_with_the_pool_timeout() {
    run_test(
        Clinic::open_with("?pool_timeout=1&connection_limit=1", |fleet| {
            fleet.max_concurrency(UPCOMING, 4)
        }),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            assert_eq!(clinic.get(&path).await.status, 200);
            // The one session waits for this lock, the other invocations wait for the session.
            clinic.sql("begin").await;
            clinic
                .sql("lock table appointments in access exclusive mode")
                .await;
            let start = Instant::now();
            let requests: JoinSet<_> = (0..4).map(|_| get(&clinic.fleet, &path)).collect();
            let mut kinds = Vec::new();
            for reply in requests.join_all().await {
                let kind = reply.json()["type"].as_str().unwrap().to_owned();
                kinds.push(kind.rsplit(':').next().unwrap().to_owned());
            }
            assert!(start.elapsed() >= Duration::from_secs(1));
            kinds.sort();
            assert_eq!(
                kinds,
                [
                    "database-busy",
                    "pool-timeout",
                    "pool-timeout",
                    "pool-timeout"
                ]
            );
            clinic.sql("rollback").await;
            assert_eq!(clinic.get(&path).await.status, 200);
        },
    )
    .await;
}

#[tokio::test]
async fn sessions_are_replaced_when_their_lifetime_or_idle_time_is_over() {
    for parameters in [
        "?max_connection_lifetime=5",
        "?max_idle_connection_lifetime=5",
    ] {
        // The lease is not what ends them.
        run_test(
            Clinic::open_with(parameters, |fleet| {
                fleet.variable("DATABASE_LEASE_LONG_MIN", "300")
            }),
            async |clinic| {
                let sessions = || {
                    let log = clinic.database.connections().unwrap();
                    let doctors = log
                        .sessions
                        .iter()
                        .filter(|s| s.application_name.contains("doctors"));
                    doctors.count()
                };
                let start = Instant::now();
                while start.elapsed() < Duration::from_millis(500) {
                    assert_eq!(clinic.get("/api/doctors").await.status, 200);
                }
                assert_eq!(sessions(), 1, "{parameters}");
                // The environment is frozen meanwhile, and looks at the clock when it is used again.
                tokio::time::sleep(Duration::from_millis(5100)).await;
                assert_eq!(clinic.get("/api/doctors").await.status, 200);
                assert_eq!(sessions(), 2, "{parameters}");
            },
        )
        .await;
    }
}

#[tokio::test]
async fn single_use_connections_are_closed_with_the_answer() {
    run_test(
        Clinic::open_with("?single_use_connections=true", |fleet| fleet),
        async |clinic| {
            for _ in 0..3 {
                assert_eq!(clinic.get("/api/doctors").await.status, 200);
            }
            let log = clinic.database.connections().unwrap();
            let doctors = log
                .sessions
                .iter()
                .filter(|s| s.application_name.contains("doctors"));
            assert_eq!(doctors.count(), 3);
            clinic.sessions_are_gone().await;
        },
    )
    .await;
}

#[tokio::test]
async fn behind_a_transaction_pooler_statements_are_unnamed_and_nothing_is_set_on_the_session() {
    for (parameters, named) in [
        ("", true),
        ("?statement_cache_size=0", false),
        ("?pgbouncer=true", false),
    ] {
        let database = Database::builder()
            .setting("log_statement", "all")
            .start()
            .await
            .unwrap();
        run_test(Clinic::open_on(database, parameters, |fleet| fleet), async |clinic| {
            for _ in 0..2 {
                assert_eq!(clinic.get("/api/doctors").await.status, 200);
            }
            let log = std::fs::read_to_string(clinic.database.log_file()).unwrap();
            // The migrations' own statements are another application's.
            let lines = || log.lines().filter(|line| line.contains("/doctors/"));
            let count = |what: &str| lines().filter(|line| line.contains(what)).count();
            assert_eq!(count("execute sqlx_s_") == 2, named, "{parameters}: {log}");
            assert_eq!(
                count("execute <unnamed>") == 2,
                !named,
                "{parameters}: {log}"
            );
            let pooled = parameters == "?pgbouncer=true";
            let begins = count(
                "begin read only; set local search_path = \"public\"; set local statement_timeout = 4000; \
                 set local lock_timeout = 2000; set local idle_in_transaction_session_timeout = 5000",
            );
            assert_eq!(
                (begins, count("statement: commit")),
                if pooled { (2, 2) } else { (0, 0) },
                "{log}"
            );
        }).await;
    }
}

#[tokio::test]
async fn the_drivers_own_variables_change_nothing_or_are_refused_by_name() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("PGHOST", "nowhere.invalid")
                .variable("PGPORT", "1")
                .variable("PGUSER", "nobody")
                .variable("PGPASSWORD", "wrong")
                .variable("PGDATABASE", "nowhere")
                .variable("PGSSLMODE", "verify-full")
                .variable("PGSSLROOTCERT", "/nowhere.pem")
                .variable("PGAPPNAME", "somebody")
                .function_variable("health", "PGOPTIONS", "-c statement_timeout=1")
        }),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            let log = clinic.database.connections().unwrap();
            assert!(
                log.sessions
                    .iter()
                    .any(|s| s.application_name == "headroom/transient/doctors/$LATEST")
            );
            assert_eq!(clinic.get("/api/health?deep=1").await.status, 500);
            let said = clinic.logged("health", "the configuration cannot be used");
            assert!(
                said[0]["cause"]
                    .as_str()
                    .unwrap()
                    .starts_with("PGOPTIONS is set"),
                "{said:?}"
            );
        },
    )
    .await;
}
