//! Changes are made whole or not at all, and once more where nothing of them happened.

use fleet::{
    database::{APPLICATION, Database},
    pgbouncer::PgBouncer,
    proxy::{Cut, Proxy},
};
use http::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{Reply, eventually, send_as, staff},
};

/// A clinic with a doctor and a patient, and what an appointment of theirs is made of.
struct Practice {
    clinic: Clinic,
    doctor: Uuid,
    patient: Uuid,
}

impl From<Practice> for Clinic {
    fn from(practice: Practice) -> Self {
        practice.clinic
    }
}

impl Practice {
    async fn open() -> Self {
        Self::of(Clinic::open().await).await
    }

    async fn of(mut clinic: Clinic) -> Self {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        Self {
            clinic,
            doctor,
            patient,
        }
    }

    /// A booking at this hour of a day far away.
    fn draft(&self, hour: u32) -> Value {
        json!({
            "doctorId": self.doctor,
            "patientId": self.patient,
            "startsAt": format!("2190-01-01T{hour:02}:00:00Z"),
            "endsAt": format!("2190-01-01T{hour:02}:30:00Z"),
            "override": true,
        })
    }

    fn book(&self, hour: u32) -> impl Future<Output = Reply> + use<> {
        let fleet = &self.clinic.fleet;
        let draft = self.draft(hour);
        let path = "/api/appointments";
        send_as(
            fleet,
            Method::POST,
            path,
            Some(&staff(fleet)),
            &[],
            Some(&draft),
        )
    }

    /// Asks for a change of an appointment, while the caller does something else.
    fn change(&self, booked: &Reply, patch: Value) -> JoinHandle<Reply> {
        let id = booked.json()["id"].as_str().unwrap().to_owned();
        let etag = booked.headers["etag"].to_str().unwrap().to_owned();
        let token = staff(&self.clinic.fleet);
        let change = send_as(
            &self.clinic.fleet,
            Method::PATCH,
            &format!("/api/appointments/{id}"),
            Some(&token),
            &[("if-match", &etag)],
            Some(&patch),
        );
        tokio::spawn(change)
    }

    async fn count(&mut self, what: &'static str) -> i64 {
        sqlx::query_scalar(what)
            .fetch_one(&mut self.clinic.admin)
            .await
            .unwrap()
    }
}

/// Another client of the database's, in a transaction of its own.
async fn another_client(clinic: &Clinic) -> PgConnection {
    clinic.database.admin().await.unwrap()
}

async fn run(connection: &mut PgConnection, statements: String) {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .unwrap();
}

/// Waits until so many of the application's sessions wait for a lock.
async fn waits_for_a_lock(clinic: &mut Clinic) {
    let waiting = async || {
        clinic.sql("select pg_stat_clear_snapshot()").await;
        sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where usename = $1 and wait_event_type = 'Lock'",
        )
        .bind(APPLICATION)
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap()
    };
    eventually("a statement that waits for a lock", waiting, |waiting| {
        *waiting > 0
    })
    .await;
}

#[tokio::test]
async fn a_write_on_a_session_that_died_is_made_on_a_fresh_one() {
    run_test(Practice::open(), async |practice| {
        assert_eq!(practice.book(8).await.status, 201);
        let killed = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'application'";
        assert_eq!(practice.count(killed).await, 1);
        assert_eq!(practice.book(9).await.status, 201);
        let run_again = practice
            .clinic
            .logged("appointments", "a transaction is run again");
        assert_eq!(run_again.len(), 1, "{run_again:?}");
        let booked = practice.count("select count(*) from appointments").await;
        assert_eq!(booked, 2);
    }).await;
}

#[tokio::test]
async fn a_session_that_dies_before_the_commit_leaves_nothing_and_the_write_is_made_again() {
    run_test(Practice::open(), async |practice| {
        let booked = practice.book(8).await;
        // It stops in the middle, at a lock, and its session is ended there.
        let mut other = another_client(&practice.clinic).await;
        let lock = format!(
            "begin; select from doctors where id = '{}' for update",
            practice.doctor
        );
        run(&mut other, lock).await;
        let changing = practice.change(&booked, json!({ "notes": "n" }));
        waits_for_a_lock(&mut practice.clinic).await;
        let killed = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'application'";
        assert_eq!(practice.count(killed).await, 1);
        waits_for_a_lock(&mut practice.clinic).await;
        run(&mut other, "commit".to_owned()).await;
        assert_eq!(changing.await.unwrap().status, 200);
        let changes = practice
            .count("select count(*) from appointment_changes")
            .await;
        assert_eq!(changes, 2, "booked and changed once");
    }).await;
}

#[tokio::test]
async fn a_deadlock_is_run_once_more() {
    run_test(Practice::open(), async |practice| {
        let booked = practice.book(8).await;
        let id = booked.json()["id"].as_str().unwrap().to_owned();
        let mut other = another_client(&practice.clinic).await;
        // The other way round: the appointment first, then the doctor.
        run(
            &mut other,
            format!("set deadlock_timeout = '1min'; begin; select from appointments where id = '{id}' for update"),
        )
        .await;
        let changing = practice.change(&booked, json!({ "status": "confirmed" }));
        waits_for_a_lock(&mut practice.clinic).await;
        let lock = format!(
            "select from doctors where id = '{}' for update; commit",
            practice.doctor
        );
        run(&mut other, lock).await;
        let changed = changing.await.unwrap();
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(changed.json()["status"], "confirmed");
        let deadlocks: Vec<Value> = practice
            .clinic
            .logged("appointments", "a transaction is run again");
        assert_eq!(deadlocks.len(), 1, "{deadlocks:?}");
    }).await;
}

#[tokio::test]
async fn a_serialization_failure_is_run_once_more() {
    run_test(Practice::open(), async |practice| {
        practice
            .clinic
            .sql("alter role application set default_transaction_isolation = 'repeatable read'")
            .await;
        let booked = practice.book(8).await;
        let mut other = another_client(&practice.clinic).await;
        let update = format!(
            "begin; update doctors set specialty = 'Surgery' where id = '{}'",
            practice.doctor
        );
        run(&mut other, update).await;
        let changing = practice.change(&booked, json!({ "status": "confirmed" }));
        waits_for_a_lock(&mut practice.clinic).await;
        run(&mut other, "commit".to_owned()).await;
        let changed = changing.await.unwrap();
        assert_eq!(changed.status, 200, "{changed:?}");
        let again = practice
            .clinic
            .logged("appointments", "a transaction is run again");
        assert_eq!(again.len(), 1, "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_is_not_had_in_time_is_a_busy_database() {
    run_test(Practice::open(), async |practice| {
        let booked = practice.book(8).await;
        let mut other = another_client(&practice.clinic).await;
        let lock = format!(
            "begin; select from doctors where id = '{}' for update",
            practice.doctor
        );
        run(&mut other, lock).await;
        let refused = practice.change(&booked, json!({ "status": "confirmed" }));
        problem(&refused.await.unwrap(), 503, "database-busy");
        run(&mut other, "rollback".to_owned()).await;
        // What it left behind is as good as before.
        let changed = practice.change(&booked, json!({ "status": "confirmed" }));
        assert_eq!(changed.await.unwrap().status, 200);
        let open = "select count(*) from pg_stat_activity \
                where usename = 'application' and state like 'idle in transaction%'";
        assert_eq!(practice.count(open).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_commit_that_is_not_answered_is_said_to_be_unknown_and_its_key_tells() {
    let database = Database::builder().start().await.unwrap();
    let proxy = Proxy::start(database.port()).await.unwrap();
    let url = proxy.through(&database.application_url());
    let clinic = Clinic::open_on(database, "", |fleet| {
        fleet.function_variable("appointments", "DATABASE_URL", url)
    })
    .await;
    run_test(Practice::of(clinic), async |practice| {
        // The commit takes its time.
        run(
            &mut practice.clinic.admin,
            "create function dawdle() returns trigger language plpgsql as
                 $$ begin perform pg_sleep(1); return null; end $$;
             create constraint trigger dawdles after insert on appointment_changes
                 deferrable initially deferred for each row execute function dawdle()"
                .to_owned(),
        )
        .await;
        let token = staff(&practice.clinic.fleet);
        let book = || {
            let draft = practice.draft(8);
            let key = [("idempotency-key", "k-1")];
            let path = "/api/appointments";
            let fleet = &practice.clinic.fleet;
            send_as(fleet, Method::POST, path, Some(&token), &key, Some(&draft))
        };
        let booking = tokio::spawn(book());
        let second = book();
        let committing = "select count(*) from pg_stat_activity where usename = 'application' and query = 'commit' and state = 'active'";
        let commits = async || {
            practice.clinic.sql("select pg_stat_clear_snapshot()").await;
            practice.count(committing).await
        };
        eventually("the commit", commits, |commits| *commits == 1).await;
        proxy.cut(Cut::Reset);
        let unknown = booking.await.unwrap();
        problem(&unknown, 503, "outcome-unknown");
        let known = second.await;
        assert_eq!(known.status, 201, "{known:?}");
        let booked = practice.count("select count(*) from appointments").await;
        assert_eq!(booked, 1);
    }).await;
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_is_no_unknown_outcome() {
    for (code, status, kind) in [
        ("57014", 504, "query-timeout"),
        ("53100", 503, "database-busy"),
    ] {
        run_test(Practice::open(), async |practice| {
            run(
                &mut practice.clinic.admin,
                format!(
                    "create function refuse() returns trigger language plpgsql as
                     $$ begin raise exception 'not now' using errcode = '{code}'; end $$;
                 create constraint trigger refuses after insert on appointment_changes
                     deferrable initially deferred for each row execute function refuse()"
                ),
            )
            .await;
            problem(&practice.book(8).await, status, kind);
            practice
                .clinic
                .sql("drop trigger refuses on appointment_changes")
                .await;
            assert_eq!(practice.book(8).await.status, 201);
        })
        .await;
    }
}

#[tokio::test]
async fn each_statement_of_a_change_has_its_own_time() {
    let clinic = Clinic::open_with("", |fleet| {
        fleet.variable("DATABASE_STATEMENT_TIMEOUT", "1")
    })
    .await;
    run_test(Practice::of(clinic), async |practice| {
        // Three statements of 0.8 seconds: none is too slow, and together they take longer than the client
        // waits for one.
        let mut slow = "create function dawdle() returns trigger language plpgsql as
             $$ begin perform pg_sleep(0.8); return new; end $$;"
            .to_owned();
        for table in ["idempotency_keys", "appointments", "appointment_changes"] {
            slow += &format!(
                "create trigger dawdles before insert on {table} for each row execute function dawdle();"
            );
        }
        run(&mut practice.clinic.admin, slow).await;
        let booked = practice
            .clinic
            .send(
                Method::POST,
                "/api/appointments",
                Some(&staff(&practice.clinic.fleet)),
                &[("idempotency-key", "k")],
                Some(&practice.draft(8)),
            )
            .await;
        assert_eq!(booked.status, 201, "{booked:?}");
        let again = practice
            .clinic
            .logged("appointments", "a transaction is run again");
        assert!(again.is_empty(), "{again:?}");
    }).await;
}

#[tokio::test]
async fn writes_go_through_a_pooler_and_leave_nothing_behind() {
    let database = Database::builder().start().await.unwrap();
    let application = database.application_url();
    let pooler = PgBouncer::builder(&database, &application).pool_size(2);
    let pooler = pooler.start().await.unwrap();
    let url = format!("{}?pgbouncer=true", pooler.url());
    let clinic = Clinic::open_on(database, "", |fleet| {
        fleet
            .function_variable("appointments", "DATABASE_URL", url)
            .reserved_concurrency("appointments", 20)
    })
    .await;
    run_test(Practice::of(clinic), async |practice| {
        let bookings: JoinSet<Reply> = (0..12).map(|hour| practice.book(hour)).collect();
        for booked in bookings.join_all().await {
            assert_eq!(booked.status, 201, "{booked:?}");
            let changed = practice.change(&booked, json!({ "status": "confirmed" }));
            assert_eq!(changed.await.unwrap().status, 200);
            let taken = json!({ "startsAt": booked.json()["startsAt"], "notes": "n" });
            let stale = practice.change(&booked, taken);
            problem(&stale.await.unwrap(), 412, "precondition-failed");
        }
        problem(&practice.book(0).await, 409, "overlap");
        let sessions = "select count(*) from pg_stat_activity where usename = 'application'";
        assert!(practice.count(sessions).await <= 2);
        let open = "select count(*) from pg_stat_activity \
                where usename = 'application' and state <> 'idle'";
        assert_eq!(practice.count(open).await, 0);
    })
    .await;
}
