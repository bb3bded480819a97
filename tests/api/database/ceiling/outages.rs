//! A database that goes away for a moment, and a network that says nothing for a while.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fleet::{database::Stop, proxy::Proxy};
use tokio::task::JoinSet;

use super::{
    Answer, UPCOMING, all_are_frozen, ask, assert_all_served, assert_ceiling, assert_no_complaint,
    at_once, bring_up, clinic, clinic_on, left_behind, server, together,
};
use crate::support::clinic::run_test;
use crate::support::probe::{as_staff, eventually};

/// What a caller may be told while the database is away.
const PROBLEMS: [&str; 2] = ["database-busy", "database-unreachable"];

/// How long the function may take.
const TIME_OUT: Duration = Duration::from_secs(29);

#[tokio::test]
async fn a_restarted_database_costs_some_503_and_no_environment() {
    const CLIENTS: usize = 20;
    run_test(clinic(|fleet| fleet), async |(clinic, path)| {
        let before = bring_up(clinic, path, CLIENTS).await;
        let request = as_staff(&clinic.fleet, path);
        let answers = Arc::new(Mutex::new(Vec::<Answer>::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (request, answers, stop) =
                (request.clone(), Arc::clone(&answers), Arc::clone(&stop));
            clients.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = ask(request.clone()).await;
                    answers.lock().unwrap().push(answer);
                }
            });
        }
        let served_again = async || {
            let served = || {
                let answers = answers.lock().unwrap();
                let served = answers.iter().filter(|one| one.reply.status == 200);
                served.count()
            };
            let wanted = served() + 5 * CLIENTS;
            eventually(
                "more answers",
                async || served(),
                |served| *served >= wanted,
            )
            .await;
        };
        served_again().await;
        clinic.database.restart(Stop::Fast).await.unwrap();
        served_again().await;
        stop.store(true, Ordering::Relaxed);
        clients.join_all().await;
        assert_no_complaint(&answers.lock().unwrap(), &PROBLEMS);

        // Every environment serves again, and none is a new process.
        all_are_frozen(&clinic.fleet).await;
        let environments = clinic.fleet.environments(UPCOMING);
        clinic.admin = clinic.database.admin().await.unwrap();
        let count = environments.len();
        assert_all_served(&together(&clinic.fleet, path, count).await, count);
        assert_eq!(left_behind(&clinic.fleet, &environments), []);
        assert_eq!(left_behind(&clinic.fleet, &before), []);
        assert_eq!(clinic.fleet.environments(UPCOMING).len(), count);
        assert_ceiling(clinic).await;
    })
    .await;
}

#[tokio::test]
async fn a_network_that_stalls_for_three_seconds_leaves_no_request_stuck() {
    const REQUESTS: usize = 20;
    let database = server().await;
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    run_test(
        clinic_on(database, |fleet| {
            let url = format!("{url}?connection_limit=1&pool_timeout=20");
            fleet.variable("DATABASE_URL", url)
        }),
        async |(clinic, path)| {
            // Half of them with sessions that are there, half without.
            bring_up(clinic, path, REQUESTS / 2).await;
            proxy.stall();
            let answers = at_once(&clinic.fleet, path, REQUESTS);
            eventually(
                "every request to have begun",
                async || usize::try_from(clinic.fleet.counters(UPCOMING).in_flight).unwrap(),
                |in_flight| *in_flight == REQUESTS,
            )
            .await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            proxy.heal();
            let answers = answers.await.unwrap();
            assert_no_complaint(&answers, &PROBLEMS);
            for answer in &answers {
                assert!(answer.after < TIME_OUT, "{answer:?}");
            }
            assert_eq!(answers.len(), REQUESTS);

            all_are_frozen(&clinic.fleet).await;
            let environments = clinic.fleet.environments(UPCOMING);
            assert_eq!(environments.len(), REQUESTS);
            assert_all_served(&together(&clinic.fleet, path, REQUESTS).await, REQUESTS);
            assert_eq!(left_behind(&clinic.fleet, &environments), []);
        },
    )
    .await;
}

#[tokio::test]
async fn environments_that_do_not_serve_again_are_noticed() {
    run_test(clinic(|fleet| fleet), async |(clinic, path)| {
        let before = bring_up(clinic, path, 4).await;
        clinic.fleet.vanish(&before[0].id);
        clinic.fleet.kill(&before[1].id);
        assert_all_served(&together(&clinic.fleet, path, 4).await, 4);
        let left = left_behind(&clinic.fleet, &before);
        let left: Vec<&str> = left.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(left, [&before[0].id, &before[1].id]);
    })
    .await;
}
