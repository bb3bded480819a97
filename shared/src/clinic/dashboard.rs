//! A doctor's figures over a range of days.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, types::Json};
use uuid::Uuid;

use crate::{
    clinic::availability::Slot,
    clinic::permissions::Access,
    http::{date_range::DateRange, problem::Error},
};

/// The most days of a dashboard: a year, a leap year's too.
pub const DASHBOARD_DAYS: u16 = 366;

/// What became of a doctor's time. An appointment belongs to the day on which it begins, in the
/// doctor's own time zone. Cancelled appointments and those whose patient did not come are counted,
/// and take no time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// The first day.
    pub from: NaiveDate,
    /// The day after the last one.
    pub to: NaiveDate,
    /// The doctor's time zone, an IANA name.
    pub time_zone: String,
    /// All appointments.
    pub appointments: Counts,
    /// The days that have any, in order.
    pub per_day: Vec<DayCounts>,
    /// The hours of the day, 0 to 23, that have any, in order.
    pub per_hour: Vec<HourCounts>,
    /// The minutes of working hours, by the weeks as they are now, time off included.
    pub working_minutes: i64,
    /// Of those, the minutes of time off.
    pub time_off_minutes: i64,
    /// The minutes of the appointments that take time, also of those outside working hours.
    pub booked_minutes: i64,
    /// The working minutes that are neither time off nor booked.
    pub free_minutes: i64,
    /// The share of working minutes outside time off that is booked, 0 to 1; null if there are none.
    pub utilisation: Option<f64>,
    /// Of the appointments that took place or were missed, the share that was missed, 0 to 1; null if
    /// there are none.
    pub no_show_rate: Option<f64>,
    /// The patients of the appointments that take time.
    pub patients: Patients,
    /// The next free slot from now on, whatever the range; null if there is none within a month.
    pub next_gap: Option<Slot>,
}

/// How many appointments there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Of every status.
    pub total: i64,
    /// Of each.
    pub by_status: StatusCounts,
}

/// The number of appointments of each status.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "`Status` says what each means")]
pub struct StatusCounts {
    pub scheduled: i64,
    pub confirmed: i64,
    pub checked_in: i64,
    pub in_progress: i64,
    pub completed: i64,
    pub cancelled: i64,
    pub no_show: i64,
}

/// A day's appointments.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct DayCounts {
    /// The day.
    pub date: NaiveDate,
    /// Its appointments.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The appointments of an hour of the day, over all days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct HourCounts {
    /// The hour in which they begin, 0 to 23.
    pub hour: i32,
    /// Its appointments.
    #[serde(flatten)]
    pub counts: Counts,
}

/// How many patients there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct Patients {
    /// Those whose first appointment at the clinic, with any doctor, is among these.
    /// Appointments that were cancelled or missed do not make a patient a known one.
    pub new: i64,
    /// The others.
    pub returning: i64,
}

/// The doctor's figures on these days in the doctor's own time zone.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, [`Error::Forbidden`] where the schedule is not the
/// caller's to see, and the driver's.
pub async fn of_doctor(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    doctor: Uuid,
    range: DateRange<DASHBOARD_DAYS>,
) -> Result<Dashboard, Error> {
    let row = sqlx::query!(
        r#"
        with doctor as (
            select id, time_zone, coalesce($4 or subject = $5 and active, false) as allowed
            from doctors
            where id = $1
        ),
        visit as (
            select a.patient_id, a.starts_at, a.ends_at, a.status, l.local::date as date,
                   extract(hour from l.local)::int as hour,
                   a.status not in ('cancelled', 'no_show') as takes_time
            from doctor d
            join appointments a on a.doctor_id = d.id
            cross join lateral (select a.starts_at at time zone d.time_zone as local) l
            where d.allowed
              and a.starts_at >= ($2::date - 1)::timestamp at time zone d.time_zone
              and a.starts_at < ($3::date + 1)::timestamp at time zone d.time_zone
              and l.local >= $2
              and l.local < $3
        ),
        -- Three ways to add them up, in one pass: all, by day, by hour.
        figures as (
            select grouping(date, hour) as kept, date, hour, count(*) as total,
                   json_build_object(
                       'scheduled', count(*) filter (where status = 'scheduled'),
                       'confirmed', count(*) filter (where status = 'confirmed'),
                       'checked_in', count(*) filter (where status = 'checked_in'),
                       'in_progress', count(*) filter (where status = 'in_progress'),
                       'completed', count(*) filter (where status = 'completed'),
                       'cancelled', count(*) filter (where status = 'cancelled'),
                       'no_show', count(*) filter (where status = 'no_show')
                   ) as by_status,
                   round(sum(extract(epoch from ends_at - starts_at)) filter (where takes_time) / 60)::bigint
                       as booked_minutes,
                   round(
                       count(*) filter (where status = 'no_show')::numeric
                           / nullif(count(*) filter (where status in ('no_show', 'completed')), 0),
                       4
                   )::float8 as no_show_rate
            from visit
            group by grouping sets ((), (date), (hour))
        ),
        -- Once, not once for each figure.
        calendar as materialized (
            select (select range_agg(w.period) from working_periods(d.id, $2, $3) w) as working,
                   coalesce((
                       select range_agg(tstzrange(t.starts_at, t.ends_at, '[)'))
                       from time_off t
                       where t.doctor_id = d.id
                         and tstzrange(t.starts_at, t.ends_at, '[)') && around.period
                   ), '{}') as away,
                   coalesce((
                       select range_agg(tstzrange(a.starts_at, a.ends_at, '[)'))
                       from appointments a
                       where a.doctor_id = d.id
                         and tstzrange(a.starts_at, a.ends_at, '[)') && around.period
                         and a.status not in ('cancelled', 'no_show')
                   ), '{}') as booked
            from doctor d
            cross join lateral (
                select tstzrange(
                    ($2::date - 1)::timestamp at time zone 'UTC', ($3::date + 1)::timestamp at time zone 'UTC', '[)'
                ) as period
            ) around
            where d.allowed
        ),
        minutes as (
            select coalesce(sum(length) filter (where part = 'working'), 0) as working,
                   coalesce(sum(length) filter (where part = 'present'), 0) as present,
                   coalesce(sum(length) filter (where part = 'free'), 0) as free
            from (
                select part.name as part, extract(epoch from upper(p.period) - lower(p.period)) / 60 as length
                from calendar c
                cross join lateral (
                    values ('working', c.working),
                           ('present', c.working - c.away),
                           ('free', c.working - c.away - c.booked)
                ) part (name, periods)
                cross join lateral (select unnest(part.periods) as period) p
            ) lengths
        ),
        people as (
            select count(*) as total, count(*) filter (where earliest.starts_at >= here.starts_at) as new
            from (
                select patient_id, min(starts_at) as starts_at from visit where takes_time group by patient_id
            ) here
            cross join lateral (
                select a.starts_at
                from appointments a
                where a.patient_id = here.patient_id and a.status not in ('cancelled', 'no_show')
                order by a.starts_at
                limit 1
            ) earliest
        )
        select d.allowed as "allowed!", d.time_zone,
               f.total as "total!", f.by_status as "by_status!: Json<StatusCounts>",
               (
                   select coalesce(json_agg(
                       json_build_object('date', f.date, 'total', f.total, 'byStatus', f.by_status) order by f.date
                   ), '[]')
                   from figures f
                   where f.kept = 1
               ) as "per_day!: Json<Vec<DayCounts>>",
               (
                   select coalesce(json_agg(
                       json_build_object('hour', f.hour, 'total', f.total, 'byStatus', f.by_status) order by f.hour
                   ), '[]')
                   from figures f
                   where f.kept = 2
               ) as "per_hour!: Json<Vec<HourCounts>>",
               round(m.working)::bigint as "working_minutes!",
               round(m.working - m.present)::bigint as "time_off_minutes!",
               coalesce(f.booked_minutes, 0) as "booked_minutes!",
               round(m.free)::bigint as "free_minutes!",
               round(1 - m.free / nullif(m.present, 0), 4)::float8 as utilisation,
               f.no_show_rate,
               p.new as "new_patients!", p.total - p.new as "returning_patients!",
               gap.starts_at as "gap_starts_at?", gap.ends_at as "gap_ends_at?"
        from doctor d
        cross join figures f
        cross join minutes m
        cross join people p
        left join lateral (
            select s.starts_at, s.ends_at
            from (select (now() at time zone d.time_zone)::date as date) today
            cross join free_slots(d.id, today.date, today.date + 31) s
            where d.allowed and s.starts_at >= now()
            order by s.starts_at
            limit 1
        ) gap on true
        where f.kept = 3
        limit 1
        "#,
        doctor,
        range.from(),
        range.to(),
        access.all,
        access.doctor,
    )
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound("doctor"))?;
    if !row.allowed {
        return Err(Error::Forbidden);
    }
    let gap = |starts_at: DateTime<Utc>| {
        let ends_at = row.gap_ends_at?;
        Some(Slot { starts_at, ends_at })
    };
    Ok(Dashboard {
        from: range.from(),
        to: range.to(),
        time_zone: row.time_zone,
        appointments: Counts {
            total: row.total,
            by_status: row.by_status.0,
        },
        per_day: row.per_day.0,
        per_hour: row.per_hour.0,
        working_minutes: row.working_minutes,
        time_off_minutes: row.time_off_minutes,
        booked_minutes: row.booked_minutes,
        free_minutes: row.free_minutes,
        utilisation: row.utilisation,
        no_show_rate: row.no_show_rate,
        patients: Patients {
            new: row.new_patients,
            returning: row.returning_patients,
        },
        next_gap: row.gap_starts_at.and_then(gap),
    })
}
