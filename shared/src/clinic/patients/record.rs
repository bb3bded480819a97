//! One patient, whole.

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::clinic::permissions::Access;

/// A patient, as staff, they themselves and their doctors see them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Patient {
    /// The patient's id.
    pub id: Uuid,
    /// The patient's name.
    pub full_name: String,
    /// A phone number, as it was written down.
    pub phone: Option<String>,
    /// An email address.
    pub email: Option<String>,
    /// The day they were born.
    pub date_of_birth: Option<NaiveDate>,
    /// The subject of the patient's tokens, or null; absent unless the caller is staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Option<String>>,
}

/// The patient with this id, if `access` reaches them. A doctor's reaches those who have or had an
/// appointment with that doctor.
///
/// # Errors
/// The driver's.
pub async fn find(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    id: Uuid,
) -> sqlx::Result<Option<Patient>> {
    let row = sqlx::query!(
        "
        select p.id, p.full_name, p.phone, p.email, p.date_of_birth, p.subject
        from patients p
        where p.id = $1
          and (
              $2
              or p.subject = $3
              or exists (
                  select from appointments a
                  join doctors d on d.id = a.doctor_id
                  where a.patient_id = p.id and d.subject = $4 and d.active
              )
          )
        limit 1
        ",
        id,
        access.all,
        access.patient,
        access.doctor,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Patient {
        id: row.id,
        full_name: row.full_name,
        phone: row.phone,
        email: row.email,
        date_of_birth: row.date_of_birth,
        subject: access.all.then_some(row.subject),
    }))
}
