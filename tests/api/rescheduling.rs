//! What becomes of an appointment: other times, other statuses, notes, and giving it up.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    clinic::problem,
    desk::{Desk, etag, friday, id},
};

/// The steps that there are, as the documentation has them. Cancelling has a route of its own.
const STEPS: [(&str, &[&str]); 7] = [
    ("scheduled", &["confirmed", "checked_in", "no_show"]),
    ("confirmed", &["checked_in", "no_show"]),
    ("checked_in", &["in_progress"]),
    ("in_progress", &["completed"]),
    ("completed", &[]),
    ("cancelled", &[]),
    ("no_show", &[]),
];

/// From where an appointment can be cancelled, or is.
const CANCELLABLE: [&str; 4] = ["scheduled", "confirmed", "checked_in", "cancelled"];

#[tokio::test]
async fn an_appointment_goes_the_steps_of_its_life_and_no_others() {
    let mut desk = Desk::open().await;
    for (from, steps) in STEPS {
        for (to, _) in STEPS {
            desk.clinic.sql("truncate appointments cascade").await;
            let visit = desk.visit("09:00", "09:30", from).await;
            let patch = json!({ "status": to });
            let reply = desk.patch(&desk.as_doctor, visit, Some("*"), &patch).await;
            if from == to || steps.contains(&to) {
                assert_eq!(reply.status, 200, "{from} to {to}: {reply:?}");
                assert_eq!(reply.json()["status"], to);
            } else {
                let said = problem(&reply, 409, "transition");
                assert_eq!((&said["from"], &said["to"]), (&json!(from), &json!(to)));
                let cancel = to == "cancelled" && CANCELLABLE.contains(&from);
                let detail = said["detail"].as_str().unwrap();
                assert_eq!(detail.contains("/cancel"), cancel, "{detail}");
            }
            let changed = i64::from(steps.contains(&to));
            let trail = "select count(*) from appointment_changes where action = 'changed' and revision = 2";
            assert_eq!(desk.count(trail).await, changed, "{from} to {to}");
        }
    }
    desk.clinic.close().await;
}

#[tokio::test]
async fn a_cancellation_answers_the_same_each_time_and_frees_the_time() {
    let mut desk = Desk::open().await;
    for (from, _) in STEPS {
        desk.clinic.sql("truncate appointments cascade").await;
        let visit = desk.visit("09:00", "09:30", from).await;
        let reply = desk.cancel(&desk.as_patient, visit, "ill").await;
        if CANCELLABLE.contains(&from) {
            assert_eq!(reply.status, 200, "{from}: {reply:?}");
        } else {
            problem(&reply, 409, "transition");
        }
    }
    desk.clinic.sql("truncate appointments cascade").await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    let first = desk.cancel(&desk.as_patient, visit, " ill ").await;
    assert_eq!(first.json()["status"], "cancelled");
    assert_eq!(first.json()["cancelReason"], "ill");
    let second = desk.cancel(&desk.as_patient, visit, "another reason").await;
    assert_eq!((second.status, &second.body), (first.status, &first.body));
    assert_eq!(etag(&second), etag(&first));
    let trail: Vec<(i32, String, Value, Value)> =
        sqlx::query_as("select revision, action, before, after from appointment_changes")
            .fetch_all(&mut desk.clinic.admin)
            .await
            .unwrap();
    let before = json!({ "status": "scheduled", "cancelReason": null });
    let after = json!({ "status": "cancelled", "cancelReason": "ill" });
    assert_eq!(trail, [(2, "cancelled".to_owned(), before, after)]);
    let draft = desk.draft("09:00", "09:30", json!({}));
    assert_eq!(desk.book(&desk.as_patient, &draft).await.status, 201);
    desk.clinic.close().await;
}

#[tokio::test]
async fn a_change_needs_the_tag_of_what_it_changes() {
    let mut desk = Desk::open().await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    let seen = desk.see(&desk.as_doctor, visit).await;
    let confirm = json!({ "status": "confirmed" });
    let blind = desk.patch(&desk.as_doctor, visit, None, &confirm).await;
    problem(&blind, 428, "precondition-required");
    let weak = format!("W/{}", etag(&seen));
    let weak = desk
        .patch(&desk.as_doctor, visit, Some(&weak), &confirm)
        .await;
    problem(&weak, 412, "precondition-failed");
    let changed = desk
        .patch(&desk.as_doctor, visit, Some(&etag(&seen)), &confirm)
        .await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let stale = desk
        .patch(
            &desk.as_doctor,
            visit,
            Some(&etag(&seen)),
            &json!({ "status": "checked_in" }),
        )
        .await;
    problem(&stale, 412, "precondition-failed");
    // The answer's tag is good for the next change.
    let list = format!("\"other\", {}", etag(&changed));
    let next = desk
        .patch(
            &desk.as_doctor,
            visit,
            Some(&list),
            &json!({ "status": "checked_in" }),
        )
        .await;
    assert_eq!(next.status, 200, "{next:?}");
    assert_eq!(etag(&desk.see(&desk.as_doctor, visit).await), etag(&next));
    let nothing = desk
        .patch(&desk.as_doctor, visit, Some("*"), &json!({}))
        .await;
    assert_eq!(
        (nothing.status.as_u16(), etag(&nothing)),
        (200, etag(&next))
    );
    desk.clinic.close().await;
}

#[tokio::test]
async fn null_is_no_change() {
    let mut desk = Desk::open().await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    for field in ["startsAt", "endsAt", "status", "notes", "override"] {
        let patch = json!({ field: null });
        let refused = desk.patch(&desk.as_staff, visit, Some("*"), &patch).await;
        let said = problem(&refused, 400, "bad-request");
        let detail = said["detail"].as_str().unwrap();
        let says = format!("in the body: {field}: ");
        assert!(detail.starts_with(&says), "{detail}");
    }
    desk.clinic.close().await;
}

#[tokio::test]
async fn an_appointment_moves_as_it_was_booked() {
    let mut desk = Desk::open().await;
    desk.visit("10:00", "10:30", "scheduled").await;
    let visit = desk.visit("09:00", "09:30", "confirmed").await;
    let to = |from: &str, to: &str| json!({ "startsAt": friday(from), "endsAt": friday(to) });
    // Across itself; the patient may.
    let moved = desk
        .patch(&desk.as_patient, visit, Some("*"), &to("09:15", "09:45"))
        .await;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert_eq!(moved.json()["startsAt"], friday("09:15"));
    let longer = json!({ "endsAt": friday("10:00") });
    let longer = desk
        .patch(&desk.as_patient, visit, Some("*"), &longer)
        .await;
    assert_eq!(longer.json()["endsAt"], friday("10:00"), "{longer:?}");
    let trail: Vec<(i32, String, Value, Value)> = sqlx::query_as(
        "select revision, actor_role, before, after from appointment_changes order by revision",
    )
    .fetch_all(&mut desk.clinic.admin)
    .await
    .unwrap();
    assert_eq!(
        trail,
        [
            (
                2,
                "patient".to_owned(),
                to("09:00", "09:30"),
                to("09:15", "09:45")
            ),
            (
                3,
                "patient".to_owned(),
                json!({ "endsAt": friday("09:45") }),
                json!({ "endsAt": friday("10:00") })
            ),
        ]
    );
    for (patch, status, kind) in [
        (to("10:15", "10:45"), 409, "overlap"),
        (to("07:00", "07:30"), 422, "outside-working-hours"),
        (to("09:30", "09:00"), 400, "bad-request"),
        (json!({ "startsAt": friday("11:00") }), 400, "bad-request"),
    ] {
        let refused = desk.patch(&desk.as_patient, visit, Some("*"), &patch).await;
        problem(&refused, status, kind);
    }
    let mut early = to("07:00", "07:30");
    early["override"] = json!(true);
    let refused = desk.patch(&desk.as_patient, visit, Some("*"), &early).await;
    problem(&refused, 403, "forbidden");
    let moved = desk.patch(&desk.as_staff, visit, Some("*"), &early).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    for (begun, _) in &STEPS[2..] {
        let visit = desk.visit("11:00", "11:30", begun).await;
        let refused = desk
            .patch(&desk.as_staff, visit, Some("*"), &to("11:15", "11:45"))
            .await;
        problem(&refused, 409, "not-movable");
        desk.clinic
            .sql("delete from appointments where starts_at = '2190-01-01 11:00Z'")
            .await;
    }
    desk.clinic.close().await;
}

#[tokio::test]
async fn a_patient_changes_what_lies_ahead_and_not_what_has_begun() {
    let mut desk = Desk::open().await;
    let later = json!({ "startsAt": friday("10:00"), "endsAt": friday("10:30") });
    for begun in ["interval '1 minute'", "interval '300 days'"] {
        let moment = format!("now() - {begun}");
        desk.clinic.sql("truncate appointments cascade").await;
        let (doctor, patient) = (desk.doctor, desk.patient);
        desk.clinic
            .visits(doctor, patient, &moment, 1, "scheduled")
            .await;
        let visit: Uuid = sqlx::query_scalar("select id from appointments")
            .fetch_one(&mut desk.clinic.admin)
            .await
            .unwrap();
        let moved = desk.patch(&desk.as_patient, visit, Some("*"), &later).await;
        let said = problem(&moved, 409, "begun");
        assert!(said["detail"].as_str().unwrap().contains("ask the clinic"));
        problem(
            &desk.cancel(&desk.as_patient, visit, "").await,
            409,
            "begun",
        );
        // Staff and the doctor may: whoever was ill calls.
        let moved = desk.patch(&desk.as_doctor, visit, Some("*"), &later).await;
        assert_eq!(moved.status, 200, "{moved:?}");
        desk.clinic
            .sql("update appointments set starts_at = now() - interval '1 minute'")
            .await;
        let cancelled = desk.cancel(&desk.as_staff, visit, "ill").await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        let again = desk.cancel(&desk.as_patient, visit, "").await;
        assert_eq!(again.json()["status"], "cancelled", "{again:?}");
    }
    desk.clinic.close().await;
}

#[tokio::test]
async fn what_is_left_of_a_doctor_who_has_left_is_not_moved() {
    let mut desk = Desk::open().await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    desk.clinic.sql("update doctors set active = false").await;
    let later = json!({ "startsAt": friday("10:00"), "endsAt": friday("10:30") });
    let told = json!({ "endsAt": friday("10:00"), "override": true });
    for patch in [later, told] {
        let refused = desk.patch(&desk.as_staff, visit, Some("*"), &patch).await;
        problem(&refused, 422, "inactive");
    }
    let record = json!({ "status": "confirmed", "notes": "called" });
    let kept = desk.patch(&desk.as_staff, visit, Some("*"), &record).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    let cancelled = desk.cancel(&desk.as_patient, visit, "").await;
    assert_eq!(cancelled.status, 200, "{cancelled:?}");
    desk.clinic.close().await;
}

#[tokio::test]
async fn notes_are_the_doctors_and_staffs() {
    let mut desk = Desk::open().await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    for token in [&desk.as_doctor, &desk.as_staff] {
        assert_eq!(desk.see(token, visit).await.json()["notes"], "confidential");
    }
    assert!(
        desk.see(&desk.as_patient, visit)
            .await
            .json()
            .get("notes")
            .is_none()
    );
    let moved = desk
        .patch(
            &desk.as_patient,
            visit,
            Some("*"),
            &json!({ "endsAt": friday("09:45") }),
        )
        .await;
    assert!(!moved.text().contains("confidential"), "{moved:?}");
    let cancelled = desk.cancel(&desk.as_patient, visit, "").await;
    assert!(!cancelled.text().contains("confidential"), "{cancelled:?}");
    for patch in [json!({ "notes": "x" }), json!({ "status": "confirmed" })] {
        let refused = desk.patch(&desk.as_patient, visit, Some("*"), &patch).await;
        problem(&refused, 403, "forbidden");
    }
    let noted = desk
        .patch(
            &desk.as_doctor,
            visit,
            Some("*"),
            &json!({ "notes": "better" }),
        )
        .await;
    assert_eq!(noted.json()["notes"], "better");
    let long = json!({ "notes": "x".repeat(10_001) });
    problem(
        &desk.patch(&desk.as_doctor, visit, Some("*"), &long).await,
        400,
        "bad-request",
    );
    desk.clinic.close().await;
}

#[tokio::test]
async fn others_do_not_learn_that_there_is_an_appointment() {
    let mut desk = Desk::open().await;
    let stranger = desk.clinic.doctor("B", "UTC").await;
    let other = desk.clinic.patient("Q").await;
    let visit = desk.visit("09:00", "09:30", "scheduled").await;
    let tokens = [
        desk.clinic.doctor_token(stranger).await,
        desk.clinic.patient_token(other).await,
        desk.clinic.fleet.token("patient", "nobody"),
    ];
    for token in &tokens {
        problem(&desk.see(token, visit).await, 404, "not-found");
        let patch = json!({ "endsAt": friday("09:45") });
        problem(
            &desk.patch(token, visit, Some("*"), &patch).await,
            404,
            "not-found",
        );
        problem(&desk.cancel(token, visit, "").await, 404, "not-found");
    }
    let nobodys = desk.clinic.fleet.token("visitor", "v");
    problem(&desk.see(&nobodys, visit).await, 403, "forbidden");
    problem(&desk.cancel(&nobodys, visit, "").await, 403, "forbidden");
    let untouched = "select count(*) from appointments where status = 'scheduled' and revision = 1";
    assert_eq!(desk.count(untouched).await, 1);
    assert_eq!(id(&desk.see(&desk.as_staff, visit).await), visit);
    desk.clinic.close().await;
}
