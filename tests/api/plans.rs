//! On a large clinic every read goes through an index: what it costs follows from what it shows,
//! not from the years that the clinic has kept.

use std::{collections::HashMap, fs, path::Path};

use chrono::{DateTime, Utc};
use fleet::sample::{self, FIRST_DOCTOR, Size};
use serde_json::Value;
use sqlx::{PgConnection, Row};

use crate::clinic::Clinic;

/// The checked query that contains this text.
fn query(part: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let queries = fs::read_dir(folder).unwrap().map(|entry| {
        let described: Value =
            serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        described["query"].as_str().unwrap().to_owned()
    });
    let mut found: Vec<String> = queries.filter(|query| query.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part} is in {} queries", found.len());
    found.remove(0)
}

/// What the server says of a query that it ran with these arguments, planned as the server has it before (`custom`) and after it
/// has run a statement often (`generic`).
async fn plan(clinic: &mut PgConnection, query: &str, mode: &str, arguments: &str) -> Value {
    let mode = format!("set plan_cache_mode = force_{mode}_plan");
    sqlx::raw_sql(sqlx::AssertSqlSafe(mode))
        .execute(&mut *clinic)
        .await
        .unwrap();
    let prepare = format!("deallocate all; prepare read as {query}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare))
        .execute(&mut *clinic)
        .await
        .unwrap();
    let explain = format!("explain (analyze, buffers, format json) execute read ({arguments})");
    let row = sqlx::raw_sql(sqlx::AssertSqlSafe(explain))
        .fetch_one(clinic)
        .await
        .unwrap();
    row.get::<Value, _>(0)[0].clone()
}

/// Each node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let children = plan["Plans"].as_array();
    let below = children.into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

#[tokio::test]
async fn figures_slots_and_histories_of_a_large_clinic_read_through_indexes() {
    let mut clinic = Clinic::open().await;
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
    sample::generate(&mut clinic.admin, Size::Medium, 8, now, |_, _| {})
        .await
        .unwrap();
    clinic.sql("vacuum analyze appointments").await;
    let patient: uuid::Uuid = sqlx::query_scalar("select patient_id from appointments limit 1")
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
    let doctor = FIRST_DOCTOR;
    let year = "current_date - 300, current_date + 66";
    let month = "current_date, current_date + 31";
    // What tells a query from the others, its arguments, and the most pages of 8 KiB that it may touch.
    for (part, arguments, most) in [
        (
            "free_slots(d.id, $2, $3) f",
            format!("'{doctor}', {month}, null, 201"),
            2_000,
        ),
        (
            "working_periods(d.id, $2, $3) w",
            format!("'{doctor}', {year}, true, null"),
            60_000,
        ),
        (
            "a.status = $4",
            format!("'{doctor}', {year}, null, null, null, 201, true, null"),
            5_000,
        ),
        (
            "a.status = $4",
            format!("'{doctor}', {year}, 'checked_in', null, null, 201, false, 'doctor-1'"),
            20_000,
        ),
        (
            "known.patient_id = p.id",
            format!("'{patient}', {year}, 'Europe/Berlin', null, null, 101, true, null, null"),
            200,
        ),
        (
            "known.patient_id = p.id",
            format!("'{patient}', {year}, 'UTC', null, null, 101, false, null, 'doctor-1'"),
            200,
        ),
    ] {
        let query = query(part);
        for mode in ["custom", "generic"] {
            let explained = plan(&mut clinic.admin, &query, mode, &arguments).await;
            // Compiling it would take a hundred times as long as running it.
            assert!(
                explained.get("JIT").is_none(),
                "{mode}: {query}\n{explained:#}"
            );
            let plan = &explained["Plan"];
            let mut scans = HashMap::new();
            for node in nodes(plan) {
                let kind = node["Node Type"].as_str().unwrap();
                if let Some(table) = node["Relation Name"].as_str() {
                    assert!(
                        kind != "Seq Scan" || !matches!(table, "appointments" | "patients"),
                        "{mode}: {query}\n{plan:#}"
                    );
                    scans.insert(table, kind);
                }
                // A function that is not part of the plan would hide what it reads.
                let function = node["Function Name"].as_str();
                assert!(
                    function.is_none_or(|name| name == "generate_series"),
                    "{mode}: {query}\n{plan:#}"
                );
            }
            assert!(
                scans.contains_key("appointments"),
                "{mode}: {query}\n{plan:#}"
            );
            let pages = plan["Shared Hit Blocks"].as_u64().unwrap()
                + plan["Shared Read Blocks"].as_u64().unwrap();
            println!(
                "{mode} {part}: {pages} pages, {} ms",
                plan["Actual Total Time"]
            );
            assert!(pages < most, "{pages} pages, {mode}: {query}\n{plan:#}");
        }
    }
    clinic.close().await;
}
