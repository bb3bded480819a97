//! A clinic: the real functions on a fleet, a PostgreSQL of its own, and a few people in it.

use std::panic::AssertUnwindSafe;

use chrono::Timelike;
use fleet::{
    Binaries, Builder, Fleet, LogLine,
    database::{self, Database},
};
use futures_util::FutureExt;
use http::Method;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::support::probe::{Reply, eventually, get, get_as, kernel_state, send_as};

/// The application's connection limit unless a test says otherwise: most of the server's 100 slots.
pub(crate) const CEILING: u32 = 90;

/// A clinic that is open. [`run_test`] closes it.
pub(crate) struct Clinic {
    pub(crate) fleet: Fleet,
    pub(crate) database: Database,
    pub(crate) admin: PgConnection,
}

impl Clinic {
    /// The fleet as the template has it, on a server as PostgreSQL has it.
    pub(crate) async fn open() -> Self {
        Self::open_with("", |fleet| fleet).await
    }

    /// With parameters for DATABASE_URL, such as `?pool_timeout=1`, and a fleet set up otherwise.
    pub(crate) async fn open_with(
        parameters: &str,
        adapt: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let database = Database::builder().start().await.expect("a database");
        Self::open_on(database, parameters, adapt).await
    }

    /// On a server set up otherwise.
    pub(crate) async fn open_on(
        database: Database,
        parameters: &str,
        adapt: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let url = format!("{}{parameters}", database.application_url());
        let adapt = |fleet: Builder| adapt(fleet.variable("DATABASE_URL", url));
        let fleet = start(&database, adapt).await;
        fleet
            .invoke("migrate", Value::Null)
            .await
            .expect("the migrations");
        let admin = database.admin().await.expect("an administrator");
        Self {
            fleet,
            database,
            admin,
        }
    }

    /// One more fleet for the same database.
    pub(crate) async fn another_fleet(&self, adapt: impl FnOnce(Builder) -> Builder) -> Fleet {
        start(&self.database, adapt).await
    }

    /// Gets a path as staff.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(&self.fleet, path).await
    }

    /// Gets a path with this token.
    pub(crate) async fn get_as(&self, token: &str, path: &str) -> Reply {
        get_as(&self.fleet, token, path).await
    }

    /// Sends a request with a token or without, further headers, and a JSON body or none.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        send_as(&self.fleet, method, path, token, headers, body).await
    }

    /// A token of this doctor's, whose row gets the subject `doctor-<id>`.
    pub(crate) async fn doctor_token(&mut self, id: Uuid) -> String {
        self.login(
            "update doctors set subject = $1 where id = $2",
            "doctor",
            id,
        )
        .await
    }

    /// A token of this patient's, whose row gets the subject `patient-<id>`.
    pub(crate) async fn patient_token(&mut self, id: Uuid) -> String {
        self.login(
            "update patients set subject = $1 where id = $2",
            "patient",
            id,
        )
        .await
    }

    async fn login(&mut self, statement: &'static str, role: &str, id: Uuid) -> String {
        let subject = format!("{role}-{id}");
        let updated = sqlx::query(statement)
            .bind(&subject)
            .bind(id)
            .execute(&mut self.admin)
            .await
            .expect("a subject");
        assert_eq!(updated.rows_affected(), 1, "there is no {role} {id}");
        self.fleet.token(role, &subject)
    }

    /// A doctor in this time zone; their id.
    pub(crate) async fn doctor(&mut self, name: &str, time_zone: &str) -> Uuid {
        sqlx::query_scalar(
            "insert into doctors (full_name, specialty, time_zone) values ($1, 'Cardiology', $2) returning id",
        )
        .bind(name)
        .bind(time_zone)
        .fetch_one(&mut self.admin)
        .await
        .expect("a doctor")
    }

    pub(crate) async fn patient(&mut self, name: &str) -> Uuid {
        sqlx::query_scalar(
            "insert into patients (full_name, phone, email) values ($1, '+49 30 1', 'p@example.org') returning id",
        )
        .bind(name)
        .fetch_one(&mut self.admin)
        .await
        .expect("a patient")
    }

    /// Visits of a quarter of an hour each half hour, the first at `from` (SQL), in this status.
    pub(crate) async fn visits(
        &mut self,
        doctor: Uuid,
        patient: Uuid,
        from: &str,
        count: i32,
        status: &str,
    ) {
        let from: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select ({from})::timestamptz")))
                .fetch_one(&mut self.admin)
                .await
                .expect("a moment");
        sqlx::query(
            "insert into appointments (doctor_id, patient_id, starts_at, ends_at, status, reason, notes)
             select $1, $2, start, start + interval '15 minutes', $5, 'Check-up', 'confidential'
             from generate_series(0, $4 - 1) i, lateral (select $3 + i * interval '30 minutes') s (start)",
        )
        .bind(doctor)
        .bind(patient)
        .bind(from)
        .bind(count)
        .bind(status)
        .execute(&mut self.admin)
        .await
        .expect("visits");
    }

    /// Gives a doctor these hours on every day of the week, in place of others.
    pub(crate) async fn works(&mut self, doctor: Uuid, hours: &[(&str, &str)]) {
        sqlx::query("delete from working_hours where doctor_id = $1")
            .bind(doctor)
            .execute(&mut self.admin)
            .await
            .expect("no hours");
        let (opens, closes): (Vec<&str>, Vec<&str>) = hours.iter().copied().unzip();
        sqlx::query(
            "insert into working_hours (doctor_id, weekday, opens, closes)
             select $1, weekday, opens::time, closes::time
             from generate_series(1, 7) weekday, unnest($2::text[], $3::text[]) hours (opens, closes)",
        )
        .bind(doctor)
        .bind(opens)
        .bind(closes)
        .execute(&mut self.admin)
        .await
        .expect("hours");
    }

    /// Runs one statement as the administrator.
    pub(crate) async fn sql(&mut self, statement: &'static str) {
        sqlx::query(statement)
            .execute(&mut self.admin)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// The application's sessions, as the server sees them now, also inside a transaction, which
    /// would see them as they were when it first looked.
    pub(crate) async fn sessions(&mut self) -> i64 {
        self.sql("select pg_stat_clear_snapshot()").await;
        sqlx::query_scalar("select count(*) from pg_stat_activity where usename = $1")
            .bind(database::APPLICATION)
            .fetch_one(&mut self.admin)
            .await
            .expect("a count")
    }

    /// Waits until the application has no session left.
    pub(crate) async fn sessions_are_gone(&mut self) {
        let left = async || {
            self.sql("select pg_stat_clear_snapshot()").await;
            sqlx::query_scalar::<_, String>(
                "select a::text from pg_stat_activity a where usename = $1",
            )
            .bind(database::APPLICATION)
            .fetch_all(&mut self.admin)
            .await
            .expect("the server's view")
        };
        eventually("the application's sessions to end", left, Vec::is_empty).await;
    }

    /// The application's URL, without parameters.
    pub(crate) fn application_url(&self) -> String {
        self.database.application_url()
    }

    /// The function's structured log lines with this message.
    pub(crate) fn logged(&self, function: &str, message: &str) -> Vec<Value> {
        let parse = |line: LogLine| serde_json::from_str::<Value>(&line.text).ok();
        let lines = self.fleet.logs(function).into_iter().filter_map(parse);
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Bytes that the server has written into its log so far.
    pub(crate) fn log_length(&self) -> usize {
        let log = std::fs::metadata(self.database.log_file()).expect("the server's log");
        log.len().try_into().expect("a log that fits in memory")
    }

    /// Ends the fleet and its server, and checks that nothing panicked in an environment.
    pub(crate) async fn close(self) {
        let panics = self.panics();
        self.end().await;
        assert_eq!(panics, [""; 0], "an environment panicked");
    }

    /// What environments printed about panics.
    fn panics(&self) -> Vec<String> {
        let functions = self.fleet.functions();
        functions
            .flat_map(|function| self.fleet.logs(function))
            .filter(|line| line.text.contains("panicked"))
            .map(|line| line.text)
            .collect()
    }

    async fn end(self) {
        self.fleet.shutdown().await;
        self.database.shutdown().await.expect("the server ends");
    }
}

/// Runs a test in a clinic, or at a desk in one, closes it, and gives what the test returns. After
/// a panic no process is left either, and the panic goes on.
pub(crate) async fn run_test<T: Into<Clinic>, R>(
    setup: impl Future<Output = T>,
    test: impl AsyncFnOnce(&mut T) -> R,
) -> R {
    let mut fixture = setup.await;
    let outcome = AssertUnwindSafe(test(&mut fixture)).catch_unwind().await;
    let clinic: Clinic = fixture.into();
    match outcome {
        Ok(returned) => {
            clinic.close().await;
            returned
        }
        Err(panic) => {
            clinic.end().await;
            std::panic::resume_unwind(panic);
        }
    }
}

/// A clinic with something beside it, such as the path that a test asks for.
impl<T> From<(Clinic, T)> for Clinic {
    fn from((clinic, _): (Clinic, T)) -> Self {
        clinic
    }
}

async fn start(database: &Database, adapt: impl FnOnce(Builder) -> Builder) -> Fleet {
    let binaries = Binaries::shared().await.expect("the functions").clone();
    let fleet = Fleet::builder()
        .binaries(binaries)
        .variable("DATABASE_URL", database.application_url())
        // Migrations are the owner's, and make the application's role as the server is to have it,
        // whatever a test does to the functions' URL.
        .function_variable("migrate", "DATABASE_OWNER_URL", database.url())
        .function_variable("migrate", "DATABASE_URL", database.application_url())
        .function_variable("migrate", "DATABASE_CEILING", CEILING.to_string());
    adapt(fleet).start().await.expect("a fleet")
}

/// A time zone in which it is about noon, so that no day ends there while a test looks at it.
pub(crate) fn where_it_is_noon() -> String {
    let now = chrono::DateTime::<chrono::Utc>::from(shared::clock::now());
    // POSIX counts them westwards.
    format!("Etc/GMT{:+}", i64::from(now.hour()) - 12)
}

/// Asserts a problem document: status, type, and nothing internal in it. Returns it.
pub(crate) fn problem(reply: &Reply, status: u16, kind: &str) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["type"], format!("urn:headroom:problem:{kind}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["requestId"].as_str().expect("an id").len(), 36);
    for internal in [
        "postgres",
        "sqlx",
        "127.0.0.1",
        "SQLSTATE",
        "password",
        "::",
    ] {
        assert!(!reply.text().contains(internal), "{}", reply.text());
    }
    let again = reply.headers.get("retry-after");
    assert_eq!(again.is_some(), matches!(status, 503 | 504), "{reply:?}");
    problem
}

#[tokio::test]
async fn a_test_that_panics_leaves_no_process_and_shows_its_own_panic() {
    let mut left = None;
    let test = run_test(Clinic::open(), async |clinic| {
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        let environments = clinic.fleet.environments("doctors");
        left = Some((environments[0].pid, clinic.database.port()));
        panic!("Mrs. Lindqvist slipped on the stairs");
    });
    let panic = AssertUnwindSafe(test).catch_unwind().await.unwrap_err();
    assert_eq!(
        panic.downcast_ref::<&str>(),
        Some(&"Mrs. Lindqvist slipped on the stairs")
    );
    let (environment, port) = left.unwrap();
    assert_eq!(kernel_state(environment), None);
    let refused = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
