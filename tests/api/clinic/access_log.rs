//! A caller who sees a patient leaves one line: who, by which route, whose data.

use http::Method;
use serde_json::{Value, json};

use crate::support::clinic::{Clinic, run_test, where_it_is_noon};

#[tokio::test]
async fn each_answer_that_shows_patients_leaves_one_line_whatever_the_log_level() {
    run_test(
        Clinic::open_with("", |fleet| fleet.variable("RUST_LOG", "error")),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", &where_it_is_noon()).await;
            let (patient, other) = (
                clinic.patient("Zacharias Unusual").await,
                clinic.patient("Zoë Unusual").await,
            );
            let (today, tomorrow) = ("now() - interval '1 hour'", "now() + interval '1 day'");
            clinic.visits(doctor, patient, today, 1, "completed").await;
            clinic.visits(doctor, other, tomorrow, 1, "scheduled").await;
            let visit: uuid::Uuid =
                sqlx::query_scalar("select id from appointments where patient_id = $1")
                    .bind(other)
                    .fetch_one(&mut clinic.admin)
                    .await
                    .unwrap();
            let both = [patient, other];
            let of_doctor = format!("/api/doctors/{doctor}/appointments");
            let to = shared::clock::now() + std::time::Duration::from_secs(3 * 86_400);
            let to = chrono::DateTime::<chrono::Utc>::from(to).date_naive();
            let range = format!("from={}&to={to}", to - chrono::Days::new(9));
            for (function, path, shown) in [
                (
                    "appointments-today",
                    format!("{of_doctor}/today"),
                    &both[..1],
                ),
                (
                    "appointments-upcoming",
                    format!("{of_doctor}/upcoming"),
                    &both[1..],
                ),
                (
                    "appointments-history",
                    format!("{of_doctor}?{range}"),
                    &both[..],
                ),
                (
                    "appointments-history",
                    format!("/api/patients/{patient}/appointments?{range}"),
                    &both[..1],
                ),
                (
                    "appointments",
                    format!("/api/appointments/{visit}"),
                    &both[1..],
                ),
                ("patients", "/api/patients?q=Unusual".to_owned(), &both[..]),
                ("patients", format!("/api/patients/{patient}"), &both[..1]),
            ] {
                let before = lines(clinic, function).len();
                let reply = clinic.get(&path).await;
                assert_eq!(reply.status, 200, "{path}: {reply:?}");
                // No patient is shown to a caller who may not see them.
                clinic
                    .get_as(&clinic.fleet.token("admins", "s"), &path)
                    .await;
                let all = lines(clinic, function);
                let line = all.get(before);
                let line = line.unwrap_or_else(|| panic!("{path} left no line"));
                assert_eq!(line["subject"], "staff", "{line}");
                assert_eq!(line["roles"], "staff", "{line}");
                let mut ids: Vec<String> = shown.iter().map(|id| id.to_string()).collect();
                ids.sort();
                let said: Vec<&str> = line["patients"].as_str().unwrap().split(' ').collect();
                assert_eq!(said, ids, "{path}");
                assert_eq!(all.len(), before + 1, "{path}: {all:?}");
                let text = line.to_string();
                for private in ["Unusual", "?", "Check-up", "confidential"] {
                    assert!(!text.contains(private), "{text}");
                }
            }
            // A change shows them too.
            let before = lines(clinic, "appointments").len();
            let path = format!("/api/appointments/{visit}/cancel");
            let token = clinic.doctor_token(doctor).await;
            let body = json!({ "reason": "ill" });
            let cancelled = clinic
                .send(Method::POST, &path, Some(&token), &[], Some(&body))
                .await;
            assert_eq!(cancelled.status, 200);
            let line = &lines(clinic, "appointments")[before];
            assert_eq!(line["route"], "POST /api/appointments/{id}/cancel");
            assert_eq!(line["subject"], format!("doctor-{doctor}"));
            assert_eq!(line["patients"], other.to_string());
        },
    )
    .await;
}

fn lines(clinic: &Clinic, function: &str) -> Vec<Value> {
    clinic.logged(function, "patient data shown")
}
