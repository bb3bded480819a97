//! When a doctor is away although the week says otherwise.

use chrono::{DateTime, TimeDelta, Utc};
use lambda_http::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    affected::{self, Affected},
    lock::lock_schedule,
};
use crate::{
    clinic::period::Period,
    clinic::permissions::Access,
    database::transaction::{Change, Transaction},
    http::{idempotency::Repeatable, problem::Error, response::Answer, text::Text},
};

/// The longest absence: some five years. Longer ones are slips of the pen.
const LONGEST: TimeDelta = TimeDelta::days(1830);

/// One absence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TimeOff {
    /// The absence's id.
    pub id: Uuid,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; this moment no longer belongs to it.
    pub ends_at: DateTime<Utc>,
    /// Why, for staff and the doctor.
    pub reason: String,
}

/// A new one, as clients write it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeOffDraft {
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; at most 1830 days later.
    pub ends_at: DateTime<Utc>,
    /// Why; at most 500 characters.
    #[serde(default)]
    pub reason: Text<0, 500>,
}

/// Adds an absence for a caller.
#[derive(Clone, Copy, Debug)]
pub struct AddTimeOff<'a> {
    /// Whose.
    pub doctor: Uuid,
    /// When and why.
    pub draft: &'a TimeOffDraft,
    /// Whose frame they may change.
    pub access: Access<'a>,
}

/// Removes an absence for a caller.
#[derive(Clone, Copy, Debug)]
pub struct RemoveTimeOff<'a> {
    /// Whose.
    pub doctor: Uuid,
    /// Which.
    pub time_off: Uuid,
    /// Whose frame they may change.
    pub access: Access<'a>,
}

/// The time off, and the appointments to move.
#[derive(Serialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "AddedTimeOff")
)]
pub(crate) struct Added<'a> {
    #[serde(flatten)]
    time_off: &'a TimeOff,
    #[serde(flatten)]
    affected: &'a Affected,
}

impl Change for AddTimeOff<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let Self { doctor, draft, .. } = *self;
        let period = Period::new(draft.starts_at, draft.ends_at, LONGEST)?;
        lock_schedule(&mut *db, &self.access, doctor).await?;
        let time_off = insert(&mut *db, doctor, period, draft.reason.as_str()).await?;
        let affected = affected::in_an_absence(&mut *db, doctor, time_off.id).await?;
        let added = Added {
            time_off: &time_off,
            affected: &affected,
        };
        let location = format!("/api/doctors/{doctor}/time-off/{}", time_off.id);
        // No route changes an absence, or shows it by itself, so a tag would be of no use.
        Answer::created(location, &added, affected.patients()).map(Answer::untagged)
    }
}

impl Repeatable for AddTimeOff<'_> {
    async fn permit(&self, db: &mut Transaction) -> Result<(), Error> {
        lock_schedule(db, &self.access, self.doctor).await.map(drop)
    }
}

impl Change for RemoveTimeOff<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        lock_schedule(&mut *db, &self.access, self.doctor).await?;
        if delete(&mut *db, self.doctor, self.time_off).await? {
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Error::NotFound("time off"))
        }
    }
}

async fn insert(
    db: impl PgExecutor<'_>,
    doctor: Uuid,
    period: Period,
    reason: &str,
) -> sqlx::Result<TimeOff> {
    sqlx::query_as!(
        TimeOff,
        "insert into time_off (doctor_id, starts_at, ends_at, reason)
         values ($1, $2, $3, $4)
         returning id, starts_at, ends_at, reason",
        doctor,
        period.starts_at,
        period.ends_at,
        reason,
    )
    .fetch_one(db)
    .await
}

/// False where the doctor has none with this id.
async fn delete(db: impl PgExecutor<'_>, doctor: Uuid, time_off: Uuid) -> sqlx::Result<bool> {
    let deleted = sqlx::query!(
        "delete from time_off where id = $1 and doctor_id = $2",
        time_off,
        doctor
    )
    .execute(db)
    .await?;
    Ok(deleted.rows_affected() > 0)
}
