//! A doctor's frame: working hours and time off, who changes them, and what a change leaves outside.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{Reply, staff},
};

/// A Monday, far from today.
const MONDAY: &str = "'2199-07-01 08:00Z'";

async fn put_week(
    clinic: &Clinic,
    token: &str,
    doctor: Uuid,
    etag: Option<&str>,
    body: &Value,
) -> Reply {
    let path = format!("/api/doctors/{doctor}/working-hours");
    let headers: Vec<(&str, &str)> = etag.map(|etag| ("if-match", etag)).into_iter().collect();
    clinic
        .send(Method::PUT, &path, Some(token), &headers, Some(body))
        .await
}

async fn post_time_off(
    clinic: &Clinic,
    token: &str,
    doctor: Uuid,
    key: Option<&str>,
    body: &Value,
) -> Reply {
    let path = format!("/api/doctors/{doctor}/time-off");
    let headers: Vec<(&str, &str)> = key
        .map(|key| ("idempotency-key", key))
        .into_iter()
        .collect();
    clinic
        .send(Method::POST, &path, Some(token), &headers, Some(body))
        .await
}

async fn delete(clinic: &Clinic, token: &str, path: &str) -> Reply {
    clinic
        .send(Method::DELETE, path, Some(token), &[], None)
        .await
}

fn etag(reply: &Reply) -> String {
    reply.headers["etag"].to_str().unwrap().to_owned()
}

fn hours(weekday: u8, opens: &str, closes: &str) -> Value {
    json!({ "weekday": weekday, "opens": opens, "closes": closes })
}

/// A week whose days are all the same.
fn every_day(periods: &[(&str, &str)]) -> Value {
    let of_day = |weekday| {
        let hours_of = move |&(opens, closes): &(&str, &str)| hours(weekday, opens, closes);
        periods.iter().map(hours_of)
    };
    json!({ "workingHours": (1..=7).flat_map(of_day).collect::<Vec<_>>() })
}

fn ids(listed: &Value) -> Vec<&str> {
    let rows = listed.as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_doctor_is_shown_with_their_week_and_to_few_with_their_absences() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr Ångström", "Europe/Berlin").await;
        let stranger = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("P").await;
        clinic
            .sql("insert into working_hours (doctor_id, weekday, opens, closes)
                  select id, d, o, c from doctors,
                      (values (5, '18:00'::time, '24:00'::time), (1, '14:00', '17:30'), (1, '08:00', '12:00')) w (d, o, c)
                  where full_name = 'Dr Ångström'")
            .await;
        clinic
            .sql("insert into time_off (doctor_id, starts_at, ends_at, reason)
                  select id, s::timestamptz, e::timestamptz, r from doctors,
                      (values ('2199-02-01Z', '2199-02-02Z', 'later'), ('2020-01-01Z', '2020-01-02Z', 'over'),
                              ('2020-01-01Z', '2199-01-02Z', 'now')) t (s, e, r)
                  where full_name = 'Dr Ångström'")
            .await;
        let path = format!("/api/doctors/{doctor}");
        let reply = clinic.get(&path).await;
        assert!(etag(&reply).starts_with('"'), "a strong tag");
        let mut seen = reply.json();
        let absences = seen["timeOff"].take();
        let reasons: Vec<&str> = absences
            .as_array()
            .unwrap()
            .iter()
            .map(|absence| absence["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons, ["now", "later"]);
        assert_eq!(absences[1]["startsAt"], "2199-02-01T00:00:00Z");
        let mut expected = json!({
            "id": doctor,
            "fullName": "Dr Ångström",
            "specialty": "Cardiology",
            "timeZone": "Europe/Berlin",
            "active": true,
            "slotMinutes": 30,
            "workingHours": [hours(1, "08:00", "12:00"), hours(1, "14:00", "17:30"), hours(5, "18:00", "24:00")],
            "timeOff": null,
            "timeOffHasMore": false,
        });
        assert_eq!(seen, expected);

        let own = clinic.doctor_token(doctor).await;
        assert_eq!(clinic.get_as(&own, &path).await.json()["timeOff"], absences);
        expected.as_object_mut().unwrap().remove("timeOff");
        expected.as_object_mut().unwrap().remove("timeOffHasMore");
        let other_doctor = clinic.doctor_token(stranger).await;
        let patients = clinic.patient_token(patient).await;
        for token in [other_doctor, patients] {
            assert_eq!(clinic.get_as(&token, &path).await.json(), expected);
        }
        let nobody = format!("/api/doctors/{}", Uuid::nil());
        problem(&clinic.get(&nobody).await, 404, "not-found");
    }).await;
}

#[tokio::test]
async fn a_new_week_replaces_the_old_one_and_lists_what_is_outside_it() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "America/New_York").await;
        let patient = clinic.patient("P").await;
        // In New York half past three in the night, and ten minutes to midnight; on the day before a
        // cancelled one, and in the past one that no longer matters.
        clinic
            .visits(doctor, patient, "'2199-07-01 07:30Z'", 1, "scheduled")
            .await;
        clinic
            .visits(doctor, patient, "'2199-07-02 03:45Z'", 1, "confirmed")
            .await;
        clinic
            .visits(doctor, patient, "'2199-06-30 07:30Z'", 1, "cancelled")
            .await;
        clinic
            .visits(doctor, patient, "'2020-06-30 07:30Z'", 1, "scheduled")
            .await;
        let path = format!("/api/doctors/{doctor}");
        let token = clinic.doctor_token(doctor).await;
        let before = clinic.get_as(&token, &path).await;

        let late = json!({ "workingHours": [hours(1, "20:00", "24:00"), hours(1, "08:00", "12:00")], "slotMinutes": 45 });
        let changed = put_week(clinic, &token, doctor, Some(&etag(&before)), &late).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let after = clinic.get_as(&token, &path).await;
        assert_ne!(etag(&after), etag(&before));
        assert_eq!(etag(&changed), etag(&after), "for the next change");
        let said = changed.json();
        assert_eq!(said["doctor"], after.json());
        assert_eq!(said["doctor"]["slotMinutes"], 45);
        assert_eq!(
            said["doctor"]["workingHours"],
            json!([hours(1, "08:00", "12:00"), hours(1, "20:00", "24:00")])
        );
        // The one before midnight is on Monday there, and ends with the day.
        assert_eq!(said["affectedAppointmentsHasMore"], false);
        assert_eq!(
            said["affectedAppointments"],
            json!([{
                "id": ids(&said["affectedAppointments"])[0],
                "startsAt": "2199-07-01T07:30:00Z",
                "endsAt": "2199-07-01T07:45:00Z",
                "status": "scheduled",
                "patient": { "id": patient, "fullName": "P" },
            }])
        );
        let shown = clinic.logged("doctor", "patient data shown");
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0]["patients"], patient.to_string());

        let none = json!({ "workingHours": [] });
        let stale = put_week(clinic, &token, doctor, Some(&etag(&before)), &none).await;
        problem(&stale, 412, "precondition-failed");
        let blind = put_week(clinic, &token, doctor, None, &none).await;
        problem(&blind, 428, "precondition-required");
        let emptied = put_week(clinic, &token, doctor, Some(&etag(&changed)), &none).await;
        assert_eq!(emptied.status, 200, "{emptied:?}");
        let said = emptied.json();
        assert_eq!(said["affectedAppointments"].as_array().unwrap().len(), 2);
        assert_eq!(said["doctor"]["slotMinutes"], 45, "absent, so it stays");
    }).await;
}

#[tokio::test]
async fn a_patient_with_the_doctor_is_called_away_too() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("P").await;
        for (from, status) in [
            ("now() - interval '30 minutes'", "checked_in"),
            ("now() - interval '5 minutes'", "cancelled"),
            ("now() - interval '5 minutes'", "in_progress"),
        ] {
            clinic.visits(doctor, patient, from, 1, status).await;
        }
        let desk = staff(&clinic.fleet);
        let none = json!({ "workingHours": [] });
        let week = put_week(clinic, &desk, doctor, Some("*"), &none).await;
        let now = DateTime::<Utc>::from(shared::clock::now()).trunc_subsecs(0);
        let absence = |from: i64, to: i64| {
            let moment = |minutes| now + TimeDelta::minutes(minutes);
            json!({ "startsAt": moment(from), "endsAt": moment(to) })
        };
        let away = post_time_off(clinic, &desk, doctor, None, &absence(1, 60)).await;
        for reply in [week, away] {
            let said = reply.json();
            let outside = said["affectedAppointments"].as_array().unwrap();
            let statuses: Vec<&Value> = outside.iter().map(|visit| &visit["status"]).collect();
            assert_eq!(statuses, ["in_progress"], "{reply:?}");
        }
        // One that begins behind it, and one that is over already.
        for (from, to) in [(30, 60), (-60, -30)] {
            let away = post_time_off(clinic, &desk, doctor, None, &absence(from, to)).await;
            assert_eq!(away.json()["affectedAppointments"], json!([]), "{away:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_week_leaves_outside_is_what_could_not_be_booked_in_it() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "Europe/Berlin").await;
        let patient = clinic.patient("P").await;
        // Nights, which the week has in two pieces; and ends within the hour that clocks leave out or go through twice.
        let week = every_day(&[("00:00", "02:30"), ("02:30", "03:30"), ("20:00", "24:00")]);
        let desk = staff(&clinic.fleet);
        let set = put_week(clinic, &desk, doctor, Some("*"), &week).await;
        assert_eq!(set.status, 200, "{set:?}");
        let patients = clinic.patient_token(patient).await;
        let mut refused = Vec::new();
        let mut count = 0;
        // Clocks go forward at 01:00 UTC on a 28th of March, and back on a 31st of October.
        for (night, may_be_booked) in [
            ("2032-01-10T22:30Z 2032-01-10T23:30Z", true),
            ("2032-01-11T01:15Z 2032-01-11T01:45Z", true),
            ("2032-01-11T02:15Z 2032-01-11T02:45Z", false),
            ("2032-01-11T18:45Z 2032-01-11T19:15Z", false),
            ("2032-03-28T00:30Z 2032-03-28T01:30Z", true),
            ("2032-03-28T01:30Z 2032-03-28T01:45Z", false),
            ("2032-03-28T21:45Z 2032-03-28T22:15Z", true),
            ("2032-10-30T22:00Z 2032-10-31T02:30Z", true),
            ("2032-10-31T02:30Z 2032-10-31T02:45Z", false),
            ("2090-06-01T21:45Z 2090-06-01T22:15Z", true),
            ("2090-06-02T12:00Z 2090-06-02T12:15Z", false),
        ] {
            let (starts_at, ends_at) = night.split_once(' ').unwrap();
            let mut draft = json!({
                "doctorId": doctor,
                "patientId": patient,
                "startsAt": starts_at.replace('Z', ":00Z"),
                "endsAt": ends_at.replace('Z', ":00Z"),
            });
            let body = Some(&draft);
            let path = "/api/appointments";
            let reply = clinic
                .send(Method::POST, path, Some(&patients), &[], body)
                .await;
            count += 1;
            if may_be_booked {
                assert_eq!(reply.status, 201, "{night}: {reply:?}");
                continue;
            }
            problem(&reply, 422, "outside-working-hours");
            draft["override"] = json!(true);
            let body = Some(&draft);
            let reply = clinic
                .send(Method::POST, path, Some(&desk), &[], body)
                .await;
            assert_eq!(reply.status, 201, "{night}: {reply:?}");
            refused.push(draft["startsAt"].clone());
        }
        let starts = |reply: &Reply| -> Vec<Value> {
            let said = reply.json();
            let outside = said["affectedAppointments"].as_array().unwrap().iter();
            outside.map(|visit| visit["startsAt"].clone()).collect()
        };
        let again = put_week(clinic, &desk, doctor, Some("*"), &week).await;
        assert_eq!(starts(&again), refused);
        let none = json!({ "workingHours": [] });
        let none = put_week(clinic, &desk, doctor, Some("*"), &none).await;
        assert_eq!(starts(&none).len(), count);
    })
    .await;
}

#[tokio::test]
async fn the_years_ahead_are_seen_to_their_last_night() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "America/New_York").await;
        let patient = clinic.patient("P").await;
        // Each night across midnight, for two years and some days: wherever one year of the list ends, an appointment lies
        // across it.
        sqlx::query(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at)
             select $1, $2, night - interval '5 minutes', night + interval '5 minutes'
             from generate_series(1, 740) day,
                  lateral (select ((now() at time zone zone)::date + day)::timestamp at time zone zone as night
                           from (values ('America/New_York')) z (zone)) n",
        )
        .bind(doctor)
        .bind(patient)
        .execute(&mut clinic.admin)
        .await
        .unwrap();
        let desk = staff(&clinic.fleet);
        let nights = every_day(&[("00:00", "06:00"), ("22:00", "24:00")]);
        let inside = put_week(clinic, &desk, doctor, Some("*"), &nights).await;
        assert_eq!(inside.json()["affectedAppointments"], json!([]));
        let evenings = every_day(&[("22:00", "24:00")]);
        let outside = put_week(clinic, &desk, doctor, Some("*"), &evenings).await;
        assert_eq!(ids(&outside.json()["affectedAppointments"]).len(), 200);
        assert_eq!(outside.json()["affectedAppointmentsHasMore"], true);
    }).await;
}

#[tokio::test]
async fn a_long_list_of_what_is_outside_says_that_there_is_more() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("P").await;
        clinic
            .visits(doctor, patient, MONDAY, 201, "scheduled")
            .await;
        let desk = staff(&clinic.fleet);
        let absence =
            json!({ "startsAt": "2199-01-01T00:00:00Z", "endsAt": "2199-12-31T00:00:00Z" });
        let away = post_time_off(clinic, &desk, doctor, None, &absence)
            .await
            .json();
        assert_eq!(away["affectedAppointments"].as_array().unwrap().len(), 200);
        assert_eq!(away["affectedAppointmentsHasMore"], true);
        let none = json!({ "workingHours": [] });
        let week = put_week(clinic, &desk, doctor, Some("*"), &none)
            .await
            .json();
        assert_eq!(week["affectedAppointments"], away["affectedAppointments"]);
        assert_eq!(week["affectedAppointmentsHasMore"], true);
    })
    .await;
}

#[tokio::test]
async fn a_week_that_contradicts_itself_changes_nothing() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let desk = staff(&clinic.fleet);
        let path = format!("/api/doctors/{doctor}");
        let good =
            json!({ "workingHours": [hours(1, "08:00", "12:00"), hours(1, "12:00", "17:00")] });
        let first = put_week(clinic, &desk, doctor, Some("*"), &good).await;
        assert_eq!(
            first.status, 200,
            "what touches does not overlap: {first:?}"
        );
        for (week, says) in [
            (
                vec![hours(1, "08:00", "12:00"), hours(1, "11:59", "17:00")],
                "overlap",
            ),
            (
                vec![hours(2, "08:00", "12:00"), hours(2, "08:00", "12:00")],
                "overlap",
            ),
            (
                vec![hours(1, "12:00", "12:00")],
                "closes must be after opens",
            ),
            (
                vec![hours(1, "24:00", "08:00")],
                "closes must be after opens",
            ),
        ] {
            let week = json!({ "workingHours": week });
            let refused = put_week(clinic, &desk, doctor, Some("*"), &week).await;
            let said = problem(&refused, 422, "invalid-working-hours");
            assert!(said["detail"].as_str().unwrap().contains(says), "{said}");
        }
        for (week, says) in [
            (json!({}), "missing field `workingHours`"),
            (
                json!({ "workingHours": [hours(8, "08:00", "12:00")] }),
                "weekday must be from 1",
            ),
            (
                json!({ "workingHours": [hours(1, "8:00", "12:00")] }),
                "opens: it must be a time",
            ),
            (
                json!({ "workingHours": [], "slotMinutes": 4 }),
                "from 5 to 480",
            ),
            (
                json!({ "workingHours": vec![hours(1, "08:00", "12:00"); 57] }),
                "at most 56",
            ),
        ] {
            let refused = put_week(clinic, &desk, doctor, Some("*"), &week).await;
            let said = problem(&refused, 400, "bad-request");
            assert!(said["detail"].as_str().unwrap().contains(says), "{said}");
        }
        assert_eq!(etag(&clinic.get(&path).await), etag(&first));
    })
    .await;
}

#[tokio::test]
async fn time_off_comes_and_goes() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("P").await;
        // At 8:00, 8:30, 9:00, 9:30, a quarter of an hour each; cancelled ones are free already.
        clinic.visits(doctor, patient, MONDAY, 4, "scheduled").await;
        clinic.visits(doctor, patient, MONDAY, 4, "cancelled").await;
        let token = clinic.doctor_token(doctor).await;
        let absence = json!({
            "startsAt": "2199-07-01T08:15:00Z",
            "endsAt": "2199-07-01T09:30:00Z",
            "reason": " training ",
        });
        let added = post_time_off(clinic, &token, doctor, Some("k"), &absence).await;
        assert_eq!(added.status, 201, "{added:?}");
        let said = added.json();
        let id = said["id"].as_str().unwrap();
        let location = format!("/api/doctors/{doctor}/time-off/{id}");
        assert_eq!(added.headers["location"], location);
        assert_eq!(said["reason"], "training");
        let starts: Vec<&Value> = said["affectedAppointments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|visit| &visit["startsAt"])
            .collect();
        assert_eq!(starts, ["2199-07-01T08:30:00Z", "2199-07-01T09:00:00Z"]);

        let again = post_time_off(clinic, &token, doctor, Some("k"), &absence).await;
        assert_eq!((again.status, &again.body), (added.status, &added.body));
        assert_eq!(again.headers["idempotency-replayed"], "true");
        // A client that is shown it again has seen it again.
        assert_eq!(clinic.logged("doctor", "patient data shown").len(), 2);
        // The key is for this doctor's time off; another one's is another request.
        let other = clinic.doctor("B", "UTC").await;
        let desk = staff(&clinic.fleet);
        assert_eq!(
            post_time_off(clinic, &desk, doctor, Some("d"), &absence)
                .await
                .status,
            201
        );
        let elsewhere = post_time_off(clinic, &desk, other, Some("d"), &absence).await;
        problem(&elsewhere, 422, "key-reused");

        assert_eq!(delete(clinic, &token, &location).await.status, 204);
        problem(&delete(clinic, &token, &location).await, 404, "not-found");
        let left: i64 = sqlx::query_scalar("select count(*) from time_off")
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap();
        assert_eq!(left, 1);
        for (starts, ends) in [
            ("2199-07-01T09:30:00Z", "2199-07-01T09:30:00Z"),
            ("2199-07-01T00:00:00Z", "2204-07-06T00:00:00Z"),
            ("1899-07-01T00:00:00Z", "1899-07-02T00:00:00Z"),
        ] {
            let absence = json!({ "startsAt": starts, "endsAt": ends });
            let refused = post_time_off(clinic, &desk, doctor, None, &absence).await;
            problem(&refused, 400, "bad-request");
        }
    })
    .await;
}

#[tokio::test]
async fn the_frame_is_the_doctors_and_staffs() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let stranger = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("P").await;
        let desk = staff(&clinic.fleet);
        let own = clinic.doctor_token(doctor).await;
        let others = [
            clinic.doctor_token(stranger).await,
            clinic.patient_token(patient).await,
        ];
        let week = json!({ "workingHours": [hours(1, "08:00", "12:00")] });
        let absence =
            json!({ "startsAt": "2199-07-01T08:15:00Z", "endsAt": "2199-07-01T09:30:00Z" });
        let added = post_time_off(clinic, &own, doctor, None, &absence).await;
        let location = added.headers["location"].to_str().unwrap().to_owned();
        for token in &others {
            let refused = [
                put_week(clinic, token, doctor, Some("*"), &week).await,
                post_time_off(clinic, token, doctor, None, &absence).await,
                delete(clinic, token, &location).await,
            ];
            for refused in &refused {
                problem(refused, 403, "forbidden");
            }
        }
        // Time off belongs to its doctor.
        let elsewhere = location.replace(&doctor.to_string(), &stranger.to_string());
        problem(&delete(clinic, &desk, &elsewhere).await, 404, "not-found");
        for token in [&own, &desk] {
            let changed = put_week(clinic, token, doctor, Some("*"), &week).await;
            assert_eq!(changed.status, 200, "{changed:?}");
            let nobody = put_week(clinic, token, Uuid::nil(), Some("*"), &week).await;
            problem(&nobody, 404, "not-found");
        }
        assert_eq!(delete(clinic, &desk, &location).await.status, 204);
    })
    .await;
}

#[tokio::test]
async fn changes_of_the_frame_and_bookings_wait_for_each_other() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let desk = staff(&clinic.fleet);
        let week = json!({ "workingHours": [hours(1, "08:00", "12:00")] });
        // A booking holds the doctor's row for longer than a statement waits for a lock.
        clinic.sql("begin").await;
        clinic.sql("select from doctors for no key update").await;
        let refused = put_week(clinic, &desk, doctor, Some("*"), &week).await;
        problem(&refused, 503, "database-busy");
        // One that only reads does not wait.
        let path = format!("/api/doctors/{doctor}");
        assert_eq!(clinic.get(&path).await.status, 200);
        clinic.sql("rollback").await;
        let changed = put_week(clinic, &desk, doctor, Some("*"), &week).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    })
    .await;
}
