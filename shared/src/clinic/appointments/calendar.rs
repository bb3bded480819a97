//! A doctor's calendar while it is being changed: one transaction at a time, and what stands in the
//! way of a time.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{Since, Status};
use crate::{
    clinic::{doctors::LockedDoctor, period::Period},
    http::{problem::Error, refusal::Refusal},
};

/// The longest appointment.
const LONGEST: TimeDelta = TimeDelta::hours(24);

/// Takes two moments for an appointment's.
///
/// # Errors
/// [`Error::BadRequest`] where they cannot be.
pub(super) fn period(starts_at: DateTime<Utc>, ends_at: DateTime<Utc>) -> Result<Period, Error> {
    Period::new(starts_at, ends_at, LONGEST)
}

/// The doctor of an appointment, with their row locked; see [`crate::clinic::doctors::lock`].
pub(super) async fn lock_of(
    db: impl PgExecutor<'_>,
    appointment: Uuid,
) -> sqlx::Result<Option<LockedDoctor>> {
    sqlx::query_as!(
        LockedDoctor,
        "select d.id, d.active, d.subject
         from doctors d join appointments a on a.doctor_id = d.id
         where a.id = $1
         limit 1
         for no key update of d",
        appointment
    )
    .fetch_optional(db)
    .await
}

/// What a period is not checked against. Another appointment always counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waived {
    /// The clock: it may begin in the past.
    pub(super) past: bool,
    /// The doctor's week and absences.
    pub(super) frame: bool,
}

impl Waived {
    /// Both, where staff says so.
    pub(super) fn by_staff(override_hours: bool) -> Self {
        Self {
            past: override_hours,
            frame: override_hours,
        }
    }
}

/// Checks a period against the doctor's other appointments and, unless that is waived, against week,
/// absences and the clock. A doctor who has left has no time at all. Only true while the doctor's row
/// is locked. What it says of other appointments is for the caller to read; that nothing overlaps is
/// the exclusion constraint's business.
pub(super) async fn check(
    db: impl PgExecutor<'_>,
    doctor: &LockedDoctor,
    period: Period,
    except: Option<Uuid>,
    waived: Waived,
) -> Result<(), Error> {
    if !doctor.active {
        return Err(Refusal::DoctorInactive.into());
    }
    let found = sqlx::query!(
        r#"
        select $2::timestamptz < now() as "past!",
               exists (
                   select from time_off t
                   where t.doctor_id = d.id
                     and tstzrange(t.starts_at, t.ends_at, '[)') && tstzrange($2, $3, '[)')
               ) as "away!",
               -- Added up: an evening that ends with the day and the night that begins with the next are one time.
               not coalesce(
                   (
                       select range_agg(w.period) @> tstzrange($2, $3, '[)')
                       from working_periods(
                           d.id, ($2 at time zone d.time_zone)::date, ($3 at time zone d.time_zone)::date + 1
                       ) w
                   ),
                   false
               ) as "outside!",
               o.starts_at as "other_starts_at?", o.ends_at as "other_ends_at?"
        from doctors d
        left join lateral (
            select a.starts_at, a.ends_at
            from appointments a
            where a.doctor_id = d.id
              and tstzrange(a.starts_at, a.ends_at, '[)') && tstzrange($2, $3, '[)')
              and a.status not in ('cancelled', 'no_show')
              and a.id is distinct from $4
            order by a.starts_at
            limit 1
        ) o on true
        where d.id = $1
        limit 1
        "#,
        doctor.id,
        period.starts_at,
        period.ends_at,
        except,
    )
    .fetch_one(db)
    .await?;
    if let (Some(starts_at), Some(ends_at)) = (found.other_starts_at, found.other_ends_at) {
        let other = Some((starts_at, ends_at));
        return Err(Refusal::Overlap { other }.into());
    }
    if found.past && !waived.past {
        Err(Refusal::StartsInPast.into())
    } else if waived.frame {
        Ok(())
    } else if found.away {
        Err(Refusal::TimeOff.into())
    } else if found.outside {
        Err(Refusal::OutsideWorkingHours.into())
    } else {
        Ok(())
    }
}

/// Whether an appointment with this doctor that begins then can have a status already.
///
/// # Errors
/// [`Refusal::TooEarly`] where it cannot, and the driver's.
pub(super) async fn check_since(
    db: impl PgExecutor<'_>,
    doctor: &LockedDoctor,
    starts_at: DateTime<Utc>,
    status: Status,
) -> Result<(), Error> {
    let come = sqlx::query!(
        r#"
        select $2::timestamptz <= now() as "beginning!",
               ($2 at time zone time_zone)::date <= (now() at time zone time_zone)::date as "day!"
        from doctors
        where id = $1
        limit 1
        "#,
        doctor.id,
        starts_at,
    )
    .fetch_one(db)
    .await?;
    let come = match status.since() {
        Since::Ever => true,
        Since::ItsDay => come.day,
        Since::ItsBeginning => come.beginning,
    };
    if come {
        Ok(())
    } else {
        Err(status.too_early().into())
    }
}

/// What a failed insert or update means: the constraint decides, whatever was checked before.
pub(super) fn map_constraint(error: sqlx::Error) -> Error {
    let constraint = error
        .as_database_error()
        .and_then(|database| database.constraint());
    match constraint {
        Some("appointments_no_overlap") => Refusal::Overlap { other: None }.into(),
        _ => error.into(),
    }
}
