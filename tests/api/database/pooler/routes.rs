//! Every route of the API, through a pooler and directly.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use fleet::{Fleet, proxy::Proxy};
use serde_json::Value;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{leases_and_names, pooler, statements, talkative};
use crate::support::{
    clinic::{Clinic, run_test},
    probe::{Reply, eventually, get, send_as, staff, zone_at_noon},
    requests::{Prepared, Requests},
};

/// Without what differs from request to request.
fn comparable(reply: &Reply) -> (u16, Value) {
    let mut body = match reply.body.is_empty() {
        true => Value::Null,
        false => reply.json(),
    };
    if let Some(fields) = body.as_object_mut() {
        fields.remove("requestId");
    }
    (reply.status.as_u16(), body)
}

#[tokio::test]
async fn every_route_answers_through_a_pooler_as_it_does_directly() {
    let database = talkative().await;
    let pooler = pooler(&database, 2).await;
    run_test(
        Clinic::open_on(database, "", |fleet| fleet),
        async |clinic| {
            let url = format!("{}?pgbouncer=true", pooler.url());
            let pooled = clinic
                .another_fleet(|fleet| fleet.variable("DATABASE_URL", url))
                .await;
            let patient = clinic.patient("Zoë Иванова").await;
            let zone = zone_at_noon();
            let doctor = clinic.doctor("Dr Ångström", &zone).await;
            clinic.doctor("B", "Asia/Kathmandu").await;
            let tomorrow = "now() + interval '1 day'";
            clinic
                .visits(doctor, patient, tomorrow, 250, "scheduled")
                .await;
            // More than a page of them: those that were cancelled take no time.
            for _ in 0..3 {
                let midnight = &format!("date_trunc('day', now(), '{zone}')");
                clinic
                    .visits(doctor, patient, midnight, 40, "cancelled")
                    .await;
            }

            let visit: Uuid = sqlx::query_scalar("select id from appointments limit 1")
                .fetch_one(&mut clinic.admin)
                .await
                .unwrap();
            let nobody = Uuid::new_v4();
            let week = "from=2026-01-05&to=2026-01-12";
            clinic
                .sql(
                    "insert into working_hours (doctor_id, weekday, opens, closes)
             select id, day, '08:00', '17:00' from doctors, generate_series(1, 5) day",
                )
                .await;
            let list = |list| {
                let base = format!("/api/doctors/{doctor}/appointments/{list}");
                let nobody = format!("/api/doctors/{}/appointments/{list}", Uuid::new_v4());
                vec![
                    base.clone(),
                    format!("{base}?limit=3"),
                    format!("{base}?cursor=garbled"),
                    nobody,
                    format!("/api/doctors/nobody/appointments/{list}"),
                ]
            };
            let mut paths: BTreeMap<&str, Vec<String>> = BTreeMap::from([
                (
                    "GET /api/doctors/{id}/appointments/upcoming",
                    list("upcoming"),
                ),
                ("GET /api/doctors/{id}/appointments/today", list("today")),
                (
                    "GET /api/doctors",
                    ["", "?cursor=garbled"]
                        .map(|query| format!("/api/doctors{query}"))
                        .to_vec(),
                ),
                ("GET /api/health", vec!["/api/health".to_owned()]),
                ("GET /api/live", vec!["/api/live".to_owned()]),
                (
                    "GET /api/me",
                    vec!["/api/me".to_owned(), "/api/me?x=1".to_owned()],
                ),
                (
                    "GET /api/openapi.json",
                    vec!["/api/openapi.json".to_owned()],
                ),
                (
                    "GET /api/doctors/{id}",
                    vec![
                        format!("/api/doctors/{doctor}"),
                        format!("/api/doctors/{nobody}"),
                    ],
                ),
                (
                    "GET /api/doctors/{id}/availability",
                    vec![format!("/api/doctors/{doctor}/availability?{week}")],
                ),
                (
                    "GET /api/doctors/{id}/dashboard",
                    vec![format!("/api/doctors/{doctor}/dashboard?{week}")],
                ),
                (
                    "GET /api/doctors/{id}/appointments",
                    vec![format!("/api/doctors/{doctor}/appointments?{week}&limit=7")],
                ),
                (
                    "GET /api/patients/{id}/appointments",
                    vec![format!("/api/patients/{patient}/appointments?{week}")],
                ),
                (
                    "GET /api/patients",
                    ["Zo", "Иванова", "+49 30"]
                        .map(|text| {
                            let mut url = url::Url::parse("http://localhost/api/patients").unwrap();
                            url.query_pairs_mut().append_pair("q", text);
                            format!("/api/patients?{}", url.query().unwrap())
                        })
                        .to_vec(),
                ),
                (
                    "GET /api/patients/{id}",
                    vec![format!("/api/patients/{patient}")],
                ),
                (
                    "GET /api/appointments/{id}",
                    vec![
                        format!("/api/appointments/{visit}"),
                        format!("/api/appointments/{nobody}"),
                    ],
                ),
            ]);
            // The others change something: what they answer twice is never the same.
            let reads = |route: &&str| route.starts_with("GET ");
            let routes: BTreeSet<&str> = pooled.routes().filter(reads).collect();
            assert_eq!(
                routes,
                paths.keys().copied().collect(),
                "a route is missing"
            );
            // The rest of a list comes through a cursor.
            for list in ["upcoming", "today"] {
                let path = format!("/api/doctors/{doctor}/appointments/{list}");
                let page = clinic.get(&path).await.json();
                let cursor = page["page"]["nextCursor"].as_str().expect("a next page");
                let key = format!("GET /api/doctors/{{id}}/appointments/{list}");
                let of_route = paths.get_mut(key.as_str()).unwrap();
                of_route.push(format!("{path}?cursor={cursor}"));
            }
            for path in paths.values().flatten() {
                let direct = comparable(&clinic.get(path).await);
                for _ in 0..2 {
                    let answer = comparable(&get(&pooled, path).await);
                    // Pages are long, and the difference is rarely in the status.
                    assert_eq!(answer.0, direct.0, "{path}");
                    assert!(answer.1 == direct.1, "{path}: another body");
                }
            }
            // It says how long the database took, which differs.
            assert_eq!(get(&pooled, "/api/health?deep=1").await.status, 200);
            pooled.shutdown().await;
        },
    )
    .await;
}

/// A value's form: its keys and the kinds of what they hold. A list has that of its first element.
fn form(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), form(value)));
            Value::Object(fields.collect())
        }
        Value::Array(elements) => elements.iter().take(1).map(form).collect(),
        Value::Null => Value::Null,
        Value::Bool(_) => "a boolean".into(),
        Value::Number(_) => "a number".into(),
        Value::String(_) => "a text".into(),
    }
}

fn deliver(fleet: &Fleet, token: &str, request: &Prepared) -> impl Future<Output = Reply> + use<> {
    let if_match = request.if_match.as_deref().map(|etag| ("if-match", etag));
    let headers: Vec<(&str, &str)> = if_match.into_iter().collect();
    let (method, body) = (request.method.clone(), request.body.as_ref());
    send_as(fleet, method, &request.path, Some(token), &headers, body)
}

/// A doctor and a patient, and requests about them.
struct Caller {
    doctor: Uuid,
    patient: Uuid,
    requests: Vec<(String, Prepared)>,
}

impl Caller {
    /// Requests of all these routes.
    async fn new(clinic: &mut Clinic, name: &str, routes: &[String]) -> Self {
        let (doctor, zone) = (format!("doctor of {name}"), zone_at_noon());
        let doctor = clinic.doctor(&doctor, &zone).await;
        let patient = clinic.patient(name).await;
        for from in ["now() + interval '1 hour'", "now() + interval '1 day'"] {
            clinic.visits(doctor, patient, from, 1, "scheduled").await;
        }
        let tomorrow = DateTime::<Utc>::from(shared::clock::now()) + TimeDelta::days(1);
        let mut requests = Requests::new(clinic, doctor, patient, 30).await;
        let mut prepared = Vec::new();
        for route in routes {
            let request = requests.prepare(clinic, route, tomorrow.date_naive(), 7);
            prepared.push((route.clone(), request.await));
        }
        Self {
            doctor,
            patient,
            requests: prepared,
        }
    }

    /// For each route others, so that no change is in another one's way.
    async fn each(clinic: &mut Clinic, name: &str, routes: &[String]) -> Vec<Self> {
        let mut callers = Vec::new();
        for route in routes {
            callers.push(Self::new(clinic, name, std::slice::from_ref(route)).await);
        }
        callers
    }

    /// Which of the two an answer names.
    fn named_in(&self, answer: &Value) -> [bool; 2] {
        let text = answer.to_string();
        [self.doctor, self.patient].map(|id| text.contains(&id.to_string()))
    }
}

#[tokio::test]
async fn every_route_answers_fifty_callers_on_five_sessions_as_it_does_directly() {
    const CALLERS: usize = 50;
    const SESSIONS: u32 = 5;
    let database = talkative().await;
    let pooler = pooler(&database, SESSIONS).await;
    let proxy = Proxy::start(pooler.port()).await.unwrap();
    let parameters = "pgbouncer=true&connect_timeout=25&pool_timeout=25";
    let url = format!("{}?{parameters}", proxy.through(pooler.url()));
    run_test(
        Clinic::open_on(database, "", |fleet| fleet),
        async |clinic| {
            let functions: Vec<String> = clinic.fleet.functions().map(str::to_owned).collect();
            let pooled = clinic
                .another_fleet(|fleet| {
                    let fleet = fleet.variable("DATABASE_URL", url);
                    let most = u32::try_from(CALLERS).unwrap();
                    functions
                        .iter()
                        .fold(fleet, |fleet, name| fleet.reserved_concurrency(name, most))
                })
                .await;
            let routes = pooled.routes().map(str::to_owned);
            let (reads, writes): (Vec<String>, Vec<String>) =
                routes.partition(|route| route.starts_with("GET "));

            // Nothing that is read is changed meanwhile: the changes are others'.
            let (mut readers, mut writers) = (Vec::new(), Vec::new());
            for caller in 0..CALLERS {
                readers.push(Caller::new(clinic, &format!("Paul {caller}"), &reads).await);
                writers.push(Caller::each(clinic, &format!("Quentin {caller}"), &writes).await);
            }
            let direct_writers = Caller::each(clinic, "Quirin", &writes).await;
            let token = staff(&clinic.fleet);
            let mut written = Vec::new();
            for (route, request) in direct_writers.iter().flat_map(|writer| &writer.requests) {
                let answer = comparable(&deliver(&clinic.fleet, &token, request).await);
                assert!((200..300).contains(&answer.0), "{route}: {answer:?}");
                written.push(answer);
            }
            let mut read = Vec::new();
            for reader in &readers {
                let mut answers = Vec::new();
                for (route, request) in &reader.requests {
                    let answer = comparable(&deliver(&clinic.fleet, &token, request).await);
                    assert_eq!(answer.0, 200, "{route}: {answer:?}");
                    answers.push(answer);
                }
                read.push(answers);
            }
            for function in &functions {
                for environment in clinic.fleet.environments(function) {
                    clinic.fleet.reap(&environment.id).await;
                }
            }
            clinic.sessions_are_gone().await;
            let before = leases_and_names(&statements(&clinic.database));

            // No request reaches the pooler until each has an environment.
            proxy.stall();
            let token = staff(&pooled);
            let mut callers = JoinSet::new();
            for caller in 0..CALLERS {
                let changes = writers[caller].iter().flat_map(|writer| &writer.requests);
                let both = readers[caller].requests.iter().chain(changes);
                let mut requests: Vec<_> = both
                    .map(|(route, request)| (route.clone(), deliver(&pooled, &token, request)))
                    .collect();
                // Each begins somewhere else: statements of all kinds meet on one session.
                let first = caller % requests.len();
                requests.rotate_left(first);
                callers.spawn(async move {
                    let mut answers = BTreeMap::new();
                    for (route, request) in requests {
                        answers.insert(route, comparable(&request.await));
                    }
                    (caller, answers)
                });
            }
            eventually(
                "an environment for each caller",
                async || {
                    functions
                        .iter()
                        .map(|name| pooled.environments(name).len())
                        .sum::<usize>()
                },
                |environments| *environments >= CALLERS,
            )
            .await;
            proxy.heal();
            let answers = callers.join_all().await;
            assert_eq!(answers.len(), CALLERS);
            for (caller, answers) in answers {
                for ((route, _), direct) in readers[caller].requests.iter().zip(&read[caller]) {
                    // Pages are long, and the difference is rarely in the status.
                    assert_eq!(answers[route].0, direct.0, "{route}: {}", answers[route].1);
                    assert!(answers[route].1 == direct.1, "{route}: another body");
                }
                for (number, (status, direct)) in written.iter().enumerate() {
                    let (writer, route) = (&writers[caller][number], &writes[number]);
                    let (answered, body) = &answers[route];
                    assert_eq!(answered, status, "{route}: {body}");
                    assert_eq!(form(body), form(direct), "{route}");
                    // Rows of the caller's own people, and of no others.
                    let named = direct_writers[number].named_in(direct);
                    assert_eq!(writer.named_in(body), named, "{route}: {body}");
                    let others = writers
                        .iter()
                        .flatten()
                        .filter(|other| other.doctor != writer.doctor);
                    for other in others {
                        assert_eq!(other.named_in(body), [false; 2], "{route}: {body}");
                    }
                }
            }
            let sessions = clinic.sessions().await;
            assert_eq!(sessions, i64::from(SESSIONS));
            // None of it was said through the pooler.
            let after = leases_and_names(&statements(&clinic.database));
            assert_eq!(after, before);
            pooled.shutdown().await;
        },
    )
    .await;
}
