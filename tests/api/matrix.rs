//! Who may see and do what: every route, as everybody, with their own and with what is others'.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use http::Method;

use crate::{clinic::Clinic, requests::Requests};

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
    requests: Requests,
}

impl World {
    async fn new() -> Self {
        let mut clinic = Clinic::open().await;
        let (doctor, other_doctor) = (
            clinic.doctor("A", "Europe/Berlin").await,
            clinic.doctor("B", "UTC").await,
        );
        let (patient, other_patient) = (clinic.patient("P").await, clinic.patient("Q").await);
        // Each has a schedule, and the other patient is on nobody's of the first doctor.
        for (doctor, patient) in [(doctor, patient), (other_doctor, other_patient)] {
            clinic
                .visits(doctor, patient, "now() - interval '2 days'", 1, "completed")
                .await;
        }
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
        let requests = Requests::new(&mut clinic, doctor, patient, 5).await;
        Self {
            clinic,
            tokens,
            requests,
        }
    }

    fn token(&self, who: Who) -> Option<String> {
        let (_, token) = self.tokens.iter().find(|(one, _)| *one == who).unwrap();
        token.clone()
    }

    async fn status(&mut self, route: &str, who: Who) -> u16 {
        let from = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        let mut request = self
            .requests
            .prepare(&mut self.clinic, route, from, 7)
            .await;
        let token = self.token(who);
        // A patient's tag is of what a patient sees; whoever may not see it at all needs none.
        if route == "PATCH /api/appointments/{id}"
            && let Some(token) = &token
        {
            let seen = self.clinic.get_as(token, &request.path).await;
            request.if_match = Some(match seen.headers.get("etag") {
                Some(etag) => etag.to_str().unwrap().to_owned(),
                None => "\"none\"".to_owned(),
            });
        }
        let reply = request.send(&self.clinic, token.as_deref()).await;
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
        let token = world.token(who);
        let path = "/api/health?deep=1";
        let reply = world
            .clinic
            .send(Method::GET, path, token.as_deref(), &[], None)
            .await;
        assert_eq!(reply.status, expected, "{path} as {who:?}");
    }
    world.clinic.close().await;
}
