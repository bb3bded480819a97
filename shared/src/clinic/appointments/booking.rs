//! A new appointment.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    Status,
    audit::{self, Actor, Done},
    calendar::{self, Waived},
    detail::find,
};
use crate::{
    clinic::doctors::{self, LockedDoctor},
    clinic::permissions::Access,
    database::transaction::{Change, Transaction},
    http::{
        auth::Role, idempotency::Repeatable, problem::Error, refusal::Refusal, response::Answer,
        text::Text,
    },
};

/// What a client asks for.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "AppointmentDraft")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draft {
    /// Who is visited.
    pub doctor_id: Uuid,
    /// Who comes.
    pub patient_id: Uuid,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; at most 24 hours later.
    pub ends_at: DateTime<Utc>,
    /// Why the patient comes; at most 500 characters.
    #[serde(default)]
    pub reason: Text<0, 500>,
    /// Outside working hours, in time off or in the past all the same. For staff alone.
    #[serde(default, rename = "override")]
    pub override_hours: bool,
}

/// Books an appointment for a caller.
#[derive(Clone, Copy, Debug)]
pub struct Booking<'a> {
    /// What is booked.
    pub draft: &'a Draft,
    /// For whom and with whom they may book.
    pub access: Access<'a>,
    /// Whose notes they may see.
    pub notes: Option<Access<'a>>,
}

impl Change for Booking<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let Self { draft, access, .. } = self;
        let period = calendar::period(draft.starts_at, draft.ends_at)?;
        let (doctor, role) = self.permitted(&mut *db).await?;
        let waived = Waived::by_staff(draft.override_hours);
        calendar::check(&mut *db, &doctor, period, None, waived).await?;
        let id = insert(&mut *db, draft)
            .await
            .map_err(calendar::map_constraint)?;
        let after = json!({
            "doctorId": draft.doctor_id,
            "patientId": draft.patient_id,
            "startsAt": draft.starts_at,
            "endsAt": draft.ends_at,
            "status": Status::Scheduled,
            "reason": draft.reason,
            "notes": "",
        });
        let subject = access.subject;
        let by = Actor { role, subject };
        audit::write(&mut *db, by, id, Done::Booked, None, &after).await?;
        let booked = find(&mut *db, access, self.notes.as_ref(), id).await?;
        let booked = booked.ok_or(Error::NotFound("appointment"))?;
        Answer::created(
            format!("/api/appointments/{id}"),
            &booked,
            vec![booked.patient.id],
        )
    }
}

impl Repeatable for Booking<'_> {
    async fn permit(&self, db: &mut Transaction) -> Result<(), Error> {
        self.permitted(db).await.map(drop)
    }
}

impl Booking<'_> {
    /// Decides before anything is told about doctor or patient: with whom it is, and as what they
    /// book. A doctor books the patients on their own schedule, a patient themselves.
    async fn permitted(&self, db: &mut Transaction) -> Result<(LockedDoctor, Role), Error> {
        let doctor = doctors::lock(&mut *db, self.draft.doctor_id).await?;
        let patient = find_patient(&mut *db, self.draft).await?;
        let subject = patient
            .as_ref()
            .and_then(|patient| patient.subject.as_deref());
        let patients_own = self.access.patient.is_some() && self.access.patient == subject;
        let staff = self.access.all.then_some(Role::Staff);
        let role = staff
            .or_else(|| doctor.as_ref()?.kept_as(&self.access))
            .or(patients_own.then_some(Role::Patient))
            .ok_or(Error::Forbidden)?;
        let doctor = doctor.ok_or(Refusal::UnknownReference("doctorId"))?;
        let private = !self.access.all && !patients_own;
        patient
            .filter(|patient| !private || patient.on_the_schedule)
            .ok_or(Refusal::UnknownReference("patientId"))?;
        Ok((doctor, role))
    }
}

/// A patient, as far as a booking must know them.
struct KnownPatient {
    subject: Option<String>,
    /// Whether they have or had an appointment with the doctor.
    on_the_schedule: bool,
}

/// The patient, who stays who they are until the booking is done: the row is held as the reference
/// to it will hold it anyway.
async fn find_patient(
    db: impl PgExecutor<'_>,
    draft: &Draft,
) -> sqlx::Result<Option<KnownPatient>> {
    sqlx::query_as!(
        KnownPatient,
        r#"
        select subject,
               exists (
                   select from appointments a where a.patient_id = p.id and a.doctor_id = $2
               ) as "on_the_schedule!"
        from patients p
        where id = $1
        limit 1
        for key share of p
        "#,
        draft.patient_id,
        draft.doctor_id,
    )
    .fetch_optional(db)
    .await
}

async fn insert(db: impl PgExecutor<'_>, draft: &Draft) -> sqlx::Result<Uuid> {
    sqlx::query_scalar!(
        "insert into appointments (doctor_id, patient_id, starts_at, ends_at, reason)
         values ($1, $2, $3, $4, $5)
         returning id",
        draft.doctor_id,
        draft.patient_id,
        draft.starts_at,
        draft.ends_at,
        draft.reason.as_str(),
    )
    .fetch_one(db)
    .await
}
