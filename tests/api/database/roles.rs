//! The migrations make the roles, and the server holds the application to its own.

mod owners;

use std::sync::Arc;

use fleet::{
    Builder, Fleet, InvokeError,
    database::{APPLICATION, CLINIC, Database},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::task::JoinSet;

use super::schema::migrations;
use crate::support::{
    clinic::{CEILING, Clinic, run_test},
    probe::eventually,
};

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the database beside the functions"
)]
pub(crate) async fn connect(url: &str) -> sqlx::Result<PgConnection> {
    PgConnection::connect(url).await
}

/// The SQLSTATE of what must fail.
fn code<T>(result: sqlx::Result<T>) -> String {
    let error = result.map(drop).unwrap_err();
    let database = error.as_database_error();
    let code = database.unwrap_or_else(|| panic!("{error}")).code();
    code.unwrap().into_owned()
}

/// A role's URL on this server, with a password as it stands in a URL.
pub(crate) fn login(database: &Database, role: &str, password: &str) -> String {
    let port = database.port();
    format!("postgresql://{role}:{password}@127.0.0.1:{port}/{CLINIC}")
}

/// The function's answer, or its error's message.
async fn invoke(fleet: &Fleet) -> Result<Value, String> {
    match fleet.invoke("migrate", Value::Null).await {
        Ok(answer) => Ok(answer),
        Err(InvokeError::Function(error)) => Err(error["errorMessage"].as_str().unwrap().into()),
        Err(other) => panic!("{other}"),
    }
}

/// The same on this clinic's database, with other variables.
async fn migrate(clinic: &Clinic, adapt: impl FnOnce(Builder) -> Builder) -> Result<Value, String> {
    let fleet = clinic.another_fleet(adapt).await;
    let answer = invoke(&fleet).await;
    fleet.shutdown().await;
    answer
}

async fn text(clinic: &mut Clinic, sql: &'static str) -> String {
    let answer: Option<String> = sqlx::query_scalar(sql)
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    answer.unwrap_or_default()
}

/// What the catalog says about the application's role: each row of it that the migrations may
/// change, so that equal texts mean that nothing happened to it.
async fn catalog(clinic: &mut Clinic) -> String {
    text(
        clinic,
        "select concat_ws(' ',
            (select (a.xmin, a.*)::text from pg_authid a where rolname = 'application'),
            (select (s.xmin, s.*)::text from pg_db_role_setting s
             where setrole = 'application'::regrole),
            (select string_agg((c.xmin, c.relacl)::text, ' ' order by relname) from pg_class c
             where relnamespace = 'public'::regnamespace))",
    )
    .await
}

const ATTRIBUTES: &str = "select concat_ws(' ', rolcanlogin, rolsuper, rolcreatedb, rolcreaterole,
    rolreplication, rolbypassrls, rolconnlimit) from pg_roles where rolname = 'application'";

#[tokio::test]
async fn the_application_may_do_what_the_functions_do_and_nothing_else() {
    run_test(Clinic::open(), async |clinic| {
        assert_eq!(
            text(clinic, ATTRIBUTES).await,
            format!("t f f f f f {CEILING}")
        );
        let granted = text(
            clinic,
            "select string_agg(table_schema || '.' || table_name || ' ' || privileges, ', ' order by table_name)
             from (select table_schema, table_name,
                          string_agg(privilege_type, ' ' order by privilege_type) as privileges
                   from information_schema.table_privileges where grantee = 'application'
                   group by table_schema, table_name) t",
        )
        .await;
        assert_eq!(
            granted,
            "public.appointment_changes INSERT, public.appointments INSERT SELECT UPDATE, \
             public.doctors SELECT UPDATE, public.idempotency_keys DELETE INSERT SELECT UPDATE, \
             public.patients INSERT SELECT UPDATE, public.time_off DELETE INSERT SELECT, \
             public.working_hours DELETE INSERT SELECT"
        );
        let mut session = connect(&clinic.database.application_url()).await.unwrap();
        for allowed in [
            "select from doctors",
            "select from patients",
            "select from appointments",
            "select from doctors for update",
        ] {
            sqlx::query(allowed).execute(&mut session).await.unwrap();
        }
        for refused in [
            "create table t ()",
            "create temporary table t ()",
            "create schema s",
            "create role r",
            "create database d",
            "create table doctors_too as select * from doctors",
            "select from _sqlx_migrations",
            "insert into doctors (full_name, specialty, time_zone) values ('A', 'B', 'UTC')",
            "delete from doctors",
            "delete from patients",
            "delete from appointments",
            "select from appointment_changes",
            "update appointment_changes set action = 'booked'",
            "delete from appointment_changes",
            "truncate doctors",
            "drop table doctors",
            "alter table doctors add column c int",
            "create index on doctors (specialty)",
            "alter role application connection limit 1000",
            "set role clinic",
        ] {
            let answer = sqlx::raw_sql(refused).execute(&mut session).await;
            assert_eq!(code(answer), "42501", "{refused}");
        }
    }).await;
}

#[tokio::test]
async fn rights_that_an_administrator_gave_are_taken_back() {
    run_test(Clinic::open(), async |clinic| {
        let before = text(clinic, ATTRIBUTES).await;
        sqlx::raw_sql(
            "set role clinic;
         grant all on all tables in schema public to application;
         grant update (action) on appointment_changes to application;
         grant create, temporary on database clinic to application;
         grant temporary on database clinic to public;
         grant create on schema public to application;
         reset role;
         grant create on schema public to public;
         alter role application createdb connection limit 1000;
         alter role application in database clinic set lock_timeout = '1h';
         alter role application in database clinic set idle_session_timeout = '1h'",
        )
        .execute(&mut clinic.admin)
        .await
        .unwrap();
        // To be taken back by a role without superpowers, which may set a limit, but not this.
        clinic.sql("alter role application nocreatedb").await;
        migrate(clinic, |fleet| fleet).await.unwrap();
        assert_eq!(text(clinic, ATTRIBUTES).await, before);
        let granted = text(
            clinic,
            "select string_agg(grants, ' ' order by grants) from (
             select relname || ' ' || string_agg(privilege_type, ' ' order by privilege_type)
             from pg_class c, aclexplode(relacl) a
             where grantee in (0, 'application'::regrole) and relnamespace = 'public'::regnamespace
               and relname in ('appointment_changes', 'doctors')
             group by relname
             union all
             select 'database ' || privilege_type from pg_database, aclexplode(datacl)
             where datname = 'clinic' and grantee in (0, 'application'::regrole)
             union all
             select 'schema ' || privilege_type from pg_namespace, aclexplode(nspacl)
             where nspname = 'public' and grantee in (0, 'application'::regrole)
             union all
             select 'column ' || privilege_type from pg_attribute, aclexplode(attacl)
             where attrelid = 'appointment_changes'::regclass) g (grants)",
        )
        .await;
        assert_eq!(
            granted,
            "appointment_changes INSERT database CONNECT doctors SELECT UPDATE schema USAGE"
        );
        let defaults = defaults(clinic).await;
        assert!(defaults.contains("lock_timeout=2000"), "{defaults}");
        assert!(!defaults.contains("idle_session_timeout"), "{defaults}");
    })
    .await;
}

#[tokio::test]
async fn rights_that_the_owner_may_not_take_back_are_named_with_the_sql() {
    run_test(Clinic::open(), async |clinic| {
        sqlx::raw_sql(
            "alter schema public owner to postgres;
             grant all on schema public to clinic;
             grant usage, create on schema public to public;
             grant pg_read_all_data to application",
        )
        .execute(&mut clinic.admin)
        .await
        .unwrap();
        let fleet = clinic.another_fleet(|fleet| fleet).await;
        invoke(&fleet).await.unwrap();
        let warning = |line: &str| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["message"]
                .as_str()?
                .starts_with("the roles are not wholly")
                .then(|| line["sql"].as_str().unwrap().to_owned())
        };
        let lines = fleet.logs("migrate");
        let said: Vec<String> = lines
            .iter()
            .filter_map(|line| warning(&line.text))
            .collect();
        fleet.shutdown().await;
        assert_eq!(
            said,
            [
                "revoke create on schema \"public\" from public;\nrevoke \"pg_read_all_data\" from \"application\""
            ]
        );
        sqlx::raw_sql(AssertSqlSafe(said[0].as_str()))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        let fleet = clinic.another_fleet(|fleet| fleet).await;
        invoke(&fleet).await.unwrap();
        let lines = fleet.logs("migrate");
        assert_eq!(lines.iter().find_map(|line| warning(&line.text)), None);
        fleet.shutdown().await;
    }).await;
}

#[tokio::test]
async fn the_server_stores_a_verifier_and_never_sees_a_password() {
    let database = Database::builder()
        .setting("log_statement", "all")
        .setting("log_min_duration_statement", 0)
        .start()
        .await
        .unwrap();
    // Everything that a URL, SQL and SASLprep could take for something else.
    let secret = "it's \"ü\" $$ \\ %41 \u{a0} \u{fb01}";
    let escaped = "it's%20%22%C3%BC%22%20$$%20%5C%20%2541%20%C2%A0%20%EF%AC%81";
    let url = login(&database, "a%22b%27c%3B%20%C3%A9", escaped);
    let monitor = login(&database, "monitor", "watching%20closely");
    let application = url.clone();
    run_test(Clinic::open_on(database, "", |fleet| {
        fleet
            .variable("DATABASE_URL", &application)
            .function_variable("migrate", "DATABASE_URL", &application)
            .function_variable("migrate", "DATABASE_MONITOR_URL", &monitor)
    }), async |clinic| {
    assert_eq!(clinic.get("/api/doctors").await.status, 200);
    let stored = text(
        clinic,
        "select string_agg(rolpassword, ' ') from pg_authid where rolname in ('a\"b''c; é', 'monitor')",
    )
    .await;
    let parts: Vec<&str> = stored.split(' ').collect();
    assert_eq!(parts.len(), 2, "{stored}");
    for part in parts {
        assert!(part.starts_with("SCRAM-SHA-256$4096:"), "{stored}");
    }
    for url in [&url, &monitor] {
        connect(url).await.unwrap().close().await.unwrap();
    }
    let wrong = login(&clinic.database, "monitor", "watching");
    assert_eq!(code(connect(&wrong).await), "28P01");

    let log = std::fs::read_to_string(clinic.database.log_file()).unwrap();
    assert!(log.contains("SCRAM-SHA-256$4096:"), "statements are logged");
    let mut said = log;
    for line in clinic.fleet.logs("migrate") {
        said.push_str(&line.text);
    }
    // Its recognisable parts, too: a log has an escape of its own.
    for part in [secret, escaped, "it's", "$$", "watching closely", "closely"] {
        assert!(!said.contains(part), "{part} is in a log");
    }
    }).await;
}

#[tokio::test]
async fn a_new_password_is_stored_and_an_old_one_is_not_stored_again() {
    run_test(Clinic::open(), async |clinic| {
        let before = catalog(clinic).await;
        assert!(before.contains("SCRAM-SHA-256$"), "{before}");
        migrate(clinic, |fleet| fleet).await.unwrap();
        assert_eq!(catalog(clinic).await, before);

        let old = clinic.database.application_url();
        let new = login(&clinic.database, APPLICATION, "another-one");
        migrate(clinic, |fleet| {
            fleet.function_variable("migrate", "DATABASE_URL", &new)
        })
        .await
        .unwrap();
        assert_ne!(catalog(clinic).await, before);
        connect(&new).await.unwrap();
        assert_eq!(code(connect(&old).await), "28P01");
    })
    .await;
}

#[tokio::test]
async fn the_server_enforces_the_ceiling_and_lets_the_administrator_in() {
    run_test(
        Clinic::open_with("?pool_timeout=1", |fleet| {
            fleet.function_variable("migrate", "DATABASE_CEILING", "3")
        }),
        async |clinic| {
            let url = clinic.database.application_url();
            let mut open = Vec::new();
            for _ in 0..3 {
                open.push(connect(&url).await.unwrap());
            }
            assert_eq!(code(connect(&url).await), "53300");
            assert_eq!(clinic.get("/api/doctors").await.status, 503);
            clinic.database.admin().await.unwrap();
            connect(&clinic.database.url()).await.unwrap();

            // A new ceiling; also while the role is full, so that logging in proves nothing.
            let ceiling = |ceiling: &'static str| {
                migrate(clinic, move |fleet| {
                    fleet.function_variable("migrate", "DATABASE_CEILING", ceiling)
                })
            };
            ceiling("4").await.unwrap();
            open.push(connect(&url).await.unwrap());
            assert_eq!(code(connect(&url).await), "53300");
            drop(open);
            ceiling("2").await.unwrap();
            assert_eq!(text(clinic, ATTRIBUTES).await, "t f f f f f 2".to_owned());
        },
    )
    .await;
}

async fn defaults(clinic: &mut Clinic) -> String {
    text(
        clinic,
        "select string_agg(setting, ' ' order by setting)
         from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase,
              unnest(s.setconfig) setting
         where s.setrole = 'application'::regrole and d.datname = 'clinic'",
    )
    .await
}

#[tokio::test]
async fn the_guards_are_the_roles_defaults_and_a_lease_is_not() {
    run_test(Clinic::open(), async |clinic| {
        assert_eq!(
            defaults(clinic).await,
            "client_connection_check_interval=1000 idle_in_transaction_session_timeout=5000 \
             jit=off lock_timeout=2000 statement_timeout=4000 tcp_keepalives_count=3 tcp_keepalives_idle=30 \
             tcp_keepalives_interval=10"
        );
        // Nowhere else either, and in force for a session that asks for nothing, as a pooler's does.
        let elsewhere = text(
            clinic,
            "select count(*)::text from pg_db_role_setting where setconfig::text like '%idle_session%'",
        );
        assert_eq!(elsewhere.await, "0");
        let mut session = connect(&clinic.database.application_url()).await.unwrap();
        let show = async |session: &mut PgConnection, name: &'static str| -> String {
            let show = format!("select current_setting('{name}')");
            let show = sqlx::query_scalar(AssertSqlSafe(show));
            show.fetch_one(session).await.unwrap()
        };
        assert_eq!(show(&mut session, "statement_timeout").await, "4s");
        assert_eq!(show(&mut session, "idle_session_timeout").await, "0");

        migrate(clinic, |fleet| {
            fleet
                .function_variable("migrate", "DATABASE_STATEMENT_TIMEOUT", "7")
                .function_variable("migrate", "DATABASE_CONNECTION_CHECK_INTERVAL_MS", "0")
    })
    .await
    .unwrap();
    assert_eq!(
        defaults(clinic).await,
        "idle_in_transaction_session_timeout=5000 jit=off lock_timeout=2000 statement_timeout=7000 \
         tcp_keepalives_count=3 tcp_keepalives_idle=30 tcp_keepalives_interval=10"
    );
    }).await;
}

#[tokio::test]
async fn the_monitor_sees_every_session_and_no_table_and_has_three_of_its_own() {
    let database = Database::builder().start().await.unwrap();
    let url = login(&database, "monitor", "watching");
    let monitor = url.clone();
    run_test(Clinic::open_on(database, "", |fleet| {
        fleet.function_variable("migrate", "DATABASE_MONITOR_URL", monitor)
    }), async |clinic| {
    assert_eq!(clinic.get("/api/doctors").await.status, 200);
    let mut session = connect(&url).await.unwrap();
    let seen: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity where usename = 'application' and query <> '<insufficient privilege>'",
    )
    .fetch_one(&mut session)
    .await
    .unwrap();
    assert_eq!(seen, 1);
    let read = sqlx::query("select from doctors").execute(&mut session);
    assert_eq!(code(read.await), "42501");
    let others = [connect(&url).await.unwrap(), connect(&url).await.unwrap()];
    assert_eq!(code(connect(&url).await), "53300");
    drop(others);
    let attributes = text(
        clinic,
        "select concat_ws(' ', rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication,
             rolbypassrls, rolconnlimit) from pg_roles where rolname = 'monitor'",
    );
    assert_eq!(attributes.await, "t f f f f f 3");
    }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_at_once_do_not_disturb_each_other_in_one_database_or_in_two() {
    run_test(Clinic::open(), async |clinic| {
        clinic.sql("create database annex owner clinic").await;
        let one = clinic.another_fleet(|fleet| fleet.reserved_concurrency("migrate", 6));
        let owner = clinic.database.url();
        let owner = format!("{}/annex", owner.rsplit_once('/').unwrap().0);
        let other = clinic.another_fleet(|fleet| {
            fleet.reserved_concurrency("migrate", 6).function_variable(
                "migrate",
                "DATABASE_OWNER_URL",
                owner,
            )
        });
        let (one, other) = (Arc::new(one.await), Arc::new(other.await));
        for _ in 0..3 {
            clinic.sql("drop owned by application").await;
            sqlx::raw_sql(
                "alter role application in database annex reset all;
                 alter role application in database clinic reset all;
                 alter role application connection limit 7",
            )
            .execute(&mut clinic.admin)
            .await
            .unwrap();
            let fleets = (0..6).flat_map(|_| [Arc::clone(&one), Arc::clone(&other)]);
            let runs: JoinSet<_> = fleets
                .map(|fleet| async move { invoke(&fleet).await })
                .collect();
            for answer in runs.join_all().await {
                assert_eq!(answer.unwrap()["schemaVersion"], migrations());
            }
            assert_eq!(
                text(clinic, ATTRIBUTES).await,
                format!("t f f f f f {CEILING}")
            );
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
        }

        // An administrator changes the role at the same moment: the server refuses the later change.
        clinic
            .sql("alter role application connection limit 7")
            .await;
        let mut rival = clinic.database.admin().await.unwrap();
        let mut change = rival.begin().await.unwrap();
        sqlx::raw_sql("alter role application connection limit 8")
            .execute(&mut *change)
            .await
            .unwrap();
        let run = Arc::clone(&one);
        let run = tokio::spawn(async move { invoke(&run).await });
        let waiting = "select count(*)::text from pg_stat_activity where usename = 'clinic' and wait_event_type = 'Lock'";
        eventually(
            "a wait for the rival",
            async || text(clinic, waiting).await,
            |waiting| waiting == "1",
        )
        .await;
        change.commit().await.unwrap();
        run.await.unwrap().unwrap();
        assert_eq!(
            text(clinic, ATTRIBUTES).await,
            format!("t f f f f f {CEILING}")
        );
        for fleet in [one, other] {
            Arc::into_inner(fleet).unwrap().shutdown().await;
        }
    }).await;
}
