//! Migrating a clinic that is in use: what is open stays open, no request waits for long, and what was
//! interrupted is taken up again.

use std::time::Instant;

use serde_json::Value;
use shared::database::migrations::MIGRATOR;
use sqlx::{Executor, PgConnection};

use crate::support::clinic::run_test;
use crate::support::{
    clinic::Clinic,
    probe::{PATIENCE, eventually},
};

/// A clinic as the first migration left it, with a doctor and a patient in it.
async fn old_clinic() -> Clinic {
    let mut clinic = Clinic::open().await;
    clinic.sql("drop schema public cascade").await;
    clinic
        .sql("create schema public authorization clinic")
        .await;
    clinic.sql("set role clinic").await;
    MIGRATOR.run_to(1, &mut clinic.admin).await.unwrap();
    clinic.sql("reset role").await;
    let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
    let patient = clinic.patient("Mrs. Lindqvist").await;
    clinic
        .visits(doctor, patient, "now()", 3, "scheduled")
        .await;
    clinic
}

/// Asks again until the answer is true.
async fn until(db: &mut PgConnection, question: &'static str) {
    let answer = async || {
        sqlx::query_scalar::<_, bool>(question)
            .fetch_one(&mut *db)
            .await
            .unwrap()
    };
    eventually(question, answer, |answer| *answer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_report_keeps_no_request_from_reading_while_the_schema_changes() {
    run_test(old_clinic(), async |clinic| {
        let mut report = clinic.database.admin().await.unwrap();
        for table in ["doctors", "patients", "appointments"] {
            report.execute("begin").await.unwrap();
            report
                .execute(match table {
                    "doctors" => "select full_name from doctors",
                    "patients" => "select full_name from patients",
                    _ => "select starts_at from appointments",
                })
                .await
                .unwrap();
            let before = clinic.fleet.logs("migrate").len();
            let migrating = clinic.fleet.invoke("migrate", Value::Null);
            let reading = async {
                // With the functions' own limits.
                let mut reader = clinic.database.admin().await.unwrap();
                reader
                    .execute("set statement_timeout = '4s'; set lock_timeout = '2s'")
                    .await
                    .unwrap();
                let start = Instant::now();
                let tries = || {
                    let again = |line: &fleet::LogLine| line.text.contains("a lock was not to be had");
                    clinic.fleet.logs("migrate")[before..]
                        .iter()
                        .filter(|line| again(line))
                        .count()
                };
                // In between the migration gives up twice.
                while tries() < 2 {
                    for read in [
                        "select full_name from doctors",
                        "select full_name from patients",
                        "select starts_at from appointments",
                    ] {
                        reader.execute(read).await.unwrap();
                    }
                    assert!(
                        start.elapsed() < PATIENCE,
                        "the migration waits for nothing"
                    );
                }
                report.execute("rollback").await.unwrap();
            };
            let (migrated, ()) = tokio::join!(migrating, reading);
            migrated.unwrap();
            if table != "appointments" {
                // Once more from the beginning, for the next table.
                let mut admin = clinic.database.admin().await.unwrap();
                admin.execute("drop schema public cascade; create schema public authorization clinic; set role clinic").await.unwrap();
                MIGRATOR.run_to(1, &mut admin).await.unwrap();
            }
        }
    }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_migration_is_taken_up_again() {
    run_test(old_clinic(), async |clinic| {
        let mut report = clinic.database.admin().await.unwrap();
        // It has seen the clinic and reads nothing now: an index that is built concurrently waits for it.
        report
            .execute("begin isolation level repeatable read; select 1 from pg_class limit 1")
            .await
            .unwrap();
        let migrating = clinic.fleet.invoke("migrate", Value::Null);
        let interrupting = async {
            let mut admin = clinic.database.admin().await.unwrap();
            until(
                &mut admin,
                "select exists (select from pg_stat_activity
             where application_name = 'headroom/maintenance' and wait_event_type = 'Lock'
               and query like '%create unique index concurrently%')",
            )
            .await;
            admin
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                 where application_name = 'headroom/maintenance'",
                )
                .await
                .unwrap();
        };
        let (migrated, ()) = tokio::join!(migrating, interrupting);
        migrated.unwrap_err();
        report.execute("rollback").await.unwrap();
        let invalid = "select count(*) from pg_index where not indisvalid";
        let remains: i64 = sqlx::query_scalar(invalid)
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        assert_eq!(remains, 1);

        let version = clinic.fleet.invoke("migrate", Value::Null).await.unwrap();
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        assert_eq!(version["schemaVersion"].as_i64(), newest);
        let remains: i64 = sqlx::query_scalar(invalid)
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        assert_eq!(remains, 0);
        let index =
            "select exists (select from pg_indexes where indexname = 'patients_subject_unique')";
        until(&mut clinic.admin, index).await;

        // The index was built and the run ended before it was written down.
        clinic
            .sql("delete from _sqlx_migrations where version >= 10")
            .await;
        assert_eq!(
            clinic.fleet.invoke("migrate", Value::Null).await.unwrap(),
            version
        );
    })
    .await;
}

#[test]
fn what_is_built_beside_others_stands_alone_and_can_be_built_again() {
    for migration in MIGRATOR.iter() {
        let sql = migration.sql.as_str().to_lowercase();
        let statement: String = sql.lines().filter(|line| !line.starts_with("--")).collect();
        let concurrent = statement.contains(" concurrently ");
        assert_eq!(migration.no_tx, concurrent, "{sql}");
        if concurrent {
            assert!(statement.contains(" concurrently if not exists "), "{sql}");
            assert_eq!(statement.matches(';').count(), 1, "{sql}");
        }
    }
}
