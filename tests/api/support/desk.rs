//! A clinic with a doctor and a patient who can log in, and a receptionist who books.

use fleet::Fleet;
use http::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::support::{
    clinic::Clinic,
    probe::{Reply, send_as, staff},
};

/// The people of an appointment, and a token of each.
pub(crate) struct Desk {
    pub(crate) clinic: Clinic,
    pub(crate) doctor: Uuid,
    pub(crate) patient: Uuid,
    pub(crate) as_staff: String,
    pub(crate) as_doctor: String,
    pub(crate) as_patient: String,
}

impl From<Desk> for Clinic {
    fn from(desk: Desk) -> Self {
        desk.clinic
    }
}

impl Desk {
    /// The doctor works in UTC, on Fridays from 8 to 12.
    pub(crate) async fn open() -> Self {
        Self::of(Clinic::open().await).await
    }

    pub(crate) async fn of(mut clinic: Clinic) -> Self {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Zoë Secret").await;
        clinic
            .sql("insert into working_hours (doctor_id, weekday, opens, closes) select id, 5, '08:00', '12:00' from doctors")
            .await;
        Self {
            as_staff: staff(&clinic.fleet),
            as_doctor: clinic.doctor_token(doctor).await,
            as_patient: clinic.patient_token(patient).await,
            clinic,
            doctor,
            patient,
        }
    }

    /// Half an hour from this time of a working Friday, such as `09:00`, with other fields in place
    /// of its own.
    pub(crate) fn draft(&self, from: &str, to: &str, fields: Value) -> Value {
        let mut draft = json!({
            "doctorId": self.doctor,
            "patientId": self.patient,
            "startsAt": friday(from),
            "endsAt": friday(to),
            "reason": "Check-up",
        });
        let fields: Map<String, Value> = serde_json::from_value(fields).unwrap();
        draft.as_object_mut().unwrap().extend(fields);
        draft
    }

    pub(crate) async fn book(&self, token: &str, draft: &Value) -> Reply {
        book(&self.clinic.fleet, token, None, draft).await
    }

    pub(crate) async fn book_with_key(&self, token: &str, key: &str, draft: &Value) -> Reply {
        book(&self.clinic.fleet, token, Some(key), draft).await
    }

    pub(crate) async fn patch(
        &self,
        token: &str,
        id: Uuid,
        etag: Option<&str>,
        patch: &Value,
    ) -> Reply {
        patch_at(&self.clinic.fleet, token, id, etag, patch).await
    }

    pub(crate) async fn cancel(&self, token: &str, id: Uuid, reason: &str) -> Reply {
        cancel(&self.clinic.fleet, token, id, reason).await
    }

    pub(crate) async fn see(&self, token: &str, id: Uuid) -> Reply {
        let path = format!("/api/appointments/{id}");
        self.clinic.get_as(token, &path).await
    }

    /// An appointment put straight into the table; its id.
    pub(crate) async fn visit(&mut self, from: &str, to: &str, status: &str) -> Uuid {
        sqlx::query_scalar(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status, notes)
             values ($1, $2, $3::text::timestamptz, $4::text::timestamptz, $5, 'confidential')
             returning id",
        )
        .bind(self.doctor)
        .bind(self.patient)
        .bind(friday(from))
        .bind(friday(to))
        .bind(status)
        .fetch_one(&mut self.clinic.admin)
        .await
        .unwrap()
    }

    /// One of half an hour that begins at a moment of SQL, such as `now()`, to the second.
    pub(crate) async fn visit_from(&mut self, from: &str, status: &str) -> Uuid {
        let insert = format!(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status)
             select $1, $2, starts_at, starts_at + interval '30 minutes', $3
             from date_trunc('second', {from}) starts_at
             returning id"
        );
        sqlx::query_scalar(sqlx::AssertSqlSafe(insert))
            .bind(self.doctor)
            .bind(self.patient)
            .bind(status)
            .fetch_one(&mut self.clinic.admin)
            .await
            .unwrap()
    }

    pub(crate) async fn count(&mut self, what: &'static str) -> i64 {
        sqlx::query_scalar(what)
            .fetch_one(&mut self.clinic.admin)
            .await
            .unwrap()
    }
}

/// The first day of 2190, which is a Friday.
pub(crate) fn friday(time: &str) -> String {
    format!("2190-01-01T{time}:00Z")
}

pub(crate) fn etag(reply: &Reply) -> String {
    reply.headers["etag"].to_str().unwrap().to_owned()
}

/// The id of what a reply shows.
pub(crate) fn id(reply: &Reply) -> Uuid {
    assert!(reply.status.is_success(), "{reply:?}");
    reply.json()["id"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn book(
    fleet: &Fleet,
    token: &str,
    key: Option<&str>,
    draft: &Value,
) -> impl Future<Output = Reply> + use<> {
    let headers: Vec<(&str, &str)> = key
        .map(|key| ("idempotency-key", key))
        .into_iter()
        .collect();
    let path = "/api/appointments";
    send_as(
        fleet,
        Method::POST,
        path,
        Some(token),
        &headers,
        Some(draft),
    )
}

pub(crate) fn patch_at(
    fleet: &Fleet,
    token: &str,
    id: Uuid,
    etag: Option<&str>,
    patch: &Value,
) -> impl Future<Output = Reply> + use<> {
    let headers: Vec<(&str, &str)> = etag.map(|etag| ("if-match", etag)).into_iter().collect();
    let path = format!("/api/appointments/{id}");
    send_as(
        fleet,
        Method::PATCH,
        &path,
        Some(token),
        &headers,
        Some(patch),
    )
}

pub(crate) fn cancel(
    fleet: &Fleet,
    token: &str,
    id: Uuid,
    reason: &str,
) -> impl Future<Output = Reply> + use<> {
    let path = format!("/api/appointments/{id}/cancel");
    let body = json!({ "reason": reason });
    send_as(fleet, Method::POST, &path, Some(token), &[], Some(&body))
}
