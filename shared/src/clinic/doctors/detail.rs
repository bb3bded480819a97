//! One doctor, with the frame of their calendar.

use serde::Serialize;
use sqlx::{PgExecutor, types::Json};
use uuid::Uuid;

use super::{
    absence::TimeOff,
    working_hours::{MAX_HOURS, WorkingHours},
};
use crate::clinic::permissions::Access;

/// The most absences that a doctor is shown with, the next ones.
pub const TIME_OFF_SHOWN: u16 = 100;

/// A doctor, whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoctorDetail {
    /// The doctor's id.
    pub id: Uuid,
    /// The doctor's name.
    pub full_name: String,
    /// What they are a doctor of.
    pub specialty: String,
    /// The IANA time zone in which their day begins and ends.
    pub time_zone: String,
    /// Whether they take appointments.
    pub active: bool,
    /// How long an offered slot is, in minutes.
    pub slot_minutes: i32,
    /// An ordinary week, from Monday on.
    pub working_hours: Vec<WorkingHours>,
    /// Current and future time off by its start; absent unless the caller is staff or the doctor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_off: Option<Vec<TimeOff>>,
    /// Whether there are more of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_off_has_more: Option<bool>,
}

/// The doctor with this id; with their absences, if `absences` reaches them.
///
/// # Errors
/// The driver's.
pub async fn find(
    db: impl PgExecutor<'_>,
    absences: Option<&Access<'_>>,
    id: Uuid,
) -> sqlx::Result<Option<DoctorDetail>> {
    let row = sqlx::query!(
        r#"
        select d.id, d.full_name, d.specialty, d.time_zone, d.active, d.slot_minutes,
               (
                   select coalesce(
                       jsonb_agg(
                           jsonb_build_object(
                               'weekday', w.weekday,
                               'opens', to_char(w.opens, 'HH24:MI'),
                               'closes', to_char(w.closes, 'HH24:MI')
                           )
                           order by w.weekday, w.opens
                       ),
                       '[]'
                   )
                   from (
                       select weekday, opens, closes from working_hours
                       where doctor_id = d.id
                       order by weekday, opens
                       limit $5
                   ) w
               ) as "working_hours!: Json<Vec<WorkingHours>>",
               case when $2 or d.subject = $3 and d.active then (
                   select coalesce(
                       jsonb_agg(
                           jsonb_build_object(
                               'id', t.id,
                               'startsAt', t.starts_at,
                               'endsAt', t.ends_at,
                               'reason', t.reason
                           )
                           order by t.starts_at, t.id
                       ),
                       '[]'
                   )
                   from (
                       select id, starts_at, ends_at, reason from time_off
                       where doctor_id = d.id
                         and tstzrange(starts_at, ends_at, '[)') && tstzrange(now(), null, '[)')
                       order by starts_at, id
                       limit $4
                   ) t
               ) end as "time_off: Json<Vec<TimeOff>>"
        from doctors d
        where d.id = $1
        limit 1
        "#,
        id,
        absences.is_some_and(|absences| absences.all),
        absences.and_then(|absences| absences.doctor),
        i64::from(TIME_OFF_SHOWN) + 1,
        i64::from(MAX_HOURS),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let mut time_off = row.time_off.map(|Json(time_off)| time_off);
        let has_more = time_off.as_mut().map(|time_off| {
            let has_more = time_off.len() > TIME_OFF_SHOWN.into();
            time_off.truncate(TIME_OFF_SHOWN.into());
            has_more
        });
        DoctorDetail {
            id: row.id,
            full_name: row.full_name,
            specialty: row.specialty,
            time_zone: row.time_zone,
            active: row.active,
            slot_minutes: row.slot_minutes,
            working_hours: row.working_hours.0,
            time_off,
            time_off_has_more: has_more,
        }
    }))
}
