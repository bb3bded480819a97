//! New patients, and corrections of what is known of them.

use chrono::NaiveDate;
use headers::IfMatch;
use lambda_http::http::StatusCode;
use serde::Deserialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{
    details::{DateOfBirth, Draft, Email, Phone},
    record::{Patient, find},
};
use crate::{
    clinic::permissions::Access,
    database::transaction::{Change, Transaction},
    http::{
        idempotency::Repeatable,
        patch::given,
        problem::Error,
        refusal::Refusal,
        response::{Answer, check_precondition},
        text::Text,
    },
};

/// Registers a patient.
#[derive(Clone, Copy, Debug)]
pub struct RegisterPatient<'a> {
    /// Who is new.
    pub draft: &'a Draft,
    /// Whom they may see.
    pub access: Access<'a>,
}

impl Change for RegisterPatient<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let id = insert(&mut *db, self.draft).await.map_err(map_constraint)?;
        let patient = find(&mut *db, &self.access, id).await?;
        let patient = patient.ok_or(Error::NotFound("patient"))?;
        Answer::created(format!("/api/patients/{id}"), &patient, vec![id])
    }
}

impl Repeatable for RegisterPatient<'_> {
    /// The front desk alone registers, which the token says.
    async fn permit(&self, _: &mut Transaction) -> Result<(), Error> {
        Ok(())
    }
}

/// What a client wants to be different. What is absent stays, what is null is removed.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "PatientPatch")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Patch {
    /// The name, which cannot be removed.
    #[serde(default, deserialize_with = "given")]
    #[cfg_attr(feature = "contract", schemars(with = "Text<1, 200>"))]
    pub full_name: Option<Text<1, 200>>,
    /// The phone number.
    #[serde(default, deserialize_with = "given")]
    pub phone: Option<Option<Phone>>,
    /// The email address.
    #[serde(default, deserialize_with = "given")]
    pub email: Option<Option<Email>>,
    /// The day they were born.
    #[serde(default, deserialize_with = "given")]
    pub date_of_birth: Option<Option<DateOfBirth>>,
    /// Who logs in as them.
    #[serde(default, deserialize_with = "given")]
    pub subject: Option<Option<Text<1, 255>>>,
}

/// Applies a patch for a caller.
#[derive(Debug)]
pub struct CorrectPatient<'a> {
    /// Whose record.
    pub patient: Uuid,
    /// What becomes different.
    pub patch: &'a Patch,
    /// What they have seen of it.
    pub if_match: &'a IfMatch,
    /// Whom they may see.
    pub access: Access<'a>,
}

impl Change for CorrectPatient<'_> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let missing = || Error::NotFound("patient");
        lock(&mut *db, self.patient).await?.ok_or_else(missing)?;
        let current = find(&mut *db, &self.access, self.patient).await?;
        let current = current.ok_or_else(missing)?;
        check_precondition(self.if_match, &current)?;
        let corrected = self.patch.applied_to(current.clone());
        if corrected != current {
            update(&mut *db, &corrected).await.map_err(map_constraint)?;
        }
        Answer::showing(StatusCode::OK, &corrected, vec![corrected.id])
    }
}

impl Patch {
    fn applied_to(&self, current: Patient) -> Patient {
        let text = |was, given: Option<Option<&str>>| match given {
            None => was,
            Some(becomes) => becomes.map(str::to_owned),
        };
        let phone = self.phone.as_ref();
        let email = self.email.as_ref();
        let subject = self.subject.as_ref();
        let subject = subject.map(|given| given.as_ref().map(Text::as_str));
        Patient {
            id: current.id,
            full_name: match &self.full_name {
                None => current.full_name,
                Some(name) => name.as_str().to_owned(),
            },
            phone: text(
                current.phone,
                phone.map(|given| given.as_ref().map(Phone::as_str)),
            ),
            email: text(
                current.email,
                email.map(|given| given.as_ref().map(Email::as_str)),
            ),
            date_of_birth: match self.date_of_birth {
                None => current.date_of_birth,
                Some(given) => given.map(DateOfBirth::date),
            },
            subject: current.subject.map(|was| text(was, subject)),
        }
    }
}

/// The patient's row, locked until the transaction ends, so that of two corrections the second one
/// sees the first.
async fn lock(db: impl PgExecutor<'_>, patient: Uuid) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "select id from patients where id = $1 limit 1 for no key update",
        patient
    )
    .fetch_optional(db)
    .await
}

async fn insert(db: impl PgExecutor<'_>, draft: &Draft) -> sqlx::Result<Uuid> {
    let date_of_birth: Option<NaiveDate> = draft.date_of_birth.map(DateOfBirth::date);
    sqlx::query_scalar!(
        "insert into patients (full_name, phone, email, date_of_birth, subject)
         values ($1, $2, $3, $4, $5)
         returning id",
        draft.full_name.as_str(),
        draft.phone.as_ref().map(Phone::as_str),
        draft.email.as_ref().map(Email::as_str),
        date_of_birth,
        draft.subject.as_ref().map(Text::as_str),
    )
    .fetch_one(db)
    .await
}

async fn update(db: impl PgExecutor<'_>, patient: &Patient) -> sqlx::Result<()> {
    sqlx::query!(
        "update patients
         set full_name = $2, phone = $3, email = $4, date_of_birth = $5, subject = $6
         where id = $1",
        patient.id,
        patient.full_name,
        patient.phone,
        patient.email,
        patient.date_of_birth,
        patient.subject.as_ref().and_then(Option::as_deref),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a failed insert or update means: the constraint decides.
fn map_constraint(error: sqlx::Error) -> Error {
    let constraint = error
        .as_database_error()
        .and_then(|database| database.constraint());
    match constraint {
        Some("patients_subject_unique") => Refusal::SubjectTaken.into(),
        _ => error.into(),
    }
}
