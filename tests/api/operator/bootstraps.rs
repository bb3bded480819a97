//! The executables that are deployed, asked on the fleet.

use std::path::Path;

use fleet::{Binaries, database::Database};
use serde_json::Value;
use uuid::Uuid;

use crate::{database::roles::login, operator::monitor::MONITOR, support::clinic::Clinic};

/// Where `cargo lambda build` leaves them.
const BUILT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../lambda");

/// `make verify`: each function answers, the scheduled ones too.
#[tokio::test]
#[ignore = "wants what was built for Lambda on x86_64; `make verify`"]
async fn every_function_that_was_built_for_lambda_answers() {
    let binaries = Binaries::bootstraps(Path::new(BUILT)).expect("what was built for Lambda");
    let database = Database::builder().start().await.unwrap();
    let url = login(&database, "monitor", "watching");
    let mut clinic = Clinic::open_on(database, "", |fleet| {
        fleet
            .binaries(binaries)
            .parameter("DatabaseMonitorUrl", &url)
            .function_variable(MONITOR, "DATABASE_URL", &url)
    })
    .await;
    let doctor = clinic.doctor("A", "UTC").await;
    let patient = clinic.patient("B").await;
    clinic
        .visits(doctor, patient, "now() + interval '1 day'", 3, "scheduled")
        .await;
    let appointment: Uuid = sqlx::query_scalar("select id from appointments limit 1")
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();

    for route in clinic.fleet.routes() {
        let Some(path) = route.strip_prefix("GET ") else {
            continue;
        };
        let path = path
            .replace("doctors/{id}", &format!("doctors/{doctor}"))
            .replace("patients/{id}", &format!("patients/{patient}"))
            .replace("appointments/{id}", &format!("appointments/{appointment}"));
        let query = match path.rsplit('/').next() {
            Some("health") => "?deep=1",
            Some("patients") => "?q=ab",
            Some("availability" | "dashboard" | "appointments") => "?from=2026-03-01&to=2026-03-02",
            _ => "",
        };
        let path = path + query;
        let reply = clinic.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        println!("{path} {}", reply.status);
    }
    for function in ["purge", MONITOR] {
        let answer = clinic.fleet.invoke(function, Value::Null).await;
        println!("{function} {}", answer.expect("an answer"));
    }
    for function in clinic.fleet.functions() {
        let answered = clinic.logged(function, "invocation over");
        assert!(!answered.is_empty(), "{function} was not asked");
    }
    clinic.close().await;
}
