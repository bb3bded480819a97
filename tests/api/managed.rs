//! One environment that serves many invocations at once, as on Lambda Managed Instances.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fleet::database::APPLICATION;
use tokio::task::JoinSet;

use crate::{
    clinic::Clinic,
    probe::{as_staff, send},
};

const UPCOMING: &str = "appointments-upcoming";

/// Sixteen invocations at once, four sessions, 64 clients that ask again and again.
const INVOCATIONS: u32 = 16;
const SESSIONS: usize = 4;
const CLIENTS: usize = 64;

#[tokio::test]
async fn sixteen_invocations_share_four_sessions_first_come_first_served() {
    let mut clinic = Clinic::open_with("?connection_limit=4", |fleet| {
        fleet
            .max_concurrency(UPCOMING, INVOCATIONS)
            .reserved_concurrency(UPCOMING, INVOCATIONS)
            .function_variable(UPCOMING, "DATABASE_CONNECTION_LIMIT", "4")
    })
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
    let path = format!("/api/doctors/{doctor}/appointments/upcoming");
    let request = as_staff(&clinic.fleet, &path);

    let arrivals = Arc::new(AtomicU64::new(0));
    // Of each answered request: when it arrived, in the order of the answers.
    let answered = Arc::new(Mutex::new(Vec::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (request, arrivals) = (request.clone(), Arc::clone(&arrivals));
        let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
        clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let arrival = arrivals.fetch_add(1, Ordering::Relaxed);
                let status = send(request.clone()).await.status.as_u16();
                match status {
                    200 => answered.lock().unwrap().push(arrival),
                    // All sixteen are busy: whoever is throttled arrives anew.
                    429 => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => panic!("{other}"),
                }
            }
        });
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(clinic.sessions().await <= 4);
    }
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;

    let answered = answered.lock().unwrap().clone();
    assert!(answered.len() > CLIENTS, "{} answers", answered.len());
    for (place, arrival) in answered.iter().enumerate() {
        let overtakers = answered[..place]
            .iter()
            .filter(|earlier| *earlier > arrival)
            .count();
        assert!(
            overtakers <= CLIENTS,
            "{overtakers} later arrivals were answered first"
        );
    }
    assert_eq!(clinic.fleet.environments(UPCOMING).len(), 1);
    assert_eq!(clinic.logged(UPCOMING, "database pool created").len(), 1);
    let log = clinic.database.connections().unwrap();
    let peak = log.peak(APPLICATION);
    assert!(
        peak <= SESSIONS + 1,
        "{peak} sessions at once, the migration's included"
    );
    assert!(peak > 1, "the invocations did not come together");
    clinic.close().await;
}
