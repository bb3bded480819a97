//! An ordinary week of a doctor's, and its replacement.

use std::ops::RangeInclusive;

use headers::IfMatch;
use lambda_http::http::StatusCode;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    affected::{self, Affected},
    detail::{DoctorDetail, find},
    lock::lock_schedule,
    working_hours::{MAX_HOURS, WorkingHours},
};
use crate::{
    clinic::permissions::Access,
    database::transaction::{Change, Transaction},
    http::{
        problem::Error,
        refusal::Refusal,
        response::{Answer, check_precondition},
    },
};

/// How long a slot may be, in minutes.
const SLOT_MINUTES: RangeInclusive<i32> = 5..=480;

/// What a client wants the week to be.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWeek {
    /// All of it, in any order. None: the doctor is booked by staff alone.
    pub working_hours: WeekOf,
    /// How long an offered slot is; unchanged if absent.
    pub slot_minutes: Option<SlotMinutes>,
}

/// Not more intervals than there can be.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("maxItems" = MAX_HOURS))
)]
#[serde(try_from = "Vec<WorkingHours>")]
pub struct WeekOf(Vec<WorkingHours>);

impl TryFrom<Vec<WorkingHours>> for WeekOf {
    type Error = String;

    fn try_from(hours: Vec<WorkingHours>) -> Result<Self, String> {
        if hours.len() <= MAX_HOURS.into() {
            Ok(Self(hours))
        } else {
            Err(format!("a week has at most {MAX_HOURS} working hours"))
        }
    }
}

/// 5 to 480 minutes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("minimum" = SLOT_MINUTES.start(), "maximum" = SLOT_MINUTES.end()))
)]
#[serde(try_from = "i32")]
pub struct SlotMinutes(i32);

impl TryFrom<i32> for SlotMinutes {
    type Error = &'static str;

    fn try_from(minutes: i32) -> Result<Self, &'static str> {
        let usual = SLOT_MINUTES.contains(&minutes).then_some(Self(minutes));
        usual.ok_or("slotMinutes must be from 5 to 480")
    }
}

/// Replaces a week for a caller.
#[derive(Debug)]
pub struct ReplaceWorkingHours<'a> {
    /// Whose.
    pub doctor: Uuid,
    /// What it becomes.
    pub new: &'a NewWeek,
    /// What they have seen of the doctor.
    pub if_match: &'a IfMatch,
    /// Whose they may change.
    pub access: Access<'a>,
}

/// The updated doctor, and the appointments to move.
#[derive(Serialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "ChangedWeek")
)]
pub(crate) struct Changed<'a> {
    doctor: &'a DoctorDetail,
    #[serde(flatten)]
    affected: &'a Affected,
}

impl Change for ReplaceWorkingHours<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let missing = || Error::NotFound("doctor");
        let access = Some(&self.access);
        lock_schedule(&mut *db, &self.access, self.doctor).await?;
        let current = find(&mut *db, access, self.doctor).await?;
        check_precondition(self.if_match, &current.ok_or_else(missing)?)?;
        clear(&mut *db, self.doctor).await?;
        fill(&mut *db, self.doctor, &self.new.working_hours.0)
            .await
            .map_err(map_constraint)?;
        if let Some(SlotMinutes(minutes)) = self.new.slot_minutes {
            set_slot_minutes(&mut *db, self.doctor, minutes).await?;
        }
        let affected = affected::of_the_week(&mut *db, self.doctor).await?;
        let doctor = find(&mut *db, access, self.doctor).await?;
        let doctor = doctor.ok_or_else(missing)?;
        let changed = Changed {
            doctor: &doctor,
            affected: &affected,
        };
        // The next change is of the doctor alone, so theirs is the tag it needs.
        Answer::showing(StatusCode::OK, &changed, affected.patients())?.tagged_as(&doctor)
    }
}

async fn clear(db: impl PgExecutor<'_>, doctor: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from working_hours
         where (doctor_id, weekday, opens) in (
             select doctor_id, weekday, opens from working_hours where doctor_id = $1 limit 200
         )",
        doctor
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn fill(db: impl PgExecutor<'_>, doctor: Uuid, hours: &[WorkingHours]) -> sqlx::Result<()> {
    let weekdays: Vec<i16> = hours.iter().map(|hours| hours.weekday.0).collect();
    let opens: Vec<String> = hours.iter().map(|hours| hours.opens.0.clone()).collect();
    let closes: Vec<String> = hours.iter().map(|hours| hours.closes.0.clone()).collect();
    sqlx::query!(
        "insert into working_hours (doctor_id, weekday, opens, closes)
         select $1, weekday, opens::time, closes::time
         from unnest($2::smallint[], $3::text[], $4::text[]) h (weekday, opens, closes)
         limit $5",
        doctor,
        &weekdays,
        &opens,
        &closes,
        i64::from(MAX_HOURS),
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn set_slot_minutes(db: impl PgExecutor<'_>, doctor: Uuid, minutes: i32) -> sqlx::Result<()> {
    sqlx::query!(
        "update doctors set slot_minutes = $2 where id = $1",
        doctor,
        minutes
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a failed insert means: the constraints decide.
fn map_constraint(error: sqlx::Error) -> Error {
    let constraint = error
        .as_database_error()
        .and_then(|database| database.constraint());
    match constraint {
        Some("working_hours_no_overlap" | "working_hours_pkey") => {
            Refusal::InvalidWorkingHours("two of the working hours of a day overlap").into()
        }
        Some("working_hours_close_after_open") => {
            Refusal::InvalidWorkingHours("closes must be after opens").into()
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_week_has_so_many_hours_and_no_more() {
        let hours = json!({ "weekday": 1, "opens": "09:00", "closes": "10:00" });
        let takes = |count| {
            let week = json!({ "workingHours": vec![hours.clone(); usize::from(count)] });
            serde_json::from_value::<NewWeek>(week).is_ok()
        };
        assert!(takes(0) && takes(MAX_HOURS) && !takes(MAX_HOURS + 1));
    }
}
