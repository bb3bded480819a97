//! Booking: what it answers, what it leaves behind, and what is refused.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    clinic::{problem, run_test},
    desk::{Desk, etag, friday, id},
    probe::send,
};

#[tokio::test]
async fn a_booking_answers_with_itself_and_leaves_a_trail() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({ "reason": " Cough " }));
        let booked = desk.book(&desk.as_patient, &draft).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let location = format!("/api/appointments/{}", id(&booked));
        assert_eq!(booked.headers["location"], location);
        let said = booked.json();
        assert_eq!(
            said,
            json!({
                "id": id(&booked),
                "doctor": { "id": desk.doctor, "fullName": "Dr. Okafor" },
                "patient": { "id": desk.patient, "fullName": "Zoë Secret" },
                "startsAt": friday("09:00"),
                "endsAt": friday("09:30"),
                "status": "scheduled",
                "reason": "Cough",
                "createdAt": said["createdAt"],
                "updatedAt": said["updatedAt"],
            })
        );
        let seen = desk.clinic.get_as(&desk.as_patient, &location).await;
        assert_eq!((seen.json(), etag(&seen)), (said, etag(&booked)));
        assert!(etag(&seen).starts_with('"'), "a strong tag");

        let trail: (i32, String, String, String, Option<Value>, Value) = sqlx::query_as(
            "select revision, actor_role, actor_subject, action, before, after from appointment_changes",
        )
        .fetch_one(&mut desk.clinic.admin)
        .await
        .unwrap();
        let subject = format!("patient-{}", desk.patient);
        assert_eq!(
            (
                trail.0,
                trail.1.as_str(),
                trail.2,
                trail.3.as_str(),
                trail.4
            ),
            (1, "patient", subject, "booked", None)
        );
        let mut after = desk.draft("09:00", "09:30", json!({ "reason": "Cough" }));
        after["status"] = json!("scheduled");
        after["notes"] = json!("");
        assert_eq!(trail.5, after);
        let shown = desk.clinic.logged("appointments", "patient data shown");
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(shown[0]["patients"], desk.patient.to_string());
    }).await;
}

#[tokio::test]
async fn a_taken_time_is_named_and_its_patient_is_not() {
    run_test(Desk::open(), async |desk| {
        desk.visit("09:00", "09:30", "scheduled").await;
        let other = desk.clinic.patient("Q").await;
        let token = desk.clinic.patient_token(other).await;
        for (from, to, status) in [
            ("09:15", "09:45", 409),
            ("08:00", "12:00", 409),
            ("09:10", "09:20", 409),
            // What touches does not overlap.
            ("08:30", "09:00", 201),
            ("09:30", "10:00", 201),
        ] {
            let draft = desk.draft(from, to, json!({ "patientId": other }));
            let reply = desk.book(&token, &draft).await;
            assert_eq!(reply.status, status, "{from} {to}: {reply:?}");
            if status == 409 {
                let said = problem(&reply, 409, "overlap");
                let conflict = json!({ "startsAt": friday("09:00"), "endsAt": friday("09:30") });
                assert_eq!(said["conflict"], conflict);
                assert!(!reply.text().contains("Secret"), "{said}");
                assert!(!reply.text().contains(&desk.patient.to_string()), "{said}");
            }
        }
        // Staff may override hours, never this.
        let draft = desk.draft("09:00", "09:30", json!({ "override": true }));
        problem(&desk.book(&desk.as_staff, &draft).await, 409, "overlap");
    })
    .await;
}

#[tokio::test]
async fn hours_absences_and_the_past_bind_callers_who_do_not_override() {
    run_test(Desk::open(), async |desk| {
        desk.clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
              select id, '2190-01-01 10:00Z', '2190-01-01 11:00Z' from doctors",
            )
            .await;
        for (draft, kind) in [
            (
                desk.draft("07:45", "08:15", json!({})),
                "outside-working-hours",
            ),
            (
                desk.draft("11:45", "12:01", json!({})),
                "outside-working-hours",
            ),
            (
                desk.draft(
                    "09:00",
                    "09:30",
                    json!({ "startsAt": "2190-01-02T09:00:00Z", "endsAt": "2190-01-02T09:30:00Z" }),
                ),
                "outside-working-hours",
            ),
            (desk.draft("10:30", "10:45", json!({})), "time-off"),
            (desk.draft("09:30", "10:01", json!({})), "time-off"),
            (
                desk.draft(
                    "09:00",
                    "09:30",
                    json!({ "startsAt": "2021-01-01T09:00:00Z", "endsAt": "2021-01-01T09:30:00Z" }),
                ),
                "starts-in-past",
            ),
        ] {
            for token in [&desk.as_patient, &desk.as_staff] {
                problem(&desk.book(token, &draft).await, 422, kind);
            }
            let mut told = draft.clone();
            told["override"] = json!(true);
            for token in [&desk.as_patient, &desk.as_doctor] {
                problem(&desk.book(token, &told).await, 403, "forbidden");
            }
            let booked = desk.book(&desk.as_staff, &told).await;
            assert_eq!(booked.status, 201, "{kind}: {booked:?}");
            let free = desk.cancel(&desk.as_staff, id(&booked), "").await;
            assert_eq!(free.status, 200);
        }
        for (from, to) in [("08:00", "10:00"), ("11:00", "12:00")] {
            let draft = desk.draft(from, to, json!({}));
            assert_eq!(
                desk.book(&desk.as_patient, &draft).await.status,
                201,
                "{from}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn hours_are_the_doctors_own_on_both_sides_of_a_clock_change() {
    run_test(Desk::open(), async |desk| {
        desk.clinic
            .sql("update doctors set time_zone = 'Europe/Berlin'")
            .await;
        desk.clinic
            .sql("insert into working_hours (doctor_id, weekday, opens, closes) select id, 7, '01:00', '24:00' from doctors")
            .await;
        // Clocks go forward on Sunday, 30 March 2098, at 2 in the morning, and back on 26 October at 3.
        for (starts_at, ends_at, status) in [
            ("2098-03-28T06:30:00Z", "2098-03-28T07:00:00Z", 422),
            ("2098-03-28T23:30:00Z", "2098-03-29T00:30:00Z", 422),
            ("2098-03-30T00:00:00Z", "2098-03-30T00:30:00Z", 201),
            ("2098-03-30T00:30:00Z", "2098-03-30T01:30:00Z", 201),
            // The end of that Sunday is 22:00 in UTC already.
            ("2098-03-30T21:30:00Z", "2098-03-30T22:00:00Z", 201),
            ("2098-03-30T22:00:00Z", "2098-03-30T22:30:00Z", 422),
            // The hour that comes twice, both times; one o'clock is at 23:00 still.
            ("2098-10-25T23:00:00Z", "2098-10-26T00:00:00Z", 201),
            ("2098-10-26T00:00:00Z", "2098-10-26T01:00:00Z", 201),
            ("2098-10-26T01:00:00Z", "2098-10-26T02:00:00Z", 201),
            ("2098-10-26T22:30:00Z", "2098-10-26T23:00:00Z", 201),
            ("2098-10-26T23:00:00Z", "2098-10-26T23:30:00Z", 422),
        ] {
            let times = json!({ "startsAt": starts_at, "endsAt": ends_at });
            let draft = desk.draft("09:00", "09:30", times);
            let reply = desk.book(&desk.as_patient, &draft).await;
            assert_eq!(reply.status, status, "{starts_at}: {reply:?}");
        }
    }).await;
}

#[tokio::test]
async fn callers_book_for_whom_they_may() {
    run_test(Desk::open(), async |desk| {
        let stranger = desk.clinic.doctor("B", "UTC").await;
        let other = desk.clinic.patient("Q").await;
        desk.clinic
            .sql(
                "insert into working_hours (doctor_id, weekday, opens, closes)
              select id, 5, '08:00', '12:00' from doctors where full_name = 'B'",
            )
            .await;
        let nobody = Uuid::nil();
        let with = |desk: &Desk, doctor: Uuid, patient: Uuid| {
            desk.draft(
                "09:00",
                "09:30",
                json!({ "doctorId": doctor, "patientId": patient }),
            )
        };
        let (doctor, patient) = (desk.doctor, desk.patient);
        let (as_staff, as_doctor, as_patient) = (
            desk.as_staff.clone(),
            desk.as_doctor.clone(),
            desk.as_patient.clone(),
        );
        for (token, of_doctor, of_patient, status, kind) in [
            (&as_staff, nobody, patient, 422, "unknown-reference"),
            (&as_staff, doctor, nobody, 422, "unknown-reference"),
            // A doctor: their own schedule, and the patients on it.
            (&as_doctor, stranger, patient, 403, "forbidden"),
            (&as_doctor, nobody, patient, 403, "forbidden"),
            (&as_doctor, doctor, nobody, 422, "unknown-reference"),
            (&as_doctor, doctor, other, 422, "unknown-reference"),
            (&as_doctor, doctor, patient, 422, "unknown-reference"),
            // A patient: themselves, with anybody.
            (&as_patient, doctor, other, 403, "forbidden"),
            (&as_patient, doctor, nobody, 403, "forbidden"),
            (&as_patient, nobody, patient, 422, "unknown-reference"),
        ] {
            let draft = with(desk, of_doctor, of_patient);
            problem(&desk.book(token, &draft).await, status, kind);
        }
        let booked = desk.book(&as_patient, &with(desk, stranger, patient)).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        // Once the patient was there, the doctor may book them again.
        desk.visit("08:00", "08:30", "completed").await;
        let booked = desk.book(&as_doctor, &with(desk, doctor, patient)).await;
        assert_eq!(booked.status, 201, "{booked:?}");

        desk.clinic
            .sql("update doctors set active = false where full_name = 'Dr. Okafor'")
            .await;
        let late = desk.draft("11:00", "11:30", json!({ "override": true }));
        problem(&desk.book(&as_staff, &late).await, 422, "doctor-inactive");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_booking_is_refused_by_name() {
    run_test(Desk::open(), async |desk| {
        let draft = |fields: Value| desk.draft("09:00", "09:30", fields);
        for (draft, says) in [
            (json!({}), "missing field `doctorId`"),
            (draft(json!({ "doctorId": "x" })), "doctorId"),
            (draft(json!({ "startsAt": "tomorrow" })), "startsAt"),
            (
                draft(json!({ "endsAt": friday("09:00") })),
                "endsAt must be after startsAt",
            ),
            (
                draft(json!({ "endsAt": "2190-01-02T09:00:01Z" })),
                "at most 24 hours",
            ),
            (
                draft(json!({ "startsAt": "2190-01-01T08:59:59.5Z" })),
                "whole seconds",
            ),
            (
                draft(
                    json!({ "startsAt": "1899-01-01T00:00:00Z", "endsAt": "1899-01-01T01:00:00Z" }),
                ),
                "years 1900 to 2199",
            ),
            (
                draft(json!({ "reason": "x".repeat(501) })),
                "reason: it must have 0 to 500",
            ),
            (draft(json!({ "notes": "x" })), "unknown field `notes`"),
            (draft(json!({ "override": "yes" })), "override"),
        ] {
            let said = problem(&desk.book(&desk.as_staff, &draft).await, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{draft}: {detail}");
        }
        let bodiless = desk
            .clinic
            .send(
                http::Method::POST,
                "/api/appointments",
                Some(&desk.as_staff),
                &[],
                None,
            )
            .await;
        problem(&bodiless, 415, "unsupported-media-type");
        // What follows the value may have been meant, too.
        let two = format!("{0} {0}", draft(json!({})));
        let two = Request::post(format!("{}/api/appointments", desk.clinic.fleet.url()))
            .header("authorization", format!("Bearer {}", desk.as_staff))
            .header("content-type", "application/json")
            .body(Full::from(two))
            .unwrap();
        let said = problem(&send(two).await, 400, "bad-request");
        let detail = said["detail"].as_str().unwrap();
        assert!(detail.contains("nothing after it"), "{detail}");
    })
    .await;
}
