//! A fleet that is far larger than its budget, and clients that ask again and again.

use std::time::{Duration, Instant};

use fleet::Dispatch;
use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use super::{
    Answer, CROWDED, LIMIT, ask, assert_ceiling, assert_no_complaint, bring_up, clinic, clinic_on,
    complaint, count, let_in, lock_out, peak, server, sessions_are_more_than,
};
use crate::support::clinic::run_test;
use crate::support::{
    probe::{PATIENCE, as_staff},
    seed::seed,
};

const ENVIRONMENTS: usize = 300;
const CLIENTS: usize = 120;

/// Clients that ask again as soon as they are answered, for a while; every answer.
async fn closed_loop(request: Request<Full<Bytes>>, clients: usize, time: Duration) -> Vec<Answer> {
    let end = Instant::now() + time;
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let request = request.clone();
        running.spawn(async move {
            let mut answers = Vec::new();
            while Instant::now() < end {
                answers.push(ask(request.clone()).await);
            }
            answers
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

async fn are_all_served(dispatch: Dispatch) {
    let _alone = CROWDED.lock().await;
    run_test(
        clinic(|fleet| fleet.dispatch(dispatch)),
        async |(clinic, path)| {
            bring_up(clinic, path, ENVIRONMENTS).await;
            let request = as_staff(&clinic.fleet, path);
            let answers = closed_loop(request, CLIENTS, Duration::from_secs(5)).await;
            assert_no_complaint(&answers, &["database-busy"]);
            assert!(count(&answers, 200) >= CLIENTS);
            assert_ceiling(clinic).await;
        },
    )
    .await;
}

#[tokio::test]
async fn more_clients_than_slots_are_all_served_by_the_environment_used_last() {
    are_all_served(Dispatch::LastUsedFirst).await;
}

#[tokio::test]
async fn more_clients_than_slots_are_all_served_by_any_environment() {
    are_all_served(Dispatch::Any { seed: seed() }).await;
}

#[tokio::test]
async fn without_the_roles_limit_a_crowd_goes_through_the_ceiling() {
    // What a session has, it keeps.
    run_test(
        clinic(|fleet| {
            fleet
                .variable("DATABASE_RETAINED_PERCENT", "100")
                .variable("DATABASE_LEASE_LONG_MIN", "300")
        }),
        async |(clinic, path)| {
            clinic
                .sql("alter role application connection limit 97")
                .await;
            let request = as_staff(&clinic.fleet, path);
            tokio::select! {
                _ = closed_loop(request, LIMIT + 5, PATIENCE) => {}
                () = sessions_are_more_than(clinic, LIMIT) => {}
            }
            assert!(peak(clinic).await > LIMIT, "the check cannot fail");
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_gives_up_early_is_noticed() {
    let database = server().await;
    let impatient = "?connection_limit=1&pool_timeout=1";
    let url = format!("{}{impatient}", database.application_url());
    run_test(
        clinic_on(database, |fleet| fleet.variable("DATABASE_URL", url)),
        async |(clinic, path)| {
            clinic
                .sql("alter role application connection limit 0")
                .await;
            let answer = ask(as_staff(&clinic.fleet, path)).await;
            let complaint = complaint(&answer, &["database-busy"]).expect("a complaint");
            assert!(complaint.contains("too early"), "{complaint}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_503_of_the_gateways_own_is_noticed() {
    run_test(
        clinic(|fleet| fleet.integration_timeout(Duration::from_millis(100))),
        async |(clinic, path)| {
            lock_out(clinic).await;
            let answer = ask(as_staff(&clinic.fleet, path)).await;
            assert_eq!(answer.reply.status, 503);
            let complaint = complaint(&answer, &["database-busy"]).expect("a complaint");
            assert!(complaint.contains("nobody should see this"), "{complaint}");
            let_in(clinic).await;
        },
    )
    .await;
}
