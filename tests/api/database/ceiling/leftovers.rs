//! Environments that were used and are used no more, and what they hold.

use std::time::{Duration, Instant};

use fleet::Builder;

use super::{
    LIMIT, MARK, UPCOMING, all_are_frozen, assert_all_served, assert_ceiling, at_once, bring_up,
    clinic, count, each_with_a_session, retain, sessions_of, together, waiting_for_locks,
};
use crate::support::clinic::run_test;
use crate::support::{clinic::Clinic, probe::eventually};

/// What is retained stays for longer than any test takes.
fn for_long(fleet: Builder) -> Builder {
    fleet
        .variable("DATABASE_LEASE_LONG", "600")
        .variable("DATABASE_LEASE_LONG_MIN", "600")
}

/// Nothing is kept free for others.
fn without_a_mark(fleet: Builder) -> Builder {
    for_long(fleet).variable("DATABASE_RETAINED_PERCENT", "100")
}

/// Waits until the application has no transient session left.
async fn only_retained_ones_are_left(clinic: &mut Clinic) {
    let sessions = async || {
        let all = usize::try_from(clinic.sessions().await).unwrap();
        (sessions_of(clinic, "retained").await, all)
    };
    let all_retained = |(retained, all): &(usize, usize)| retained == all;
    eventually("all sessions to be retained", sessions, all_retained).await;
}

#[tokio::test]
async fn frozen_environments_keep_no_more_than_the_mark() {
    run_test(clinic(for_long), async |(clinic, path)| {
        retain(clinic, path, LIMIT, MARK).await;
        // Whatever else they held, the server takes back by itself.
        only_retained_ones_are_left(clinic).await;
        assert_eq!(sessions_of(clinic, "retained").await, MARK);
        // Used once more, they get no more of them.
        assert_all_served(&together(&clinic.fleet, path, LIMIT).await, LIMIT);
        all_are_frozen(&clinic.fleet).await;
        only_retained_ones_are_left(clinic).await;
        assert_eq!(sessions_of(clinic, "retained").await, MARK);
        assert_ceiling(clinic).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_mark_frozen_environments_keep_every_slot() {
    run_test(clinic(without_a_mark), async |(clinic, path)| {
        retain(clinic, path, LIMIT, LIMIT).await;
        only_retained_ones_are_left(clinic).await;
        assert_eq!(sessions_of(clinic, "retained").await, LIMIT);
    })
    .await;
}

#[tokio::test]
async fn a_new_version_finds_room_beside_the_frozen_old_one() {
    run_test(clinic(for_long), async |(clinic, path)| {
        retain(clinic, path, LIMIT, MARK).await;
        clinic.fleet.deploy(UPCOMING, "2");
        assert_all_served(&together(&clinic.fleet, path, 60).await, 60);
        // The old ones held theirs all the time.
        assert_eq!(retained_by(clinic, "$LATEST").await, MARK);
        assert_ceiling(clinic).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_mark_the_new_version_finds_none() {
    run_test(clinic(without_a_mark), async |(clinic, path)| {
        retain(clinic, path, LIMIT, LIMIT).await;
        clinic.fleet.deploy(UPCOMING, "2");
        let answers = at_once(&clinic.fleet, path, 5).await.unwrap();
        assert_eq!(
            count(&answers, 503),
            5,
            "the check cannot fail: {answers:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn vanished_environments_leave_room_for_new_ones() {
    run_test(clinic(for_long), async |(clinic, path)| {
        retain(clinic, path, LIMIT, MARK).await;
        assert_eq!(clinic.fleet.vanish_all(UPCOMING), LIMIT);
        assert_all_served(&together(&clinic.fleet, path, 60).await, 60);
        // No environment has given anything back, nor will.
        assert!(sessions_of(clinic, "retained").await >= MARK);
        assert_eq!(clinic.fleet.environments(UPCOMING).len(), LIMIT + 60);
        assert_ceiling(clinic).await;
    })
    .await;
}

#[tokio::test]
async fn without_a_mark_vanished_environments_leave_no_room() {
    run_test(clinic(without_a_mark), async |(clinic, path)| {
        retain(clinic, path, LIMIT, LIMIT).await;
        clinic.fleet.vanish_all(UPCOMING);
        let answers = at_once(&clinic.fleet, path, 5).await.unwrap();
        assert_eq!(
            count(&answers, 503),
            5,
            "the check cannot fail: {answers:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn all_slots_of_vanished_environments_come_free_when_their_leases_end() {
    run_test(
        clinic(|fleet| {
            waiting_for_locks(fleet)
                .variable("DATABASE_LEASE_LONG", "3")
                .variable("DATABASE_LEASE_LONG_MIN", "3")
        }),
        async |(clinic, path)| {
            let answers = each_with_a_session(clinic, path, LIMIT).await;
            assert_all_served(&answers, LIMIT);
            assert_eq!(clinic.fleet.vanish_all(UPCOMING), LIMIT);
            clinic.sessions_are_gone().await;
            // As many as there are can have one again, all at once.
            let answers = each_with_a_session(clinic, path, LIMIT).await;
            assert_all_served(&answers, LIMIT);
            assert_ceiling(clinic).await;
        },
    )
    .await;
}

#[tokio::test]
async fn a_long_lease_keeps_the_slots_of_vanished_environments() {
    run_test(clinic(for_long), async |(clinic, path)| {
        bring_up(clinic, path, 10).await;
        let held = sessions_of(clinic, "retained").await;
        assert!(held > 0, "nothing was retained");
        clinic.fleet.vanish_all(UPCOMING);
        // Beyond the three seconds in which the others come free.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            assert_eq!(sessions_of(clinic, "retained").await, held);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
}

/// Sessions retained by a version's environments.
async fn retained_by(clinic: &mut Clinic, version: &str) -> usize {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where application_name like '%/retained/%/' || $1",
    )
    .bind(version)
    .fetch_one(&mut clinic.admin)
    .await
    .unwrap();
    usize::try_from(count).unwrap()
}
