//! What can happen to an environment on Lambda happens to it in the fleet: it vanishes, it is
//! killed, and its version is replaced.

use std::collections::BTreeSet;

use fleet::{Builder, EnvironmentState, EnvironmentStatus, Fleet, Source};

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{environment_in, eventually, get, kernel_state, lines, live, pid, probe, together},
};

const UPCOMING: &str = "appointments-upcoming";

/// Waits until so many environments of the function are frozen; they.
async fn frozen(fleet: &Fleet, function: &str, count: usize) -> Vec<EnvironmentStatus> {
    eventually(
        "the environments to be frozen",
        async || {
            let mut environments = fleet.environments(function);
            environments.retain(|found| found.state == EnvironmentState::Frozen);
            environments
        },
        |environments| environments.len() == count,
    )
    .await
}

/// What is retained stays however long the machine takes between two requests.
fn lasting(fleet: Builder) -> Builder {
    fleet.variable("DATABASE_LEASE_LONG_MIN", "300")
}

/// The function's retained sessions.
async fn retained(clinic: &mut Clinic) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where application_name like '%/retained/appointments-upcoming/%'",
    )
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap()
}

async fn is_stopped(pid: u32) {
    eventually(
        "the process to be stopped",
        async || kernel_state(pid),
        |state| *state == Some('T'),
    )
    .await;
}

#[tokio::test]
async fn a_vanished_environment_is_never_used_again_and_ends_with_the_fleet() {
    // With an extension, which would otherwise get its SIGTERM.
    let fleet = probe()
        .variable("PROBE_GRACEFUL", "1")
        .start()
        .await
        .unwrap();
    let lost = pid(&get(&fleet, "/probe").await);
    let id = frozen(&fleet, "probe", 1).await[0].id.clone();
    assert!(fleet.vanish(&id));
    for _ in 0..3 {
        assert_ne!(pid(&get(&fleet, "/probe").await), lost);
    }
    assert!(!fleet.thaw(&id), "it is frozen for ever");
    is_stopped(lost).await;
    let states = live(&fleet).into_iter().map(|found| found.state);
    assert!(
        states
            .collect::<Vec<_>>()
            .contains(&EnvironmentState::Vanished)
    );
    assert_eq!(fleet.counters("probe").started, 2);
    // Reaped, it hears nothing of its end; so it is when the fleet ends.
    assert!(fleet.reap(&id).await);
    assert_eq!(kernel_state(lost), None);
    let ends = lines(&fleet, Source::Platform);
    assert_eq!(ends, ["Runtime exited: signal 9"]);
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_environment_that_vanishes_at_work_fails_what_it_was_doing() {
    let fleet = probe()
        .reserved_concurrency("probe", 1)
        .start()
        .await
        .unwrap();
    let busy = get(&fleet, "/probe?sleep_ms=19000");
    let vanish = async {
        let environment = environment_in(&fleet, EnvironmentState::Busy).await;
        assert!(fleet.vanish(&environment.id));
        environment.pid
    };
    let (reply, lost) = tokio::join!(busy, vanish);
    assert_eq!(reply.status, 500);
    assert_eq!(reply.text(), r#"{"message":"Internal Server Error"}"#);
    // The reserved concurrency of one is free for the next.
    assert_ne!(pid(&get(&fleet, "/probe").await), lost);
    is_stopped(lost).await;
    fleet.shutdown().await;
    assert_eq!(kernel_state(lost), None);
}

#[tokio::test]
async fn all_environments_of_a_function_vanish_with_the_sessions_that_they_hold() {
    let lost = run_test(Clinic::open_with("", lasting), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let path = format!("/api/doctors/{doctor}/appointments/upcoming");
        let requests: Vec<_> = (0..4).map(|_| get(&clinic.fleet, &path)).collect();
        for reply in tokio::task::JoinSet::from_iter(requests).join_all().await {
            assert_eq!(reply.status, 200);
        }
        let count = clinic.fleet.environments(UPCOMING).len();
        frozen(&clinic.fleet, UPCOMING, count).await;
        let held = retained(clinic).await;
        assert!(held > 0, "nothing was retained");
        assert_eq!(clinic.fleet.vanish_all(UPCOMING), count);
        assert_eq!(clinic.fleet.vanish_all("doctors"), 0);
        assert_eq!(clinic.get(&path).await.status, 200);
        let lost = clinic.fleet.environments(UPCOMING);
        assert_eq!(lost.len(), count + 1);
        // They have minutes to go, and the new one has come to them.
        assert_eq!(retained(clinic).await, held + 1);
        lost
    })
    .await;
    for environment in lost {
        assert_eq!(kernel_state(environment.pid), None);
    }
}

#[tokio::test]
async fn a_version_replaced_stays_frozen_with_its_sessions_while_the_next_one_serves() {
    run_test(
        Clinic::open_with("", |fleet| lasting(fleet).version("1")),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            let path = format!("/api/doctors/{doctor}/appointments/upcoming");
            assert_eq!(clinic.get(&path).await.status, 200);
            let old = frozen(&clinic.fleet, UPCOMING, 1).await.remove(0);
            clinic.fleet.deploy(UPCOMING, "2");
            for _ in 0..3 {
                assert_eq!(clinic.get(&path).await.status, 200);
            }
            let both = frozen(&clinic.fleet, UPCOMING, 2).await;
            let served: Vec<(&str, u64)> = both
                .iter()
                .map(|found| (found.version.as_str(), found.served))
                .collect();
            assert_eq!(served, [("1", 1), ("2", 3)]);
            is_stopped(old.pid).await;
            let names: Vec<String> = sqlx::query_scalar(
                "select application_name from pg_stat_activity \
         where application_name like '%/appointments-upcoming/%' order by 1",
            )
            .fetch_all(&mut clinic.admin)
            .await
            .unwrap();
            assert_eq!(names.len(), 2, "{names:?}");
            assert!(
                names[0].ends_with("/1") && names[1].ends_with("/2"),
                "{names:?}"
            );
        },
    )
    .await;
}

#[tokio::test]
async fn versions_share_the_reserved_concurrency() {
    let fleet = probe()
        .version("1")
        .reserved_concurrency("probe", 2)
        .start()
        .await
        .unwrap();
    let old = get(&fleet, "/probe?sleep_ms=2000");
    let rest = async {
        environment_in(&fleet, EnvironmentState::Busy).await;
        fleet.deploy("probe", "2");
        // Of three at once one finds the other place free.
        let replies = together(&fleet, 3, 1000).await;
        replies
            .iter()
            .map(|reply| reply.status.as_u16())
            .collect::<Vec<u16>>()
    };
    let (old, mut statuses) = tokio::join!(old, rest);
    statuses.sort_unstable();
    assert_eq!(old.status, 200);
    assert_eq!(old.json()["variables"]["AWS_LAMBDA_FUNCTION_VERSION"], "1");
    assert_eq!(statuses, [200, 429, 429]);
    let versions: BTreeSet<String> = live(&fleet)
        .into_iter()
        .map(|found| found.version)
        .collect();
    assert_eq!(versions.len(), 2);
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_environment_killed_in_mid_query_is_a_500_and_the_next_request_works() {
    run_test(Clinic::open(), async |clinic| {
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        let killed = frozen(&clinic.fleet, "doctors", 1).await.remove(0);
        clinic.sql("begin").await;
        clinic
            .sql("lock table doctors in access exclusive mode")
            .await;
        let request = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
        eventually(
            "the invocation to begin",
            async || clinic.fleet.environments("doctors")[0].state,
            |state| *state == EnvironmentState::Busy,
        )
        .await;
        assert!(clinic.fleet.kill(&killed.id));
        let reply = request.await.unwrap();
        assert_eq!(reply.status, 500);
        assert_eq!(reply.text(), r#"{"message":"Internal Server Error"}"#);
        assert_eq!(kernel_state(killed.pid), None);
        assert!(!clinic.fleet.kill(&killed.id), "it is gone");
        clinic.sql("rollback").await;
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        assert_eq!(clinic.fleet.counters("doctors").started, 2);
    })
    .await;
}
