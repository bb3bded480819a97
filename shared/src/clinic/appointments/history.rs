//! Appointments of a range of days: a doctor's, and a patient's.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    Appointment, DoctorName, Status,
    lists::{self, Row},
};
use crate::clinic::permissions::Access;
use crate::http::{
    date_range::DateRange,
    page::{Cursor, Page, PageLimit, Position},
    problem::Error,
};

/// The most days of either list: a year, a leap year's too.
pub const HISTORY_DAYS: u16 = 366;
/// The most appointments on a page of a doctor's, and the default.
pub const DOCTOR_HISTORY_PAGE: u16 = 200;
/// The most appointments on a page of a patient's, and the default.
pub const PATIENT_HISTORY_PAGE: u16 = 100;

/// A place in a doctor's appointments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorHistoryPosition(DateTime<Utc>, Uuid);

impl Position for DoctorHistoryPosition {
    const LIST: &'static str = "doctor-appointments";
}

/// A place in a patient's appointments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatientHistoryPosition(DateTime<Utc>, Uuid);

impl Position for PatientHistoryPosition {
    const LIST: &'static str = "patient-appointments";
}

/// An appointment as a patient's list shows it: the doctor, and no notes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatientAppointment {
    /// The appointment's id.
    pub id: Uuid,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; this moment no longer belongs to it.
    pub ends_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// The reason for the visit, as given when it was booked.
    pub reason: String,
    /// Who is visited.
    pub doctor: DoctorName,
}

/// The doctor's appointments that begin on these days in the doctor's own time zone, of one status
/// or of all, by start.
///
/// As for a single day, the index is searched a day further on both sides, and the calendar decides
/// within.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, [`Error::Forbidden`] where the schedule is not the
/// caller's to see, and the driver's.
pub async fn of_doctor(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    doctor: Uuid,
    range: DateRange<HISTORY_DAYS>,
    status: Option<Status>,
    limit: PageLimit<DOCTOR_HISTORY_PAGE>,
    after: Option<&Cursor<DoctorHistoryPosition>>,
) -> Result<Page<Appointment, DoctorHistoryPosition>, Error> {
    let after = after.map(|Cursor(position)| position);
    let rows = sqlx::query_as!(
        Row,
        r#"
        select d.allowed as "allowed!", null::date as day,
               a.id as "id?", a.starts_at as "starts_at?", a.ends_at as "ends_at?",
               a.status as "status?: Status", a.reason as "reason?",
               a.patient_id as "patient_id?", p.full_name as "patient_name?"
        from (
            select id, time_zone, coalesce($8 or subject = $9 and active, false) as allowed
            from doctors
            where id = $1
        ) d
        left join lateral (
            select a.id, a.starts_at, a.ends_at, a.status, a.reason, a.patient_id
            from appointments a
            where d.allowed
              and a.doctor_id = d.id
              and a.starts_at >= ($2::date - 1)::timestamp at time zone d.time_zone
              and a.starts_at < ($3::date + 1)::timestamp at time zone d.time_zone
              and (a.starts_at at time zone d.time_zone)::date >= $2
              and (a.starts_at at time zone d.time_zone)::date < $3
              and ($4::text is null or a.status = $4)
              and ($5::timestamptz is null or (a.starts_at, a.id) > ($5, $6::uuid))
            order by a.starts_at, a.id
            limit $7
        ) a on true
        -- Behind the limit: no name is looked up that is not shown.
        left join patients p on p.id = a.patient_id
        order by a.starts_at, a.id
        limit $7
        "#,
        doctor,
        range.from(),
        range.to(),
        status as Option<Status>,
        after.map(|position| position.0),
        after.map(|position| position.1),
        limit.rows(),
        access.all,
        access.doctor,
    )
    .fetch_all(db)
    .await?;
    lists::page(rows, limit, |_, last| {
        DoctorHistoryPosition(last.starts_at, last.id)
    })
}

/// The patient's appointments that begin on these days in the clinic's time zone, by start: all of
/// them for staff and the patient, those with themselves for a doctor.
///
/// # Errors
/// [`Error::NotFound`] where there is no such patient or the caller may not know of them;
/// [`Error::InvalidConfiguration`] where the database does not know the clinic's time zone; and the
/// driver's.
pub async fn of_patient(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    patient: Uuid,
    range: DateRange<HISTORY_DAYS>,
    time_zone: &str,
    limit: PageLimit<PATIENT_HISTORY_PAGE>,
    after: Option<&Cursor<PatientHistoryPosition>>,
) -> Result<Page<PatientAppointment, PatientHistoryPosition>, Error> {
    let after = after.map(|Cursor(position)| position);
    let rows = sqlx::query!(
        r#"
        select a.id as "id?", a.starts_at as "starts_at?", a.ends_at as "ends_at?",
               a.status as "status?: Status", a.reason as "reason?",
               a.doctor_id as "doctor_id?", a.doctor_name as "doctor_name?"
        from (
            select p.id, coalesce($8 or p.subject = $9, false) as whole
            from patients p
            where p.id = $1
        ) p
        left join lateral (
            select a.id, a.starts_at, a.ends_at, a.status, a.reason,
                   d.id as doctor_id, d.full_name as doctor_name
            from appointments a
            join doctors d on d.id = a.doctor_id
            where a.patient_id = p.id
              and (p.whole or d.subject = $10 and d.active)
              and a.starts_at >= ($2::date - 1)::timestamp at time zone $4
              and a.starts_at < ($3::date + 1)::timestamp at time zone $4
              and (a.starts_at at time zone $4)::date >= $2
              and (a.starts_at at time zone $4)::date < $3
              and ($5::timestamptz is null or (a.starts_at, a.id) > ($5, $6::uuid))
            order by a.starts_at, a.id
            limit $7
        ) a on true
        -- A doctor knows whoever is on their schedule, on other days too.
        where p.whole or exists (
            select from appointments known
            join doctors d on d.id = known.doctor_id
            where known.patient_id = p.id and d.subject = $10 and d.active
        )
        order by a.starts_at, a.id
        limit $7
        "#,
        patient,
        range.from(),
        range.to(),
        time_zone,
        after.map(|position| position.0),
        after.map(|position| position.1),
        limit.rows(),
        access.all,
        access.patient,
        access.doctor,
    )
    .fetch_all(db)
    .await?;
    if rows.is_empty() {
        return Err(Error::NotFound("patient"));
    }
    let appointments = rows.into_iter().filter_map(|row| {
        Some(PatientAppointment {
            id: row.id?,
            starts_at: row.starts_at?,
            ends_at: row.ends_at?,
            status: row.status?,
            reason: row.reason?,
            doctor: DoctorName {
                id: row.doctor_id?,
                full_name: row.doctor_name?,
            },
        })
    });
    Ok(Page::new(appointments.collect(), limit, |last| {
        PatientHistoryPosition(last.starts_at, last.id)
    }))
}
