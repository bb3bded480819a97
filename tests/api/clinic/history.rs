//! Appointments of a range of days: whose, of which days, and for whom to see.

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::clinic::{Clinic, problem, run_test};

const HISTORY: &str = "appointments-history";

fn starts(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().expect("data").iter();
    rows.map(|row| row["startsAt"].as_str().expect("a time").to_owned())
        .collect()
}

/// All starts, page after page of at most `limit`.
async fn all(clinic: &Clinic, path: &str, limit: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let reply = clinic
            .get(&format!("{path}&limit={limit}&cursor={cursor}"))
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let page = reply.json();
        let found = starts(&page);
        assert!(found.len() <= limit);
        seen.extend(found);
        match page["page"]["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn a_doctors_days_begin_and_end_on_the_doctors_clock() {
    run_test(Clinic::open(), async |clinic| {
        let patient = clinic.patient("P").await;
        // Zone, first day, day after the last, and the first and last half hours of UTC that belong to
        // them. In Santiago and Havana clocks change at the very midnight.
        for (zone, from, to, first, last) in [
            (
                "Europe/Berlin",
                "2026-03-29",
                "2026-03-30",
                "2026-03-28T23:00:00Z",
                "2026-03-29T21:30:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-10-25",
                "2026-10-26",
                "2026-10-24T22:00:00Z",
                "2026-10-25T22:30:00Z",
            ),
            (
                "America/New_York",
                "2026-03-08",
                "2026-03-09",
                "2026-03-08T05:00:00Z",
                "2026-03-09T03:30:00Z",
            ),
            (
                "Pacific/Auckland",
                "2026-04-05",
                "2026-04-06",
                "2026-04-04T11:00:00Z",
                "2026-04-05T11:30:00Z",
            ),
            // Saturday ends an hour later; Sunday begins at 01:00.
            (
                "America/Santiago",
                "2026-04-04",
                "2026-04-05",
                "2026-04-04T03:00:00Z",
                "2026-04-05T03:30:00Z",
            ),
            (
                "America/Santiago",
                "2026-09-06",
                "2026-09-07",
                "2026-09-06T04:00:00Z",
                "2026-09-07T02:30:00Z",
            ),
            // Sunday's first hour comes twice.
            (
                "America/Havana",
                "2026-11-01",
                "2026-11-02",
                "2026-11-01T04:00:00Z",
                "2026-11-02T04:30:00Z",
            ),
            (
                "Pacific/Kiritimati",
                "2026-01-01",
                "2026-01-03",
                "2025-12-31T10:00:00Z",
                "2026-01-02T09:30:00Z",
            ),
        ] {
            let doctor = clinic.doctor(zone, zone).await;
            let around = format!("'{from} 00:00Z'::timestamptz - interval '2 days'");
            clinic
                .visits(doctor, patient, &around, 6 * 48, "completed")
                .await;
            let path = format!("/api/doctors/{doctor}/appointments?from={from}&to={to}");
            let found = starts(&clinic.get(&path).await.json());
            let ends = (
                found.first().unwrap().as_str(),
                found.last().unwrap().as_str(),
            );
            assert_eq!(ends, (first, last), "{zone} {from}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_doctors_history_is_filtered_by_status_and_paged() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("P").await;
        clinic
            .visits(doctor, patient, "'2025-05-01 00:00Z'", 300, "completed")
            .await;
        clinic
            .visits(doctor, patient, "'2025-05-01 00:00Z'", 300, "no_show")
            .await;
        clinic
            .visits(other, patient, "'2025-05-01 00:00Z'", 10, "completed")
            .await;
        let path = format!("/api/doctors/{doctor}/appointments?from=2025-01-01&to=2026-01-02");
        // Two begin at each moment: none is lost between two pages.
        for limit in [7, 200] {
            let found = all(clinic, &path, limit).await;
            assert_eq!(found.len(), 600);
            assert!(found.is_sorted());
        }
        let missed = format!("{path}&status=no_show");
        assert_eq!(all(clinic, &missed, 200).await.len(), 300);
        let page = clinic.get(&format!("{missed}&limit=1")).await.json();
        let id = page["data"][0]["id"].clone();
        assert_eq!(
            page["data"],
            json!([{
                "id": id,
                "startsAt": "2025-05-01T00:00:00Z",
                "endsAt": "2025-05-01T00:15:00Z",
                "status": "no_show",
                "reason": "Check-up",
                "patient": { "id": patient, "fullName": "P" },
            }])
        );
        assert!(
            all(clinic, &format!("{path}&status=scheduled"), 200)
                .await
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_patients_days_are_those_of_the_clinics_clock() {
    run_test(
        Clinic::open_with("", |fleet| {
            fleet.parameter("ClinicTimeZone", "America/Santiago")
        }),
        async |clinic| {
            // The doctor's own clock does not matter here.
            let doctor = clinic.doctor("A", "Asia/Tokyo").await;
            let patient = clinic.patient("P").await;
            clinic
                .visits(doctor, patient, "'2026-04-03 00:00Z'", 5 * 48, "completed")
                .await;
            let path =
                format!("/api/patients/{patient}/appointments?from=2026-04-04&to=2026-04-05");
            // Saturday has 25 hours.
            let page = clinic.get(&path).await.json();
            let found = starts(&page);
            assert_eq!(found.len(), 50);
            assert_eq!(found[0], "2026-04-04T03:00:00Z");
            let id = page["data"][0]["id"].clone();
            assert_eq!(
                page["data"][0],
                json!({
                    "id": id,
                    "startsAt": "2026-04-04T03:00:00Z",
                    "endsAt": "2026-04-04T03:15:00Z",
                    "status": "completed",
                    "reason": "Check-up",
                    "doctor": { "id": doctor, "fullName": "A" },
                })
            );
            assert_eq!(page["page"]["limit"], 100);
            let week =
                format!("/api/patients/{patient}/appointments?from=2026-04-01&to=2026-04-10");
            let found = all(clinic, &week, 100).await;
            assert_eq!(found.len(), 240);
            assert!(found.is_sorted());

            // An unknown zone is the operator's mistake, not the caller's.
            let elsewhere = clinic
                .another_fleet(|fleet| fleet.parameter("ClinicTimeZone", "Europe/Atlantis"))
                .await;
            problem(
                &crate::support::probe::get(&elsewhere, &path).await,
                500,
                "misconfigured",
            );
            elsewhere.shutdown().await;
        },
    )
    .await;
}

#[tokio::test]
async fn who_may_see_whose_history() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let stranger = clinic.doctor("C", "UTC").await;
        let patient = clinic.patient("P").await;
        let unseen = clinic.patient("Q").await;
        clinic
            .visits(doctor, patient, "'2025-05-01 09:00Z'", 1, "completed")
            .await;
        clinic
            .visits(other, patient, "'2025-05-02 09:00Z'", 2, "completed")
            .await;
        let staff = clinic.fleet.token("staff", "staff");
        let doctor_token = clinic.doctor_token(doctor).await;
        let other_token = clinic.doctor_token(other).await;
        let stranger_token = clinic.doctor_token(stranger).await;
        let patient_token = clinic.patient_token(patient).await;
        let unseen_token = clinic.patient_token(unseen).await;
        // One person, both a doctor and a patient of another.
        sqlx::query("update patients set subject = $1 where id = $2")
            .bind(format!("doctor-{stranger}"))
            .bind(unseen)
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        let both = clinic
            .fleet
            .token("doctor patient", &format!("doctor-{stranger}"));

        let of_doctor = format!("/api/doctors/{doctor}/appointments?from=2025-01-01&to=2025-12-31");
        for (who, token, status) in [
            ("staff", &staff, 200),
            ("the doctor", &doctor_token, 200),
            ("another doctor", &other_token, 403),
            ("a patient", &patient_token, 403),
        ] {
            let reply = clinic.get_as(token, &of_doctor).await;
            assert_eq!(reply.status, status, "{who}: {reply:?}");
        }
        let range = "from=2025-01-01&to=2025-12-31";
        let of_patient = format!("/api/patients/{patient}/appointments?{range}");
        for (who, token, appointments) in [
            ("staff", &staff, Some(3)),
            ("the patient", &patient_token, Some(3)),
            ("a doctor of theirs", &doctor_token, Some(1)),
            ("the other doctor", &other_token, Some(2)),
            ("a doctor who never met them", &stranger_token, None),
            ("another patient", &unseen_token, None),
            ("another patient who is a doctor", &both, None),
        ] {
            let reply = clinic.get_as(token, &of_patient).await;
            match appointments {
                Some(count) => assert_eq!(starts(&reply.json()).len(), count, "{who}"),
                None => {
                    let said = problem(&reply, 404, "not-found");
                    assert_eq!(said["detail"], "there is no such patient", "{who}");
                }
            }
        }
        // Known by appointments of other days.
        let earlier = format!("/api/patients/{patient}/appointments?from=2024-01-01&to=2024-12-31");
        let page = clinic.get_as(&doctor_token, &earlier).await.json();
        assert_eq!(page["data"], json!([]));
        let own = format!("/api/patients/{unseen}/appointments?{range}");
        assert_eq!(clinic.get_as(&both, &own).await.status, StatusCode::OK);
        for nobody in ["doctors", "patients"] {
            let path = format!("/api/{nobody}/{}/appointments?{range}", Uuid::new_v4());
            problem(&clinic.get(&path).await, 404, "not-found");
        }
        // Who saw whose appointments is in the log, and what they asked for is not.
        let shown = clinic.logged(HISTORY, "patient data shown");
        let saw = |subject: &str, route: &str, patient: Uuid| {
            shown.iter().any(|line| {
                line["subject"] == subject
                    && line["route"] == route
                    && line["patients"] == patient.to_string()
            })
        };
        assert!(saw("staff", "GET /api/doctors/{id}/appointments", patient));
        let route = "GET /api/patients/{id}/appointments";
        assert!(saw(&format!("doctor-{other}"), route, patient));
        assert!(saw(&format!("patient-{patient}"), route, patient));
        assert!(!saw(&format!("doctor-{stranger}"), route, patient));
        assert!(!saw(&format!("patient-{unseen}"), route, patient));
        assert!(!format!("{shown:?}").contains("2025-01-01"));
    })
    .await;
}

#[tokio::test]
async fn what_a_history_cannot_be_asked_is_400() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let patient = clinic.patient("P").await;
        clinic
            .visits(doctor, patient, "'2025-05-01 09:00Z'", 2, "completed")
            .await;
        let range = "from=2025-01-01&to=2026-01-01";
        let of_doctor = format!("/api/doctors/{doctor}/appointments");
        let of_patient = format!("/api/patients/{patient}/appointments");
        let page = clinic
            .get(&format!("{of_doctor}?{range}&limit=1"))
            .await
            .json();
        let cursor = page["page"]["nextCursor"].as_str().unwrap();
        for (path, query, says) in [
            (&of_doctor, String::new(), "from must be a day such as"),
            (
                &of_patient,
                "from=2025-01-01".to_owned(),
                "to must be a day such as",
            ),
            (
                &of_patient,
                "from=2025-01-01&to=2026-01-03".to_owned(),
                "1 to 366 days",
            ),
            (&of_doctor, format!("{range}&limit=201"), "from 1 to 200"),
            (&of_patient, format!("{range}&limit=101"), "from 1 to 100"),
            (
                &of_doctor,
                format!("{range}&status=lost"),
                "unknown variant `lost`",
            ),
            (
                &of_patient,
                format!("{range}&status=completed"),
                "unknown field `status`",
            ),
            // Of the other list.
            (
                &of_patient,
                format!("{range}&cursor={cursor}"),
                "cursor must be",
            ),
        ] {
            let reply = clinic.get(&format!("{path}?{query}")).await;
            let said = problem(&reply, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{path}?{query}: {detail}");
        }
    })
    .await;
}
