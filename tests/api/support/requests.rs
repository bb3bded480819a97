//! For each route of the API, a request that works for those who may send it.

use chrono::{DateTime, NaiveDate, SubsecRound, TimeDelta, Utc};
use http::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::support::{clinic::Clinic, probe::Reply};

/// What is noted of every appointment, before and after.
pub(crate) const NOTES: &str = "confidential";

/// Makes requests about one doctor, who always works, and one patient.
pub(crate) struct Requests {
    doctor: Uuid,
    patient: Uuid,
    /// When the next appointment or absence begins, so that no two are at the same time.
    next: DateTime<Utc>,
    /// Counts corrections, so that each changes something.
    corrections: u32,
}

/// One request, not yet sent.
pub(crate) struct Prepared {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) if_match: Option<String>,
    pub(crate) body: Option<Value>,
}

impl Prepared {
    pub(crate) async fn send(&self, clinic: &Clinic, token: Option<&str>) -> Reply {
        let if_match = self.if_match.as_deref().map(|etag| ("if-match", etag));
        let headers: Vec<(&str, &str)> = if_match.into_iter().collect();
        let method = self.method.clone();
        clinic
            .send(method, &self.path, token, &headers, self.body.as_ref())
            .await
    }
}

impl Requests {
    /// What is booked begins so many days from now, where the doctor has nothing else yet.
    pub(crate) async fn new(
        clinic: &mut Clinic,
        doctor: Uuid,
        patient: Uuid,
        days_ahead: i64,
    ) -> Self {
        clinic.works(doctor, &[("00:00", "24:00")]).await;
        let now = DateTime::<Utc>::from(shared::clock::now()).trunc_subsecs(0);
        Self {
            doctor,
            patient,
            next: now + TimeDelta::days(days_ahead),
            corrections: 0,
        }
    }

    /// A time of its own.
    pub(crate) fn time(&mut self) -> (String, String) {
        let start = self.next;
        self.next += TimeDelta::hours(1);
        let end = start + TimeDelta::minutes(20);
        (start.to_rfc3339(), end.to_rfc3339())
    }

    async fn insert(&mut self, clinic: &mut Clinic, table: &str) -> Uuid {
        let (start, end) = self.time();
        let (columns, values) = match table {
            "appointments" => (
                ", patient_id, notes",
                format!(", '{}', '{NOTES}'", self.patient),
            ),
            _ => ("", String::new()),
        };
        let insert = format!(
            "insert into {table} (doctor_id, starts_at, ends_at{columns})
             values ('{}', '{start}', '{end}'{values}) returning id",
            self.doctor
        );
        sqlx::query_scalar(AssertSqlSafe(insert))
            .fetch_one(&mut clinic.admin)
            .await
            .unwrap()
    }

    /// The request of a route as the template writes it, such as `GET /api/doctors/{id}`. What it needs is there before,
    /// and its precondition is what staff sees. Lists go from `from` on, for so many days.
    pub(crate) async fn prepare(
        &mut self,
        clinic: &mut Clinic,
        route: &str,
        from: NaiveDate,
        days: i64,
    ) -> Prepared {
        let (doctor, patient) = (self.doctor, self.patient);
        let (method, path) = route.split_once(' ').unwrap();
        let mut path = path.to_owned();
        if path.contains("{timeOffId}") {
            let id = self.insert(clinic, "time_off").await;
            path = path.replace("{timeOffId}", &id.to_string());
        }
        if path.contains("{id}") {
            let id = match path.split('/').nth(2).unwrap() {
                "doctors" => doctor,
                "patients" => patient,
                "appointments" => self.insert(clinic, "appointments").await,
                other => panic!("whose id is in {other}?"),
            };
            path = path.replace("{id}", &id.to_string());
        }
        let if_match = match route {
            "PATCH /api/appointments/{id}" | "PATCH /api/patients/{id}" => {
                Some(etag(clinic, &path).await)
            }
            "PUT /api/doctors/{id}/working-hours" => {
                Some(etag(clinic, &format!("/api/doctors/{doctor}")).await)
            }
            _ => None,
        };
        let body = match route {
            "POST /api/appointments" => {
                let (start, end) = self.time();
                Some(json!({
                    "doctorId": doctor, "patientId": patient, "startsAt": start, "endsAt": end,
                }))
            }
            "PATCH /api/appointments/{id}" => Some(json!({ "notes": format!("{NOTES}, better") })),
            "POST /api/appointments/{id}/cancel" => Some(json!({ "reason": "ill" })),
            "POST /api/patients" => Some(json!({ "fullName": "R" })),
            "PATCH /api/patients/{id}" => {
                self.corrections += 1;
                Some(json!({ "phone": format!("+49 30 {}", self.corrections) }))
            }
            "PUT /api/doctors/{id}/working-hours" => {
                let day =
                    |weekday| json!({ "weekday": weekday, "opens": "00:00", "closes": "24:00" });
                Some(json!({ "workingHours": (1..=7).map(day).collect::<Vec<_>>() }))
            }
            "POST /api/doctors/{id}/time-off" => {
                let (start, end) = self.time();
                Some(json!({ "startsAt": start, "endsAt": end, "reason": "conference" }))
            }
            _ => None,
        };
        path += &match route {
            "GET /api/doctors/{id}/appointments"
            | "GET /api/doctors/{id}/availability"
            | "GET /api/doctors/{id}/dashboard"
            | "GET /api/patients/{id}/appointments" => {
                format!("?from={from}&to={}", from + TimeDelta::days(days))
            }
            "GET /api/patients" => "?q=Pa".to_owned(),
            _ => String::new(),
        };
        Prepared {
            method: method.parse().unwrap(),
            path,
            if_match,
            body,
        }
    }
}

async fn etag(clinic: &Clinic, path: &str) -> String {
    let seen = clinic.get(path).await;
    assert_eq!(seen.status, 200, "{path}: {seen:?}");
    seen.headers["etag"].to_str().unwrap().to_owned()
}
