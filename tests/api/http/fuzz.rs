//! Whatever is sent, the API answers as it is described, and never with a failure of its own.

use std::time::{Duration, Instant};

use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    routing::{get, post},
};
use chrono::{DateTime, Days, Utc};
use fleet::{
    fuzz::{Outcome, Trial},
    sample::{self, FIRST_DOCTOR, Size},
};
use serde_json::{Value, json};
use shared::clock;
use uuid::Uuid;

use crate::support::clinic::{Clinic, run_test};

/// The seed of the sample clinic and, in `make test`, of what is tried on it.
const SEED: u32 = 1;
/// For each trial; a fuzzer that hangs is not waited for.
const LIMIT: Duration = Duration::from_secs(1200);

/// A clinic to try, and those whose data is asked for.
struct Tried {
    clinic: Clinic,
    appointments: Vec<Uuid>,
    patients: Vec<Uuid>,
    /// When the doctor can be booked.
    slots: Value,
}

/// As whom it is tried.
#[derive(Clone, Copy, Debug)]
enum As {
    Staff,
    Doctor,
    Patient,
    /// A patient, while another one looks over their shoulder.
    PatientWithPeer,
}

impl From<Tried> for Clinic {
    fn from(tried: Tried) -> Self {
        tried.clinic
    }
}

impl Tried {
    async fn open() -> Self {
        let mut clinic = Clinic::open().await;
        let now = clock::now().into();
        sample::generate(&mut clinic.admin, Size::Small, SEED.into(), now, |_, _| {})
            .await
            .expect("a sample clinic");
        let of_the_doctor = async |clinic: &mut Clinic, column: &'static str| {
            let rows = format!(
                "select {column} from appointments where doctor_id = $1 order by starts_at desc limit 20"
            );
            sqlx::query_scalar::<_, Uuid>(sqlx::AssertSqlSafe(rows))
                .bind(FIRST_DOCTOR)
                .fetch_all(&mut clinic.admin)
                .await
                .expect("rows")
        };
        let appointments = of_the_doctor(&mut clinic, "id").await;
        let patients = of_the_doctor(&mut clinic, "patient_id").await;
        let today = DateTime::<Utc>::from(clock::now()).date_naive();
        let to = today + Days::new(31);
        let free = format!("/api/doctors/{FIRST_DOCTOR}/availability?from={today}&to={to}");
        let slots = clinic.get(&free).await.json()["data"].take();
        Self {
            clinic,
            appointments,
            patients,
            slots,
        }
    }

    /// One trial. Its tokens are made for it: they are good for an hour, and staff may have said meanwhile that one of them
    /// else logs in as the patient.
    async fn trial(&mut self, role: As, examples: u32, seed: u32) -> u64 {
        let patient = self.patients[0];
        let another = self.patients.iter().find(|other| **other != patient);
        let another = *another.expect("two patients");
        let clinic = &mut self.clinic;
        let token = match role {
            As::Staff => clinic.fleet.token("staff", "staff"),
            As::Doctor => clinic.doctor_token(FIRST_DOCTOR).await,
            As::Patient | As::PatientWithPeer => clinic.patient_token(patient).await,
        };
        let mut ids = json!({
            "appointments": self.appointments,
            "doctors": [FIRST_DOCTOR],
            "patients": self.patients,
            "slots": self.slots,
        });
        let mut peer = None;
        if let As::PatientWithPeer = role {
            peer = Some(clinic.patient_token(another).await);
            // What is the patient's alone, and appointments that they find themselves.
            ids["patients"] = json!([patient]);
            ids.as_object_mut().unwrap().remove("appointments");
        }
        let trial = Trial {
            url: &clinic.fleet.url(),
            token: &token,
            peer: peer.as_deref(),
            ids: &ids,
            examples,
            seed,
        };
        let outcome = run(&trial).await;
        if let Some(failures) = outcome.failures {
            panic!("as {role:?}, with seed {seed}:\n{failures}");
        }
        outcome.cases
    }
}

async fn run(trial: &Trial<'_>) -> Outcome {
    let outcome = tokio::time::timeout(LIMIT, trial.run()).await;
    outcome.expect("an end").expect("a trial")
}

/// Tries a fleet with the sample clinic as each role, until so many cases were made up for each: with
/// this seed first, then with the next ones.
async fn fuzz(cases: u64, examples: u32, first_seed: u32) {
    run_test(Tried::open(), async |tried| {
        let start = Instant::now();
        for role in [As::Staff, As::Doctor, As::Patient, As::PatientWithPeer] {
            let (mut done, mut seed) = (0, first_seed);
            while done < cases {
                done += tried.trial(role, examples, seed).await;
                let seconds = start.elapsed().as_secs();
                println!("{seconds} s: {role:?} with seed {seed}: {done} of {cases} cases");
                seed += 1;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_little_of_everything() {
    fuzz(1, 2, SEED).await;
}

/// `make fuzz`: other seeds each time.
#[tokio::test]
#[ignore = "takes minutes; `make fuzz`"]
async fn ten_thousand_cases_and_more_as_each_role() {
    fuzz(10_000, 60, rand::random_range(1..1_000_000)).await;
}

/// An API that fails, answers what it does not describe, and shows everything to every client with a token.
fn flawed() -> Router {
    let bearer = |headers: &HeaderMap| match headers.contains_key(AUTHORIZATION) {
        true => Ok(()),
        false => Err(StatusCode::UNAUTHORIZED),
    };
    let make = move |headers: HeaderMap| async move {
        bearer(&headers)?;
        let thing = json!({ "id": Uuid::new_v4(), "secret": "s" });
        Ok::<_, StatusCode>((StatusCode::CREATED, Json(thing)))
    };
    let show = move |Path(id): Path<Uuid>, headers: HeaderMap| async move {
        bearer(&headers)?;
        Ok::<_, StatusCode>(Json(json!({ "id": id, "secret": "s" })))
    };
    Router::new()
        .route("/api/openapi.json", get(|| async { Json(described()) }))
        .route("/api/fails", get(StatusCode::INTERNAL_SERVER_ERROR))
        .route("/api/odd", get(StatusCode::IM_A_TEAPOT))
        .route("/api/things", post(make))
        .route("/api/things/{id}", get(show))
}

/// What that API says of itself.
fn described() -> Value {
    let thing = json!({
        "type": "object",
        "required": ["id", "secret"],
        "properties": { "id": { "type": "string", "format": "uuid" }, "secret": { "type": "string" } },
    });
    let shown = json!({
        "description": "A thing.",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } },
    });
    let nothing = json!({ "description": "Nothing." });
    let id = json!({
        "in": "path", "name": "id", "required": true, "schema": { "type": "string", "format": "uuid" },
    });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Flawed", "version": "1" },
        "security": [{ "bearer": [] }],
        "paths": {
            "/api/fails": { "get": { "responses": { "200": nothing, "500": nothing } } },
            "/api/odd": { "get": { "responses": { "200": nothing } } },
            "/api/things": { "post": { "responses": { "201": shown, "401": nothing } } },
            "/api/things/{id}": {
                "get": { "parameters": [id], "responses": { "200": shown, "400": nothing, "401": nothing } },
            },
        },
        "components": {
            "schemas": { "Thing": thing },
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

#[tokio::test]
async fn what_an_api_does_wrong_is_found() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(listener, flawed()).into_future());
    let trial = Trial {
        url: &url,
        token: "one",
        peer: Some("other"),
        ids: &json!({}),
        examples: 10,
        seed: SEED,
    };
    let found = run(&trial).await.failures.expect("failures");
    for flaw in [
        "Server error",
        "Undocumented status code",
        "Object-level authorization bypass",
    ] {
        assert!(found.contains(flaw), "{flaw} is not found:\n{found}");
    }
    serving.abort();
}
