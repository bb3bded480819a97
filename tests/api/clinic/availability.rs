//! Free slots: the doctor's week on the doctor's clock, less what is taken.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::clinic::{Clinic, problem, run_test};

/// Days on which clocks change, in years that are still to come: zone, day. In Santiago and Havana
/// they change at midnight, in Lord Howe by half an hour.
const CHANGES: [(&str, &str); 10] = [
    ("Europe/Berlin", "2032-03-28"),
    ("Europe/Berlin", "2032-10-31"),
    ("America/New_York", "2032-03-14"),
    ("America/New_York", "2032-11-07"),
    ("Pacific/Auckland", "2032-09-26"),
    ("Pacific/Auckland", "2032-04-04"),
    ("America/Santiago", "2032-09-05"),
    ("America/Santiago", "2032-04-04"),
    ("Australia/Lord_Howe", "2032-04-04"),
    ("America/Havana", "2032-11-07"),
];

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn path(doctor: Uuid, from: NaiveDate, to: NaiveDate) -> String {
    format!("/api/doctors/{doctor}/availability?from={from}&to={to}")
}

/// The starts of all slots, page after page; each ends `minutes` later.
async fn slots(
    clinic: &Clinic,
    doctor: Uuid,
    from: NaiveDate,
    to: NaiveDate,
    minutes: i64,
) -> Vec<DateTime<Utc>> {
    let mut starts = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{}&cursor={cursor}", path(doctor, from, to));
        let reply = clinic.get(&path).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        let page = reply.json();
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= 200);
        let moment = |row: &Value, name: &str| -> DateTime<Utc> {
            row[name].as_str().unwrap().parse().unwrap()
        };
        for row in rows {
            let start = moment(row, "startsAt");
            assert_eq!(
                moment(row, "endsAt") - start,
                TimeDelta::minutes(minutes),
                "{row}"
            );
            starts.push(start);
        }
        match page["page"]["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return starts,
        }
        assert_eq!(rows.len(), 200);
    }
}

/// The same, worked out minute by minute: where the clock on the wall shows a time within the hours,
/// the doctor works; a slot begins where a stretch of such minutes does, and behind each other slot
/// that fits.
fn by_the_clock(
    zone: &str,
    hours: &[(&str, &str)],
    from: NaiveDate,
    to: NaiveDate,
    minutes: i64,
) -> Vec<DateTime<Utc>> {
    let zone: chrono_tz::Tz = zone.parse().unwrap();
    let minute_of = |time: &str| match time {
        "24:00" => 24 * 60,
        time => {
            let time: NaiveTime = format!("{time}:00").parse().unwrap();
            time.hour() * 60 + time.minute()
        }
    };
    let mut starts = Vec::new();
    for day in from.iter_days().take_while(|day| *day < to) {
        let midnight = day.and_time(NaiveTime::MIN).and_utc();
        let around = (-26 * 60..50 * 60).map(|minute| midnight + TimeDelta::minutes(minute));
        for (opens, closes) in hours {
            let open = minute_of(opens)..minute_of(closes);
            let mut worked = 0;
            for moment in around.clone() {
                let local = moment.with_timezone(&zone).naive_local();
                if local.date() != day || !open.contains(&(local.hour() * 60 + local.minute())) {
                    worked = 0;
                    continue;
                }
                worked += 1;
                if worked % minutes == 0 {
                    starts.push(moment - TimeDelta::minutes(minutes - 1));
                }
            }
        }
    }
    starts.sort_unstable();
    starts
}

#[tokio::test]
async fn slots_follow_the_doctors_clock_also_where_it_changes() {
    run_test(Clinic::open(), async |clinic| {
        // Whole days; ends within the hours that are left out or come twice, in all of these zones; and
        // an ordinary week's.
        for hours in [
            &[("00:00", "24:00")][..],
            &[
                ("00:30", "01:40"),
                ("01:40", "02:30"),
                ("02:30", "04:10"),
                ("22:00", "23:20"),
                ("23:20", "24:00"),
            ],
            &[("08:00", "12:00"), ("13:00", "17:10")],
        ] {
            for (zone, date) in CHANGES {
                let doctor = clinic.doctor(zone, zone).await;
                clinic.works(doctor, hours).await;
                let (from, to) = (day(date) - Days::new(1), day(date) + Days::new(2));
                let expected = by_the_clock(zone, hours, from, to, 30);
                let found = slots(clinic, doctor, from, to, 30).await;
                assert_eq!(found, expected, "{zone} {date} {hours:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_hour_that_is_left_out_has_no_slot_and_the_one_that_comes_twice_has_both() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "Europe/Berlin").await;
        for (hours, date, starts) in [
            // 02:00 to 03:00 is left out.
            (("02:00", "03:00"), "2032-03-28", &[][..]),
            (
                ("01:00", "04:00"),
                "2032-03-28",
                &["28T00:00", "28T00:30", "28T01:00", "28T01:30"],
            ),
            // The clock goes from 02:00 to 03:00 twice.
            (
                ("02:00", "03:00"),
                "2032-10-31",
                &["31T00:00", "31T00:30", "31T01:00", "31T01:30"],
            ),
            (("01:30", "02:00"), "2032-10-31", &["30T23:30"]),
            (("03:00", "03:30"), "2032-10-31", &["31T02:00"]),
            // From the half hour on: until the clock goes back, and once more.
            (
                ("02:30", "03:30"),
                "2032-10-31",
                &["31T00:30", "31T01:30", "31T02:00"],
            ),
        ] {
            clinic.works(doctor, &[hours]).await;
            let found = slots(clinic, doctor, day(date), day(date) + Days::new(1), 30).await;
            let found: Vec<String> = found
                .iter()
                .map(|start| start.format("%dT%H:%M").to_string())
                .collect();
            assert_eq!(found, starts, "{hours:?} {date}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_taken_is_no_slot_and_what_only_touches_is() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        // The last ten minutes hold no slot.
        clinic
            .works(doctor, &[("08:00", "10:10"), ("10:10", "11:00")])
            .await;
        let monday = day("2032-01-05");
        let free = async |clinic: &Clinic| {
            let found = slots(clinic, doctor, monday, monday + Days::new(1), 30).await;
            let time = |start: &DateTime<Utc>| start.format("%H:%M").to_string();
            found.iter().map(time).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(free(clinic).await, "08:00 08:30 09:00 09:30 10:10");

        let book = async |clinic: &mut Clinic, doctor: Uuid, from: &str, to: &str, status: &str| {
            sqlx::query(
                "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status)
                 values ($1, $2, ('2032-01-05 ' || $3 || 'Z')::timestamptz, ('2032-01-05 ' || $4 || 'Z')::timestamptz, $5)",
            )
            .bind(doctor)
            .bind(patient)
            .bind(from)
            .bind(to)
            .bind(status)
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        };
        // They free the time, or never took it: it is another doctor's.
        book(clinic, doctor, "08:00", "11:00", "cancelled").await;
        book(clinic, doctor, "08:00", "11:00", "no_show").await;
        book(clinic, other, "08:00", "11:00", "scheduled").await;
        assert_eq!(free(clinic).await, "08:00 08:30 09:00 09:30 10:10");
        // It ends where a slot begins, and begins where one ends.
        book(clinic, doctor, "08:30", "09:00", "completed").await;
        assert_eq!(free(clinic).await, "08:00 09:00 09:30 10:10");
        // A minute of a slot takes it all.
        book(clinic, doctor, "09:59", "10:10", "confirmed").await;
        assert_eq!(free(clinic).await, "08:00 09:00 10:10");
        // It began the day before.
        clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
                 select id, '2032-01-01 00:00Z', '2032-01-05 08:01Z' from doctors where full_name = 'A'",
            )
            .await;
        assert_eq!(free(clinic).await, "09:00 10:10");

        clinic.sql("update doctors set slot_minutes = 25").await;
        let found = slots(clinic, doctor, monday, monday + Days::new(1), 25).await;
        let time = |start: &DateTime<Utc>| start.format("%H:%M").to_string();
        // From the beginning of the hours on: 08:00, 08:25, 08:50, 09:15, 09:40; 10:10, 10:35.
        assert_eq!(
            found.iter().map(time).collect::<Vec<_>>(),
            ["09:15", "10:10", "10:35"]
        );

        clinic.sql("update doctors set active = false").await;
        let none = slots(clinic, doctor, monday, monday + Days::new(1), 25).await;
        assert!(none.is_empty(), "a doctor who has left");
        let none = slots(clinic, other, monday, monday + Days::new(1), 25).await;
        assert!(none.is_empty(), "a doctor without hours");
    }).await;
}

#[tokio::test]
async fn nothing_lies_in_the_past_and_pages_lead_through_everything_once() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "Asia/Kathmandu").await;
        clinic.works(doctor, &[("00:00", "24:00")]).await;
        clinic.sql("update doctors set slot_minutes = 60").await;
        let (now, today): (DateTime<Utc>, NaiveDate) =
            sqlx::query_as("select now(), (now() at time zone 'Asia/Kathmandu')::date")
                .fetch_one(&mut clinic.admin)
                .await
                .unwrap();
        let to = today + Days::new(30);
        let found = slots(clinic, doctor, today - Days::new(1), to, 60).await;
        let zone: chrono_tz::Tz = "Asia/Kathmandu".parse().unwrap();
        // An hour may pass while the test runs.
        assert!(found[0] >= now && found[0] < now + TimeDelta::hours(2));
        assert!(
            found
                .windows(2)
                .all(|two| two[1] - two[0] == TimeDelta::hours(1))
        );
        let last = found.last().unwrap().with_timezone(&zone).naive_local();
        assert_eq!(last, (to - Days::new(1)).and_hms_opt(23, 0, 0).unwrap());
        assert!(
            (30 * 24 - 25..=30 * 24).contains(&found.len()),
            "{}",
            found.len()
        );

        let past = slots(
            clinic,
            doctor,
            today - Days::new(9),
            today - Days::new(3),
            60,
        )
        .await;
        assert!(past.is_empty(), "{past:?}");
    })
    .await;
}

/// Which day it is there.
async fn day_in(clinic: &mut Clinic, zone: &str) -> NaiveDate {
    sqlx::query_scalar("select (now() at time zone $1)::date")
        .bind(zone)
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_doctor_who_moves_has_the_same_hours_and_days_on_another_clock() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "Pacific/Kiritimati").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        let hours = &[("09:00", "10:30")];
        clinic.works(doctor, hours).await;
        let from = "date_trunc('day', now(), 'UTC') - interval '3 days'";
        clinic
            .visits(doctor, patient, from, 6 * 48, "scheduled")
            .await;
        let (from, to) = (day("2032-03-25"), day("2032-04-02"));
        let mut days = Vec::new();
        // Their days have no moment in common: 26 hours lie between their clocks.
        for zone in [
            "Pacific/Kiritimati",
            "Etc/GMT+12",
            "America/Santiago",
            "Europe/Berlin",
        ] {
            sqlx::query("update doctors set time_zone = $1")
                .bind(zone)
                .execute(&mut clinic.admin)
                .await
                .unwrap();
            let expected = by_the_clock(zone, hours, from, to, 30);
            assert_eq!(
                slots(clinic, doctor, from, to, 30).await,
                expected,
                "{zone}"
            );

            let path = format!("/api/doctors/{doctor}/appointments/today");
            // Asked again where the day ends meanwhile.
            let (today, page) = loop {
                let today = day_in(clinic, zone).await;
                let page = clinic.get(&path).await.json();
                if day_in(clinic, zone).await == today {
                    break (today, page);
                }
            };
            let tz: chrono_tz::Tz = zone.parse().unwrap();
            let local = |visit: &Value| {
                let start: DateTime<Utc> = visit["startsAt"].as_str().unwrap().parse().unwrap();
                start.with_timezone(&tz).date_naive()
            };
            let visits = page["data"].as_array().unwrap();
            assert!(visits.iter().all(|visit| local(visit) == today), "{zone}");
            assert!(
                (46..=50).contains(&visits.len()),
                "{zone}: {}",
                visits.len()
            );
            days.push(today);
        }
        assert_ne!(days[0], days[1]);
    })
    .await;
}

#[tokio::test]
async fn every_slot_that_is_offered_can_be_booked_and_is_then_taken() {
    run_test(Clinic::open(), async |clinic| {
        let patient = clinic.patient("Mrs. Lindqvist").await;
        let token = clinic.patient_token(patient).await;
        for (zone, date) in CHANGES {
            let doctor = clinic.doctor(zone, zone).await;
            // Ends within what is left out or comes twice, where a conversion of the two ends goes wrong.
            clinic
                .works(
                    doctor,
                    &[("00:30", "01:45"), ("02:15", "03:30"), ("23:00", "23:40")],
                )
                .await;
            let (from, to) = (day(date) - Days::new(1), day(date) + Days::new(1));
            let offered = slots(clinic, doctor, from, to, 30).await;
            assert!(offered.len() >= 3, "{zone} {date}: {offered:?}");
            for start in offered {
                let body = json!({
                    "doctorId": doctor,
                    "patientId": patient,
                    "startsAt": start,
                    "endsAt": start + TimeDelta::minutes(30),
                    "reason": "Check-up",
                });
                let booked = clinic
                    .send(
                        Method::POST,
                        "/api/appointments",
                        Some(&token),
                        &[],
                        Some(&body),
                    )
                    .await;
                assert_eq!(
                    booked.status,
                    StatusCode::CREATED,
                    "{zone} {start}: {booked:?}"
                );
            }
            let left = slots(clinic, doctor, from, to, 30).await;
            assert!(left.is_empty(), "{zone} {date}: {left:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn all_roles_may_see_when_a_doctor_is_free() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic.works(doctor, &[("08:00", "08:30")]).await;
        clinic
            .visits(doctor, patient, "'2032-01-05 09:00Z'", 1, "scheduled")
            .await;
        let path = path(doctor, day("2032-01-05"), day("2032-01-06"));
        let expected = json!({
            "data": [{ "startsAt": "2032-01-05T08:00:00Z", "endsAt": "2032-01-05T08:30:00Z" }],
            "page": { "limit": 200, "hasMore": false, "nextCursor": null },
        });
        let tokens = [
            clinic.fleet.token("staff", "staff"),
            clinic.doctor_token(doctor).await,
            clinic.doctor_token(other).await,
            clinic.patient_token(patient).await,
        ];
        for token in tokens {
            assert_eq!(clinic.get_as(&token, &path).await.json(), expected);
        }
        let nobody = clinic.fleet.token("visitor", "somebody");
        problem(&clinic.get_as(&nobody, &path).await, 403, "forbidden");
    })
    .await;
}

#[tokio::test]
async fn ranges_that_cannot_be_are_400_and_unknown_doctors_404() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        for (query, says) in [
            ("", "from must be a day such as"),
            ("?from=2032-01-05", "to must be a day such as"),
            ("?to=2032-01-05", "from must be a day such as"),
            ("?from=2032-1-5&to=2032-01-06", "from must be a day"),
            (
                "?from=2032-01-05&to=2032-01-05",
                "to must be 1 to 31 days after from",
            ),
            (
                "?from=2032-01-05&to=2032-02-06",
                "to must be 1 to 31 days after from",
            ),
            (
                "?from=2032-01-05&to=2032-01-06&limit=3",
                "unknown field `limit`",
            ),
            ("?from=2032-01-05&to=2032-01-06&cursor=x", "cursor must be"),
        ] {
            let reply = clinic
                .get(&format!("/api/doctors/{doctor}/availability{query}"))
                .await;
            let said = problem(&reply, 400, "bad-request");
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{query}: {detail}");
        }
        let nobody = path(Uuid::new_v4(), day("2032-01-05"), day("2032-01-06"));
        problem(&clinic.get(&nobody).await, 404, "not-found");
    })
    .await;
}
