//! Who may see and do what: every route, as everybody, with their own and with what is others'.

use std::collections::BTreeSet;

use chrono::SubsecRound;
use http::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::clinic::Clinic;

/// Who asks. Everything that is asked for belongs to the first doctor and the first patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// No token at all.
    Nobody,
    /// A token without any of the clinic's roles.
    Stranger,
    Staff,
    Doctor,
    OtherDoctor,
    Patient,
    OtherPatient,
}

const EVERYBODY: [Who; 7] = [
    Who::Nobody,
    Who::Stranger,
    Who::Staff,
    Who::Doctor,
    Who::OtherDoctor,
    Who::Patient,
    Who::OtherPatient,
];

/// The statuses in the order of [`EVERYBODY`].
const MATRIX: [(&str, [u16; 7]); 22] = [
    ("GET /api/live", [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/openapi.json", [200, 200, 200, 200, 200, 200, 200]),
    ("GET /api/health", [401, 200, 200, 200, 200, 200, 200]),
    ("GET /api/doctors", [401, 403, 200, 200, 200, 200, 200]),
    ("GET /api/doctors/{id}", [401, 403, 200, 200, 200, 200, 200]),
    (
        "GET /api/doctors/{id}/availability",
        [401, 403, 200, 200, 200, 200, 200],
    ),
    (
        "GET /api/doctors/{id}/appointments",
        [401, 403, 200, 200, 403, 403, 403],
    ),
    (
        "GET /api/doctors/{id}/appointments/upcoming",
        [401, 403, 200, 200, 403, 403, 403],
    ),
    (
        "GET /api/doctors/{id}/appointments/today",
        [401, 403, 200, 200, 403, 403, 403],
    ),
    (
        "GET /api/doctors/{id}/dashboard",
        [401, 403, 200, 200, 403, 403, 403],
    ),
    (
        "PUT /api/doctors/{id}/working-hours",
        [401, 403, 200, 200, 403, 403, 403],
    ),
    (
        "POST /api/doctors/{id}/time-off",
        [401, 403, 201, 201, 403, 403, 403],
    ),
    (
        "DELETE /api/doctors/{id}/time-off/{timeOffId}",
        [401, 403, 204, 204, 403, 403, 403],
    ),
    (
        "POST /api/appointments",
        [401, 403, 201, 201, 403, 201, 403],
    ),
    (
        "GET /api/appointments/{id}",
        [401, 403, 200, 200, 404, 200, 404],
    ),
    // Its notes: a patient may move it, and not write in the record.
    (
        "PATCH /api/appointments/{id}",
        [401, 403, 200, 200, 404, 403, 404],
    ),
    (
        "POST /api/appointments/{id}/cancel",
        [401, 403, 200, 200, 404, 200, 404],
    ),
    ("GET /api/patients", [401, 403, 200, 403, 403, 403, 403]),
    ("POST /api/patients", [401, 403, 201, 403, 403, 403, 403]),
    (
        "GET /api/patients/{id}",
        [401, 403, 200, 200, 404, 200, 404],
    ),
    (
        "PATCH /api/patients/{id}",
        [401, 403, 200, 403, 403, 403, 403],
    ),
    (
        "GET /api/patients/{id}/appointments",
        [401, 403, 200, 200, 404, 200, 404],
    ),
];

struct World {
    clinic: Clinic,
    tokens: Vec<(Who, Option<String>)>,
    doctor: Uuid,
    patient: Uuid,
    /// Counts what was made, so that no two appointments are at the same time.
    made: u32,
}

impl World {
    async fn new() -> Self {
        let mut clinic = Clinic::open().await;
        let (doctor, other_doctor) = (
            clinic.doctor("A", "Europe/Berlin").await,
            clinic.doctor("B", "UTC").await,
        );
        let (patient, other_patient) = (clinic.patient("P").await, clinic.patient("Q").await);
        let mut always = String::new();
        for weekday in 1..=7 {
            always += &format!(
                "insert into working_hours values ('{doctor}', {weekday}, '00:00', '24:00');"
            );
        }
        sqlx::raw_sql(AssertSqlSafe(always))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        // Each has a schedule, and the other patient is on nobody's of the first doctor.
        clinic
            .visits(doctor, patient, "now() - interval '2 days'", 1, "completed")
            .await;
        clinic
            .visits(
                other_doctor,
                other_patient,
                "now() - interval '2 days'",
                1,
                "completed",
            )
            .await;
        let tokens = vec![
            (Who::Nobody, None),
            (
                Who::Stranger,
                Some(clinic.fleet.token("admins", "stranger")),
            ),
            (Who::Staff, Some(clinic.fleet.token("staff", "staff"))),
            (Who::Doctor, Some(clinic.doctor_token(doctor).await)),
            (
                Who::OtherDoctor,
                Some(clinic.doctor_token(other_doctor).await),
            ),
            (Who::Patient, Some(clinic.patient_token(patient).await)),
            (
                Who::OtherPatient,
                Some(clinic.patient_token(other_patient).await),
            ),
        ];
        Self {
            clinic,
            tokens,
            doctor,
            patient,
            made: 0,
        }
    }

    /// A time of its own, some days ahead.
    fn time(&mut self) -> (String, String) {
        self.made += 1;
        let start = chrono::DateTime::<chrono::Utc>::from(shared::clock::now()).trunc_subsecs(0)
            + chrono::TimeDelta::days(5)
            + chrono::TimeDelta::hours(self.made.into());
        let end = start + chrono::TimeDelta::minutes(20);
        (start.to_rfc3339(), end.to_rfc3339())
    }

    async fn insert(&mut self, table: &str) -> Uuid {
        let (start, end) = self.time();
        let patient = match table {
            "appointments" => format!(", '{}'", self.patient),
            _ => String::new(),
        };
        let column = match table {
            "appointments" => ", patient_id",
            _ => "",
        };
        let insert = format!(
            "insert into {table} (doctor_id, starts_at, ends_at{column})
             values ('{}', '{start}', '{end}'{patient}) returning id",
            self.doctor
        );
        sqlx::query_scalar(AssertSqlSafe(insert))
            .fetch_one(&mut self.clinic.admin)
            .await
            .unwrap()
    }

    async fn etag(&self, path: &str) -> String {
        let seen = self.clinic.get(path).await;
        assert_eq!(seen.status, 200, "{path}: {seen:?}");
        seen.headers["etag"].to_str().unwrap().to_owned()
    }

    /// A request that works for whoever may send it: what it needs is there before.
    async fn prepare(&mut self, route: &str) -> (String, Option<String>, Option<Value>) {
        let (doctor, patient) = (self.doctor, self.patient);
        let range = "from=2026-01-01&to=2026-01-08";
        let mut path = route.split_once(' ').unwrap().1.to_owned();
        if path.starts_with("/api/doctors/") {
            path = path.replace("{id}", &doctor.to_string());
        }
        if path.starts_with("/api/patients/") {
            path = path.replace("{id}", &patient.to_string());
        }
        if path.starts_with("/api/appointments/") {
            let id = self.insert("appointments").await;
            path = path.replace("{id}", &id.to_string());
        }
        if path.contains("{timeOffId}") {
            let id = self.insert("time_off").await;
            path = path.replace("{timeOffId}", &id.to_string());
        }
        let mut if_match = None;
        let body = match route {
            "POST /api/appointments" => {
                let (start, end) = self.time();
                Some(json!({
                    "doctorId": doctor, "patientId": patient, "startsAt": start, "endsAt": end,
                }))
            }
            "PATCH /api/appointments/{id}" => Some(json!({ "notes": "better" })),
            "POST /api/appointments/{id}/cancel" => Some(json!({ "reason": "ill" })),
            "POST /api/patients" => Some(json!({ "fullName": "R" })),
            "PATCH /api/patients/{id}" => {
                self.made += 1;
                Some(json!({ "phone": format!("+49 30 {}", self.made) }))
            }
            "PUT /api/doctors/{id}/working-hours" => {
                if_match = Some(self.etag(&format!("/api/doctors/{doctor}")).await);
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
        if route.starts_with("PATCH") {
            if_match = Some(self.etag(&path).await);
        }
        if route.ends_with("/dashboard")
            || route.ends_with("/appointments")
            || route.ends_with("/availability")
        {
            path += &format!("?{range}");
        }
        if route == "GET /api/patients" {
            path += "?q=Pa";
        }
        (path, if_match, body)
    }

    async fn status(&mut self, route: &str, who: Who) -> u16 {
        let (path, if_match, body) = self.prepare(route).await;
        let path = match route {
            "POST /api/appointments" => "/api/appointments".to_owned(),
            _ => path,
        };
        let (_, token) = self.tokens.iter().find(|(one, _)| *one == who).unwrap();
        let method: Method = route.split_once(' ').unwrap().0.parse().unwrap();
        // A patient's tag is of what a patient sees; whoever may not see it at all needs none.
        let mut if_match = if_match;
        if route == "PATCH /api/appointments/{id}"
            && let Some(token) = token
        {
            let seen = self.clinic.get_as(token, &path).await;
            if_match = Some(match seen.headers.get("etag") {
                Some(etag) => etag.to_str().unwrap().to_owned(),
                None => "\"none\"".to_owned(),
            });
        }
        let headers: Vec<(&str, &str)> = if_match
            .as_deref()
            .map(|etag| ("if-match", etag))
            .into_iter()
            .collect();
        let reply = self
            .clinic
            .send(method, &path, token.as_deref(), &headers, body.as_ref())
            .await;
        reply.status.as_u16()
    }
}

#[tokio::test]
async fn everybody_sees_and_does_what_is_theirs_on_every_route() {
    let mut world = World::new().await;
    let routes: BTreeSet<String> = world.clinic.fleet.routes().map(str::to_owned).collect();
    let known: BTreeSet<String> = MATRIX
        .iter()
        .map(|(route, _)| (*route).to_owned())
        .collect();
    assert_eq!(
        routes, known,
        "a route is missing in the matrix, or in the template"
    );
    let mut wrong = Vec::new();
    for (route, expected) in MATRIX {
        for (who, expected) in EVERYBODY.into_iter().zip(expected) {
            let status = world.status(route, who).await;
            if status != expected {
                wrong.push(format!(
                    "{route} as {who:?}: {status} instead of {expected}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A query string decides here, and not the route.
    for (who, expected) in EVERYBODY
        .into_iter()
        .zip([401, 403, 200, 403, 403, 403, 403])
    {
        let (_, token) = world.tokens.iter().find(|(one, _)| *one == who).unwrap();
        let path = "/api/health?deep=1";
        let reply = world
            .clinic
            .send(Method::GET, path, token.as_deref(), &[], None)
            .await;
        assert_eq!(reply.status, expected, "{path} as {who:?}");
    }
    world.clinic.close().await;
}
