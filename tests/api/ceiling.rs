//! The ceiling holds while the fleet misbehaves: bursts, frozen and vanished environments, two
//! versions at once, a fleet far larger than its budget.
//!
//! What is asserted is what must always hold. How fast it goes, `make measure` tells.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use fleet::{
    Builder, Dispatch, EnvironmentState, Fleet,
    database::{APPLICATION, Database, Stop},
    proxy::Proxy,
};
use sqlx::Connection;
use tokio::task::JoinSet;

use crate::{
    clinic::{CEILING, Clinic},
    probe::{PATIENCE, Reply, as_staff, eventually, get, send},
};

const UPCOMING: &str = "appointments-upcoming";

/// The role's limit, on a server of 100 connections.
const LIMIT: usize = CEILING as usize;

/// More than a handover from one session to the next takes on a busy machine; see
/// `ConnectionLog::peak_lasting`.
const HANDOVER: TimeDelta = TimeDelta::milliseconds(200);

/// A clinic whose role may have 90 sessions, on a fleet that may have 300 environments of the
/// busiest route; and that route's path.
async fn clinic(parameters: &str, adapt: impl FnOnce(Builder) -> Builder) -> (Clinic, String) {
    let database = Database::builder()
        .max_connections(100)
        .start()
        .await
        .unwrap();
    clinic_on(database, parameters, adapt).await
}

async fn clinic_on(
    database: Database,
    parameters: &str,
    adapt: impl FnOnce(Builder) -> Builder,
) -> (Clinic, String) {
    let parameters = format!("?connection_limit=1&pool_timeout=20{parameters}");
    let mut clinic = Clinic::open_on(database, &parameters, |fleet| {
        adapt(fleet.reserved_concurrency(UPCOMING, 300))
    })
    .await;
    clinic
        .sql("alter role application connection limit 90")
        .await;
    let doctor = clinic.doctor("A", "UTC").await;
    let patient = clinic.patient("P").await;
    clinic
        .visits(
            doctor,
            patient,
            "now() + interval '1 hour'",
            200,
            "scheduled",
        )
        .await;
    (
        clinic,
        format!("/api/doctors/{doctor}/appointments/upcoming"),
    )
}

/// Requests at the same time.
async fn together(fleet: &Fleet, path: &str, count: usize) -> Vec<Reply> {
    // Signed once: a signature each would keep them apart.
    let request = as_staff(fleet, path);
    let requests: JoinSet<Reply> = (0..count).map(|_| send(request.clone())).collect();
    requests.join_all().await
}

fn count(replies: &[Reply], status: u16) -> usize {
    replies
        .iter()
        .filter(|reply| reply.status == status)
        .count()
}

/// Uses so many environments once each. A quick one may answer twice, so it is asked again.
async fn use_environments(clinic: &Clinic, path: &str, environments: usize) {
    let start = Instant::now();
    while clinic.fleet.environments(UPCOMING).len() < environments {
        assert!(start.elapsed() < PATIENCE);
        for reply in together(&clinic.fleet, path, environments).await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }
    eventually("all environments to be frozen", || {
        let environments = clinic.fleet.environments(UPCOMING);
        environments
            .iter()
            .all(|environment| environment.state == EnvironmentState::Frozen)
            .then_some(())
    })
    .await;
}

/// Clients that ask again as soon as they are answered, for a while; every answer.
async fn closed_loop(fleet: &Fleet, path: &str, clients: usize, time: Duration) -> Vec<Reply> {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    let request = as_staff(fleet, path);
    for _ in 0..clients {
        let request = request.clone();
        running.spawn(async move {
            let mut replies = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                let reply = crate::probe::send(request.clone()).await;
                assert_busy_is_typed_and_not_early(&reply, start.elapsed());
                replies.push(reply);
            }
            replies
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// What a caller may see of a full database: nothing but a typed 503, and not before its time.
fn assert_busy_is_typed_and_not_early(reply: &Reply, after: Duration) {
    if reply.status == 503 {
        let kind = reply.json()["type"].as_str().unwrap().to_owned();
        assert!(kind.ends_with(":database-busy"), "{reply:?}");
        // The last attempt is not begun when it would hardly be answered in time.
        assert!(
            after >= Duration::from_millis(19_500),
            "a 503 after {after:?}"
        );
    } else {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    assert!(!reply.text().contains("too many"), "{reply:?}");
}

/// Never more sessions than the role's limit, replayed from the server's log.
fn assert_ceiling(clinic: &Clinic) {
    let log = clinic.database.connections().unwrap();
    let peak = log.peak_lasting(APPLICATION, HANDOVER);
    assert!(peak <= LIMIT, "{peak} sessions at once");
}

/// An administrator who connects again and again until told to stop; how often, without a failure.
fn administrator(database: &Database) -> impl AsyncFnOnce() -> usize {
    let url = database.admin_url();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let task = tokio::spawn(async move {
        let mut logins = 0;
        while !stopped.load(Ordering::Relaxed) {
            #[expect(
                clippy::disallowed_methods,
                reason = "an administrator, not the application"
            )]
            let connection = sqlx::PgConnection::connect(&url).await;
            connection
                .expect("the administrator gets in")
                .close()
                .await
                .unwrap();
            logins += 1;
        }
        logins
    });
    async move || {
        stop.store(true, Ordering::Relaxed);
        task.await.unwrap()
    }
}

#[tokio::test]
async fn a_burst_of_300_on_300_environments_is_answered() {
    let (clinic, path) = clinic("", |fleet| fleet).await;
    let administrator = administrator(&clinic.database);
    let replies = together(&clinic.fleet, &path, 300).await;
    assert_eq!(count(&replies, 200), 300, "{replies:?}");
    assert!(administrator().await > 0);
    assert_ceiling(&clinic);
    let environments = clinic.fleet.environments(UPCOMING).len();
    assert!(
        environments > LIMIT,
        "only {environments} environments came about"
    );
    clinic.close().await;
}

#[tokio::test]
async fn without_the_roles_limit_and_the_mark_a_burst_goes_through_the_ceiling() {
    // Kept for long, so that a slow machine reaches it too, in some bursts.
    let (mut clinic, path) = clinic("", |fleet| {
        fleet
            .variable("DATABASE_RETENTION_MARK", "100")
            .variable("DATABASE_LEASE_CROWDED", "300")
    })
    .await;
    clinic
        .sql("alter role application connection limit 97")
        .await;
    let mut peak = 0;
    for _ in 0..10 {
        together(&clinic.fleet, &path, 300).await;
        let log = clinic.database.connections().unwrap();
        peak = log.peak_lasting(APPLICATION, HANDOVER);
        if peak > LIMIT {
            break;
        }
    }
    assert!(peak > LIMIT, "the check cannot fail: {peak}");
    clinic.close().await;
}

#[tokio::test]
async fn a_new_version_finds_room_beside_the_frozen_old_one() {
    let (clinic, path) = clinic("", |fleet| fleet).await;
    use_environments(&clinic, &path, 90).await;
    clinic.fleet.deploy(UPCOMING, "2");
    let replies = together(&clinic.fleet, &path, 60).await;
    assert_eq!(count(&replies, 200), 60, "{replies:?}");
    assert_ceiling(&clinic);
    clinic.close().await;
}

#[tokio::test]
async fn with_a_mark_of_100_percent_the_new_version_finds_none() {
    let (clinic, path) = clinic("", |fleet| {
        fleet
            .variable("DATABASE_RETENTION_MARK", "100")
            .variable("DATABASE_LEASE_LONG", "600")
            .variable("DATABASE_LEASE_CROWDED", "600")
    })
    .await;
    use_environments(&clinic, &path, 90).await;
    clinic.fleet.deploy(UPCOMING, "2");
    let replies = together(&clinic.fleet, &path, 20).await;
    assert!(
        count(&replies, 503) > 0,
        "the check cannot fail: {replies:?}"
    );
    assert_eq!(
        count(&replies, 200) + count(&replies, 503),
        20,
        "{replies:?}"
    );
    clinic.close().await;
}

#[tokio::test]
async fn vanished_environments_leave_room_and_their_leases_end() {
    let (mut clinic, path) = clinic("", |fleet| {
        fleet
            .variable("DATABASE_LEASE_LONG", "600")
            .variable("DATABASE_LEASE_CROWDED", "600")
    })
    .await;
    use_environments(&clinic, &path, 90).await;
    // Nobody will ever thaw these.
    clinic.fleet.deploy(UPCOMING, "2");
    let replies = together(&clinic.fleet, &path, 60).await;
    assert_eq!(count(&replies, 200), 60, "{replies:?}");
    assert!(
        clinic.sessions().await >= 60,
        "the vanished ones held nothing"
    );
    clinic.close().await;

    let (mut clinic, path) =
        self::clinic("", |fleet| fleet.variable("DATABASE_LEASE_LONG", "3")).await;
    use_environments(&clinic, &path, 90).await;
    clinic.sessions_are_gone().await;
    clinic.close().await;
}

#[tokio::test]
async fn more_clients_than_slots_are_all_served_whatever_environment_goes_first() {
    for dispatch in [
        Dispatch::LastUsedFirst,
        Dispatch::Any {
            seed: rand::random(),
        },
    ] {
        let (clinic, path) = clinic("", |fleet| fleet.dispatch(dispatch)).await;
        together(&clinic.fleet, &path, 300).await;
        let replies = closed_loop(&clinic.fleet, &path, 120, Duration::from_secs(5)).await;
        assert!(count(&replies, 200) >= 120, "{dispatch:?}");
        assert_ceiling(&clinic);
        clinic.close().await;
    }
}

#[tokio::test]
async fn a_restarted_database_costs_some_503_and_no_environment() {
    let (mut clinic, path) = clinic("", |fleet| fleet).await;
    use_environments(&clinic, &path, 20).await;
    let before = clinic.fleet.environments(UPCOMING);
    let request = as_staff(&clinic.fleet, &path);
    let mut clients = JoinSet::new();
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..20 {
        let (request, stop) = (request.clone(), Arc::clone(&stop));
        clients.spawn(async move {
            let mut statuses = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                statuses.push(crate::probe::send(request.clone()).await.status.as_u16());
            }
            statuses
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    clinic.database.restart(Stop::Fast).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let statuses: Vec<u16> = clients.join_all().await.into_iter().flatten().collect();
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 503)),
        "{statuses:?}"
    );
    for reply in together(&clinic.fleet, &path, 20).await {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let after = clinic.fleet.environments(UPCOMING);
    for environment in before {
        let same = after
            .iter()
            .find(|other| other.id == environment.id)
            .unwrap();
        assert_eq!(same.pid, environment.pid);
        assert_ne!(same.state, EnvironmentState::Gone, "{same:?}");
    }
    clinic.close().await;
}

#[tokio::test]
async fn a_network_that_stalls_for_three_seconds_leaves_nobody_stuck() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = database
        .url()
        .replace(&database.port().to_string(), &proxy.port().to_string());
    let (clinic, path) = clinic_on(database, "", |fleet| {
        fleet.variable(
            "DATABASE_URL",
            format!("{url}?connection_limit=1&pool_timeout=20"),
        )
    })
    .await;
    use_environments(&clinic, &path, 10).await;
    proxy.stall();
    let start = Instant::now();
    let stalled = {
        let requests: JoinSet<Reply> = (0..20).map(|_| get(&clinic.fleet, &path)).collect();
        tokio::spawn(requests.join_all())
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    proxy.heal();
    let replies = stalled.await.unwrap();
    // The function's own time-out would have killed its environment, and been a 500.
    assert!(start.elapsed() < Duration::from_secs(29));
    assert_eq!(
        count(&replies, 200) + count(&replies, 503),
        20,
        "{replies:?}"
    );
    for reply in together(&clinic.fleet, &path, 20).await {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let gone = |environment: &fleet::EnvironmentStatus| environment.state == EnvironmentState::Gone;
    assert!(!clinic.fleet.environments(UPCOMING).iter().any(gone));
    clinic.close().await;
}

#[tokio::test]
async fn an_invocation_killed_in_mid_query_leaves_no_session_and_no_lock() {
    let template = include_str!("../../template.yaml").replace("Timeout: 29", "Timeout: 2");
    let (mut clinic, path) = clinic("", |fleet| {
        fleet
            .template_text(template)
            .variable("DATABASE_LOCK_TIMEOUT", "60")
            .variable("DATABASE_STATEMENT_TIMEOUT", "60")
    })
    .await;
    clinic.sql("begin").await;
    clinic
        .sql("lock table appointments in access exclusive mode")
        .await;
    let environment = {
        let request = get(&clinic.fleet, &path);
        let killed = async {
            eventually("the query to be on its way", || {
                let environments = clinic.fleet.environments(UPCOMING);
                environments
                    .first()
                    .map(|environment| environment.id.clone())
            })
            .await
        };
        let (reply, id) = tokio::join!(request, killed);
        assert!(
            matches!(reply.status.as_u16(), 500 | 503 | 504),
            "{reply:?}"
        );
        id
    };
    // Killed where its answer did not come in time; either way nothing of it may be left.
    clinic.fleet.kill(&environment);
    clinic.sessions_are_gone().await;
    let locks: i64 = sqlx::query_scalar(
        "select count(*) from pg_locks l where l.pid <> pg_backend_pid() and l.relation = 'appointments'::regclass",
    )
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap();
    assert_eq!(locks, 0);
    clinic.sql("rollback").await;
    assert_eq!(clinic.get(&path).await.status, 200);
    clinic.close().await;
}
