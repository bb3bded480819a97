//! What a doctor has before them.
//!
//! Both lists tell "no such doctor" and "not yours" from "no appointments" in their one statement:
//! the doctor is the outer side of a left join, so that a known doctor yields at least one row.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Appointment, PatientName, Status};
use crate::clinic::permissions::Access;
use crate::http::{
    page::{Cursor, Page, PageLimit, Position},
    problem::Error,
};

/// The most upcoming appointments on a page, and the default.
pub const UPCOMING_PAGE: u16 = 200;
/// The most appointments of today on a page, and the default.
pub const TODAY_PAGE: u16 = 100;

/// A place in a doctor's upcoming appointments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpcomingPosition(DateTime<Utc>, Uuid);

impl Position for UpcomingPosition {
    const LIST: &'static str = "appointments-upcoming";
}

/// A place in a doctor's day. The day belongs to it: a client that pages past midnight stays on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TodayPosition(NaiveDate, DateTime<Utc>, Uuid);

impl Position for TodayPosition {
    const LIST: &'static str = "appointments-today";
}

/// One row of a doctor's list; all but the day is absent where the doctor has no appointment.
pub(super) struct Row {
    pub(super) allowed: bool,
    pub(super) day: Option<NaiveDate>,
    pub(super) id: Option<Uuid>,
    pub(super) starts_at: Option<DateTime<Utc>>,
    pub(super) ends_at: Option<DateTime<Utc>>,
    pub(super) status: Option<Status>,
    pub(super) reason: Option<String>,
    pub(super) patient_id: Option<Uuid>,
    pub(super) patient_name: Option<String>,
}

impl Row {
    fn appointment(self) -> Option<Appointment> {
        Some(Appointment {
            id: self.id?,
            starts_at: self.starts_at?,
            ends_at: self.ends_at?,
            status: self.status?,
            reason: self.reason?,
            patient: PatientName {
                id: self.patient_id?,
                full_name: self.patient_name?,
            },
        })
    }
}

/// The doctor's live appointments that begin now or later, by start.
///
/// A page behind the first one goes on after its cursor alone, not after "now": what was still to
/// come when the reader began does not vanish because its time arrived while they read.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, [`Error::Forbidden`] where the schedule is not the
/// caller's to see, and the driver's.
pub async fn upcoming(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    doctor: Uuid,
    limit: PageLimit<UPCOMING_PAGE>,
    after: Option<&Cursor<UpcomingPosition>>,
) -> Result<Page<Appointment, UpcomingPosition>, Error> {
    let after = after.map(|Cursor(position)| position);
    let rows = sqlx::query_as!(
        Row,
        r#"
        select d.allowed as "allowed!", null::date as day,
               a.id as "id?", a.starts_at as "starts_at?", a.ends_at as "ends_at?",
               a.status as "status?: Status", a.reason as "reason?",
               a.patient_id as "patient_id?", a.patient_name as "patient_name?"
        from (
            select id, coalesce($5 or subject = $6 and active, false) as allowed
            from doctors
            where id = $1
        ) d
        left join lateral (
            select a.id, a.starts_at, a.ends_at, a.status, a.reason,
                   p.id as patient_id, p.full_name as patient_name
            from appointments a
            join patients p on p.id = a.patient_id
            where d.allowed
              and a.doctor_id = d.id
              and a.status in ('scheduled', 'confirmed', 'checked_in', 'in_progress')
              -- No id sorts before the nil one, so the first page includes what begins now.
              and (a.starts_at, a.id) > (
                  coalesce($2, now()),
                  coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid)
              )
            order by a.starts_at, a.id
            limit $4
        ) a on true
        order by a.starts_at, a.id
        limit $4
        "#,
        doctor,
        after.map(|position| position.0),
        after.map(|position| position.1),
        limit.rows(),
        access.all,
        access.doctor,
    )
    .fetch_all(db)
    .await?;
    page(rows, limit, |_, last| {
        UpcomingPosition(last.starts_at, last.id)
    })
}

/// Every appointment, whatever its status, that begins on the doctor's own day in the doctor's
/// own time zone: today, or the day of the cursor.
///
/// The index is searched from a day before to a day after, and the calendar decides within:
/// midnight may come twice or not at all where clocks change at midnight.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, [`Error::Forbidden`] where the schedule is not the
/// caller's to see, and the driver's.
pub async fn today(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    doctor: Uuid,
    after: Option<&Cursor<TodayPosition>>,
) -> Result<Page<Appointment, TodayPosition>, Error> {
    let limit = PageLimit::<TODAY_PAGE>::default();
    let after = after.map(|Cursor(position)| position);
    let rows = sqlx::query_as!(
        Row,
        r#"
        select d.allowed as "allowed!", d.day as "day?",
               a.id as "id?", a.starts_at as "starts_at?", a.ends_at as "ends_at?",
               a.status as "status?: Status", a.reason as "reason?",
               a.patient_id as "patient_id?", a.patient_name as "patient_name?"
        from (
            select id, time_zone, coalesce($2, (now() at time zone time_zone)::date) as day,
                   coalesce($6 or subject = $7 and active, false) as allowed
            from doctors
            where id = $1
        ) d
        left join lateral (
            select a.id, a.starts_at, a.ends_at, a.status, a.reason,
                   p.id as patient_id, p.full_name as patient_name
            from appointments a
            join patients p on p.id = a.patient_id
            where d.allowed
              and a.doctor_id = d.id
              and a.starts_at >= (d.day - 1)::timestamp at time zone d.time_zone
              and a.starts_at < (d.day + 2)::timestamp at time zone d.time_zone
              and (a.starts_at at time zone d.time_zone)::date = d.day
              and ($3::timestamptz is null or (a.starts_at, a.id) > ($3, $4::uuid))
            order by a.starts_at, a.id
            limit $5
        ) a on true
        order by a.starts_at, a.id
        limit $5
        "#,
        doctor,
        after.map(|position| position.0),
        after.map(|position| position.1),
        after.map(|position| position.2),
        limit.rows(),
        access.all,
        access.doctor,
    )
    .fetch_all(db)
    .await?;
    page(rows, limit, |day, last| {
        TodayPosition(day, last.starts_at, last.id)
    })
}

/// The rows' page. There is at least the doctor's own row, unless there is no such doctor.
pub(super) fn page<const MAX: u16, P>(
    rows: Vec<Row>,
    limit: PageLimit<MAX>,
    position: impl Fn(NaiveDate, &Appointment) -> P,
) -> Result<Page<Appointment, P>, Error> {
    let first = rows.first().ok_or(Error::NotFound("doctor"))?;
    if !first.allowed {
        return Err(Error::Forbidden);
    }
    let day = first.day.unwrap_or_default();
    let appointments = rows.into_iter().filter_map(Row::appointment).collect();
    Ok(Page::new(appointments, limit, |last| position(day, last)))
}
