//! The same functions through PgBouncer in transaction mode, with `pgbouncer=true`: each
//! transaction may meet another session of the server, which other clients use in between.

use std::{collections::BTreeSet, process::Stdio, str::FromStr, time::Instant};

use fleet::{
    Dispatch, LogLine,
    database::{APPLICATION, Database},
    pgbouncer::PgBouncer,
    proxy::Proxy,
};
use sqlx::{Connection, PgConnection, Row};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    task::JoinSet,
};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{PATIENCE, eventually, get, kernel_state},
    seed::seed,
};

mod routes;

const UPCOMING: &str = "appointments-upcoming";

/// A server that writes down every statement that reaches it.
async fn talkative() -> Database {
    let database = Database::builder().setting("log_statement", "all");
    database.start().await.unwrap()
}

/// A pooler for the application's role.
async fn pooler(database: &Database, sessions: u32) -> PgBouncer {
    let url = database.application_url();
    let pooler = PgBouncer::builder(database, &url).pool_size(sessions);
    pooler.start().await.unwrap()
}

/// A plain client of the pooler's.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a client beside the application, to see what it leaves behind"
)]
async fn connect(pooler: &PgBouncer) -> PgConnection {
    // Which PgBouncer refuses as a start-up parameter.
    let options = sqlx::postgres::PgConnectOptions::from_str(pooler.url()).unwrap();
    let options = options.extra_float_digits(None);
    PgConnection::connect_with(&options).await.unwrap()
}

/// What the application's sessions at the server were told to do.
fn statements(database: &Database) -> Vec<String> {
    let log = std::fs::read_to_string(database.log_file()).unwrap();
    let of_application = format!(" {APPLICATION}@");
    let lines = log.lines().filter(|line| {
        line.contains(&of_application)
            && [" LOG:  statement: ", " LOG:  execute "]
                .iter()
                .any(|kind| line.contains(kind))
    });
    lines.map(str::to_owned).collect()
}

/// Of these, the ones that ask for a lease, and the ones that run what was prepared under a name.
fn leases_and_names(statements: &[String]) -> (usize, usize) {
    let count = |holds: fn(&str) -> bool| statements.iter().filter(|line| holds(line)).count();
    (
        count(|line| line.contains("idle_session_timeout")),
        count(|line| line.contains(" execute ") && !line.contains(" execute <unnamed>")),
    )
}

#[tokio::test]
async fn fifty_environments_share_five_sessions_and_see_their_own_rows_alone() {
    const CLIENTS: usize = 50;
    const SESSIONS: u32 = 5;
    const ROUNDS: usize = 6;
    let database = talkative().await;
    let pooler = pooler(&database, SESSIONS).await;
    let proxy = Proxy::start(pooler.port()).await.unwrap();
    let url = proxy.through(pooler.url());
    let parameters = "pgbouncer=true&connect_timeout=25&pool_timeout=25";
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .variable("DATABASE_URL", format!("{url}?{parameters}"))
                .reserved_concurrency(UPCOMING, u32::try_from(CLIENTS).unwrap())
                .dispatch(Dispatch::Any { seed: seed() })
        }),
        async |clinic| {
            let mut callers = Vec::new();
            for client in 0..CLIENTS {
                let name = format!("patient of client {client}");
                let doctor = clinic.doctor(&format!("doctor {client}"), "UTC").await;
                let patient = clinic.patient(&name).await;
                let visits = i32::try_from(client + 1).unwrap();
                let from = "now() + interval '1 hour'";
                clinic
                    .visits(doctor, patient, from, visits, "scheduled")
                    .await;
                let path = format!("/api/doctors/{doctor}/appointments/upcoming");
                callers.push((path, name, client + 1));
            }
            // No request reaches the pooler until each has an environment.
            proxy.stall();
            let clients: JoinSet<()> = callers
                .into_iter()
                .map(|(path, name, visits)| {
                    let requests: Vec<_> = (0..ROUNDS).map(|_| get(&clinic.fleet, &path)).collect();
                    async move {
                        for request in requests {
                            let reply = request.await;
                            assert_eq!(reply.status, 200, "{reply:?}");
                            let page = reply.json();
                            let rows = page["data"].as_array().unwrap();
                            assert_eq!(rows.len(), visits, "{name}");
                            for row in rows {
                                assert_eq!(row["patient"]["fullName"], name);
                            }
                        }
                    }
                })
                .collect();
            eventually(
                "an environment for each client",
                async || clinic.fleet.environments(UPCOMING).len(),
                |count| *count == CLIENTS,
            )
            .await;
            proxy.heal();
            clients.join_all().await;
            assert_eq!(clinic.fleet.counters(UPCOMING).throttled, 0);

            // A pooler keeps its sessions: as many as ever began are there at once.
            let log = clinic.database.connections().unwrap();
            let sessions = log.sessions.iter().filter(|s| s.user == APPLICATION);
            assert_eq!(sessions.count(), SESSIONS as usize);
            assert_eq!(log.peak(APPLICATION), SESSIONS as usize);
            assert_eq!(log.refusals, []);
            let statements = statements(&clinic.database);
            let reads = statements.iter().filter(|line| line.contains(" execute "));
            assert_eq!(reads.count(), CLIENTS * ROUNDS);
            assert_eq!(leases_and_names(&statements), (0, 0));
        },
    )
    .await;
}

#[tokio::test]
async fn nothing_of_a_function_stays_on_the_servers_session() {
    let database = talkative().await;
    let pooler = pooler(&database, 1).await;
    let url = format!("{}?pgbouncer=true", pooler.url());
    run_test(
        Clinic::open_on(database, "", |fleet| fleet.variable("DATABASE_URL", url)),
        async |clinic| {
            let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
            for _ in 0..2 {
                for path in [
                    "/api/doctors".to_owned(),
                    format!("/api/doctors/{doctor}/appointments/upcoming"),
                    format!("/api/doctors/{doctor}/appointments/today"),
                ] {
                    assert_eq!(clinic.get(&path).await.status, 200);
                }
            }
            let mut next = connect(&pooler).await;
            assert_eq!(session_state(&mut next).await, BTreeSet::new());
            assert_eq!(leases_and_names(&statements(&clinic.database)), (0, 0));

            // What would be seen, if it were there.
            clinic
                .sql("grant temporary on database clinic to application")
                .await;
            sqlx::raw_sql(
        "set search_path = elsewhere; set idle_session_timeout = 60000; prepare p as select 1; \
         select pg_advisory_lock(1); create temporary table t ()",
    )
    .execute(&mut next)
    .await
    .unwrap();
            let left: BTreeSet<String> = [
                "idle_session_timeout",
                "search_path",
                "statement p",
                "advisory lock",
                "table t",
            ]
            .map(str::to_owned)
            .into();
            let mut another = connect(&pooler).await;
            assert_eq!(session_state(&mut another).await, left);
        },
    )
    .await;
}

/// What the server's session that serves this client just now carries with it: settings, prepared
/// statements, advisory locks and temporary tables. Left out are the settings that the pooler gives
/// back to each client itself.
async fn session_state(client: &mut PgConnection) -> BTreeSet<String> {
    let rows = sqlx::raw_sql(
        "select name from pg_settings where source = 'session' and name not in \
            ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'IntervalStyle', \
             'standard_conforming_strings') \
         union all select 'statement ' || name from pg_prepared_statements where name <> '' \
         union all select 'advisory lock' from pg_locks \
            where locktype = 'advisory' and pid = pg_backend_pid() \
         union all select 'table ' || relname from pg_class \
            where relpersistence = 't' and relnamespace = pg_my_temp_schema()",
    )
    .fetch_all(client)
    .await
    .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_schema_is_for_the_function_that_named_it_alone() {
    let database = Database::builder().start().await.unwrap();
    let pooler = pooler(&database, 1).await;
    let url = |schema| format!("{}?pgbouncer=true&schema={schema}", pooler.url());
    run_test(
        Clinic::open_on(database, "", |fleet| {
            fleet
                .variable("DATABASE_URL", url("public"))
                .reserved_concurrency("doctors", 20)
        }),
        async |clinic| {
            clinic.doctor("of the main house", "UTC").await;
            for statement in [
                "create schema branch",
                "create table branch.doctors (like public.doctors including all)",
                "insert into branch.doctors (full_name, specialty, time_zone) \
         values ('of the branch', 'Cardiology', 'UTC')",
                "grant usage on schema branch to public",
                "grant select on branch.doctors to public",
            ] {
                clinic.sql(statement).await;
            }
            let branch = clinic
                .another_fleet(|fleet| {
                    fleet
                        .variable("DATABASE_URL", url("branch"))
                        .reserved_concurrency("doctors", 20)
                })
                .await;
            let mut requests = JoinSet::new();
            for _ in 0..20 {
                for (fleet, name) in [
                    (&clinic.fleet, "of the main house"),
                    (&branch, "of the branch"),
                ] {
                    let request = get(fleet, "/api/doctors");
                    requests.spawn(async move {
                        let reply = request.await;
                        assert_eq!(reply.status, 200, "{reply:?}");
                        let doctors = &reply.json()["data"];
                        assert_eq!(doctors.as_array().unwrap().len(), 1);
                        assert_eq!(doctors[0]["fullName"], name);
                    });
                }
            }
            requests.join_all().await;
            let mut client = connect(&pooler).await;
            assert_eq!(session_state(&mut client).await, BTreeSet::new());
            branch.shutdown().await;
        },
    )
    .await;
}

#[tokio::test]
async fn without_saying_pgbouncer_true_the_pooler_refuses_the_functions() {
    let database = talkative().await;
    let pooler = pooler(&database, 1).await;
    let url = format!("{}?pool_timeout=1", pooler.url());
    run_test(
        Clinic::open_on(database, "", |fleet| fleet.variable("DATABASE_URL", url)),
        async |clinic| {
            // Their guards and leases come as start-up options, of which a pooler wants to hear nothing.
            let reply = clinic.get("/api/doctors").await;
            assert_eq!(reply.status, 503, "{reply:?}");
            let logs = clinic.fleet.logs("doctors");
            let refused = |line: &LogLine| line.text.contains("unsupported startup parameter");
            assert!(logs.iter().any(refused), "{logs:?}");
            assert_eq!(statements(&clinic.database), Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn a_pooler_that_lets_start_up_options_pass_unheeded_is_given_leases_and_names() {
    let database = talkative().await;
    let url = database.application_url();
    let pooler = PgBouncer::builder(&database, &url)
        .pool_size(1)
        .setting("ignore_startup_parameters", "options");
    let pooler = pooler.start().await.unwrap();
    let url = pooler.url().to_owned();
    run_test(
        Clinic::open_on(database, "", |fleet| fleet.variable("DATABASE_URL", url)),
        async |clinic| {
            let nobody = format!("/api/doctors/{}/appointments/upcoming", Uuid::new_v4());
            let mut statuses = Vec::new();
            for path in ["/api/doctors", &nobody, "/api/doctors", &nobody] {
                statuses.push(clinic.get(path).await.status.as_u16());
            }
            let statements = statements(&clinic.database);
            let (leases, names) = leases_and_names(&statements);
            assert!(leases > 0 && names > 0, "{leases}, {names}");
            // Under the driver's own names, which a pooler before 1.21 passes on as they are, one function
            // finds the other's statement, or none at all. A later one may give them names of its own.
            if statements
                .iter()
                .any(|line| line.contains(" execute sqlx_s_"))
            {
                assert!(statuses.contains(&500), "{statuses:?}");
            }
        },
    )
    .await;
}

#[tokio::test]
async fn outside_a_transaction_a_client_gets_the_rows_of_another_ones_statement() {
    const CLIENTS: usize = 8;
    let database = Database::builder().start().await.unwrap();
    let url = database.url();
    let pooler = PgBouncer::builder(&database, &url).pool_size(1);
    let pooler = pooler.start().await.unwrap();
    // Unnamed statements, which the driver prepares and runs in separate messages.
    let client = |transaction: bool, mut connection: PgConnection, client: usize| async move {
        let sql = format!("select 'client {client}'");
        for _ in 0..200 {
            if transaction {
                let begin = sqlx::raw_sql("begin").execute(&mut connection).await;
                begin.unwrap();
            }
            let query = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql.clone()));
            let row = query.persistent(false).fetch_one(&mut connection).await;
            if transaction {
                let commit = sqlx::raw_sql("commit").execute(&mut connection).await;
                commit.unwrap();
            }
            // An error is a stranger's answer too.
            if row.ok() != Some(format!("client {client}")) {
                return false;
            }
        }
        true
    };
    let all_right = async |transaction: bool| {
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let connection = connect(&pooler).await;
            clients.spawn(client(transaction, connection, number));
        }
        clients.join_all().await.into_iter().all(|right| right)
    };
    assert!(all_right(true).await);
    // Whose messages come between whose is the machine's to say.
    let start = Instant::now();
    while all_right(false).await {
        assert!(start.elapsed() < PATIENCE, "no client got another's rows");
    }
    drop(pooler);
    database.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_warm_read_costs_four_round_trips_instead_of_one() {
    let database = Database::builder().start().await.unwrap();
    let pooler = pooler(&database, 1).await;
    let proxy = Proxy::start(pooler.port()).await.unwrap();
    let url = proxy.through(pooler.url());
    let url = format!("{url}?pgbouncer=true");
    run_test(
        Clinic::open_on(database, "", |fleet| fleet.variable("DATABASE_URL", url)),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            for _ in 0..3 {
                let before = proxy.round_trips();
                assert_eq!(clinic.get("/api/doctors").await.status, 200);
                // Begin, prepare, run, commit.
                assert_eq!(proxy.round_trips() - before, 4);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_pooler_ends_with_its_value() {
    let database = Database::builder().start().await.unwrap();
    let url = database.url();
    let pooler = PgBouncer::builder(&database, &url).start().await.unwrap();
    let pid = pooler.pid().unwrap();
    connect(&pooler).await.close().await.unwrap();
    assert!(kernel_state(pid).is_some());
    drop(pooler);
    eventually(
        "the pooler to end",
        async || kernel_state(pid),
        Option::is_none,
    )
    .await;
    eventually(
        "its session to end",
        async || database.connections().unwrap().sessions,
        |sessions| sessions.iter().all(|session| session.end.is_some()),
    )
    .await;
    database.shutdown().await.unwrap();
}

/// What the next test kills. It ends by itself when its standard input does.
#[tokio::test]
#[ignore = "run by a_pooler_ends_with_a_process_that_is_killed"]
async fn a_pooler_to_be_killed() {
    let database = Database::builder().start().await.unwrap();
    let url = database.url();
    let pooler = PgBouncer::builder(&database, &url).start().await.unwrap();
    println!("\npooler: {}", pooler.pid().unwrap());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pooler_ends_with_a_process_that_is_killed() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "database::pooler::a_pooler_to_be_killed"])
        .args(["--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let pid = loop {
        let line = lines.next_line().await.unwrap().expect("the pooler");
        if let Some(pid) = line.strip_prefix("pooler: ") {
            break pid.parse().unwrap();
        }
    };
    assert!(kernel_state(pid).is_some());
    holder.kill().await.unwrap();
    // An orphan that is not collected at once is a zombie.
    let ended = |state: &Option<char>| matches!(state, None | Some('Z'));
    eventually("the pooler to end", async || kernel_state(pid), ended).await;
}
