//! Who the caller is at the clinic: a token says no more than their subject and their roles.

use serde::Serialize;
use sqlx::PgExecutor;

use crate::{
    clinic::appointments::{DoctorName, PatientName},
    clinic::permissions::Access,
    http::auth::{Caller, Role},
};

/// The caller, with the ids by which the other routes know them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
pub struct Me {
    /// What their token says that they are.
    pub roles: Vec<Role>,
    /// The doctor that the caller is; absent if they are none, or have left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doctor: Option<DoctorName>,
    /// The patient that the caller is; absent if they are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<PatientName>,
}

/// Who the caller is.
///
/// # Errors
/// The driver's.
pub async fn find(
    db: impl PgExecutor<'_>,
    caller: &Caller,
    access: &Access<'_>,
) -> sqlx::Result<Me> {
    let row = sqlx::query!(
        r#"
        select d.id as "doctor_id?", d.full_name as "doctor_name?",
               p.id as "patient_id?", p.full_name as "patient_name?"
        from (select 1 as row) one
        left join doctors d on d.subject = $1 and d.active
        left join patients p on p.subject = $2
        limit 1
        "#,
        access.doctor,
        access.patient,
    )
    .fetch_one(db)
    .await?;
    let doctor = row.doctor_id.zip(row.doctor_name);
    let patient = row.patient_id.zip(row.patient_name);
    Ok(Me {
        roles: caller.roles().to_vec(),
        doctor: doctor.map(|(id, full_name)| DoctorName { id, full_name }),
        patient: patient.map(|(id, full_name)| PatientName { id, full_name }),
    })
}
