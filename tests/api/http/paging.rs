//! A cursor leads through everything, once and in order, whatever is booked meanwhile.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::clinic::{Clinic, problem, run_test};

#[tokio::test]
async fn five_thousand_upcoming_appointments_come_once_and_in_order_while_more_are_booked() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic
            .visits(
                doctor,
                patient,
                "now() + interval '10 minutes'",
                5000,
                "scheduled",
            )
            .await;
        let there_at_first: HashSet<String> =
            sqlx::query_scalar::<_, String>("select id::text from appointments")
                .fetch_all(&mut clinic.admin)
                .await
                .unwrap()
                .into_iter()
                .collect();

        let path = format!("/api/doctors/{doctor}/appointments/upcoming");
        let mut seen: Vec<(String, String)> = Vec::new();
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let reply = clinic.get(&format!("{path}?cursor={cursor}")).await;
            assert_eq!(reply.status, 200);
            let page = reply.json();
            let rows = page["data"].as_array().unwrap();
            assert!(rows.len() <= 200);
            let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
            seen.extend(
                rows.iter()
                    .map(|row| (text(row, "startsAt"), text(row, "id"))),
            );
            pages += 1;
            // Between any two pages the desk books right behind the place just read, right before it,
            // and far behind it. The visits there are a quarter of an hour each half hour.
            let at = format!("'{}'::timestamptz", seen.last().unwrap().0);
            for offset in ["15 minutes", "-15 minutes", "200 days"] {
                let from = format!("{at} + interval '{offset}'");
                clinic.visits(doctor, patient, &from, 1, "scheduled").await;
            }
            match page["page"]["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
            assert_eq!(page["page"]["hasMore"], true);
        }
        // Two of the three booked after each page lie ahead of it.
        assert_eq!((pages, seen.len()), (26, 5050));
        assert!(seen.is_sorted(), "not in order");
        let ids: HashSet<String> = seen.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!(ids.len(), seen.len(), "something came twice");
        assert!(ids.is_superset(&there_at_first), "something did not come");
    })
    .await;
}

#[tokio::test]
async fn a_cursor_that_was_changed_or_belongs_elsewhere_is_400() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic
            .visits(doctor, patient, "now() + interval '1 hour'", 2, "scheduled")
            .await;
        let path = format!("/api/doctors/{doctor}/appointments/upcoming");
        let page = clinic.get(&format!("{path}?limit=1")).await.json();
        let cursor = page["page"]["nextCursor"].as_str().unwrap().to_owned();
        let with = |cursor: &str| format!("{path}?limit=1&cursor={cursor}");
        assert_eq!(clinic.get(&with(&cursor)).await.status, 200);

        let mut changed = cursor.clone().into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        problem(&clinic.get(&with(&changed)).await, 400, "bad-request");
        problem(&clinic.get(&with(&cursor[1..])).await, 400, "bad-request");

        let doctors = clinic.get("/api/doctors?limit=1").await.json();
        let elsewhere = doctors["page"]["nextCursor"].as_str().unwrap();
        problem(&clinic.get(&with(elsewhere)).await, 400, "bad-request");
    })
    .await;
}
