//! One appointment, whole.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{PatientName, Status};
use crate::clinic::permissions::Access;

/// An appointment, as its doctor, its patient and staff see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AppointmentDetail {
    /// The appointment's id.
    pub id: Uuid,
    /// Who is visited.
    pub doctor: DoctorName,
    /// Who comes.
    pub patient: PatientName,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; this moment no longer belongs to it.
    pub ends_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// The reason for the visit, as given when it was booked.
    pub reason: String,
    /// Clinical notes; absent if the caller may not see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Why it was cancelled, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<String>,
    /// When it was booked.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// A doctor, as far as an appointment shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoctorName {
    /// The doctor's id.
    pub id: Uuid,
    /// The doctor's name.
    pub full_name: String,
}

/// The appointment with this id, if `access` reaches it; its notes, if `notes` does.
///
/// # Errors
/// The driver's.
pub async fn find(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    notes: Option<&Access<'_>>,
    id: Uuid,
) -> sqlx::Result<Option<AppointmentDetail>> {
    let row = sqlx::query!(
        r#"
        select a.id, a.starts_at, a.ends_at, a.status as "status: Status", a.reason,
               case when $5 or d.subject = $6 and d.active then a.notes end as notes,
               a.cancel_reason, a.created_at, a.updated_at,
               d.id as doctor_id, d.full_name as doctor_name,
               p.id as patient_id, p.full_name as patient_name
        from appointments a
        join doctors d on d.id = a.doctor_id
        join patients p on p.id = a.patient_id
        where a.id = $1 and ($2 or d.subject = $3 and d.active or p.subject = $4)
        limit 1
        "#,
        id,
        access.all,
        access.doctor,
        access.patient,
        notes.is_some_and(|notes| notes.all),
        notes.and_then(|notes| notes.doctor),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| AppointmentDetail {
        id: row.id,
        doctor: DoctorName {
            id: row.doctor_id,
            full_name: row.doctor_name,
        },
        patient: PatientName {
            id: row.patient_id,
            full_name: row.patient_name,
        },
        starts_at: row.starts_at,
        ends_at: row.ends_at,
        status: row.status,
        reason: row.reason,
        notes: row.notes,
        cancel_reason: row.cancel_reason,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }))
}
