//! Many at once on one doctor's calendar: nothing overlaps, and nothing is lost from the trail.

use std::{collections::BTreeMap, pin::Pin};

use http::StatusCode;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng, seq::IndexedRandom};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{
    clinic::{problem, run_test},
    desk::{Desk, book, cancel, etag, friday, id, patch_at},
    probe::Reply,
};

/// Books the same slot so many times at once; how often each status was answered.
async fn all_at_once(desk: &Desk, draft: &Value, clients: usize) -> BTreeMap<u16, usize> {
    let fleet = &desk.clinic.fleet;
    let clients: JoinSet<Reply> = (0..clients)
        .map(|_| book(fleet, &desk.as_staff, None, draft))
        .collect();
    let mut answers = BTreeMap::new();
    for reply in clients.join_all().await {
        *answers.entry(reply.status.as_u16()).or_default() += 1;
        if reply.status == StatusCode::CONFLICT {
            problem(&reply, 409, "overlap");
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_who_want_one_slot_one_gets_it() {
    run_test(Desk::open(), async |desk| {
        let draft = desk.draft("09:00", "09:30", json!({}));
        let (mut booked, mut conflicts, mut waiting) = (0, 0, 200);
        // Whom the gateway throttles comes again, until all were told.
        while waiting > 0 {
            let mut answers = all_at_once(desk, &draft, waiting).await;
            booked += answers.remove(&201).unwrap_or_default();
            conflicts += answers.remove(&409).unwrap_or_default();
            waiting = answers.remove(&429).unwrap_or_default();
            assert!(answers.is_empty(), "{answers:?}");
        }
        assert_eq!((booked, conflicts), (1, 199));
        let one = "select count(*) from appointments";
        assert_eq!(desk.count(one).await, 1);
        let trail = "select count(*) from appointment_changes";
        assert_eq!(desk.count(trail).await, 1);
    })
    .await;
}

/// How many changes are asked for, and how many at a time.
const CHANGES: usize = 1_000;
const AT_A_TIME: usize = 10;

/// An appointment as the desk last saw it.
#[derive(Clone)]
struct Seen {
    id: Uuid,
    etag: String,
}

/// From 15 minutes to an hour, somewhere in the four hours.
fn random_times(rng: &mut ChaCha8Rng) -> (String, String) {
    let begin = rng.random_range(0..15);
    let end = begin + rng.random_range(1..=4).min(16 - begin);
    let time = |quarter: u32| friday(&format!("{:02}:{:02}", 8 + quarter / 4, quarter % 4 * 15));
    (time(begin), time(end))
}

/// Asks for something on the calendar: four in ten are bookings, the others move, keep the record of and cancel
/// what was seen, two each, mostly the last ones.
fn random_change(
    desk: &Desk,
    seen: &[Seen],
    rng: &mut ChaCha8Rng,
) -> Pin<Box<dyn Future<Output = Reply> + Send>> {
    let fleet = &desk.clinic.fleet;
    let token = &desk.as_staff;
    let (starts_at, ends_at) = random_times(rng);
    let times = json!({ "startsAt": starts_at, "endsAt": ends_at });
    let recent = &seen[seen.len().saturating_sub(20)..];
    let known = recent.choose(rng).cloned();
    let (id, etag) = known.map_or((Uuid::nil(), String::new()), |seen| (seen.id, seen.etag));
    let what = if seen.is_empty() {
        0
    } else {
        rng.random_range(0..10)
    };
    match what {
        0..4 => Box::pin(book(
            fleet,
            token,
            None,
            &desk.draft("08:00", "08:30", times),
        )),
        4..6 => Box::pin(patch_at(fleet, token, id, Some(&etag), &times)),
        6..8 => {
            let status = ["confirmed", "checked_in", "no_show"].choose(rng);
            let notes = format!("from {starts_at} on");
            let record = match rng.random_range(0..3) {
                0 => json!({ "status": status }),
                1 => json!({ "notes": notes }),
                _ => json!({ "status": status, "notes": notes }),
            };
            Box::pin(patch_at(fleet, token, id, Some(&etag), &record))
        }
        _ => Box::pin(cancel(fleet, token, id, "no time")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_of_one_calendar_leave_no_overlap_and_a_whole_trail() {
    a_thousand_changes(crate::support::seed::seed()).await;
}

/// The same ones each time, as far as their order is the tests'.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_that_are_known_leave_no_overlap_and_a_whole_trail() {
    a_thousand_changes(1).await;
}

async fn a_thousand_changes(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    run_test(Desk::open(), async |desk| {
        let mut seen: Vec<Seen> = Vec::new();
        let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
        let mut at_work = JoinSet::new();
        let mut asked = 0;
        while asked < CHANGES || !at_work.is_empty() {
            if asked < CHANGES && at_work.len() < AT_A_TIME {
                at_work.spawn(random_change(desk, &seen, &mut rng));
                asked += 1;
                continue;
            }
            let reply = at_work.join_next().await.unwrap().unwrap();
            *answers.entry(reply.status.as_u16()).or_default() += 1;
            if reply.status.is_success() {
                let (id, etag) = (id(&reply), etag(&reply));
                seen.retain(|known| known.id != id);
                seen.push(Seen { id, etag });
            }
        }
        println!("{answers:?}");
        let refused = |status: &u16| matches!(status, 409 | 412);
        assert!(
            answers
                .keys()
                .all(|status| matches!(status, 200 | 201) || refused(status)),
            "{answers:?}"
        );
        assert!(answers[&201] > 20 && answers[&200] > 20, "{answers:?}");
        assert!(
            answers[&409] > 20,
            "there was something to fight over: {answers:?}"
        );

        let overlaps = "select count(*) from appointments a
            join appointments b on a.doctor_id = b.doctor_id and a.id < b.id
                and a.starts_at < b.ends_at and b.starts_at < a.ends_at
            where a.status not in ('cancelled', 'no_show') and b.status not in ('cancelled', 'no_show')";
        assert_eq!(desk.count(overlaps).await, 0);
        let booked = desk.count("select count(*) from appointments").await;
        assert_eq!(usize::try_from(booked).unwrap(), answers[&201]);
        assert_trails_replay(desk).await;
    }).await;
}

/// Plays every trail onto its booking; what comes out must be the appointment.
async fn assert_trails_replay(desk: &mut Desk) {
    let changes: Vec<(Uuid, i32, Option<Value>, Value)> = sqlx::query_as(
        "select appointment_id, revision, before, after from appointment_changes
         order by appointment_id, revision",
    )
    .fetch_all(&mut desk.clinic.admin)
    .await
    .unwrap();
    let mut replayed: BTreeMap<Uuid, (i32, Map<String, Value>)> = BTreeMap::new();
    for (appointment, revision, before, after) in changes {
        let (last, state) = replayed.entry(appointment).or_default();
        assert_eq!(revision, *last + 1, "{appointment}: a change is missing");
        *last = revision;
        for (name, was) in before.iter().filter_map(Value::as_object).flatten() {
            let known = state.get(name).unwrap_or(&Value::Null);
            assert_eq!(known, was, "{appointment}, {revision}: {name}");
        }
        state.extend(after.as_object().unwrap().clone());
    }
    let appointments: Vec<(Uuid, i32, Value)> = sqlx::query_as(
        r#"select id, revision, jsonb_strip_nulls(jsonb_build_object(
               'doctorId', doctor_id, 'patientId', patient_id,
               'startsAt', to_char(starts_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               'endsAt', to_char(ends_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
               'status', status, 'reason', reason, 'notes', notes, 'cancelReason', cancel_reason))
           from appointments"#,
    )
    .fetch_all(&mut desk.clinic.admin)
    .await
    .unwrap();
    assert_eq!(appointments.len(), replayed.len());
    for (appointment, revision, state) in appointments {
        let (last, replayed) = replayed.remove(&appointment).unwrap();
        assert_eq!(revision, last, "{appointment}");
        assert_eq!(Value::Object(replayed), state, "{appointment}");
    }
}
