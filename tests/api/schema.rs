//! What the schema promises by itself, and how it comes about.

use fleet::database::Database;
use serde_json::{Value, json};
use sqlx::Row;

use crate::clinic::Clinic;

#[tokio::test]
async fn migrating_takes_any_payload_any_number_of_times_also_at_once() {
    let mut clinic = Clinic::open().await;
    let version = clinic.fleet.invoke("migrate", json!({})).await.unwrap();
    assert!(version["schemaVersion"].as_i64().unwrap() >= 1, "{version}");
    for payload in [
        Value::Null,
        json!([1, "x"]),
        json!({ "RequestType": "Create" }),
        json!("text"),
    ] {
        assert_eq!(
            clinic.fleet.invoke("migrate", payload).await.unwrap(),
            version
        );
    }
    // Two at once, on a database that has nothing yet: two functions, each with its own environment.
    clinic.sql("drop schema public cascade").await;
    clinic
        .sql("create schema public authorization clinic")
        .await;
    let url = clinic.database.url();
    let other = clinic
        .another_fleet(|fleet| fleet.variable("DATABASE_URL", url))
        .await;
    let (one, two) = tokio::join!(
        clinic.fleet.invoke("migrate", Value::Null),
        other.invoke("migrate", Value::Null),
    );
    assert_eq!((one.unwrap(), two.unwrap()), (version.clone(), version));
    other.shutdown().await;
    clinic.close().await;
}

#[tokio::test]
async fn live_appointments_of_one_doctor_cannot_overlap() {
    let mut clinic = Clinic::open().await;
    let doctor = clinic.doctor("A", "UTC").await;
    let other = clinic.doctor("B", "UTC").await;
    let patient = clinic.patient("P").await;
    clinic
        .visits(doctor, patient, "'2199-01-01 10:00Z'", 1, "scheduled")
        .await;
    let mut book = async |doctor: uuid::Uuid, from: &str, to: &str, status: &str| {
        let booked = sqlx::query(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status)
             values ($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5)",
        )
        .bind(doctor)
        .bind(patient)
        .bind(format!("2199-01-01 {from}Z"))
        .bind(format!("2199-01-01 {to}Z"))
        .bind(status)
        .execute(&mut clinic.admin)
        .await;
        match booked {
            Ok(_) => "booked".to_owned(),
            Err(error) => error
                .as_database_error()
                .unwrap()
                .constraint()
                .unwrap_or("?")
                .to_owned(),
        }
    };
    // 10:00 to 10:15 is taken. Ranges are half-open: what touches does not overlap.
    for (doctor, from, to, status, becomes) in [
        (
            doctor,
            "10:14",
            "10:20",
            "scheduled",
            "appointments_no_overlap",
        ),
        (
            doctor,
            "09:50",
            "10:01",
            "completed",
            "appointments_no_overlap",
        ),
        (
            doctor,
            "10:05",
            "10:06",
            "in_progress",
            "appointments_no_overlap",
        ),
        (doctor, "10:15", "10:30", "scheduled", "booked"),
        (doctor, "09:45", "10:00", "scheduled", "booked"),
        (doctor, "10:00", "10:15", "cancelled", "booked"),
        (doctor, "10:00", "10:15", "no_show", "booked"),
        (other, "10:00", "10:15", "scheduled", "booked"),
        (
            doctor,
            "11:00",
            "11:00",
            "scheduled",
            "appointments_end_after_start",
        ),
        (
            doctor,
            "11:00",
            "10:59",
            "cancelled",
            "appointments_end_after_start",
        ),
        (
            doctor,
            "11:00",
            "11:15",
            "pending",
            "appointments_status_known",
        ),
    ] {
        assert_eq!(
            book(doctor, from, to, status).await,
            becomes,
            "{from} {to} {status}"
        );
    }
    clinic.close().await;
}

#[tokio::test]
async fn each_route_reads_through_an_index() {
    let database = Database::builder().start().await.unwrap();
    let mut clinic = Clinic::open_on(database, "", |fleet| fleet).await;
    let doctor = clinic.doctor("A", "UTC").await;
    let patient = clinic.patient("P").await;
    clinic
        .visits(
            doctor,
            patient,
            "now() - interval '200 days'",
            10_000,
            "completed",
        )
        .await;
    clinic
        .visits(
            doctor,
            patient,
            "now() + interval '20 days'",
            5_000,
            "scheduled",
        )
        .await;
    // Many patients, as a clinic has.
    clinic
        .sql("insert into patients (full_name) select 'P' || i from generate_series(1, 500) i")
        .await;
    clinic
        .sql(
            "update appointments a set patient_id = p.id
             from (select id, row_number() over () as n from patients) p
             where p.n = 1 + abs(hashtext(a.id::text)) % 500",
        )
        .await;
    clinic.sql("vacuum analyze").await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let described: Value = serde_json::from_str(&text).unwrap();
        let sql = described["query"].as_str().unwrap();
        if !sql.contains("from appointments") {
            continue;
        }
        // A generic plan, as a session has it that ran the statement often.
        sqlx::query("set plan_cache_mode = force_generic_plan")
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        let parameters = described["describe"]["parameters"]["Left"]
            .as_array()
            .unwrap()
            .len();
        let prepare = format!("prepare route as {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        // A generic plan does not look at them.
        let arguments = vec!["null"; parameters];
        let explain = format!("explain execute route ({})", arguments.join(", "));
        let plan: Vec<String> = sqlx::raw_sql(sqlx::AssertSqlSafe(explain))
            .fetch_all(&mut clinic.admin)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan on appointments"), "{sql}\n{plan}");
        assert!(plan.contains("appointments_"), "{sql}\n{plan}");
        sqlx::raw_sql("deallocate route")
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        looked_at += 1;
    }
    assert!(looked_at >= 2);
    clinic.close().await;
}
