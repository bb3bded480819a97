//! Changes of an appointment: another time, another status, notes; and giving it up.

use chrono::{DateTime, Utc};
use headers::IfMatch;
use lambda_http::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    AppointmentDetail, Status,
    audit::{self, Actor, Done},
    calendar::{self, Waived},
    detail::find,
};
use crate::{
    clinic::{
        doctors::LockedDoctor,
        period::Period,
        permissions::{Access, Action, access_to, authorize},
    },
    clock,
    database::transaction::{Change, Transaction},
    http::{
        auth::{Caller, Role},
        patch::given,
        problem::Error,
        refusal::Refusal,
        response::{Answer, check_precondition},
        text::Text,
    },
};

/// What a client wants to be different. What is absent stays; nothing can be removed, so null is refused.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "AppointmentPatch")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// When it begins.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", schemars(with = "DateTime<Utc>"))]
    pub starts_at: Option<DateTime<Utc>>,
    /// When it is over.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", schemars(with = "DateTime<Utc>"))]
    pub ends_at: Option<DateTime<Utc>>,
    /// The status: one step further, or for staff one back. `cancelled` has a route of its own,
    /// because it has a reason.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", schemars(with = "Status"))]
    pub status: Option<Status>,
    /// Clinical notes; at most 10 000 characters.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", schemars(with = "Text<0, 10_000>"))]
    pub notes: Option<Text<0, 10_000>>,
    /// Outside working hours, in time off or in the past all the same. For staff alone.
    #[serde(default, rename = "override")]
    pub override_hours: bool,
}

/// Applies a patch for a caller.
#[derive(Debug)]
pub struct ChangeAppointment<'a> {
    /// Which appointment.
    pub appointment: Uuid,
    /// What becomes different.
    pub patch: &'a Patch,
    /// What they have seen of it.
    pub if_match: &'a IfMatch,
    /// Who they are.
    pub caller: &'a Caller,
}

/// Why an appointment is given up.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "CancelReason")
)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The reason; at most 500 characters.
    #[serde(default)]
    pub reason: Text<0, 500>,
}

/// Cancels an appointment for a caller. Asked for again, it answers the same and changes nothing.
#[derive(Debug)]
pub struct CancelAppointment<'a> {
    /// Which appointment.
    pub appointment: Uuid,
    /// Why; at most 500 characters.
    pub reason: &'a Text<0, 500>,
    /// Who they are.
    pub caller: &'a Caller,
}

impl Change for ChangeAppointment<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let (doctor, current) = locked(db, self.appointment, self.caller).await?;
        check_precondition(self.if_match, &current)?;
        let by = self.permit(&doctor)?;
        let period = self.checked_period(&current, by.role)?;
        let status = self.checked_status(&current, period, by.role)?;
        let except = Some(current.id);
        if let Some(period) = period {
            check_ahead(&current, by.role)?;
            let waived = self.waived(&current, period);
            calendar::check(&mut *db, &doctor, period, except, waived).await?;
        } else if status.takes_time() && !current.status.takes_time() {
            // The time may have been given to another patient.
            let period = calendar::period(current.starts_at, current.ends_at)?;
            let waived = Waived::by_staff(true);
            calendar::check(&mut *db, &doctor, period, except, waived).await?;
        }
        if status != current.status {
            let starts_at = period.map_or(current.starts_at, |period| period.starts_at);
            calendar::check_since(&mut *db, &doctor, starts_at, status).await?;
        }
        let (before, after) = self.difference(&current, period, status);
        if after.is_empty() {
            return Answer::showing(StatusCode::OK, &current, vec![current.patient.id]);
        }
        update(&mut *db, current.id, period, status, self.patch)
            .await
            .map_err(calendar::map_constraint)?;
        let (before, after) = (Value::Object(before), Value::Object(after));
        audit::write(
            &mut *db,
            by,
            current.id,
            Done::Changed,
            Some(&before),
            &after,
        )
        .await?;
        show(db, self.appointment, self.caller).await
    }
}

impl ChangeAppointment<'_> {
    /// Who may see it may move it; status and notes are for staff and its doctor.
    fn permit(&self, doctor: &LockedDoctor) -> Result<Actor<'_>, Error> {
        let mut by = actor(doctor, authorize(self.caller, Action::Move)?);
        if self.patch.status.is_some() || self.patch.notes.is_some() {
            let access = authorize(self.caller, Action::KeepRecord)?;
            by.role = doctor.kept_as(&access).ok_or(Error::Forbidden)?;
        }
        if self.patch.override_hours {
            authorize(self.caller, Action::OverrideHours)?;
        }
        Ok(by)
    }

    /// The new time, where there is one. A visit that goes on ends when it ends: doctor and staff
    /// write that down.
    fn checked_period(
        &self,
        current: &AppointmentDetail,
        by: Role,
    ) -> Result<Option<Period>, Error> {
        let starts_at = self.patch.starts_at.unwrap_or(current.starts_at);
        let ends_at = self.patch.ends_at.unwrap_or(current.ends_at);
        if (starts_at, ends_at) == (current.starts_at, current.ends_at) {
            return Ok(None);
        }
        let goes_on = current.status.is_going_on() && starts_at == current.starts_at;
        if !(current.status.is_movable() || goes_on && by != Role::Patient) {
            return Err(Refusal::NotMovable(current.status.name()).into());
        }
        calendar::period(starts_at, ends_at).map(Some)
    }

    /// The new status, or the old one. Who moves an appointment that the patient said they would come
    /// to has to ask again, unless they say what it is.
    fn checked_status(
        &self,
        current: &AppointmentDetail,
        period: Option<Period>,
        by: Role,
    ) -> Result<Status, Error> {
        let (from, moves) = (
            current.status,
            period.is_some_and(|period| period.starts_at != current.starts_at),
        );
        let Some(to) = self.patch.status else {
            let unconfirmed = moves && from == Status::Confirmed;
            return Ok(if unconfirmed { Status::Scheduled } else { from });
        };
        let step = to != Status::Cancelled && from.next().contains(&to);
        let back = by == Role::Staff && from.back().contains(&to);
        if from == to || step || back {
            Ok(to)
        } else {
            Err(from.no_step(to).into())
        }
    }

    /// What was right before needs no second look: a beginning that stays, a time within the old one.
    /// And what goes on does so whatever the week says.
    fn waived(&self, current: &AppointmentDetail, period: Period) -> Waived {
        let staff = Waived::by_staff(self.patch.override_hours);
        let within = current.starts_at <= period.starts_at && period.ends_at <= current.ends_at;
        Waived {
            past: staff.past || period.starts_at == current.starts_at,
            frame: staff.frame || within || current.status.is_going_on(),
        }
    }

    /// What the patch makes different, as it was and as it becomes.
    fn difference(
        &self,
        current: &AppointmentDetail,
        period: Option<Period>,
        status: Status,
    ) -> (Map<String, Value>, Map<String, Value>) {
        let comes_back = current.status == Status::Cancelled && status != Status::Cancelled;
        let notes = self.patch.notes.as_ref().map(Text::as_str);
        let pairs = [
            (
                "startsAt",
                json!(current.starts_at),
                period.map(|period| json!(period.starts_at)),
            ),
            (
                "endsAt",
                json!(current.ends_at),
                period.map(|period| json!(period.ends_at)),
            ),
            ("status", json!(current.status), Some(json!(status))),
            (
                "cancelReason",
                json!(current.cancel_reason),
                comes_back.then_some(Value::Null),
            ),
            (
                "notes",
                json!(current.notes),
                notes.map(|notes| json!(notes)),
            ),
        ];
        let (mut before, mut after) = (Map::new(), Map::new());
        for (name, was, becomes) in pairs {
            if let Some(becomes) = becomes.filter(|becomes| *becomes != was) {
                before.insert(name.to_owned(), was);
                after.insert(name.to_owned(), becomes);
            }
        }
        (before, after)
    }
}

impl Change for CancelAppointment<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let (doctor, current) = locked(db, self.appointment, self.caller).await?;
        let by = actor(&doctor, authorize(self.caller, Action::Cancel)?);
        if !current.status.may_become(Status::Cancelled) {
            return Err(current.status.no_step(Status::Cancelled).into());
        }
        if current.status == Status::Cancelled {
            return Answer::showing(StatusCode::OK, &current, vec![current.patient.id]);
        }
        check_ahead(&current, by.role)?;
        cancel(&mut *db, current.id, self.reason.as_str()).await?;
        let before = json!({ "status": current.status, "cancelReason": null });
        let after = json!({ "status": Status::Cancelled, "cancelReason": self.reason });
        audit::write(
            &mut *db,
            by,
            current.id,
            Done::Cancelled,
            Some(&before),
            &after,
        )
        .await?;
        show(db, self.appointment, self.caller).await
    }
}

/// The appointment as it is, and its doctor, whose calendar is locked from here on: every change of
/// an appointment goes through here, so none is lost.
async fn locked(
    db: &mut Transaction,
    appointment: Uuid,
    caller: &Caller,
) -> Result<(LockedDoctor, AppointmentDetail), Error> {
    let missing = || Error::NotFound("appointment");
    let access = authorize(caller, Action::SeeAppointment)?;
    let doctor = calendar::lock_of(&mut *db, appointment).await?;
    let doctor = doctor.ok_or_else(missing)?;
    let notes = access_to(caller, Action::SeeNotes);
    let current = find(&mut *db, &access, notes.as_ref(), appointment).await?;
    Ok((doctor, current.ok_or_else(missing)?))
}

/// As what a caller changes an appointment that they may see: whose it is not to keep is its patient.
fn actor<'a>(doctor: &LockedDoctor, access: Access<'a>) -> Actor<'a> {
    Actor {
        role: doctor.kept_as(&access).unwrap_or(Role::Patient),
        subject: access.subject,
    }
}

/// A patient changes what lies ahead; what became of the rest is the clinic's to say.
fn check_ahead(current: &AppointmentDetail, by: Role) -> Result<(), Error> {
    let begun = current.starts_at <= DateTime::<Utc>::from(clock::now());
    if begun && by == Role::Patient {
        return Err(Refusal::AppointmentStarted.into());
    }
    Ok(())
}

/// The answer that shows the appointment as it is now.
async fn show(db: &mut Transaction, appointment: Uuid, caller: &Caller) -> Result<Answer, Error> {
    let access = authorize(caller, Action::SeeAppointment)?;
    let notes = access_to(caller, Action::SeeNotes);
    let changed = find(db, &access, notes.as_ref(), appointment).await?;
    let changed = changed.ok_or(Error::NotFound("appointment"))?;
    Answer::showing(StatusCode::OK, &changed, vec![changed.patient.id])
}

async fn update(
    db: impl PgExecutor<'_>,
    appointment: Uuid,
    period: Option<Period>,
    status: Status,
    patch: &Patch,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update appointments
         set starts_at = coalesce($2, starts_at), ends_at = coalesce($3, ends_at),
             status = $4, notes = coalesce($5, notes),
             cancel_reason = case when $4 = 'cancelled' then cancel_reason end,
             revision = revision + 1, updated_at = clock_timestamp()
         where id = $1",
        appointment,
        period.map(|period| period.starts_at),
        period.map(|period| period.ends_at),
        status as _,
        patch.notes.as_ref().map(Text::as_str),
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn cancel(db: impl PgExecutor<'_>, appointment: Uuid, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update appointments
         set status = 'cancelled', cancel_reason = $2,
             revision = revision + 1, updated_at = clock_timestamp()
         where id = $1",
        appointment,
        reason,
    )
    .execute(db)
    .await?;
    Ok(())
}
