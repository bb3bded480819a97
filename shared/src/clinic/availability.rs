//! When a doctor can be visited.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::http::{
    date_range::DateRange,
    page::{Cursor, Page, PageLimit, Position},
    problem::Error,
};

/// The most free slots on a page.
pub const AVAILABILITY_PAGE: u16 = 200;
/// The most days to look for free slots at once: a month.
pub const AVAILABILITY_DAYS: u16 = 31;

/// A time of the doctor's usual length that can be booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; this moment no longer belongs to it.
    pub ends_at: DateTime<Utc>,
}

/// A place among a doctor's free slots, of which no two begin together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotPosition(DateTime<Utc>);

impl Position for SlotPosition {
    const LIST: &'static str = "availability";
}

/// The doctor's free slots on these days in the doctor's own time zone, from now on, by start.
/// Working hours follow the doctor's clock, a slot has its real minutes: an hour that clocks leave
/// out holds none, one that they go through twice holds those of both.
///
/// The schema's `free_slots` has the definition, which the dashboard's next gap shares.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, and the driver's.
pub async fn free(
    db: impl PgExecutor<'_>,
    doctor: Uuid,
    range: DateRange<AVAILABILITY_DAYS>,
    after: Option<&Cursor<SlotPosition>>,
) -> Result<Page<Slot, SlotPosition>, Error> {
    let limit = PageLimit::<AVAILABILITY_PAGE>::default();
    let rows = sqlx::query!(
        r#"
        select s.starts_at as "starts_at?", s.ends_at as "ends_at?"
        from doctors d
        left join lateral (
            select f.starts_at, f.ends_at
            from free_slots(d.id, $2, $3) f
            where f.starts_at >= now() and ($4::timestamptz is null or f.starts_at > $4)
            order by f.starts_at
            limit $5
        ) s on true
        where d.id = $1
        order by s.starts_at
        limit $5
        "#,
        doctor,
        range.from(),
        range.to(),
        after.map(|Cursor(position)| position.0),
        limit.rows(),
    )
    .fetch_all(db)
    .await?;
    // There is at least the doctor's own row, unless there is no such doctor.
    if rows.is_empty() {
        return Err(Error::NotFound("doctor"));
    }
    let slots = rows.into_iter().filter_map(|row| {
        Some(Slot {
            starts_at: row.starts_at?,
            ends_at: row.ends_at?,
        })
    });
    Ok(Page::new(slots.collect(), limit, |last| {
        SlotPosition(last.starts_at)
    }))
}
