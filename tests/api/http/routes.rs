//! What each route answers, and what it refuses.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use shared::{
    clinic::appointments::{self, TodayPosition},
    clinic::permissions::Access,
    http::page::Cursor,
};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{zone_at_noon, zone_of_another_day},
};

fn names(page: &Value, pointer: &str) -> Vec<String> {
    let rows = page["data"].as_array().expect("data");
    let name = |row: &Value| {
        row.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    rows.iter().map(|row| name(row).expect("a text")).collect()
}

/// The whole clinic's.
const STAFF: Access<'_> = Access {
    all: true,
    doctor: None,
    patient: None,
    subject: "staff",
};

#[tokio::test]
async fn an_upcoming_appointment_shows_what_the_screen_shows_and_nothing_more() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr Ångström", "Europe/Berlin").await;
        let patient = clinic.patient("Zoë Иванова").await;
        clinic
            .visits(doctor, patient, "'2199-07-01 08:00Z'", 1, "confirmed")
            .await;

        let reply = clinic
            .get(&format!("/api/doctors/{doctor}/appointments/upcoming"))
            .await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.headers["content-type"], "application/json");
        let page = reply.json();
        let id = page["data"][0]["id"].clone();
        assert!(Uuid::try_parse(id.as_str().unwrap()).is_ok());
        assert_eq!(
            page,
            json!({
                "data": [{
                    "id": id,
                    "startsAt": "2199-07-01T08:00:00Z",
                    "endsAt": "2199-07-01T08:15:00Z",
                    "status": "confirmed",
                    "reason": "Check-up",
                    "patient": { "id": patient, "fullName": "Zoë Иванова" },
                }],
                "page": { "limit": 200, "hasMore": false, "nextCursor": null },
            })
        );
    })
    .await;
}

#[tokio::test]
async fn upcoming_is_live_from_now_on_by_start() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        for (day, status) in [
            (9, "scheduled"),
            (8, "confirmed"),
            (7, "checked_in"),
            (6, "in_progress"),
            (5, "completed"),
            (4, "cancelled"),
            (3, "no_show"),
        ] {
            let from = format!("now() + interval '{day} days'");
            clinic.visits(doctor, patient, &from, 1, status).await;
        }
        clinic
            .visits(
                doctor,
                patient,
                "now() - interval '1 minute'",
                1,
                "scheduled",
            )
            .await;
        let other = clinic.doctor("B", "UTC").await;
        clinic
            .visits(other, patient, "now() + interval '1 day'", 1, "scheduled")
            .await;

        let page = clinic
            .get(&format!("/api/doctors/{doctor}/appointments/upcoming"))
            .await
            .json();
        assert_eq!(
            names(&page, "/status"),
            ["in_progress", "checked_in", "confirmed", "scheduled"]
        );
    })
    .await;
}

#[tokio::test]
async fn today_is_every_status_of_the_doctors_own_day() {
    run_test(Clinic::open(), async |clinic| {
        let patient = clinic.patient("Mrs. Lindqvist").await;
        for zone in [&zone_at_noon(), &zone_of_another_day()] {
            let doctor = clinic.doctor(zone, zone).await;
            let midnight = format!("date_trunc('day', now(), '{zone}')");
            let at = |offset: &str| format!("{midnight} + interval '{offset}'");
            clinic
                .visits(doctor, patient, &at("-15 minutes"), 1, "scheduled")
                .await;
            clinic
                .visits(doctor, patient, &midnight, 1, "completed")
                .await;
            clinic
                .visits(doctor, patient, &at("1 hour"), 1, "cancelled")
                .await;
            clinic
                .visits(doctor, patient, &at("2 hours"), 1, "no_show")
                .await;
            clinic
                .visits(doctor, patient, &at("22 hours 30 minutes"), 1, "scheduled")
                .await;
            clinic
                .visits(doctor, patient, &at("1 day 2 hours"), 1, "confirmed")
                .await;
            let page = clinic
                .get(&format!("/api/doctors/{doctor}/appointments/today"))
                .await
                .json();
            assert_eq!(page["page"]["limit"], 100);
            assert_eq!(
                names(&page, "/status"),
                ["completed", "cancelled", "no_show", "scheduled"],
                "{zone}"
            );
        }
    })
    .await;
}

/// A cursor before everything of this day, as if the day had been today when paging began.
fn day(day: &str) -> Cursor<TodayPosition> {
    let first = json!([day, "1900-01-01T00:00:00Z", Uuid::nil()]);
    Cursor(serde_json::from_value(first).expect("a position"))
}

#[tokio::test]
async fn a_day_of_the_calendar_is_whole_when_clocks_change() {
    run_test(Clinic::open(), async |clinic| {
        let patient = clinic.patient("Mrs. Lindqvist").await;
        // Zone, day, its hours; in the last two, clocks change at midnight itself.
        for (zone, date, hours) in [
            ("Europe/Berlin", "2026-03-29", 23),
            ("Europe/Berlin", "2026-10-25", 25),
            ("America/New_York", "2026-03-08", 23),
            ("Australia/Lord_Howe", "2026-04-05", 24),
            ("Africa/Cairo", "2026-04-24", 23),
            ("America/Havana", "2026-11-01", 25),
        ] {
            let doctor = clinic.doctor(zone, zone).await;
            // A visit each half hour of UTC, from well before to well after.
            let from = format!("'{date} 00:00Z'::timestamptz - interval '2 days'");
            clinic
                .visits(doctor, patient, &from, 5 * 48, "scheduled")
                .await;
            let page = appointments::today(&mut clinic.admin, &STAFF, doctor, Some(&day(date)))
                .await
                .unwrap();
            let on_that_day = |start: &DateTime<Utc>| {
                let zone: chrono_tz::Tz = zone.parse().unwrap();
                start.with_timezone(&zone).date_naive() == date.parse::<NaiveDate>().unwrap()
            };
            let starts: Vec<DateTime<Utc>> =
                page.data.iter().map(|visit| visit.starts_at).collect();
            assert!(starts.iter().all(on_that_day), "{zone} {date}: {starts:?}");
            // Lord Howe's clocks move by half an hour, which is one visit.
            let visits = if zone == "Australia/Lord_Howe" {
                49
            } else {
                hours * 2
            };
            assert_eq!(starts.len(), visits, "{zone} {date}");
        }
    })
    .await;
}

#[tokio::test]
async fn paging_through_today_stays_on_the_day_it_began() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "America/New_York").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        // 150 visits of an ordinary day long ago, in minutes, so that they do not fit one page.
        sqlx::query(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status)
             select $1, $2, s, s + interval '1 minute', 'completed'
             from generate_series('2024-05-06 08:00-04'::timestamptz, '2024-05-06 10:29-04', '1 minute') s",
        )
        .bind(doctor)
        .bind(patient)
        .execute(&mut clinic.admin)
        .await
        .unwrap();
        let cursor = serde_json::to_value(day("2024-05-06")).unwrap();
        let path = |cursor: &Value| {
            format!(
                "/api/doctors/{doctor}/appointments/today?cursor={}",
                cursor.as_str().unwrap()
            )
        };
        let first = clinic.get(&path(&cursor)).await.json();
        assert_eq!(first["data"].as_array().unwrap().len(), 100);
        assert_eq!(first["page"]["hasMore"], true);
        let second = clinic.get(&path(&first["page"]["nextCursor"])).await.json();
        assert_eq!(second["data"].as_array().unwrap().len(), 50);
        assert_eq!(second["data"][0]["startsAt"], "2024-05-06T13:40:00Z");
        assert_eq!(
            second["page"],
            json!({ "limit": 100, "hasMore": false, "nextCursor": null })
        );
    }).await;
}

#[tokio::test]
async fn doctors_are_listed_by_name_filtered_and_paged() {
    run_test(Clinic::open(), async |clinic| {
        for name in ["Dr Chen", "Dr Ärzte", "Dr Baker", "Dr 100%_sure"] {
            clinic.doctor(name, "UTC").await;
        }
        clinic
            .sql("update doctors set specialty = 'Dermatology' where full_name = 'Dr Chen'")
            .await;
        clinic.sql("insert into doctors (full_name, specialty, time_zone, active) values ('Dr Gone', 'Cardiology', 'UTC', false)").await;

        let list = async |query: &str| {
            let page = clinic.get(&format!("/api/doctors{query}")).await.json();
            let mut names = names(&page, "/fullName");
            // The order is the database's collation, which this test leaves to it.
            names.sort();
            names
        };
        assert_eq!(
            list("").await,
            ["Dr 100%_sure", "Dr Baker", "Dr Chen", "Dr Ärzte"]
        );
        assert_eq!(list("?specialty=dermatology").await, ["Dr Chen"]);
        assert_eq!(list("?q=%C3%A4rz").await, ["Dr Ärzte"]);
        // Not wildcards.
        assert_eq!(list("?q=%25_").await, ["Dr 100%_sure"]);
        assert_eq!(list("?q=nobody").await, [""; 0]);
        // A parameter without a value is absent.
        assert_eq!(list("?specialty=&q=&limit=&cursor=").await.len(), 4);

        let mut seen = Vec::new();
        let mut query = "?limit=1".to_owned();
        loop {
            let page = clinic.get(&format!("/api/doctors{query}")).await.json();
            seen.extend(names(&page, "/fullName"));
            match page["page"]["nextCursor"].as_str() {
                Some(cursor) => query = format!("?limit=1&cursor={cursor}"),
                None => break,
            }
        }
        let all = clinic.get("/api/doctors").await.json();
        assert_eq!(seen, names(&all, "/fullName"));
    }).await;
}

#[tokio::test]
async fn unknown_doctors_are_404_and_those_without_appointments_are_not() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        for list in ["upcoming", "today"] {
            let nobody = format!("/api/doctors/{}/appointments/{list}", Uuid::new_v4());
            let said = problem(&clinic.get(&nobody).await, 404, "not-found");
            assert_eq!(said["detail"], "there is no such doctor");
            let page = clinic
                .get(&format!("/api/doctors/{doctor}/appointments/{list}"))
                .await
                .json();
            assert_eq!(page["data"], json!([]));
            assert_eq!(page["page"]["hasMore"], false);
        }
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_400_and_says_what_is_accepted() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let upcoming = format!("/api/doctors/{doctor}/appointments/upcoming");
        for (path, says) in [
            (
                "/api/doctors/1/appointments/upcoming".to_owned(),
                "id in the path must be a UUID",
            ),
            (
                format!("/api/doctors/%7B{doctor}%7D/appointments/today"),
                "UUID",
            ),
            (
                format!("{upcoming}?limit=0"),
                "limit must be a whole number from 1 to 200",
            ),
            (format!("{upcoming}?limit=201"), "from 1 to 200"),
            (format!("{upcoming}?limit=abc"), "from 1 to 200"),
            (format!("{upcoming}?limit=-1"), "from 1 to 200"),
            (
                format!("{upcoming}?limit=1&limit=2"),
                "`limit` is given more than once",
            ),
            (format!("{upcoming}?limt=5"), "unknown field `limt`"),
            (format!("{upcoming}?cursor=abc"), "cursor must be"),
            (format!("{upcoming}?cursor=%00"), "cursor must be"),
            ("/api/doctors?limit=101".to_owned(), "from 1 to 100"),
            (
                "/api/doctors?q=%00".to_owned(),
                "q must be at most 200 characters",
            ),
            (
                format!("/api/doctors?q={}", "x".repeat(201)),
                "q must be at most 200 characters",
            ),
            ("/api/health?deep=yes".to_owned(), "unknown variant `yes`"),
        ] {
            let said = problem(&clinic.get(&path).await, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{path}: {detail}");
        }
    })
    .await;
}

#[tokio::test]
async fn health_needs_no_database_and_deep_health_shows_it() {
    run_test(Clinic::open(), async |clinic| {
        clinic
            .sql("alter role application connection limit 7")
            .await;
        let deep = clinic.get("/api/health?deep=1").await.json();
        assert_eq!(deep["status"], "ok");
        let database = &deep["database"];
        assert_eq!(database["reachable"], true);
        assert!(
            database["serverVersion"]
                .as_str()
                .unwrap()
                .starts_with(|c: char| c.is_ascii_digit())
        );
        assert_eq!(database["sessions"], 1);
        assert_eq!(database["sessionLimit"], 7);
        assert_eq!(
            database["pool"],
            json!({ "limit": 1, "size": 1, "idle": 1, "opened": 1, "lost": 0 })
        );

        clinic
            .database
            .stop(fleet::database::Stop::Fast)
            .await
            .unwrap();
        assert_eq!(
            clinic.get("/api/health").await.json(),
            json!({ "status": "ok" })
        );
        problem(
            &clinic.get("/api/health?deep=1").await,
            503,
            "database-unreachable",
        );
    })
    .await;
}
