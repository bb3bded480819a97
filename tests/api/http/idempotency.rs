//! Requests that are sent twice and done once.

use std::time::{Duration, Instant};

use fleet::{database::Database, proxy::Proxy};
use http::Method;
use serde_json::{Value, json};

use crate::support::{
    clinic::{Clinic, problem, run_test},
    desk::{Desk, book, friday, id},
    probe::{PATIENCE, Reply},
};

const APPOINTMENTS: &str = "select count(*) from appointments";

#[tokio::test]
async fn the_same_again_is_answered_the_same_and_another_body_is_a_mistake() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        let longest = "k".repeat(255);
        let first = desk.book_with_key(&desk.as_patient, &longest, &draft).await;
        assert_eq!(first.status, 201, "{first:?}");
        assert!(!first.headers.contains_key("idempotency-replayed"));
        // What became of the appointment meanwhile changes nothing of that answer.
        desk.cancel(&desk.as_patient, id(&first), "").await;
        let again = desk.book_with_key(&desk.as_patient, &longest, &draft).await;
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        for header in ["etag", "location", "content-type"] {
            assert_eq!(again.headers[header], first.headers[header]);
        }
        let other = desk.draft("10:00", "10:30", json!({}));
        let reused = desk.book_with_key(&desk.as_patient, &longest, &other).await;
        problem(&reused, 422, "key-reused");
        // Another client's key has nothing to do with it.
        let staffs = desk.book_with_key(&desk.as_staff, &longest, &other).await;
        assert_eq!(staffs.status, 201, "{staffs:?}");
        assert_eq!(desk.count(APPOINTMENTS).await, 2);
        // A client that is shown it again has seen it again.
        let shown = desk.clinic.logged("appointments", "patient data shown");
        assert_eq!(shown.len(), 4, "{shown:?}");
        for key in ["", &"k".repeat(256), "é"] {
            let refused = desk.book_with_key(&desk.as_patient, key, &draft).await;
            problem(&refused, 400, "bad-request");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_may_be_asked_for_again() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        let other = desk.visit("09:00", "09:30", "scheduled").await;
        let refused = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        problem(&refused, 409, "overlap");
        desk.cancel(&desk.as_staff, other, "").await;
        let booked = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        assert_eq!(booked.status, 201, "{booked:?}");
    })
    .await;
}

#[tokio::test]
async fn of_two_at_once_one_is_done_and_both_are_answered() {
    run_test(Desk::open(), async |desk| {
        for hour in 8..12 {
            let (from, to) = (format!("{hour:02}:00"), format!("{hour:02}:30"));
            let draft = desk.draft(&from, &to, json!({}));
            let (one, two) = tokio::join!(
                desk.book_with_key(&desk.as_patient, &from, &draft),
                desk.book_with_key(&desk.as_patient, &from, &draft),
            );
            assert_eq!((one.status.as_u16(), two.status.as_u16()), (201, 201));
            assert_eq!(one.body, two.body);
            let replayed = |reply: &Reply| reply.headers.contains_key("idempotency-replayed");
            assert!(replayed(&one) != replayed(&two), "one of them did it");
        }
        assert_eq!(desk.count(APPOINTMENTS).await, 4);
        assert_eq!(
            desk.count("select count(*) from appointment_changes").await,
            4
        );
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_at_work_for_long_is_said_to_be() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        desk.clinic.sql("begin").await;
        let claimed = "insert into idempotency_keys (subject, route, key, fingerprint, status, headers, body, patients)
            values ('staff', 'POST /api/appointments', 'k', '', 0, '[]', '', '{}')";
        desk.clinic.sql(claimed).await;
        let waiting = desk.book_with_key(&desk.as_staff, "k", &draft).await;
        problem(&waiting, 409, "key-in-flight");
        let other = desk.book_with_key(&desk.as_staff, "l", &draft).await;
        assert_eq!(other.status, 201, "{other:?}");
        desk.clinic.sql("rollback").await;
        let draft = desk.draft("10:00", "10:30", json!({}));
        let now = desk.book_with_key(&desk.as_staff, "k", &draft).await;
        assert_eq!(now.status, 201, "{now:?}");
    }).await;
}

#[tokio::test]
async fn a_key_of_yesterday_is_as_good_as_new() {
    run_test(Desk::open(), async |desk| {
        let first = desk.draft("09:00", "09:30", json!({}));
        let second = desk.draft("10:00", "10:30", json!({}));
        let booked = desk.book_with_key(&desk.as_staff, "k", &first).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let age = async |desk: &mut Desk, minutes: i32| {
            sqlx::query(
                "update idempotency_keys set created_at = now() - make_interval(mins => $1)",
            )
            .bind(minutes)
            .execute(&mut desk.clinic.admin)
            .await
            .unwrap();
        };
        age(desk, 24 * 60 - 1).await;
        let reused = desk.book_with_key(&desk.as_staff, "k", &second).await;
        problem(&reused, 422, "key-reused");
        age(desk, 24 * 60 + 1).await;
        let booked = desk.book_with_key(&desk.as_staff, "k", &second).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        assert!(!booked.headers.contains_key("idempotency-replayed"));
        let again = desk.book_with_key(&desk.as_staff, "k", &second).await;
        assert_eq!(again.body, booked.body);
        assert_eq!(desk.count(APPOINTMENTS).await, 2);
    })
    .await;
}

/// Says who logs in as the desk's patient.
async fn correct(desk: &Desk, correction: &Value) {
    let path = format!("/api/patients/{}", desk.patient);
    let any = [("if-match", "*")];
    let token = Some(desk.as_staff.as_str());
    let body = Some(correction);
    let corrected = desk
        .clinic
        .send(Method::PATCH, &path, token, &any, body)
        .await;
    assert_eq!(corrected.status, 200, "{corrected:?}");
}

#[tokio::test]
async fn a_key_is_good_as_long_as_its_patient_is_the_same_person() {
    run_test(Desk::open(), async |desk| {
        let new = desk.clinic.fleet.token("patient", "s-2");
        let draft = desk.draft("09:00", "09:30", json!({}));
        let first = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        assert_eq!(first.status, 201, "{first:?}");
        let later = desk.draft("10:00", "10:30", json!({}));
        let staffs = desk.book_with_key(&desk.as_staff, "k", &later).await;
        correct(desk, &json!({ "phone": "+49 30 2" })).await;
        let again = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        assert_eq!(again.body, first.body);

        correct(desk, &json!({ "subject": "s-2" })).await;
        let former = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        problem(&former, 403, "forbidden");
        let again = desk.book_with_key(&desk.as_staff, "k", &later).await;
        assert_eq!(again.body, staffs.body, "staff is who they were");

        let last = desk.draft("11:00", "11:30", json!({}));
        let booked = desk.book_with_key(&new, "k", &last).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        correct(desk, &json!({ "subject": null })).await;
        let former = desk.book_with_key(&new, "k", &last).await;
        problem(&former, 403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn who_a_patient_is_changes_before_a_booking_or_after_it() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        desk.clinic.sql("begin").await;
        desk.clinic.sql("update patients set subject = 's-2'").await;
        let fleet = &desk.clinic.fleet;
        let booking = tokio::spawn(book(fleet, &desk.as_patient, Some("k"), &draft));
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        appears(desk, waiting).await;
        desk.clinic.sql("commit").await;
        problem(&booking.await.unwrap(), 403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn one_key_is_another_one_on_another_route() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        let booked = desk.book_with_key(&desk.as_staff, "k", &draft).await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let body = json!({ "fullName": "R" });
        let registered = send_with_key(desk, &desk.as_staff, "/api/patients", &body).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        assert_eq!(registered.json()["fullName"], "R");
    })
    .await;
}

/// Sends a body with the key `k`.
async fn send_with_key(desk: &Desk, token: &str, path: &str, body: &Value) -> Reply {
    let key = [("idempotency-key", "k")];
    desk.clinic
        .send(Method::POST, path, Some(token), &key, Some(body))
        .await
}

#[tokio::test]
async fn a_client_who_may_no_longer_ask_is_not_answered_again() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        let subject = "once-staff";
        let as_staff = desk.clinic.fleet.token("staff", subject);
        let first = desk.book_with_key(&as_staff, "k", &draft).await;
        assert_eq!(first.status, 201, "{first:?}");
        for role in ["doctor", "patient"] {
            let demoted = desk.clinic.fleet.token(role, subject);
            let again = desk.book_with_key(&demoted, "k", &draft).await;
            problem(&again, 403, "forbidden");
        }
        let again = desk.book_with_key(&as_staff, "k", &draft).await;
        assert_eq!(again.body, first.body);

        // A doctor's own patient, and an absence in which the appointment is.
        let next = desk.draft("10:00", "10:30", json!({}));
        let path = format!("/api/doctors/{}/time-off", desk.doctor);
        let away = json!({ "startsAt": friday("09:00"), "endsAt": friday("10:00") });
        let booked = desk.book_with_key(&desk.as_doctor, "k", &next).await;
        let absent = send_with_key(desk, &desk.as_doctor, &path, &away).await;
        assert_eq!((booked.status.as_u16(), absent.status.as_u16()), (201, 201));
        let again = desk.book_with_key(&desk.as_doctor, "k", &next).await;
        assert_eq!(again.headers["idempotency-replayed"], "true");
        desk.clinic.sql("update doctors set subject = null").await;
        let booked = desk.book_with_key(&desk.as_doctor, "k", &next).await;
        problem(&booked, 403, "forbidden");
        let absent = send_with_key(desk, &desk.as_doctor, &path, &away).await;
        problem(&absent, 403, "forbidden");
    })
    .await;
}

/// Waits until this statement, a count, finds something.
async fn appears(desk: &mut Desk, what: &'static str) {
    let start = Instant::now();
    while desk.count(what).await == 0 {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        desk.clinic.sql("select pg_stat_clear_snapshot()").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_booking_whose_answer_was_lost_is_there_once() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = database
        .application_url()
        .replace(&database.port().to_string(), &proxy.port().to_string());
    let clinic = Clinic::open_on(database, "", |fleet| {
        fleet
            .variable("DATABASE_URL", url)
            .variable("DATABASE_STATEMENT_TIMEOUT", "15")
            .variable("DATABASE_LOCK_TIMEOUT", "15")
    })
    .await;
    run_test(Desk::of(clinic), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        // The commit waits for the test.
        for statement in [
            "create function wait() returns trigger language plpgsql as
             $$ begin perform pg_advisory_xact_lock_shared(1); return null; end $$",
            "create constraint trigger waits after insert on appointments
             deferrable initially deferred for each row execute function wait()",
            "select pg_advisory_lock(1)",
        ] {
            desk.clinic.sql(statement).await;
        }
        let fleet = &desk.clinic.fleet;
        let lost = tokio::spawn(book(fleet, &desk.as_patient, Some("k"), &draft));
        let committing = "select count(*) from pg_stat_activity
        where usename = 'application' and query = 'commit' and wait_event_type = 'Lock'";
        appears(desk, committing).await;
        // The server is told nothing of the environment's end, and the environment nothing of the commit.
        proxy.stall();
        let environment = desk.clinic.fleet.environments("appointments")[0].id.clone();
        assert!(desk.clinic.fleet.kill(&environment));
        let lost = lost.await.unwrap();
        assert_eq!(lost.status, 500, "the gateway's word: {lost:?}");
        assert_eq!(lost.json(), json!({ "message": "Internal Server Error" }));
        assert_eq!(desk.count(APPOINTMENTS).await, 0);
        desk.clinic.sql("select pg_advisory_unlock(1)").await;
        appears(desk, APPOINTMENTS).await;
        proxy.heal();

        let again = desk.book_with_key(&desk.as_patient, "k", &draft).await;
        assert_eq!(again.status, 201, "{again:?}");
        assert_eq!(again.headers["idempotency-replayed"], "true");
        assert_eq!(
            again.json()["patient"]["id"],
            Value::String(desk.patient.to_string())
        );
        assert_eq!(desk.count(APPOINTMENTS).await, 1);
        // Without a key it is another booking, which has no place.
        problem(&desk.book(&desk.as_patient, &draft).await, 409, "overlap");
    })
    .await;
}
