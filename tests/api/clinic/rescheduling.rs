//! What becomes of an appointment: other times, other statuses, notes, and giving it up.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    clinic::{problem, run_test},
    desk::{Desk, etag, friday, id},
};

/// The steps that there are. Cancelling has a route of its own.
const STEPS: [(&str, &[&str]); 7] = [
    ("scheduled", &["confirmed", "checked_in", "no_show"]),
    ("confirmed", &["checked_in", "no_show"]),
    ("checked_in", &["in_progress"]),
    ("in_progress", &["completed"]),
    ("completed", &[]),
    ("cancelled", &[]),
    ("no_show", &[]),
];

/// The steps that staff can take back.
const BACK: [(&str, &[&str]); 7] = [
    ("scheduled", &[]),
    ("confirmed", &["scheduled"]),
    ("checked_in", &["scheduled", "confirmed"]),
    ("in_progress", &["checked_in"]),
    ("completed", &["in_progress"]),
    ("cancelled", &["scheduled"]),
    ("no_show", &["scheduled", "checked_in"]),
];

/// From where an appointment can be cancelled, or is.
const CANCELLABLE: [&str; 4] = ["scheduled", "confirmed", "checked_in", "cancelled"];

#[tokio::test]
async fn an_appointment_goes_the_steps_of_its_life_and_no_others() {
    run_test(Desk::open(), async |desk| {
        for ((from, steps), (_, back)) in STEPS.into_iter().zip(BACK) {
            for (to, _) in STEPS {
                for token in [desk.as_doctor.clone(), desk.as_staff.clone()] {
                    desk.clinic.sql("truncate appointments cascade").await;
                    let visit = desk.visit_from("now() - interval '1 hour'", from).await;
                    let patch = json!({ "status": to });
                    let reply = desk.patch(&token, visit, Some("*"), &patch).await;
                    let step = steps.contains(&to);
                    let taken_back = back.contains(&to);
                    let changes = step || taken_back && token == desk.as_staff;
                    if from == to || changes {
                        assert_eq!(reply.status, 200, "{from} to {to}: {reply:?}");
                        assert_eq!(reply.json()["status"], to);
                    } else {
                        let said = problem(&reply, 409, "invalid-transition");
                        assert_eq!((&said["from"], &said["to"]), (&json!(from), &json!(to)));
                        let cancel = to == "cancelled" && CANCELLABLE.contains(&from);
                        let detail = said["detail"].as_str().unwrap();
                        assert_eq!(detail.contains("/cancel"), cancel, "{detail}");
                        assert_eq!(detail.contains("only staff"), taken_back, "{detail}");
                    }
                    let trail = "select count(*) from appointment_changes where action = 'changed' and revision = 2";
                    assert_eq!(
                        desk.count(trail).await,
                        i64::from(changes),
                        "{from} to {to}"
                    );
                }
            }
        }
    }).await;
}

#[test]
fn the_steps_are_documented_as_they_are() {
    let document: Value =
        serde_json::from_str(include_str!("../../../shared/openapi.json")).unwrap();
    let says = &document["paths"]["/api/appointments/{id}"]["patch"]["description"];
    let says = says.as_str().unwrap();
    let described = include_str!("../../../docs/api.md");
    let names = |steps: &[&str]| {
        let names: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
        names.join(", ")
    };
    for ((from, steps), (_, back)) in STEPS.into_iter().zip(BACK) {
        let mut row = format!("| `{from}` | {}", names(steps));
        if CANCELLABLE.contains(&from) && from != "cancelled" {
            row = row.replace(", `no_show`", "") + ", `cancelled`";
            if steps.contains(&"no_show") {
                row += ", `no_show`";
            }
        }
        row += &format!(" | {} |", names(back));
        for text in [says, described] {
            assert!(text.contains(&row), "{row} is not in {text}");
        }
    }
    let table = says.lines().filter(|line| line.starts_with('|'));
    let missing: Vec<&str> = table.filter(|row| !described.contains(row)).collect();
    assert!(missing.is_empty(), "not in docs/api.md: {missing:#?}");
}

#[tokio::test]
async fn nothing_has_happened_before_its_time() {
    run_test(Desk::open(), async |desk| {
        // Where it is noon, whenever this runs: today has time left, and tomorrow is not near.
        desk.clinic
            .sql(
                "update doctors set time_zone = 'Etc/GMT' || replace(
                     to_char(extract(hour from now() at time zone 'UTC')::integer - 12, 'SG99'), ' ', ''
                 )",
            )
            .await;
        for (begins, statuses, answer) in [
            (
                "now() + interval '30 minutes'",
                ["checked_in", "confirmed"],
                200,
            ),
            ("now() + interval '30 minutes'", ["no_show", "no_show"], 409),
            ("now() + interval '1 day'", ["checked_in", "no_show"], 409),
            ("now() + interval '30 days'", ["no_show", "checked_in"], 409),
            (
                "now() - interval '1 minute'",
                ["no_show", "checked_in"],
                200,
            ),
        ] {
            for status in statuses {
                desk.clinic.sql("truncate appointments cascade").await;
                let visit = desk.visit_from(begins, "scheduled").await;
                for token in [&desk.as_doctor, &desk.as_staff] {
                    let patch = json!({ "status": status });
                    let reply = desk.patch(token, visit, Some("*"), &patch).await;
                    if answer == 200 {
                        assert_eq!(reply.status, 200, "{begins} {status}: {reply:?}");
                    } else {
                        let said = problem(&reply, 409, "too-early");
                        let detail = said["detail"].as_str().unwrap();
                        assert!(detail.contains(status), "{detail}");
                    }
                }
            }
        }
        // One that is moved to another day in the same request is as early as on that day.
        desk.clinic.sql("truncate appointments cascade").await;
        let visit = desk
            .visit_from("now() - interval '1 hour'", "scheduled")
            .await;
        let moved = json!({
            "startsAt": friday("09:00"), "endsAt": friday("09:30"), "status": "checked_in", "override": true,
        });
        let moved = desk.patch(&desk.as_staff, visit, Some("*"), &moved).await;
        problem(&moved, 409, "too-early");
    }).await;
}

#[tokio::test]
async fn a_slip_is_taken_back_where_the_time_is_still_free() {
    run_test(Desk::open(), async |desk| {
        let visit = desk.visit("09:00", "09:30", "scheduled").await;
        let cancelled = desk.cancel(&desk.as_patient, visit, "ill").await;
        assert_eq!(cancelled.json()["cancelReason"], "ill");
        let again = json!({ "status": "scheduled" });
        let refused = desk.patch(&desk.as_patient, visit, Some("*"), &again).await;
        problem(&refused, 403, "forbidden");
        let other = desk.visit("09:15", "09:45", "scheduled").await;
        let taken = desk.patch(&desk.as_staff, visit, Some("*"), &again).await;
        let said = problem(&taken, 409, "overlap");
        assert_eq!(said["conflict"]["startsAt"], friday("09:15"));
        let cancelled = desk.cancel(&desk.as_staff, other, "").await;
        assert_eq!(cancelled.status, 200);
        let back = desk.patch(&desk.as_staff, visit, Some("*"), &again).await;
        assert_eq!(back.json()["status"], "scheduled", "{back:?}");
        assert!(back.json().get("cancelReason").is_none(), "{back:?}");
        let trail: (String, Value, Value) = sqlx::query_as(
            "select actor_role, before, after from appointment_changes where appointment_id = $1 and revision = 3",
        )
        .bind(visit)
        .fetch_one(&mut desk.clinic.admin)
        .await
        .unwrap();
        let before = json!({ "status": "cancelled", "cancelReason": "ill" });
        let after = json!({ "status": "scheduled", "cancelReason": null });
        assert_eq!(trail, ("staff".to_owned(), before, after));
    }).await;
}

#[tokio::test]
async fn a_visit_that_overruns_ends_when_it_ends() {
    run_test(Desk::open(), async |desk| {
        // The doctor works at no time now, and has taken the day off besides.
        desk.clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
             select id, now() - interval '2 days', now() + interval '2 days' from doctors",
            )
            .await;
        for (status, token, answer, kind) in [
            ("in_progress", desk.as_doctor.clone(), 200, ""),
            ("checked_in", desk.as_staff.clone(), 200, ""),
            ("checked_in", desk.as_patient.clone(), 409, "not-movable"),
            ("completed", desk.as_staff.clone(), 409, "not-movable"),
            // What has not begun follows the week.
            ("scheduled", desk.as_doctor.clone(), 422, "time-off"),
        ] {
            desk.clinic.sql("truncate appointments cascade").await;
            let visit = desk
                .visit_from("now() - interval '20 minutes'", status)
                .await;
            let next = desk
                .visit_from("now() + interval '1 hour'", "scheduled")
                .await;
            let in_minutes = |minutes| {
                let moment = chrono::DateTime::<chrono::Utc>::from(shared::clock::now());
                let moment = chrono::SubsecRound::trunc_subsecs(moment, 0);
                json!((moment + chrono::TimeDelta::minutes(minutes)).to_rfc3339())
            };
            let longer = json!({ "endsAt": in_minutes(40) });
            let reply = desk.patch(&token, visit, Some("*"), &longer).await;
            if answer != 200 {
                problem(&reply, answer, kind);
                continue;
            }
            assert_eq!(reply.status, 200, "{status}: {reply:?}");
            // Never into the next one, and never from another beginning on.
            let into = json!({ "endsAt": in_minutes(80) });
            let into = desk.patch(&token, visit, Some("*"), &into).await;
            problem(&into, 409, "overlap");
            let later = json!({ "startsAt": in_minutes(10) });
            let later = desk.patch(&token, visit, Some("*"), &later).await;
            problem(&later, 409, "not-movable");
            assert_eq!(desk.see(&token, next).await.json()["status"], "scheduled");
        }
        // Shorter is within what was right already, also outside the hours and after its beginning.
        desk.clinic.sql("truncate appointments cascade").await;
        let visit = desk
            .visit_from("now() - interval '1 minute'", "confirmed")
            .await;
        let seen = desk.see(&desk.as_doctor, visit).await.json();
        let starts_at: chrono::DateTime<chrono::Utc> =
            seen["startsAt"].as_str().unwrap().parse().unwrap();
        let shorter = json!({ "endsAt": starts_at + chrono::TimeDelta::minutes(10) });
        let shorter = desk
            .patch(&desk.as_doctor, visit, Some("*"), &shorter)
            .await;
        assert_eq!(shorter.status, 200, "{shorter:?}");
        assert_eq!(shorter.json()["status"], "confirmed");
    })
    .await;
}

#[tokio::test]
async fn the_trail_names_the_role_that_allowed_it() {
    run_test(Desk::open(), async |desk| {
        let other = desk.clinic.doctor("B", "UTC").await;
        // The doctor is a patient, too: of themselves in one case, of a colleague in the other.
        desk.clinic
            .sql(
                "update patients set subject = (select subject from doctors where full_name = 'Dr. Okafor')",
            )
            .await;
        desk.clinic
            .sql(
                "insert into working_hours (doctor_id, weekday, opens, closes)
             select id, 5, '08:00', '12:00' from doctors where full_name = 'B'",
            )
            .await;
        let subject = format!("doctor-{}", desk.doctor);
        let both = desk.clinic.fleet.token("doctor patient", &subject);
        for (doctor, role) in [(desk.doctor, "doctor"), (other, "patient")] {
            let draft = desk.draft("09:00", "09:30", json!({ "doctorId": doctor }));
            let visit = id(&desk.book(&both, &draft).await);
            let longer = json!({ "endsAt": friday("10:00") });
            let moved = desk.patch(&both, visit, Some("*"), &longer).await;
            assert_eq!(moved.status, 200, "{moved:?}");
            assert_eq!(desk.cancel(&both, visit, "").await.status, 200);
            let roles: Vec<String> = sqlx::query_scalar(
                "select actor_role from appointment_changes where appointment_id = $1",
            )
            .bind(visit)
            .fetch_all(&mut desk.clinic.admin)
            .await
            .unwrap();
            assert_eq!(roles, [role; 3]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_answers_the_same_each_time_and_frees_the_time() {
    run_test(Desk::open(), async |desk| {
        for (from, _) in STEPS {
            desk.clinic.sql("truncate appointments cascade").await;
            let visit = desk.visit("09:00", "09:30", from).await;
            let reply = desk.cancel(&desk.as_patient, visit, "ill").await;
            if CANCELLABLE.contains(&from) {
                assert_eq!(reply.status, 200, "{from}: {reply:?}");
            } else {
                problem(&reply, 409, "invalid-transition");
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
    })
    .await;
}

#[tokio::test]
async fn a_change_needs_the_tag_of_what_it_changes() {
    run_test(Desk::open(), async |desk| {
        let visit = desk
            .visit_from("now() - interval '1 hour'", "scheduled")
            .await;
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
    })
    .await;
}

#[tokio::test]
async fn null_is_no_change() {
    run_test(Desk::open(), async |desk| {
        let visit = desk.visit("09:00", "09:30", "scheduled").await;
        for field in ["startsAt", "endsAt", "status", "notes", "override"] {
            let patch = json!({ field: null });
            let refused = desk.patch(&desk.as_staff, visit, Some("*"), &patch).await;
            let said = problem(&refused, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            let says = format!("in the body: {field}: ");
            assert!(detail.starts_with(&says), "{detail}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_appointment_moves_as_it_was_booked() {
    run_test(Desk::open(), async |desk| {
        desk.visit("10:00", "10:30", "scheduled").await;
        let visit = desk.visit("09:00", "09:30", "confirmed").await;
        let to = |from: &str, to: &str| json!({ "startsAt": friday(from), "endsAt": friday(to) });
        let with_status = |mut times: Value, status: &str| {
            times["status"] = json!(status);
            times
        };
        // Across itself; the patient may.
        let moved = desk
            .patch(&desk.as_patient, visit, Some("*"), &to("09:15", "09:45"))
            .await;
        assert_eq!(moved.status, 200, "{moved:?}");
        assert_eq!(moved.json()["startsAt"], friday("09:15"));
        // They said that they would come at nine.
        assert_eq!(moved.json()["status"], "scheduled");
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
                    with_status(to("09:00", "09:30"), "confirmed"),
                    with_status(to("09:15", "09:45"), "scheduled")
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
        // Who asked them says so.
        let confirmed = with_status(to("08:00", "08:30"), "confirmed");
        for times in [confirmed, with_status(to("08:30", "09:00"), "confirmed")] {
            let moved = desk.patch(&desk.as_doctor, visit, Some("*"), &times).await;
            assert_eq!(moved.json()["status"], "confirmed", "{moved:?}");
        }
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
    })
    .await;
}

#[tokio::test]
async fn a_patient_changes_what_lies_ahead_and_not_what_has_begun() {
    run_test(Desk::open(), async |desk| {
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
            let said = problem(&moved, 409, "appointment-started");
            assert!(said["detail"].as_str().unwrap().contains("ask the clinic"));
            problem(
                &desk.cancel(&desk.as_patient, visit, "").await,
                409,
                "appointment-started",
            );
            // Staff and the doctor may: a patient who was ill calls.
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
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_a_doctor_who_has_left_is_not_moved() {
    run_test(Desk::open(), async |desk| {
        let visit = desk.visit("09:00", "09:30", "scheduled").await;
        desk.clinic.sql("update doctors set active = false").await;
        let later = json!({ "startsAt": friday("10:00"), "endsAt": friday("10:30") });
        let told = json!({ "endsAt": friday("10:00"), "override": true });
        for patch in [later, told] {
            let refused = desk.patch(&desk.as_staff, visit, Some("*"), &patch).await;
            problem(&refused, 422, "doctor-inactive");
        }
        let record = json!({ "status": "confirmed", "notes": "called" });
        let kept = desk.patch(&desk.as_staff, visit, Some("*"), &record).await;
        assert_eq!(kept.status, 200, "{kept:?}");
        let cancelled = desk.cancel(&desk.as_patient, visit, "").await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
    })
    .await;
}

#[tokio::test]
async fn notes_are_the_doctors_and_staffs() {
    run_test(Desk::open(), async |desk| {
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
    })
    .await;
}

#[tokio::test]
async fn others_do_not_learn_that_there_is_an_appointment() {
    run_test(Desk::open(), async |desk| {
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
        let untouched =
            "select count(*) from appointments where status = 'scheduled' and revision = 1";
        assert_eq!(desk.count(untouched).await, 1);
        assert_eq!(id(&desk.see(&desk.as_staff, visit).await), visit);
    })
    .await;
}
