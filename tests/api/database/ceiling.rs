//! The ceiling holds while the fleet misbehaves: bursts, frozen and vanished environments, two
//! versions at once, a fleet far larger than its budget, a database that goes away.
//!
//! What is asserted is what must always hold. How fast it goes, `make measure` tells.

mod burst;
mod crowd;
mod killed;
mod leftovers;
mod outages;

use std::time::{Duration, Instant};

use fleet::{
    Builder, EnvironmentState, EnvironmentStatus, Fleet,
    database::{APPLICATION, Database},
};
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::{
    sync::Mutex,
    task::{JoinHandle, JoinSet},
};

use crate::support::{
    clinic::{CEILING, Clinic},
    probe::{Reply, as_staff, eventually, send},
};

const UPCOMING: &str = "appointments-upcoming";

/// The role's limit, on a server of 100 connections.
const LIMIT: usize = CEILING as usize;

/// The retention mark: 80 % of it.
const MARK: usize = 72;

/// When a request that found no room may be told so: after the pool's 20 s, of which the last
/// moment is not begun, because the answer would hardly be in time.
const NOT_BEFORE: Duration = Duration::from_millis(19_500);

/// Held while hundreds of environments compete: two such crowds would wait for the machine, and not
/// for the database.
static CROWDED: Mutex<()> = Mutex::const_new(());

/// A server that says when a statement is done, so that its log shows every session at work.
async fn server() -> Database {
    let server = Database::builder()
        .max_connections(100)
        .setting("log_duration", "on");
    server.start().await.unwrap()
}

/// A clinic whose role may have 90 sessions, on a fleet that may have 300 environments of the
/// busiest route; and that route's path.
async fn clinic(adapt: impl FnOnce(Builder) -> Builder) -> (Clinic, String) {
    clinic_on(server().await, adapt).await
}

async fn clinic_on(database: Database, adapt: impl FnOnce(Builder) -> Builder) -> (Clinic, String) {
    let parameters = "?connection_limit=1&pool_timeout=20";
    let mut clinic = Clinic::open_on(database, parameters, |fleet| {
        let fleet = fleet
            .reserved_concurrency(UPCOMING, 300)
            // Lambda starts environments on many machines, this one starts them one after the
            // other. What a function may take is its own 29 s, counted from when it is up.
            .integration_timeout(Duration::from_secs(120));
        adapt(fleet)
    })
    .await;
    let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
    let patient = clinic.patient("Mrs. Lindqvist").await;
    let soon = "now() + interval '1 hour'";
    clinic.visits(doctor, patient, soon, 200, "scheduled").await;
    let path = format!("/api/doctors/{doctor}/appointments/upcoming");
    (clinic, path)
}

/// What a caller got, and when.
#[derive(Debug)]
struct Answer {
    reply: Reply,
    after: Duration,
}

async fn ask(request: Request<Full<Bytes>>) -> Answer {
    let start = Instant::now();
    let reply = send(request).await;
    let after = start.elapsed();
    Answer { reply, after }
}

/// Requests at the same time.
fn at_once(fleet: &Fleet, path: &str, count: usize) -> JoinHandle<Vec<Answer>> {
    // Signed once: a signature each would keep them apart.
    let request = as_staff(fleet, path);
    let requests: JoinSet<Answer> = (0..count).map(|_| ask(request.clone())).collect();
    tokio::spawn(requests.join_all())
}

/// Requests at the same moment, so that each gets an environment of its own.
async fn together(fleet: &Fleet, path: &str, count: usize) -> Vec<Answer> {
    fleet.hold(UPCOMING);
    let answers = at_once(fleet, path, count);
    eventually(
        "all requests to have come",
        async || usize::try_from(fleet.counters(UPCOMING).in_flight).unwrap(),
        |in_flight| *in_flight == count,
    )
    .await;
    fleet.release(UPCOMING);
    answers.await.unwrap()
}

/// As many requests, each with a session that it keeps until all have one; their answers.
async fn each_with_a_session(clinic: &mut Clinic, path: &str, count: usize) -> Vec<Answer> {
    lock_out(clinic).await;
    let answers = at_once(&clinic.fleet, path, count);
    sessions_are(clinic, count).await;
    let_in(clinic).await;
    answers.await.unwrap()
}

/// Keeps the functions from reading: the table that all of them read is locked. Whoever does so
/// gives statements more time than usual.
async fn lock_out(clinic: &mut Clinic) {
    clinic.sql("begin").await;
    clinic
        .sql("lock table appointments in access exclusive mode")
        .await;
}

async fn let_in(clinic: &mut Clinic) {
    clinic.sql("rollback").await;
}

/// Statements wait for a lock for longer than it takes until all requests are there.
fn waiting_for_locks(fleet: Builder) -> Builder {
    fleet
        .variable("DATABASE_LOCK_TIMEOUT", "14")
        .variable("DATABASE_STATEMENT_TIMEOUT", "14")
}

async fn all_are_frozen(fleet: &Fleet) {
    eventually(
        "all environments to be frozen",
        async || fleet.environments(UPCOMING),
        |environments| {
            environments
                .iter()
                .all(|found| found.state == EnvironmentState::Frozen)
        },
    )
    .await;
}

/// Brings up so many environments, used once each and frozen; they.
async fn bring_up(clinic: &mut Clinic, path: &str, count: usize) -> Vec<EnvironmentStatus> {
    assert_all_served(&together(&clinic.fleet, path, count).await, count);
    all_are_frozen(&clinic.fleet).await;
    let environments = clinic.fleet.environments(UPCOMING);
    assert_eq!(environments.len(), count);
    environments
}

/// Uses so many environments, all of them each time, until so many sessions are retained: one that
/// was opened while another was being counted is not yet.
async fn retain(clinic: &mut Clinic, path: &str, environments: usize, sessions: usize) {
    let retained = async || {
        assert_all_served(
            &together(&clinic.fleet, path, environments).await,
            environments,
        );
        sessions_of(clinic, "retained").await
    };
    eventually("the retained sessions", retained, |retained| {
        *retained == sessions
    })
    .await;
    all_are_frozen(&clinic.fleet).await;
    assert_eq!(clinic.fleet.environments(UPCOMING).len(), environments);
}

/// The application's sessions of one kind, now.
async fn sessions_of(clinic: &mut Clinic, lease: &str) -> usize {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where usename = $1 and split_part(application_name, '/', 2) = $2",
    )
    .bind(APPLICATION)
    .bind(lease)
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap();
    usize::try_from(count).unwrap()
}

/// Waits until the application has so many sessions.
async fn sessions_are(clinic: &mut Clinic, wanted: usize) {
    eventually(
        "the sessions",
        async || usize::try_from(clinic.sessions().await).unwrap(),
        |sessions| *sessions == wanted,
    )
    .await;
}

/// Waits until the application has more sessions than so many, for ever if need be.
async fn sessions_are_more_than(clinic: &mut Clinic, number: usize) {
    while usize::try_from(clinic.sessions().await).unwrap() <= number {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn count(answers: &[Answer], status: u16) -> usize {
    let of_status = |answer: &&Answer| answer.reply.status == status;
    answers.iter().filter(of_status).count()
}

fn assert_all_served(answers: &[Answer], wanted: usize) {
    for answer in answers {
        assert_eq!(answer.reply.status, 200, "{answer:?}");
    }
    assert_eq!(answers.len(), wanted);
}

/// What is wrong with an answer, if anything is: a caller may see the rows or, after as long as a
/// caller waits at most, one of these problems, and never what the server says when it is full.
fn complaint(answer: &Answer, problems: &[&str]) -> Option<String> {
    const OF_A_FULL_SERVER: [&str; 4] = [
        "too many clients",
        "too many connections",
        "connection slots are reserved",
        "53300",
    ];
    let Answer { reply, after } = answer;
    let body = String::from_utf8_lossy(&reply.body);
    if OF_A_FULL_SERVER.iter().any(|text| body.contains(text)) {
        return Some(format!("it tells that the server is full: {answer:?}"));
    }
    if reply.status == 200 {
        return None;
    }
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let kind = problem["type"].as_str().unwrap_or_default();
    let known = problems
        .iter()
        .any(|known| kind == format!("urn:headroom:problem:{known}"));
    if reply.status != 503 || !known || !reply.headers.contains_key("retry-after") {
        return Some(format!("nobody should see this: {answer:?}"));
    }
    (*after < NOT_BEFORE).then(|| format!("it came too early: {answer:?}"))
}

fn assert_no_complaint(answers: &[Answer], problems: &[&str]) {
    let complaints: Vec<String> = answers
        .iter()
        .filter_map(|answer| complaint(answer, problems))
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Those of the environments that have answered nothing since, or are another process by now.
fn left_behind(fleet: &Fleet, before: &[EnvironmentStatus]) -> Vec<EnvironmentStatus> {
    let now = fleet.environments(UPCOMING);
    let goes_on = |old: &&EnvironmentStatus| {
        now.iter().any(|new| {
            new.id == old.id
                && new.pid == old.pid
                && new.served > old.served
                && new.state != EnvironmentState::Gone
        })
    };
    let left = before.iter().filter(|old| !goes_on(old));
    left.cloned().collect()
}

/// Never more sessions than the role's limit, replayed from the server's log.
async fn assert_ceiling(clinic: &mut Clinic) {
    let peak = peak(clinic).await;
    println!("{peak} sessions at once");
    assert!(peak <= LIMIT, "{peak} sessions at once");
}

/// The most sessions of the application that were there at once. It has none afterwards: those that
/// are left are ended, so that the server's last word on each of them is in its log. Again and again,
/// because a read whose session was ended runs once more on another.
async fn peak(clinic: &mut Clinic) -> usize {
    let left = async || {
        clinic
            .sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'application'")
            .await;
        clinic.sessions().await
    };
    eventually("the last session to end", left, |left| *left == 0).await;
    let log = clinic.database.connections().unwrap();
    log.certain_peak(APPLICATION)
}
