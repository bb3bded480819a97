//! How an invocation comes by a session: who is counted, who is waited for, and what goes first.

use std::time::{Duration, Instant};

use fleet::{
    database::{APPLICATION, Database},
    pgbouncer::PgBouncer,
};
use http::Method;
use serde_json::{Value, json};
use shared::{config::database_url::DatabaseUrl, database::server::activity};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{PATIENCE, Reply, as_staff, eventually, send, staff},
};

/// Requests at the same time.
async fn together(clinic: &Clinic, count: usize) -> Vec<Reply> {
    let request = as_staff(&clinic.fleet, "/api/doctors");
    let requests: JoinSet<Reply> = (0..count).map(|_| send(request.clone())).collect();
    requests.join_all().await
}

/// The application's retained sessions.
async fn retained(clinic: &mut Clinic) -> i64 {
    clinic.sql("select pg_stat_clear_snapshot()").await;
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where usename = $1 and application_name like '%/retained/%'",
    )
    .bind(APPLICATION)
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_server_that_hangs_up_while_it_is_asked_for_tls_is_asked_again() {
    let database = Database::builder().start().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = database.port();
    let url = database
        .application_url()
        .replace(&format!(":{server}/"), &format!(":{port}/"));
    let standing_in = tokio::spawn(async move {
        // As a server does that ends before it has read who comes, and a load balancer without one.
        for _ in 0..3 {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut question = [0; 8];
            client.read_exact(&mut question).await.unwrap();
        }
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet.function_variable("doctors", "DATABASE_URL", url)
        }),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            let admitted = clinic.logged("doctors", "admitted after waiting");
            assert_eq!(admitted.len(), 1, "{admitted:?}");
            assert_eq!(admitted[0]["attempts"], 4);
            standing_in.abort();
        },
    )
    .await;
}

#[tokio::test]
async fn a_limit_above_the_servers_slots_retains_no_more_than_their_share() {
    // 17 for every role but the superuser; 80 % of them are 13.
    let database = Database::builder()
        .max_connections(20)
        .setting("superuser_reserved_connections", 3);
    run_test(Clinic::open_on(database.start().await.unwrap(), "", |fleet| {
        fleet
            .variable("DATABASE_LEASE_LONG_MIN", "300")
            .reserved_concurrency("doctors", 16)
    }), async |clinic| {
    for (limit, most) in [
        ("alter role application connection limit 500", 13),
        ("alter role application connection limit 10", 8),
    ] {
        clinic.sql(limit).await;
        clinic
            .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
            .await;
        clinic.sessions_are_gone().await;
        let start = Instant::now();
        let mut rounds_at_the_mark = 0;
        // Once there, more do not join them.
        while rounds_at_the_mark < 5 {
            assert!(start.elapsed() < PATIENCE, "{limit}: not retained");
            for reply in together(clinic, 16).await {
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            let retained = retained(clinic).await;
            assert!(retained <= most, "{limit}: {retained}");
            rounds_at_the_mark += u32::from(retained == most);
        }
    }
    }).await;
}

#[tokio::test]
async fn every_way_to_count_the_slots_of_a_role_counts_the_same() {
    let database = Database::builder().max_connections(50);
    run_test(
        Clinic::open_on(database.start().await.unwrap(), "", |fleet| fleet),
        async |clinic| {
            let owner = DatabaseUrl::parse(&clinic.database.url()).unwrap();
            for (role, database, slots) in [(20, -1, 20), (20, 10, 10), (-1, 12, 12), (500, -1, 47)]
            {
                for statement in [
                    format!("alter role application connection limit {role}"),
                    format!("alter database clinic connection limit {database}"),
                ] {
                    sqlx::query(AssertSqlSafe(statement))
                        .execute(&mut clinic.admin)
                        .await
                        .unwrap();
                }
                let health = clinic.get("/api/health?deep=1").await;
                assert_eq!(health.json()["database"]["sessionLimit"], slots);
                let sample = activity::look_once(&owner, Some(APPLICATION)).await;
                assert_eq!(sample.unwrap().ceiling(), slots);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_session_that_is_there_goes_before_a_new_one() {
    // One session is retained, the others are closed with their answers and leave empty slots.
    run_test(
        Clinic::open_with("?connection_limit=4", |fleet| {
            fleet
                .max_concurrency("doctors", 16)
                .function_variable("doctors", "DATABASE_CONNECTION_LIMIT", "4")
                .variable("DATABASE_RETAINED_PERCENT", "20")
                .variable("DATABASE_LEASE_LONG_MIN", "300")
                .variable("DATABASE_REUSE_WITHIN_MS", "0")
                .variable("DATABASE_LOCK_TIMEOUT", "60")
                .variable("DATABASE_STATEMENT_TIMEOUT", "60")
        }),
        async |clinic| {
            clinic
                .sql("alter role application connection limit 5")
                .await;
            let request = as_staff(&clinic.fleet, "/api/doctors");
            for _ in 0..4 {
                clinic.sql("begin").await;
                clinic
                    .sql("lock table doctors in access exclusive mode")
                    .await;
                let requests: JoinSet<Reply> = (0..4).map(|_| send(request.clone())).collect();
                eventually(
                    "four sessions",
                    async || clinic.sessions().await,
                    |sessions| *sessions == 4,
                )
                .await;
                clinic.sql("rollback").await;
                for reply in requests.join_all().await {
                    assert_eq!(reply.status, 200, "{reply:?}");
                }
                let opened = clinic.database.connections().unwrap().sessions.len();
                for _ in 0..5 {
                    assert_eq!(clinic.get("/api/doctors").await.status, 200);
                }
                let log = clinic.database.connections().unwrap();
                assert_eq!(log.sessions.len(), opened, "{log:?}");
            }
        },
    )
    .await;
}

/// Takes the pooler's only session of the server for so many seconds, as another client of it.
async fn occupy(pooler: &PgBouncer, seconds: u32) -> tokio::task::JoinHandle<()> {
    let url = pooler.url().to_owned();
    let (taken, is_taken) = tokio::sync::oneshot::channel();
    let occupied = tokio::spawn(async move {
        #[expect(
            clippy::disallowed_methods,
            clippy::disallowed_types,
            reason = "a client beside the application"
        )]
        let mut client = {
            let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
            // Which PgBouncer refuses as a start-up parameter.
            let options = options.extra_float_digits(None);
            PgConnection::connect_with(&options).await.unwrap()
        };
        sqlx::raw_sql("begin; set local idle_in_transaction_session_timeout = 0")
            .execute(&mut client)
            .await
            .unwrap();
        taken.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        sqlx::raw_sql("rollback")
            .execute(&mut client)
            .await
            .unwrap();
        client.close().await.unwrap();
    });
    is_taken.await.unwrap();
    occupied
}

#[tokio::test]
async fn a_request_for_a_poolers_session_waits_as_for_any_other() {
    let database = Database::builder().start().await.unwrap();
    let application = database.application_url();
    let pooler = PgBouncer::builder(&database, &application).pool_size(1);
    let pooler = pooler.start().await.unwrap();
    let url = format!("{}?pgbouncer=true", pooler.url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .function_variable("doctors", "DATABASE_URL", format!("{url}&pool_timeout=20"))
                .function_variable("patients", "DATABASE_URL", format!("{url}&pool_timeout=1"))
                // Less than the wait.
                .variable("DATABASE_STATEMENT_TIMEOUT", "1")
        }),
        async |clinic| {
            let occupied = occupy(&pooler, 5).await;
            let patients = clinic.get("/api/patients?q=an").await;
            problem(&patients, 503, "database-busy");
            let token = staff(&clinic.fleet);
            let register = clinic
                .send(
                    Method::POST,
                    "/api/patients",
                    Some(&token),
                    &[],
                    Some(&json!({ "fullName": "P" })),
                )
                .await;
            problem(&register, 503, "database-busy");
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            let lost: Vec<Value> =
                clinic.logged("doctors", "a read is run again on a fresh session");
            assert!(lost.is_empty(), "{lost:?}");
            occupied.await.unwrap();
            assert_eq!(clinic.get("/api/patients?q=an").await.status, 200);
        },
    )
    .await;
}
