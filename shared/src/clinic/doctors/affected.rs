//! Appointments that a change of the frame leaves outside it. The change is made all the same: it
//! says whom to call, and whether to move anything is for people to decide.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::clinic::appointments::{PatientName, Status};

/// The most appointments that a change lists.
pub const AFFECTED_SHOWN: u16 = 200;
/// By one more it is known whether there are more.
const SHOWN_AND_ONE_MORE: i64 = AFFECTED_SHOWN as i64 + 1;

/// A live appointment that is not over, outside the frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AffectedAppointment {
    /// The appointment's id.
    pub id: Uuid,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over.
    pub ends_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// Who comes.
    pub patient: PatientName,
}

/// Some of them, by their beginning.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Affected {
    /// The first ones.
    affected_appointments: Vec<AffectedAppointment>,
    /// Whether there are more.
    affected_appointments_has_more: bool,
}

impl Affected {
    fn new(rows: Vec<Row>) -> Self {
        let appointments = rows.into_iter().map(|row| AffectedAppointment {
            id: row.id,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            status: row.status,
            patient: PatientName {
                id: row.patient_id,
                full_name: row.patient_name,
            },
        });
        let mut affected: Vec<AffectedAppointment> = appointments.collect();
        let affected_appointments_has_more = affected.len() > AFFECTED_SHOWN.into();
        affected.truncate(AFFECTED_SHOWN.into());
        Self {
            affected_appointments: affected,
            affected_appointments_has_more,
        }
    }

    /// Whose data this is.
    pub(super) fn patients(&self) -> Vec<Uuid> {
        self.affected_appointments
            .iter()
            .map(|visit| visit.patient.id)
            .collect()
    }
}

struct Row {
    id: Uuid,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    status: Status,
    patient_id: Uuid,
    patient_name: String,
}

/// What lies outside the doctor's working hours as they are now, by the rule that bookings follow.
pub(super) async fn of_the_week(db: impl PgExecutor<'_>, doctor: Uuid) -> sqlx::Result<Affected> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        with live as materialized (
            select a.id, a.patient_id, a.starts_at, a.ends_at, a.status,
                   (a.starts_at at time zone d.time_zone)::date - now()::date as days_ahead
            from appointments a
            join doctors d on d.id = a.doctor_id
            where a.doctor_id = $1
              and a.status in ('scheduled', 'confirmed', 'checked_in', 'in_progress')
              and tstzrange(a.starts_at, a.ends_at, '[)') && tstzrange(now(), null, '[)')
        ),
        -- For each year that has an appointment, and the day behind it: an appointment may go on past midnight.
        hours as materialized (
            select range_agg(w.period) as working
            from (select distinct floor(days_ahead / 365.0)::integer as number from live) year,
                 lateral (select now()::date + 365 * year.number as begins) first_day,
                 working_periods($1, first_day.begins, first_day.begins + 366) w
        )
        select a.id, a.starts_at, a.ends_at, a.status as "status: Status",
               p.id as patient_id, p.full_name as patient_name
        from live a
        join patients p on p.id = a.patient_id
        cross join hours
        where not coalesce(hours.working @> tstzrange(a.starts_at, a.ends_at, '[)'), false)
        order by a.starts_at, a.id
        limit $2
        "#,
        doctor,
        SHOWN_AND_ONE_MORE,
    )
    .fetch_all(db)
    .await?;
    Ok(Affected::new(rows))
}

/// What an absence lies across.
pub(super) async fn in_an_absence(
    db: impl PgExecutor<'_>,
    doctor: Uuid,
    time_off: Uuid,
) -> sqlx::Result<Affected> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select a.id, a.starts_at, a.ends_at, a.status as "status: Status",
               p.id as patient_id, p.full_name as patient_name
        from appointments a
        join time_off t on t.doctor_id = a.doctor_id
        join patients p on p.id = a.patient_id
        where a.doctor_id = $1
          and t.id = $2
          and a.status in ('scheduled', 'confirmed', 'checked_in', 'in_progress')
          and tstzrange(a.starts_at, a.ends_at, '[)')
              && (tstzrange(t.starts_at, t.ends_at, '[)') * tstzrange(now(), null, '[)'))
        order by a.starts_at, a.id
        limit $3
        "#,
        doctor,
        time_off,
        SHOWN_AND_ONE_MORE,
    )
    .fetch_all(db)
    .await?;
    Ok(Affected::new(rows))
}
