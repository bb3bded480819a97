//! A doctor's figures: counted by hand, and counted by another way.

use chrono::{DateTime, Utc};
use fleet::sample::{self, FIRST_DOCTOR, Size};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::support::clinic::{Clinic, problem, run_test};

/// Books as the administrator: doctor, patient, the moments, the status.
async fn book(
    clinic: &mut Clinic,
    doctor: Uuid,
    patient: Uuid,
    from: &str,
    to: &str,
    status: &str,
) {
    sqlx::query(
        "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status)
         values ($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5)",
    )
    .bind(doctor)
    .bind(patient)
    .bind(from)
    .bind(to)
    .bind(status)
    .execute(&mut clinic.admin)
    .await
    .unwrap();
}

fn by_status(counts: &[(&str, i64)]) -> Value {
    let mut all = json!({
        "scheduled": 0, "confirmed": 0, "checked_in": 0, "in_progress": 0,
        "completed": 0, "cancelled": 0, "no_show": 0,
    });
    for (status, count) in counts {
        all[*status] = (*count).into();
    }
    all
}

#[tokio::test]
async fn the_figures_of_three_days_are_those_counted_by_hand() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "Europe/Berlin").await;
        let other = clinic.doctor("B", "Europe/Berlin").await;
        // On the third day clocks go from 02:00 to 03:00: it has 180 minutes of work instead of 240.
        clinic.works(doctor, &[("01:00", "05:00")]).await;
        let mut patients = Vec::new();
        for name in [
            "new",
            "cancelled before",
            "missed it",
            "never came",
            "known to B",
            "later",
        ] {
            patients.push(clinic.patient(name).await);
        }
        for (doctor, patient, from, to, status) in [
            // Before: what makes a patient a known one, and what does not.
            (
                other,
                1,
                "2024-01-01 10:00Z",
                "2024-01-01 10:30Z",
                "cancelled",
            ),
            (
                other,
                4,
                "2024-01-01 10:00Z",
                "2024-01-01 10:30Z",
                "completed",
            ),
            // The last quarter of an hour before the first day, and the first one after the last.
            (
                doctor,
                5,
                "2025-03-27 22:45Z",
                "2025-03-27 23:00Z",
                "completed",
            ),
            (
                doctor,
                5,
                "2025-03-30 22:00Z",
                "2025-03-30 22:15Z",
                "completed",
            ),
            // Another doctor's.
            (
                other,
                0,
                "2025-03-29 02:00Z",
                "2025-03-29 02:30Z",
                "completed",
            ),
            // 01:00, the first of the hours; 04:45, until a quarter of an hour after them; 02:00.
            (
                doctor,
                0,
                "2025-03-28 00:00Z",
                "2025-03-28 00:30Z",
                "completed",
            ),
            (
                doctor,
                1,
                "2025-03-28 03:45Z",
                "2025-03-28 04:15Z",
                "completed",
            ),
            (
                doctor,
                2,
                "2025-03-28 01:00Z",
                "2025-03-28 01:30Z",
                "no_show",
            ),
            // 01:30, in the time off; 10:00.
            (
                doctor,
                0,
                "2025-03-29 00:30Z",
                "2025-03-29 01:00Z",
                "scheduled",
            ),
            (
                doctor,
                3,
                "2025-03-29 09:00Z",
                "2025-03-29 09:30Z",
                "cancelled",
            ),
            // 03:00, when it is summer; 23:00, after the hours.
            (
                doctor,
                1,
                "2025-03-30 01:00Z",
                "2025-03-30 02:00Z",
                "confirmed",
            ),
            (
                doctor,
                4,
                "2025-03-30 21:00Z",
                "2025-03-30 21:45Z",
                "checked_in",
            ),
        ] {
            book(clinic, doctor, patients[patient], from, to, status).await;
        }
        // An hour of it lies in working hours.
        clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
                 select id, '2025-03-28 22:00Z', '2025-03-29 01:00Z' from doctors where full_name = 'A'",
            )
            .await;
        // The next gap is behind it, whenever this test runs.
        clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
                 select id, now() - interval '1 hour', now() + interval '5 days' from doctors where full_name = 'A'",
            )
            .await;
        let days: String = sqlx::query_scalar(
            "select 'from=' || today || '&to=' || today + 31
             from (select (now() at time zone 'Europe/Berlin')::date as today) d",
        )
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
        let free = clinic
            .get(&format!("/api/doctors/{doctor}/availability?{days}"))
            .await
            .json();
        let gap = &free["data"][0];
        assert!(gap["startsAt"].is_string(), "{free}");

        let path = format!("/api/doctors/{doctor}/dashboard?from=2025-03-28&to=2025-03-31");
        let reply = clinic.get(&path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.json(),
            json!({
                "from": "2025-03-28",
                "to": "2025-03-31",
                "timeZone": "Europe/Berlin",
                "appointments": {
                    "total": 7,
                    "byStatus": by_status(&[
                        ("scheduled", 1), ("confirmed", 1), ("checked_in", 1), ("completed", 2),
                        ("cancelled", 1), ("no_show", 1),
                    ]),
                },
                "perDay": [
                    { "date": "2025-03-28", "total": 3, "byStatus": by_status(&[("completed", 2), ("no_show", 1)]) },
                    { "date": "2025-03-29", "total": 2, "byStatus": by_status(&[("scheduled", 1), ("cancelled", 1)]) },
                    { "date": "2025-03-30", "total": 2, "byStatus": by_status(&[("confirmed", 1), ("checked_in", 1)]) },
                ],
                "perHour": [
                    { "hour": 1, "total": 2, "byStatus": by_status(&[("completed", 1), ("scheduled", 1)]) },
                    { "hour": 2, "total": 1, "byStatus": by_status(&[("no_show", 1)]) },
                    { "hour": 3, "total": 1, "byStatus": by_status(&[("confirmed", 1)]) },
                    { "hour": 4, "total": 1, "byStatus": by_status(&[("completed", 1)]) },
                    { "hour": 10, "total": 1, "byStatus": by_status(&[("cancelled", 1)]) },
                    { "hour": 23, "total": 1, "byStatus": by_status(&[("checked_in", 1)]) },
                ],
                // 240 + 240 + 180.
                "workingMinutes": 660,
                "timeOffMinutes": 60,
                // 30 + 30 + 30 + 60 + 45, of which 30 + 15 + 60 in working hours that are not time off.
                "bookedMinutes": 195,
                "freeMinutes": 495,
                "utilisation": 0.175,
                "noShowRate": 0.3333,
                "patients": { "new": 2, "returning": 1 },
                "nextGap": gap,
            })
        );
    }).await;
}

#[tokio::test]
async fn a_doctor_without_anything_has_zeros_and_no_rates() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "Pacific/Auckland").await;
        let path = format!("/api/doctors/{doctor}/dashboard?from=2024-01-01&to=2025-01-01");
        assert_eq!(
            clinic.get(&path).await.json(),
            json!({
                "from": "2024-01-01",
                "to": "2025-01-01",
                "timeZone": "Pacific/Auckland",
                "appointments": { "total": 0, "byStatus": by_status(&[]) },
                "perDay": [],
                "perHour": [],
                "workingMinutes": 0,
                "timeOffMinutes": 0,
                "bookedMinutes": 0,
                "freeMinutes": 0,
                "utilisation": null,
                "noShowRate": null,
                "patients": { "new": 0, "returning": 0 },
                "nextGap": null,
            })
        );
    })
    .await;
}

/// The same figures, each by the plainest statement there is: days and hours as texts, minutes one by
/// one, patients by their whole history.
async fn plainly(clinic: &mut PgConnection, doctor: Uuid, from: &str, to: &str) -> Value {
    let Json(figures): Json<Value> = sqlx::query_scalar(
        "with mine as (
             select a.*, to_char(starts_at at time zone time_zone, 'YYYY-MM-DD') as day,
                    to_char(starts_at at time zone time_zone, 'FMHH24') as hour
             from appointments a join doctors d on d.id = a.doctor_id
             where d.id = $1
         ), ranged as (
             select * from mine where day >= $2 and day < $3
         ), minute as (
             select m, to_char(m at time zone time_zone, 'YYYY-MM-DD') as day,
                    exists (
                        select from working_hours w
                        where w.doctor_id = d.id and w.weekday = to_char(m at time zone time_zone, 'ID')::int
                          and to_char(m at time zone time_zone, 'HH24:MI') >= to_char(w.opens, 'HH24:MI')
                          and to_char(m at time zone time_zone, 'HH24:MI') < to_char(w.closes, 'HH24:MI')
                    ) as works,
                    exists (select from time_off t where t.doctor_id = d.id and t.starts_at <= m and m < t.ends_at)
                        as away,
                    exists (
                        select from appointments a
                        where a.doctor_id = d.id and a.starts_at > m - interval '1 day' and a.starts_at <= m
                          and m < a.ends_at and a.status <> all ('{cancelled,no_show}')
                    ) as booked
             from doctors d,
                  generate_series(($2 || 'Z')::timestamptz - interval '1 day',
                                  ($3 || 'Z')::timestamptz + interval '1 day', interval '1 minute') m
             where d.id = $1
         ), patient as (
             select distinct patient_id as id from ranged where status <> all ('{cancelled,no_show}')
         )
         select json_build_object(
             'total', (select count(*) from ranged),
             'statuses', (select json_object_agg(status, n) from (select status, count(*) n from ranged group by 1) s),
             'days', (select json_object_agg(day, n) from (select day, count(*) n from ranged group by 1) s),
             'hours', (select json_object_agg(hour, n) from (select hour, count(*) n from ranged group by 1) s),
             'working', (select count(*) from minute where day >= $2 and day < $3 and works),
             'off', (select count(*) from minute where day >= $2 and day < $3 and works and away),
             'free', (select count(*) from minute where day >= $2 and day < $3 and works and not away and not booked),
             'booked', (select extract(epoch from sum(ends_at - starts_at))::int / 60 from ranged
                        where status <> all ('{cancelled,no_show}')),
             'patients', (select count(*) from patient),
             'returning', (
                 select count(*) from patient p
                 where exists (
                     select from appointments a
                     where a.patient_id = p.id and a.status <> all ('{cancelled,no_show}')
                       and a.starts_at < (select min(starts_at) from ranged r
                                          where r.patient_id = p.id and r.status <> all ('{cancelled,no_show}'))
                 )
             )
         )",
    )
    .bind(doctor)
    .bind(from)
    .bind(to)
    .fetch_one(clinic)
    .await
    .unwrap();
    figures
}

/// Of the dashboard, what [`plainly`] has, in its form.
fn comparable(dashboard: &Value) -> Value {
    let keyed = |list: &str, key: &str| -> Value {
        let rows = dashboard[list].as_array().unwrap().iter();
        let text = |row: &Value| match &row[key] {
            Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        rows.map(|row| (text(row), row["total"].clone())).collect()
    };
    let statuses = dashboard["appointments"]["byStatus"].as_object().unwrap();
    let statuses = statuses.iter().filter(|(_, count)| **count != 0);
    let number = |pointer: &str| dashboard.pointer(pointer).unwrap().as_i64().unwrap();
    json!({
        "total": number("/appointments/total"),
        "statuses": statuses.map(|(status, count)| (status.clone(), count.clone())).collect::<Value>(),
        "days": keyed("perDay", "date"),
        "hours": keyed("perHour", "hour"),
        "working": number("/workingMinutes"),
        "off": number("/timeOffMinutes"),
        "free": number("/freeMinutes"),
        "booked": number("/bookedMinutes"),
        "patients": number("/patients/new") + number("/patients/returning"),
        "returning": number("/patients/returning"),
    })
}

#[tokio::test]
async fn the_figures_of_a_sample_clinic_are_those_of_plain_statements() {
    run_test(Clinic::open(), async |clinic| {
        let now: DateTime<Utc> = "2026-03-11T14:07:00Z".parse().unwrap();
        sample::generate(&mut clinic.admin, Size::Small, 9, now, |_, _| {})
            .await
            .unwrap();
        // Hours that cut through visits and meet the change of clocks, and days off that begin and end
        // within them.
        clinic.sql("delete from working_hours").await;
        clinic
            .sql(
                "insert into working_hours (doctor_id, weekday, opens, closes)
                 select id, weekday, opens, closes
                 from doctors, generate_series(1, 6) weekday,
                      (values (time '01:10', time '03:20'), ('09:10', '12:00'), ('12:50', '16:40')) h (opens, closes)",
            )
            .await;
        clinic
            .sql(
                "insert into time_off (doctor_id, starts_at, ends_at)
                 select id, starts_at, starts_at + interval '30 hours 10 minutes'
                 from doctors,
                      generate_series(timestamptz '2025-10-01 11:20Z', '2026-04-20', interval '9 days') s (starts_at)",
            )
            .await;
        let doctors: Vec<(Uuid, String)> = sqlx::query_as(
            "select distinct on (time_zone) id, time_zone from doctors order by time_zone, id <> $1, id",
        )
        .bind(FIRST_DOCTOR)
        .fetch_all(&mut clinic.admin)
        .await
        .unwrap();
        assert!(doctors.len() >= 6);
        for (doctor, zone) in doctors {
            // Each with a change of clocks in some of the zones.
            for (from, to) in [("2025-10-20", "2025-11-10"), ("2026-02-27", "2026-04-08")] {
                let path = format!("/api/doctors/{doctor}/dashboard?from={from}&to={to}");
                let dashboard = clinic.get(&path).await.json();
                let expected = plainly(&mut clinic.admin, doctor, from, to).await;
                assert_eq!(comparable(&dashboard), expected, "{zone} {from}");
                assert!(expected["total"].as_i64().unwrap() > 5, "{expected}");
            }
        }
    }).await;
}

#[tokio::test]
async fn figures_are_for_staff_and_their_doctor() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("A", "UTC").await;
        let other = clinic.doctor("B", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        clinic
            .visits(doctor, patient, "'2025-01-01 09:00Z'", 3, "completed")
            .await;
        let path = format!("/api/doctors/{doctor}/dashboard?from=2025-01-01&to=2025-01-02");
        let staff = clinic.get(&path).await.json();
        let own = clinic.doctor_token(doctor).await;
        assert_eq!(clinic.get_as(&own, &path).await.json(), staff);
        for token in [
            clinic.doctor_token(other).await,
            clinic.patient_token(patient).await,
        ] {
            problem(&clinic.get_as(&token, &path).await, 403, "forbidden");
        }
        let nobody = path.replace(&doctor.to_string(), &Uuid::new_v4().to_string());
        problem(&clinic.get(&nobody).await, 404, "not-found");

        let base = format!("/api/doctors/{doctor}/dashboard");
        for (query, says) in [
            ("", "from must be a day such as"),
            ("?from=2025-01-01&to=2026-01-03", "1 to 366 days after from"),
        ] {
            let said = problem(
                &clinic.get(&format!("{base}{query}")).await,
                400,
                "bad-request",
            );
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains(says), "{query}: {detail}");
        }
        let whole = clinic
            .get(&format!("{base}?from=2024-01-01&to=2025-01-01"))
            .await;
        assert_eq!(whole.status, 200, "a leap year");
    })
    .await;
}
