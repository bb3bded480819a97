//! What the server holds every session to, and how sessions end.

use fleet::{Builder, Fleet, database::Database};
use http::Method;
use serde_json::json;
use sqlx::Row;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::get,
};

/// One route more: a function that has the database sleep.
const SLEEPER: &str = "
Resources:
  Sleeper:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: sleeper } }
    Properties:
      Timeout: 29
      Events:
        Get: { Type: HttpApi, Properties: { Method: GET, Path: /sleep } }
";

async fn sleeper(clinic: &Clinic, adapt: impl FnOnce(Builder) -> Builder) -> Fleet {
    let fleet = Fleet::builder()
        .template_text(SLEEPER)
        .binaries(fleet::Binaries::none().with("sleeper", env!("CARGO_BIN_EXE_sleeper")))
        .variable("DATABASE_URL", clinic.application_url());
    adapt(fleet).start().await.unwrap()
}

#[tokio::test]
async fn a_statement_that_sleeps_too_long_is_504_and_the_next_request_works() {
    run_test(Clinic::open(), async |clinic| {
        let fleet = sleeper(clinic, |fleet| {
            fleet.variable("DATABASE_STATEMENT_TIMEOUT", "1")
        })
        .await;
        assert_eq!(get(&fleet, "/sleep?seconds=0").await.status, 200);
        problem(
            &get(&fleet, "/sleep?seconds=20").await,
            504,
            "query-timeout",
        );
        assert_eq!(get(&fleet, "/sleep?seconds=0").await.status, 200);
        assert_eq!(fleet.environments("sleeper").len(), 1);
        // The same with more time than it sleeps: the limit is what made the difference.
        let patient = sleeper(clinic, |fleet| {
            fleet.variable("DATABASE_STATEMENT_TIMEOUT", "10")
        })
        .await;
        assert_eq!(get(&patient, "/sleep?seconds=1.5").await.status, 200);
        patient.shutdown().await;
        fleet.shutdown().await;
    })
    .await;
}

/// What a session has been told, by its client and not by its role's defaults, in the order of the
/// names.
const TOLD: &str = "
    create table told as
        select ''::text as name, ''::text as setting where false;
    create function look() returns trigger language plpgsql security definer as $$ begin
        insert into told select name, setting || coalesce(unit, '') from pg_settings
        where source = 'client' and name ~ 'timeout|keepalive|check_interval|jit' and name !~ '^auth';
        return null;
    end $$;
    create trigger look after insert on appointment_changes execute function look()";

#[tokio::test]
async fn every_session_is_told_its_guards_by_the_function_itself() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet
                .variable("DATABASE_STATEMENT_TIMEOUT", "6")
                .variable("DATABASE_LOCK_TIMEOUT", "3")
                .variable("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT", "7")
                .variable("DATABASE_KEEPALIVE_IDLE", "31")
                .variable("DATABASE_KEEPALIVE_INTERVAL", "11")
                .variable("DATABASE_KEEPALIVE_COUNT", "4")
                .variable("DATABASE_CONNECTION_CHECK_INTERVAL_MS", "900")
                .variable("DATABASE_LEASE_LONG_MIN", "13")
                .variable("DATABASE_LEASE_LONG", "13")
        }),
        async |clinic| {
            // What the migrations set for the role would hide that nothing was said.
            clinic.sql("alter role application reset all").await;
            sqlx::raw_sql(TOLD)
                .execute(&mut clinic.admin)
                .await
                .unwrap();
            let (doctor, patient) = (
                clinic.doctor("Dr. Okafor", "UTC").await,
                clinic.patient("Mrs. Lindqvist").await,
            );
            let draft = json!({
                "doctorId": doctor, "patientId": patient, "override": true,
                "startsAt": "2190-01-01T08:00:00Z", "endsAt": "2190-01-01T08:30:00Z",
            });
            let token = clinic.fleet.token("staff", "staff");
            let booked = clinic
                .send(
                    Method::POST,
                    "/api/appointments",
                    Some(&token),
                    &[],
                    Some(&draft),
                )
                .await;
            assert_eq!(booked.status, 201, "{booked:?}");
            let told: Vec<String> =
                sqlx::query_scalar("select name || '=' || setting from told order by name")
                    .fetch_all(&mut clinic.admin)
                    .await
                    .unwrap();
            assert_eq!(
                told,
                [
                    "client_connection_check_interval=900ms",
                    "idle_in_transaction_session_timeout=7000ms",
                    "jit=off",
                    "lock_timeout=3000ms",
                    "statement_timeout=6000ms",
                    "tcp_keepalives_count=4",
                    "tcp_keepalives_idle=31s",
                    "tcp_keepalives_interval=11s",
                ]
            );
        },
    )
    .await;
}

#[tokio::test]
async fn a_session_shows_its_lease_and_waits_for_a_lock_only_so_long() {
    run_test(Clinic::open_with("", |fleet| {
        // The statement's own limit is longer, and would be a 504.
        fleet
            .variable("DATABASE_STATEMENT_TIMEOUT", "3")
            .variable("DATABASE_LOCK_TIMEOUT", "1")
    }), async |clinic| {
    clinic.get("/api/doctors").await;
    let name: String = sqlx::query_scalar(
        "select application_name from pg_stat_activity where application_name like 'headroom/%/doctors/%'",
    )
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap();
    assert_eq!(name, "headroom/retained/doctors/$LATEST");

    clinic.sql("begin").await;
    clinic
        .sql("lock table doctors in access exclusive mode")
        .await;
    problem(&clinic.get("/api/doctors").await, 503, "database-busy");
    clinic.sql("rollback").await;
    }).await;
}

#[tokio::test]
async fn the_longest_function_name_leaves_lease_and_version_readable() {
    run_test(Clinic::open(), async |clinic| {
        let name = "a".repeat(64);
        let fleet = sleeper(clinic, |fleet| {
            fleet
                .variable("AWS_LAMBDA_FUNCTION_NAME", &name)
                .version("1234")
        })
        .await;
        assert_eq!(get(&fleet, "/sleep?seconds=0").await.status, 200);
        let shown: Vec<String> = sqlx::query("select application_name from pg_stat_activity")
            .fetch_all(&mut clinic.admin)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let ours = shown
            .iter()
            .find(|name| name.contains("/aaaa"))
            .unwrap_or_else(|| panic!("{shown:?}"));
        assert!(
            ours.len() <= 63 && ours.starts_with("headroom/retained/") && ours.ends_with("/1234"),
            "{ours}"
        );
        fleet.shutdown().await;
    })
    .await;
}

/// A clinic on a server that also writes down how clients go.
async fn clinic_that_notes_goodbyes(adapt: impl FnOnce(Builder) -> Builder) -> Clinic {
    let database = Database::builder().setting("log_min_messages", "debug1");
    let database = database.start().await.unwrap();
    // Sessions stay until their environment ends.
    let adapt = |fleet: Builder| adapt(fleet.variable("DATABASE_LEASE_LONG_MIN", "300"));
    let mut clinic = Clinic::open_on(database, "", adapt).await;
    assert_eq!(clinic.get("/api/doctors").await.status, 200);
    assert_eq!(clinic.sessions().await, 1);
    clinic
}

/// Whether a client went without a goodbye, as the server saw it.
fn hung_up(clinic: &Clinic) -> bool {
    let log = std::fs::read_to_string(clinic.database.log_file()).unwrap();
    let mut of_function = log.lines().filter(|line| line.contains("/doctors/"));
    of_function.any(|line| line.contains("unexpected EOF on client connection"))
}

#[tokio::test]
async fn sigterm_closes_the_pool() {
    run_test(clinic_that_notes_goodbyes(|fleet| fleet), async |clinic| {
        let environment = clinic.fleet.environments("doctors")[0].id.clone();
        assert!(clinic.fleet.reap(&environment).await);
        clinic.sessions_are_gone().await;
        assert!(!hung_up(clinic));
    })
    .await;
}

#[tokio::test]
async fn without_an_extension_there_is_no_goodbye_and_the_server_notices_the_end() {
    run_test(
        clinic_that_notes_goodbyes(|fleet| fleet.variable("GRACEFUL_SHUTDOWN", "off")),
        async |clinic| {
            let environment = clinic.fleet.environments("doctors")[0].id.clone();
            assert!(clinic.fleet.reap(&environment).await);
            clinic.sessions_are_gone().await;
            assert!(hung_up(clinic));
        },
    )
    .await;
}
