//! On a large clinic every read goes through an index: what it costs follows from what it shows,
//! not from the years that the clinic has kept.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use chrono::{DateTime, Utc};
use fleet::{
    database::APPLICATION,
    sample::{self, FIRST_DOCTOR, Size},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{Reply, eventually},
    requests::Requests,
};

/// A clinic with 120 doctors, 40 000 patients and 400 000 appointments; one of the patients.
async fn large() -> (Clinic, Uuid) {
    let mut clinic = Clinic::open().await;
    let now: DateTime<Utc> = sqlx::query_scalar("select now()")
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
    sample::generate(&mut clinic.admin, Size::Medium, 8, now, |_, _| {})
        .await
        .unwrap();
    clinic.sql("vacuum analyze").await;
    let patient = "select patient_id from appointments where doctor_id = $1 limit 1";
    let patient = sqlx::query_scalar(patient)
        .bind(FIRST_DOCTOR)
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
    (clinic, patient)
}

/// Every checked query.
fn queries() -> impl Iterator<Item = String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    fs::read_dir(folder).unwrap().map(|entry| {
        let described: Value =
            serde_json::from_str(&fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap();
        described["query"].as_str().unwrap().to_owned()
    })
}

/// The checked query that contains this text.
fn query(part: &str) -> String {
    let mut found: Vec<String> = queries().filter(|query| query.contains(part)).collect();
    assert_eq!(found.len(), 1, "{part} is in {} queries", found.len());
    found.remove(0)
}

/// What the server says of a query that it ran with these arguments, planned as the server has it before (`custom`) and after it
/// has run a statement often (`generic`).
async fn plan(clinic: &mut PgConnection, query: &str, mode: &str, arguments: &str) -> Value {
    let mode = format!("set plan_cache_mode = force_{mode}_plan");
    sqlx::raw_sql(AssertSqlSafe(mode))
        .execute(&mut *clinic)
        .await
        .unwrap();
    let prepare = format!("deallocate all; prepare read as {query}");
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *clinic)
        .await
        .unwrap();
    let explain = format!("explain (analyze, buffers, format json) execute read ({arguments})");
    let row = sqlx::raw_sql(AssertSqlSafe(explain))
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
    run_test(large(), async |(clinic, patient)| {
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
    })
    .await;
}

#[tokio::test]
async fn a_search_for_what_all_patients_have_reads_a_page_of_it() {
    run_test(large(), async |(clinic, _)| {
        clinic
            .sql(
                "update patients set phone = '+49 30 ' || phone, full_name = 'Maria ' || full_name",
            )
            .await;
        clinic.sql("vacuum full analyze patients").await;
        let query = query("with found as materialized");
        let maria = "'%maria%', '', null, null, null";
        for (arguments, shown, most) in [
            // All of them, by number and by name.
            ("null, '', null, null, '4930'".to_owned(), 51, 3_000),
            ("null, '', null, '%493%', null".to_owned(), 51, 3_000),
            ("null, '', 'ma', null, null".to_owned(), 51, 3_000),
            (maria.to_owned(), 51, 3_000),
            (
                "'%maria%', '%nobody%', null, null, null".to_owned(),
                0,
                4_000,
            ),
            // None of them.
            ("'%nobody%', '', null, '%00000%', null".to_owned(), 0, 200),
        ] {
            let arguments = format!("{arguments}, 1000, null, null, 51");
            for mode in ["custom", "generic"] {
                let explained = plan(&mut clinic.admin, &query, mode, &arguments).await;
                let plan = &explained["Plan"];
                for node in nodes(plan) {
                    assert_ne!(
                        node["Node Type"], "Seq Scan",
                        "{mode}: {arguments}\n{plan:#}"
                    );
                }
                assert_eq!(
                    plan["Actual Rows"].as_f64(),
                    Some(f64::from(shown)),
                    "{mode}: {arguments}\n{plan:#}"
                );
                let pages = plan["Shared Hit Blocks"].as_u64().unwrap()
                    + plan["Shared Read Blocks"].as_u64().unwrap();
                println!(
                    "{mode} {arguments}: {pages} pages, {} ms",
                    plan["Actual Total Time"]
                );
                assert!(pages < most, "{pages} pages, {mode}: {arguments}\n{plan:#}");
            }
        }
    })
    .await;
}

/// The plans of the application's statements, as the server wrote them down behind this place in its log.
fn written_down(clinic: &Clinic, from: usize) -> Vec<Value> {
    let log = fs::read(clinic.database.log_file()).unwrap();
    let log = String::from_utf8_lossy(&log[from..]).into_owned();
    let mut lines = log.lines().peekable();
    let mut plans = Vec::new();
    while let Some(line) = lines.next() {
        let mut document = String::new();
        while let Some(more) = lines.next_if(|more| more.starts_with('\t')) {
            document += more;
        }
        if line.contains(&format!(" {APPLICATION}@")) && line.ends_with(" plan:") {
            plans.push(serde_json::from_str(&document).unwrap());
        }
    }
    plans
}

/// What grows with the years. The other tables are as large as the clinic.
const GROWING: [&str; 4] = [
    "appointments",
    "appointment_changes",
    "idempotency_keys",
    "patients",
];

#[tokio::test]
async fn every_route_of_a_large_clinic_reads_through_indexes() {
    run_test(large(), async |(clinic, patient)| {
        clinic
            .sql(
                "insert into idempotency_keys
                     (subject, route, key, fingerprint, status, headers, body, patients, created_at)
                 select 'staff', 'r', i::text, '', 201, '[]', '{}', '{}', now() - i * interval '5 seconds'
                 from generate_series(1, 20000) i",
            )
            .await;
        clinic.sql("vacuum analyze idempotency_keys").await;
        let doctor = FIRST_DOCTOR;
        let mut requests = Requests::new(clinic, doctor, *patient, 130).await;
        let routes: Vec<String> = clinic.fleet.routes().map(str::to_owned).collect();
        let from = DateTime::<Utc>::from(shared::clock::now()).date_naive();
        for mode in ["custom", "generic"] {
            let start = clinic.log_length();
            // For the application alone, and not for the statements that filled the clinic.
            sqlx::raw_sql(AssertSqlSafe(format!(
                "alter role {APPLICATION} set session_preload_libraries = 'auto_explain';
                 alter role {APPLICATION} set auto_explain.log_min_duration = 0;
                 alter role {APPLICATION} set auto_explain.log_nested_statements = on;
                 alter role {APPLICATION} set auto_explain.log_format = json;
                 alter role {APPLICATION} set plan_cache_mode = force_{mode}_plan;
                 select pg_terminate_backend(pid) from pg_stat_activity where usename = '{APPLICATION}'",
            )))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
            clinic.sessions_are_gone().await;
            let token = clinic.fleet.token("staff", "staff");
            let doctors_token = clinic.doctor_token(doctor).await;
            for route in &routes {
                for token in [&token, &doctors_token] {
                    let mut prepared = requests.prepare(clinic, route, from, 31).await;
                    if route == "GET /api/health" {
                        prepared.path += "?deep=1";
                    }
                    let before = clinic.log_length();
                    let reply = prepared.send(clinic, Some(token)).await;
                    if reply.status == 403 {
                        continue;
                    }
                    succeeded(route, &reply);
                    if matches!(route.as_str(), "GET /api/live" | "GET /api/openapi.json") {
                        continue;
                    }
                    let read = reads(clinic, mode, route, before).await;
                    let expected = match route.as_str() {
                        // Whose tables are the server's; and for staff, who are no doctor and no patient, none.
                        "GET /api/health" | "GET /api/me" => "pg_stat_activity",
                        "GET /api/doctors"
                        | "GET /api/doctors/{id}"
                        | "PUT /api/doctors/{id}/working-hours"
                        | "DELETE /api/doctors/{id}/time-off/{timeOffId}" => "doctors",
                        "GET /api/patients"
                        | "POST /api/patients"
                        | "GET /api/patients/{id}"
                        | "PATCH /api/patients/{id}" => "patients",
                        _ => "appointments",
                    };
                    assert!(
                        read.contains(expected) || expected == "pg_stat_activity",
                        "{mode}: {route} read {read:?}"
                    );
                }
            }
            // What else is searched for: part of a name, a telephone number, and how one begins.
            for q in ["ann", "030", "%2B49%2030", "49", "%2B49"] {
                let before = clinic.log_length();
                let path = format!("/api/patients?q={q}");
                succeeded(&path, &clinic.get(&path).await);
                reads(clinic, mode, &path, before).await;
            }
            // The second time the first answer again.
            let route = "POST /api/appointments";
            let booking = requests.prepare(clinic, route, from, 31).await;
            for _ in 0..2 {
                let before = clinic.log_length();
                let (method, body) = (booking.method.clone(), booking.body.as_ref());
                let key = [("idempotency-key", mode)];
                let reply = clinic
                    .send(method, &booking.path, Some(&token), &key, body)
                    .await;
                succeeded(route, &reply);
                let read = reads(clinic, mode, route, before).await;
                assert!(read.contains("idempotency_keys"), "{mode}: {read:?}");
            }
            let before = clinic.log_length();
            clinic.fleet.invoke("purge", Value::Null).await.unwrap();
            let read = reads(clinic, mode, "purge", before).await;
            assert!(read.contains("idempotency_keys"), "{read:?}");
            // Nothing that a function asks of such a table was left out.
            let asked: BTreeSet<String> = written_down(clinic, start)
                .iter()
                .map(|explained| explained["Query Text"].as_str().unwrap().trim().to_owned())
                .collect();
            for query in queries().filter(|query| GROWING.iter().any(|table| query.contains(table))) {
                assert!(asked.contains(query.trim()), "{mode}: not asked:\n{query}");
            }
        }
    }).await;
}

fn succeeded(what: &str, reply: &Reply) {
    assert!(reply.status.is_success(), "{what}: {reply:?}");
}

/// The tables that a request read, none that grows from end to end.
async fn reads(clinic: &Clinic, mode: &str, what: &str, before: usize) -> BTreeSet<String> {
    let plans = eventually(
        "a plan",
        async || written_down(clinic, before),
        |plans| !plans.is_empty(),
    )
    .await;
    let mut read = BTreeSet::new();
    for explained in &plans {
        for node in nodes(&explained["Plan"]) {
            let Some(table) = node["Relation Name"].as_str() else {
                continue;
            };
            assert!(
                node["Node Type"] != "Seq Scan" || !GROWING.contains(&table),
                "{mode}: {what}\n{explained:#}"
            );
            read.insert(table.to_owned());
        }
    }
    read
}
