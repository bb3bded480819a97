//! Who can be visited.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::http::page::{Cursor, Page, PageLimit, Position};

/// The most doctors on a page, and the default.
pub const DOCTORS_PAGE: u16 = 100;

/// A doctor as the list shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Doctor {
    /// The doctor's id.
    pub id: Uuid,
    /// The doctor's name.
    pub full_name: String,
    /// What they are a doctor of.
    pub specialty: String,
    /// The IANA time zone in which their day begins and ends.
    pub time_zone: String,
}

/// A place in the list of doctors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoctorPosition(String, Uuid);

impl Position for DoctorPosition {
    const LIST: &'static str = "doctors";
}

/// Which doctors to list. An absent part asks for all.
#[derive(Clone, Debug, Default)]
pub struct DoctorFilter {
    /// The specialty, whole, in any case.
    pub specialty: Option<String>,
    /// A part of the name, in any case.
    pub name: Option<String>,
}

/// The active doctors that fit, by name.
///
/// # Errors
/// The driver's.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: &DoctorFilter,
    limit: PageLimit<DOCTORS_PAGE>,
    after: Option<&Cursor<DoctorPosition>>,
) -> sqlx::Result<Page<Doctor, DoctorPosition>> {
    let after = after.map(|Cursor(position)| position);
    let rows = sqlx::query_as!(
        Doctor,
        r#"
        select id, full_name, specialty, time_zone
        from doctors
        where active
          and ($1::text is null or lower(specialty) = lower($1))
          and ($2::text is null or strpos(lower(full_name), lower($2)) > 0)
          and ($3::text is null or (full_name, id) > ($3, $4::uuid))
        order by full_name, id
        limit $5
        "#,
        filter.specialty.as_deref(),
        filter.name.as_deref(),
        after.map(|position| position.0.as_str()),
        after.map(|position| position.1),
        limit.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(Page::new(rows, limit, |last| {
        DoctorPosition(last.full_name.clone(), last.id)
    }))
}
