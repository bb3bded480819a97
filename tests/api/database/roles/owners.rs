//! Owners who may not do everything, and configurations that cannot be.

use fleet::{Builder, Source};
use sqlx::AssertSqlSafe;

use super::{connect, invoke, login, migrate, text};
use crate::support::clinic::{CEILING, Clinic, run_test};

#[tokio::test]
async fn an_owner_without_the_right_says_what_an_administrator_must_run() {
    run_test(Clinic::open(), async |clinic| {
        for take_away in [
            "drop owned by application",
            "drop role application",
            "alter role clinic nocreaterole",
            "drop schema public cascade",
            "create schema public authorization clinic",
        ] {
            clinic.sql(take_away).await;
        }
        let monitor = login(&clinic.database, "monitor", "watching%20closely");
        let with_monitor = |fleet: Builder| {
            fleet.function_variable("migrate", "DATABASE_MONITOR_URL", monitor.clone())
        };
        let fleet = clinic.another_fleet(with_monitor).await;
        let error = invoke(&fleet).await.unwrap_err();
        let (why, script) = error.split_once("migrate again:").unwrap();
        assert!(
            why.contains("the role clinic may not set up the roles"),
            "{why}"
        );
        assert!(
            script.contains("create role \"application\" login"),
            "{script}"
        );
        assert!(script.contains("password 'SCRAM-SHA-256$4096:"), "{script}");
        assert!(!error.contains("watching"), "{error}");
        let log = fleet.logs("migrate").into_iter();
        let log = log.filter(|line| line.source != Source::Platform);
        assert!(
            log.into_iter()
                .any(|line| line.text.contains("create role"))
        );

        // The migrations are applied all the same, and nothing else.
        let done = text(
            clinic,
            "select concat_ws(' ', (select count(*) > 0 from _sqlx_migrations),
                 (select count(*) from pg_roles where rolname in ('application', 'monitor')))",
        );
        assert_eq!(done.await, "t 0");

        // Exactly what it said, and it passes.
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        invoke(&fleet).await.unwrap();
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
        connect(&monitor).await.unwrap();

        // What the owner may not change is said again, and only that.
        clinic
            .sql("alter role application connection limit 7")
            .await;
        let error = invoke(&fleet).await.unwrap_err();
        let (_, script) = error.split_once("migrate again:").unwrap();
        assert!(
            script.contains(&format!(
                "alter role \"application\" connection limit {CEILING};"
            )),
            "{script}"
        );
        assert!(!script.contains("password"), "{script}");
        fleet.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn what_only_an_administrator_may_grant_is_named_and_the_rest_is_done() {
    run_test(Clinic::open(), async |clinic| {
        // Up to PostgreSQL 15 the right to create roles is enough.
        let version = text(clinic, "select current_setting('server_version_num')").await;
        let needs_admin_option = version.parse::<u32>().unwrap() >= 160_000;
        if needs_admin_option {
            clinic.sql("revoke pg_monitor from clinic").await;
        }
        let monitor = login(&clinic.database, "monitor", "watching%20closely");
        let with_monitor = |fleet: Builder| {
            fleet.function_variable("migrate", "DATABASE_MONITOR_URL", monitor.clone())
        };
        let fleet = clinic.another_fleet(with_monitor).await;
        invoke(&fleet).await.unwrap();
        connect(&monitor).await.unwrap();
        let watches = "select pg_has_role('monitor', 'pg_monitor', 'usage')::text";
        assert_eq!(text(clinic, watches).await == "true", !needs_admin_option);
        let told = fleet.logs("migrate").into_iter();
        let told = told.filter(|line| line.text.contains("grant pg_monitor to \\\"monitor\\\""));
        assert_eq!(told.count(), usize::from(needs_admin_option));
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_the_server_ignores_is_not_taken_for_one() {
    run_test(Clinic::open(), async |clinic| {
        sqlx::raw_sql(
            "drop owned by application;
         alter schema public owner to clinic;
         alter database clinic owner to postgres;
         revoke all on database clinic from public;
         grant connect, create on database clinic to clinic",
        )
        .execute(&mut clinic.admin)
        .await
        .unwrap();
        let error = migrate(clinic, |fleet| fleet).await.unwrap_err();
        assert!(error.contains("a statement had no effect"), "{error}");
        let (_, script) = error.split_once("migrate again:").unwrap();
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut clinic.admin)
            .await
            .unwrap();
        migrate(clinic, |fleet| fleet).await.unwrap();
        assert_eq!(clinic.get("/api/doctors").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_servers_own_superuser_is_not_made_into_an_application() {
    run_test(Clinic::open(), async |clinic| {
        let admin = clinic.database.admin_url();
        let error = migrate(clinic, |fleet| {
            fleet.function_variable("migrate", "DATABASE_URL", admin)
        })
        .await
        .unwrap_err();
        assert!(error.contains("the server's own superuser"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn without_a_role_of_its_own_the_application_is_the_owner_as_before() {
    run_test(Clinic::open(), async |clinic| {
        clinic.sql("drop owned by application").await;
        clinic.sql("drop role application").await;
        let owner = clinic.database.url();
        let one_url = clinic
            .another_fleet(|fleet| {
                fleet
                    .variable("DATABASE_URL", &owner)
                    .function_variable("migrate", "DATABASE_URL", &owner)
                    .function_variable("migrate", "DATABASE_OWNER_URL", "")
                    .function_variable("migrate", "DATABASE_CEILING", "")
            })
            .await;
        let same_role = clinic
            .another_fleet(|fleet| {
                fleet
                    .function_variable("migrate", "DATABASE_URL", &owner)
                    .function_variable("migrate", "DATABASE_CEILING", "")
            })
            .await;
        for fleet in [&one_url, &same_role] {
            invoke(fleet).await.unwrap();
        }
        let reply = crate::support::probe::get(&one_url, "/api/doctors").await;
        assert_eq!(reply.status, 200);
        let changed = text(
            clinic,
            "select concat_ws(' ', (select count(*) from pg_roles where rolname = 'application'),
                 (select rolconnlimit from pg_roles where rolname = 'clinic'),
                 (select count(*) from pg_db_role_setting))",
        );
        assert_eq!(changed.await, "0 -1 0");
        one_url.shutdown().await;
        same_role.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_is_named_before_anything_is_done() {
    run_test(Clinic::open(), async |clinic| {
        let database = &clinic.database;
        let (owner, application) = (database.url(), database.application_url());
        for (variable, value, says) in [
            (
                "DATABASE_CEILING",
                String::new(),
                "DATABASE_CEILING is not set",
            ),
            (
                "DATABASE_CEILING",
                "0".to_owned(),
                "DATABASE_CEILING=0 cannot be used; accepted is a whole number from 1 to 262143",
            ),
            (
                "DATABASE_CEILING",
                "262144".to_owned(),
                "DATABASE_CEILING=262144 cannot be used",
            ),
            (
                "DATABASE_OWNER_URL",
                "postgresql://127.0.0.1/clinic".to_owned(),
                "DATABASE_OWNER_URL: it names no user",
            ),
            (
                "DATABASE_OWNER_URL",
                format!("{owner}?schema=other"),
                "they name different schemas",
            ),
            (
                "DATABASE_MONITOR_URL",
                "mysql://h".to_owned(),
                "DATABASE_MONITOR_URL: it must begin with postgresql://",
            ),
            (
                "DATABASE_MONITOR_URL",
                application.clone(),
                "DATABASE_MONITOR_URL and DATABASE_URL contradict",
            ),
            (
                "DATABASE_MONITOR_URL",
                owner.clone(),
                "DATABASE_MONITOR_URL and DATABASE_OWNER_URL contradict",
            ),
        ] {
            let error = migrate(clinic, |fleet| {
                fleet.function_variable("migrate", variable, &value)
            })
            .await
            .unwrap_err();
            assert!(error.contains(says), "{variable}={value}: {error}");
        }
    })
    .await;
}
