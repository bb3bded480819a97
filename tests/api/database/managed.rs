//! One environment that serves many invocations at once, as on Lambda Managed Instances.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fleet::database::{APPLICATION, Database};
use tokio::task::JoinSet;

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{PATIENCE, as_staff, send},
};

const UPCOMING: &str = "appointments-upcoming";

/// Sixteen invocations at once, 64 clients that ask again and again.
const INVOCATIONS: u32 = 16;
const CLIENTS: usize = 64;

/// How often each client is answered.
const ROUNDS: usize = 5;

/// Has all clients ask until each was answered often enough, on so many sessions; the most sessions that
/// were open at once. That who comes first is served first is for the pool's own tests, where the order of
/// arrival is certain.
async fn serve(sessions: usize) -> usize {
    let database = Database::builder().setting("log_duration", "on");
    let database = database.start().await.unwrap();
    let parameters = format!("?connection_limit={sessions}&pool_timeout=20");
    run_test(
        Clinic::open_on(database, &parameters, |fleet| {
            fleet
                .max_concurrency(UPCOMING, INVOCATIONS)
                // More would be a second environment's.
                .reserved_concurrency(UPCOMING, INVOCATIONS)
                .function_variable(UPCOMING, "DATABASE_CONNECTION_LIMIT", sessions.to_string())
        }),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let patient = clinic.patient("Mrs. Lindqvist").await;
            let soon = "now() + interval '1 hour'";
            clinic.visits(doctor, patient, soon, 200, "scheduled").await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            let request = as_staff(&clinic.fleet, &path);

            let over = Arc::new(AtomicBool::new(false));
            let waiting = Arc::new(AtomicU64::new(CLIENTS as u64));
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let (request, over) = (request.clone(), Arc::clone(&over));
                let waiting = Arc::clone(&waiting);
                clients.spawn(async move {
                    let mut rounds = 0;
                    // A client that has had enough goes on: the others must come through a crowd.
                    while !over.load(Ordering::Relaxed) {
                        match send(request.clone()).await.status.as_u16() {
                            200 => {
                                rounds += 1;
                                if rounds == ROUNDS {
                                    waiting.fetch_sub(1, Ordering::Relaxed);
                                }
                            }
                            // All sixteen are busy: whom the platform turns away has not arrived.
                            429 => tokio::time::sleep(Duration::from_millis(5)).await,
                            other => panic!("{other}"),
                        }
                    }
                });
            }
            let start = Instant::now();
            while waiting.load(Ordering::Relaxed) > 0 {
                assert!(start.elapsed() < 2 * PATIENCE, "a client is not served");
                assert!(clinic.sessions().await <= i64::try_from(sessions).unwrap());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            over.store(true, Ordering::Relaxed);
            clients.join_all().await;

            assert_eq!(clinic.fleet.environments(UPCOMING).len(), 1);
            assert_eq!(clinic.logged(UPCOMING, "database pool created").len(), 1);
            println!("throttled: {}", clinic.fleet.counters(UPCOMING).throttled);
            let log = clinic.database.connections().unwrap();
            log.certain_peak(APPLICATION)
        },
    )
    .await
}

#[tokio::test]
async fn sixteen_invocations_share_four_sessions() {
    let peak = serve(4).await;
    assert!(peak <= 4, "{peak} sessions at once");
    assert!(peak > 1, "the invocations did not come together");
}

#[tokio::test]
async fn a_larger_pool_is_seen_to_be_larger() {
    let peak = serve(8).await;
    assert!(peak > 4, "the check cannot fail: {peak}");
}
