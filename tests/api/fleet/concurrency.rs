//! Which invocations run at once, and in which process.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleet::{Dispatch, InvokeError};
use serde_json::json;

use crate::support::probe::{eventually, get, impatient_probe, live, pid, probe, together};

#[tokio::test]
async fn sequential_requests_meet_one_process() {
    let fleet = probe().start().await.unwrap();
    let first = pid(&get(&fleet, "/probe").await);
    for _ in 0..20 {
        assert_eq!(pid(&get(&fleet, "/probe").await), first);
    }
    assert_eq!(fleet.counters("probe").started, 1);
    assert_eq!(live(&fleet)[0].served, 21);
    fleet.shutdown().await;
}

#[tokio::test]
async fn parallel_requests_meet_a_process_each() {
    let fleet = probe().start().await.unwrap();
    let replies = together(&fleet, 4, 300).await;
    let pids: BTreeSet<u32> = replies.iter().map(pid).collect();
    assert_eq!(pids.len(), 4);
    assert_eq!(fleet.counters("probe").started, 4);
    fleet.shutdown().await;
}

#[tokio::test]
async fn invocations_beyond_reserved_concurrency_are_throttled() {
    let fleet = probe()
        .reserved_concurrency("probe", 1)
        .start()
        .await
        .unwrap();
    let slow = get(&fleet, "/probe?sleep_ms=500");
    let refused = async {
        eventually(
            "the slow request",
            async || live(&fleet).len(),
            |count| *count == 1,
        )
        .await;
        get(&fleet, "/probe").await
    };
    let (slow, refused) = tokio::join!(slow, refused);
    assert_eq!(slow.status, 200);
    assert_eq!(refused.status, 429);
    assert_eq!(refused.text(), r#"{"message":"Too Many Requests"}"#);
    assert_eq!(fleet.counters("probe").throttled, 1);
    for _ in 0..10 {
        let next = get(&fleet, "/probe").await;
        assert_eq!(next.status, 200, "an answered invocation is not in flight");
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn no_reserved_concurrency_at_all_throttles_everything() {
    let fleet = probe()
        .reserved_concurrency("probe", 0)
        .start()
        .await
        .unwrap();
    let invoked = fleet.invoke("probe", json!({})).await;
    assert!(
        matches!(invoked, Err(InvokeError::Throttled)),
        "{invoked:?}"
    );
    assert_eq!(fleet.counters("probe").started, 0);
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_last_used_environment_is_used_first_unless_any_will_do() {
    let fleet = probe().start().await.unwrap();
    together(&fleet, 4, 300).await;
    let chosen = pid(&get(&fleet, "/probe").await);
    for _ in 0..20 {
        assert_eq!(pid(&get(&fleet, "/probe").await), chosen);
    }
    fleet.shutdown().await;

    let fleet = probe()
        .dispatch(Dispatch::Any { seed: 1 })
        .start()
        .await
        .unwrap();
    together(&fleet, 4, 300).await;
    let mut pids = BTreeSet::new();
    for _ in 0..40 {
        pids.insert(pid(&get(&fleet, "/probe").await));
    }
    assert_eq!(pids.len(), 4);
    assert_eq!(fleet.counters("probe").started, 4);
    fleet.shutdown().await;
}

#[tokio::test]
async fn environments_of_two_versions_exist_side_by_side() {
    let fleet = probe()
        .version("1")
        .reserved_concurrency("probe", 1)
        .start()
        .await
        .unwrap();
    let old = pid(&get(&fleet, "/probe").await);
    fleet.deploy("probe", "2");
    let new = get(&fleet, "/probe").await;
    assert_ne!(pid(&new), old);
    assert_eq!(new.json()["variables"]["AWS_LAMBDA_FUNCTION_VERSION"], "2");
    let versions: Vec<String> = live(&fleet)
        .into_iter()
        .map(|found| found.version)
        .collect();
    assert_eq!(versions, ["1", "2"]);
    assert_eq!(
        pid(&get(&fleet, "/probe").await),
        pid(&new),
        "the old one gets nothing more"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_managed_environment_takes_several_invocations_at_once() {
    let fleet = probe().max_concurrency("probe", 4).start().await.unwrap();
    let start = Instant::now();
    let replies = together(&fleet, 4, 2_000).await;
    let pids: BTreeSet<u32> = replies.iter().map(pid).collect();
    assert_eq!(pids.len(), 1);
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "one after the other"
    );
    let variables = &replies[0].json()["variables"];
    assert_eq!(variables["AWS_LAMBDA_MAX_CONCURRENCY"], "4");
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_managed_environment_survives_one_invocations_time_out() {
    let fleet = impatient_probe()
        .max_concurrency("probe", 2)
        .start()
        .await
        .unwrap();
    let first = pid(&get(&fleet, "/probe").await);
    let late = get(&fleet, "/probe?sleep_ms=2500").await;
    assert_eq!(late.status, 500);
    assert_eq!(pid(&get(&fleet, "/probe").await), first);
    eventually(
        "the late answer to be taken",
        async || live(&fleet)[0].served,
        |served| *served == 3,
    )
    .await;
    assert_eq!(pid(&get(&fleet, "/probe").await), first);
    fleet.shutdown().await;
}
