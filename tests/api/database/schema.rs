//! What the schema promises by itself, and how it comes about.

use serde_json::{Value, json};

use crate::support::clinic::{Clinic, run_test};

/// The last migration's number, which is also how many there are.
pub(super) fn migrations() -> usize {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/migrations");
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn migrating_takes_any_payload_any_number_of_times_also_at_once() {
    run_test(Clinic::open(), async |clinic| {
        let version = clinic.fleet.invoke("migrate", json!({})).await.unwrap();
        assert_eq!(version, json!({ "schemaVersion": migrations() }));
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
    })
    .await;
}

#[tokio::test]
async fn live_appointments_of_one_doctor_cannot_overlap() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
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
    })
    .await;
}
