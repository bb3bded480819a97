//! Environments stand still between invocations, and end as on Lambda, whatever becomes of the
//! fleet.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use fleet::{EnvironmentState, Source};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::probe::{
    environment_in, eventually, get, kernel_state, lines, live, pid, probe, together,
};

#[tokio::test]
async fn an_idle_environment_is_stopped_and_runs_again_when_used() {
    let fleet = probe().start().await.unwrap();
    for _ in 0..3 {
        assert_eq!(get(&fleet, "/probe").await.status, 200);
        let environment = environment_in(&fleet, EnvironmentState::Frozen).await;
        eventually(
            "the kernel to agree",
            async || kernel_state(environment.pid),
            |state| *state == Some('T'),
        )
        .await;
    }
    assert_eq!(fleet.counters("probe").started, 1);
    let id = live(&fleet)[0].id.clone();
    assert!(fleet.thaw(&id));
    assert_eq!(live(&fleet)[0].state, EnvironmentState::Idle);
    fleet.shutdown().await;
}

#[tokio::test]
async fn without_freezing_an_idle_environment_runs_on() {
    let fleet = probe().freeze(false).start().await.unwrap();
    get(&fleet, "/probe").await;
    let environment = environment_in(&fleet, EnvironmentState::Idle).await;
    assert_ne!(kernel_state(environment.pid), Some('T'));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_frozen_environment_makes_no_progress_until_thawed() {
    let fleet = probe().start().await.unwrap();
    let busy = get(&fleet, "/probe?sleep_ms=300&print=begun");
    let hold = async {
        eventually(
            "the invocation to begin",
            async || lines(&fleet, Source::Stdout),
            |lines| lines.contains(&"begun".to_owned()),
        )
        .await;
        let id = live(&fleet).pop().unwrap().id;
        assert!(fleet.freeze(&id));
        let since = Instant::now();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(
            live(&fleet)[0].served,
            0,
            "it answered while it stood still"
        );
        assert!(fleet.thaw(&id));
        since
    };
    let (reply, since) = tokio::join!(busy, hold);
    assert_eq!(reply.status, 200);
    assert!(since.elapsed() >= Duration::from_secs(1));
    fleet.shutdown().await;
}

#[tokio::test]
async fn sigterm_reaches_an_environment_with_an_extension() {
    let fleet = probe()
        .variable("PROBE_GRACEFUL", "1")
        .start()
        .await
        .unwrap();
    get(&fleet, "/probe").await;
    let id = environment_in(&fleet, EnvironmentState::Frozen).await.id;
    assert!(fleet.reap(&id).await);
    assert!(lines(&fleet, Source::Stdout).contains(&"probe: hook ran".to_owned()));
    assert_eq!(
        lines(&fleet, Source::Platform),
        ["Runtime exited: exit status 0"]
    );
    assert!(live(&fleet).is_empty());
    assert!(!fleet.reap(&id).await, "it is gone");
    fleet.shutdown().await;
}

#[tokio::test]
async fn no_sigterm_reaches_an_environment_without_an_extension() {
    let fleet = probe().start().await.unwrap();
    get(&fleet, "/probe").await;
    let environment = live(&fleet).pop().unwrap();
    assert!(fleet.reap(&environment.id).await);
    assert_eq!(kernel_state(environment.pid), None);
    let ends = lines(&fleet, Source::Platform);
    assert_eq!(ends, ["Runtime exited: signal 9"], "SIGTERM would be 15");
    fleet.shutdown().await;
}

#[tokio::test]
async fn environments_that_are_idle_for_long_are_reaped() {
    let fleet = probe()
        .idle_limit(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    get(&fleet, "/probe").await;
    eventually(
        "the idle environment to end",
        async || live(&fleet),
        Vec::is_empty,
    )
    .await;
    assert_eq!(get(&fleet, "/probe").await.status, 200);
    assert_eq!(fleet.counters("probe").started, 2);
    fleet.shutdown().await;
}

#[tokio::test]
async fn nothing_is_left_running_after_a_shutdown() {
    let fleet = probe().start().await.unwrap();
    let replies = together(&fleet, 2, 200).await;
    assert_eq!(replies.iter().map(pid).collect::<BTreeSet<u32>>().len(), 2);
    let address = fleet.address();
    fleet.shutdown().await;
    for reply in &replies {
        assert_eq!(kernel_state(pid(reply)), None);
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_is_bounded_by_its_grace_not_by_the_invocation() {
    let fleet = probe().start().await.unwrap();
    let hanging = tokio::spawn(get(&fleet, "/probe?sleep_ms=19000"));
    let environment = environment_in(&fleet, EnvironmentState::Busy).await;
    let start = Instant::now();
    fleet.shutdown().await;
    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(kernel_state(environment.pid), None);
    hanging.abort();
}

/// What the next test kills. It ends by itself when its standard input does.
#[tokio::test]
#[ignore = "run by processes_end_with_a_fleet_that_is_killed"]
async fn a_fleet_to_be_killed() {
    let fleet = probe().start().await.unwrap();
    // Busy, because a process that waits notices that the runtime is gone: polling, it loses its
    // connection; stopped, it gets the kernel's SIGHUP.
    let busy = tokio::spawn(get(&fleet, "/probe?sleep_ms=60000&print=begun"));
    eventually(
        "the invocation to begin",
        async || lines(&fleet, Source::Stdout),
        |lines| lines.contains(&"begun".to_owned()),
    )
    .await;
    println!("\nenvironment: {}", live(&fleet)[0].pid);
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    ended.await.unwrap().unwrap();
    busy.abort();
    fleet.shutdown().await;
}

#[tokio::test]
async fn processes_end_with_a_fleet_that_is_killed() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fleet::lifecycle::a_fleet_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let pid = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the fleet's environment");
        if let Some(pid) = line.strip_prefix("environment: ") {
            break pid.parse().unwrap();
        }
    };
    assert!(kernel_state(pid).is_some());
    holder.kill().await.unwrap();
    // An orphan that is not collected at once is a zombie.
    let ended = |state: &Option<char>| matches!(state, None | Some('Z'));
    eventually(
        "the environment to end with its fleet",
        async || kernel_state(pid),
        ended,
    )
    .await;
}

#[tokio::test]
async fn a_dropped_fleet_kills_its_processes() {
    let fleet = probe().start().await.unwrap();
    let pid = pid(&get(&fleet, "/probe").await);
    drop(fleet);
    eventually(
        "the process to be gone",
        async || kernel_state(pid),
        Option::is_none,
    )
    .await;
}
