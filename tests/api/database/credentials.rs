//! Credentials that are kept elsewhere: fetched once, fetched again when the database refuses
//! them, and missed without harm. Secrets Manager and Parameter Store are moto's.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fleet::{Builder, database::Database, moto::Moto, pgbouncer::PgBouncer, proxy::Proxy};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{Reply, as_staff, eventually, get, send},
};

const NAME: &str = "clinic/application";

/// The function `doctors` alone finds its credentials elsewhere: the migrations keep theirs.
fn kept_elsewhere(fleet: Builder, port: u16, variable: &str) -> Builder {
    Moto::variables(port)
        .into_iter()
        .fold(fleet, |fleet, (name, value)| {
            fleet.function_variable("doctors", name, value)
        })
        .function_variable("doctors", "DATABASE_URL", "")
        .function_variable("doctors", variable, NAME)
}

/// The application's password on this database.
fn password(database: &Database) -> String {
    let url = url::Url::parse(&database.application_url()).unwrap();
    url.password().unwrap().to_owned()
}

/// The application's credentials as RDS keeps them.
fn rds(database: &Database, password: &str) -> Value {
    json!({
        "engine": "postgres",
        "host": "127.0.0.1",
        "port": database.port(),
        "dbname": "clinic",
        "username": "application",
        "password": password,
        "dbInstanceIdentifier": "clinic",
    })
}

/// What the function said about its configuration.
fn cause(clinic: &Clinic) -> String {
    let said = clinic.logged("doctors", "the configuration cannot be used");
    let last = said.last().expect("a line about the configuration");
    last["cause"].as_str().expect("a cause").to_owned()
}

/// No line of any function holds this.
fn never_logged(clinic: &Clinic, secret: &str) {
    for function in clinic.fleet.functions() {
        for line in clinic.fleet.logs(function) {
            assert!(!line.text.contains(secret), "{function}: {}", line.text);
        }
    }
}

#[tokio::test]
async fn a_secret_or_a_parameter_holds_a_url_or_what_rds_keeps_and_is_fetched_once() {
    let moto = Moto::start().await.unwrap();
    for (variable, as_url) in [
        ("DATABASE_SECRET_ARN", true),
        ("DATABASE_SECRET_ARN", false),
        ("DATABASE_PARAMETER", true),
        ("DATABASE_PARAMETER", false),
    ] {
        let database = Database::builder().start().await.unwrap();
        // Whatever a generated password holds: in a URL it would need escapes.
        let odd = r#"a%40:/?#[]@!$&'()*+,;="\ ü"#;
        let parameters = "connection_limit=1&pool_timeout=7";
        let (text, base) = if as_url {
            (format!("{}?{parameters}", database.application_url()), None)
        } else {
            let base = format!("postgresql:///?{parameters}");
            (rds(&database, odd).to_string(), Some(base))
        };
        match variable {
            "DATABASE_PARAMETER" => moto.put_parameter(NAME, &text).await.unwrap(),
            _ => moto.put_secret(NAME, &text).await.unwrap(),
        }
        let proxy = Proxy::start(moto.port()).await.unwrap();
        run_test(
            Clinic::open_on(database, "", |fleet| {
                kept_elsewhere(fleet, proxy.port(), variable)
                    .function_variable("doctors", "DATABASE_URL", base.unwrap_or_default())
                    .function_variable("doctors", "RUST_LOG", "trace")
                    .function_variable("doctors", "AWS_SESSION_TOKEN", "the-roles-own")
            }),
            async |clinic| {
                if !as_url {
                    let change = format!(
                        "alter role application password '{}'",
                        odd.replace('\'', "''")
                    );
                    let change = sqlx::query(AssertSqlSafe(change));
                    change.execute(&mut clinic.admin).await.unwrap();
                }
                for _ in 0..3 {
                    let reply = clinic.get("/api/doctors").await;
                    assert_eq!(reply.status, 200, "{variable}: {reply:?}");
                }
                assert_eq!(proxy.connections(), 1, "{variable}: fetched once");
                let created = clinic.logged("doctors", "database pool created");
                assert_eq!(created[0]["pool_timeout_seconds"], 7, "{variable}");
                never_logged(clinic, odd);
                never_logged(clinic, "the-roles-own");
                never_logged(clinic, &password(&clinic.database));
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_plain_url_asks_no_service() {
    let anybody = Proxy::start(1).await.unwrap();
    run_test(
        Clinic::open_with("", |fleet| {
            Moto::variables(anybody.port())
                .into_iter()
                .fold(fleet, |fleet, (name, value)| fleet.variable(name, value))
        }),
        async |clinic| {
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            assert_eq!(anybody.connections(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn what_contradicts_itself_or_cannot_be_used_is_said_by_name() {
    let moto = Moto::start().await.unwrap();
    let secret = "hunter2-hunter2";
    for (name, text) in [
        (
            "whole",
            format!("postgresql://application:{secret}@127.0.0.1/clinic"),
        ),
        (
            "wrong",
            format!("postgresql://application:{secret}@127.0.0.1/clinic?pool_timout=1"),
        ),
        (
            "mysql",
            json!({"engine": "mysql", "username": "a", "password": secret}).to_string(),
        ),
        (
            "elsewhere",
            json!({"username": "a", "password": secret}).to_string(),
        ),
        (
            "unfit",
            json!({"username": [secret], "password": secret}).to_string(),
        ),
    ] {
        moto.put_secret(name, &text).await.unwrap();
    }
    const SECRET: &str = "DATABASE_SECRET_ARN";
    const URL: &str = "DATABASE_URL";
    let iam = ("DATABASE_IAM_AUTH", "on");
    for (variables, said) in [
        (
            vec![(SECRET, "whole"), ("DATABASE_PARAMETER", "whole")],
            "DATABASE_SECRET_ARN and DATABASE_PARAMETER contradict each other",
        ),
        (
            vec![
                (SECRET, "whole"),
                (URL, "postgresql://a:b@127.0.0.1/clinic"),
            ],
            "DATABASE_URL and DATABASE_SECRET_ARN contradict each other: both name who logs in",
        ),
        (
            vec![(SECRET, "whole"), (URL, "postgresql://127.0.0.1/clinic")],
            "DATABASE_SECRET_ARN and DATABASE_URL contradict each other: the stored text is a whole URL",
        ),
        (
            vec![(SECRET, "whole"), iam],
            "DATABASE_IAM_AUTH and DATABASE_SECRET_ARN contradict each other",
        ),
        (
            vec![iam],
            "DATABASE_URL is not set; IAM authentication needs it",
        ),
        (
            vec![
                iam,
                (URL, "postgresql://a:b@127.0.0.1/clinic?sslmode=verify-full"),
            ],
            "DATABASE_IAM_AUTH and DATABASE_URL contradict each other: a token takes the password's place",
        ),
        (
            vec![
                iam,
                (URL, "postgresql://a@127.0.0.1/clinic?sslmode=require"),
            ],
            "DATABASE_IAM_AUTH and DATABASE_URL contradict each other: a token is sent as it is",
        ),
        (
            vec![("DATABASE_IAM_AUTH", "yes")],
            "DATABASE_IAM_AUTH=yes cannot be used; accepted is on or off",
        ),
        (vec![], "DATABASE_URL is not set; set it to postgresql://"),
        (
            vec![(SECRET, "wrong")],
            "what DATABASE_SECRET_ARN names: pool_timout is not a parameter",
        ),
        (vec![(SECRET, "mysql")], "its engine is not PostgreSQL"),
        (
            vec![(SECRET, "elsewhere")],
            "it has no host; give it in a URL",
        ),
        (
            vec![(SECRET, "unfit")],
            "it is not JSON with the texts username and password",
        ),
        (
            vec![
                (SECRET, "elsewhere"),
                (URL, "postgresql://127.0.0.1/c?connection_limit=0"),
            ],
            "DATABASE_URL: connection_limit=0 cannot be used",
        ),
        (
            vec![(SECRET, "nothing")],
            "DATABASE_SECRET_ARN: ResourceNotFoundException",
        ),
        (
            vec![("DATABASE_PARAMETER", "nothing")],
            "DATABASE_PARAMETER: ParameterNotFound",
        ),
    ] {
        let database = Database::builder().start().await.unwrap();
        run_test(
            Clinic::open_on(database, "", |fleet| {
                let fleet = kept_elsewhere(fleet, moto.port(), "UNUSED");
                variables.iter().fold(fleet, |fleet, (name, value)| {
                    fleet.function_variable("doctors", name, *value)
                })
            }),
            async |clinic| {
                problem(&clinic.get("/api/doctors").await, 500, "misconfigured");
                let cause = cause(clinic);
                assert!(cause.contains(said), "{variables:?}: {cause}");
                never_logged(clinic, secret);
            },
        )
        .await;
    }
}

#[tokio::test]
async fn an_unreachable_service_is_a_503_in_time_and_the_next_request_asks_again() {
    let moto = Moto::start().await.unwrap();
    let database = Database::builder().start().await.unwrap();
    moto.put_secret(NAME, &database.application_url())
        .await
        .unwrap();
    let proxy = Proxy::start(moto.port()).await.unwrap();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, proxy.port(), "DATABASE_SECRET_ARN").function_variable(
                "doctors",
                "DATABASE_CREDENTIALS_TIMEOUT",
                "2",
            )
        }),
        async |clinic| {
            proxy.stall();
            let start = Instant::now();
            problem(
                &clinic.get("/api/doctors").await,
                503,
                "credentials-unavailable",
            );
            // Far from the function's own 29 s, whatever the machine is doing.
            assert!(start.elapsed() < Duration::from_secs(20));
            // A route that needs no database is not concerned.
            assert_eq!(clinic.get("/api/health").await.status, 200);

            proxy.heal();
            let reply = async || {
                let reply = clinic.get("/api/doctors").await;
                if reply.status != 200 {
                    problem(&reply, 503, "credentials-unavailable");
                }
                reply.status
            };
            eventually("the credentials", reply, |status| *status == 200).await;
            // The same environment: nothing was restarted.
            assert_eq!(clinic.fleet.environments("doctors").len(), 1);
        },
    )
    .await;

    // Nothing listens at all.
    let database = Database::builder().start().await.unwrap();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, 1, "DATABASE_PARAMETER")
        }),
        async |clinic| {
            problem(
                &clinic.get("/api/doctors").await,
                503,
                "credentials-unavailable",
            );
        },
    )
    .await;
}

#[tokio::test]
async fn many_that_wait_for_credentials_wait_for_one_fetch() {
    let moto = Moto::start().await.unwrap();
    let database = Database::builder().start().await.unwrap();
    moto.put_secret(NAME, &database.application_url())
        .await
        .unwrap();
    let proxy = Proxy::start(moto.port()).await.unwrap();
    proxy.stall();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, proxy.port(), "DATABASE_SECRET_ARN")
                .function_variable("doctors", "DATABASE_CREDENTIALS_TIMEOUT", "20")
                .max_concurrency("doctors", 16)
                .reserved_concurrency("doctors", 16)
        }),
        async |clinic| {
            let requests: JoinSet<Reply> = (0..16)
                .map(|_| get(&clinic.fleet, "/api/doctors"))
                .collect();
            eventually(
                "the fetch",
                async || proxy.connections(),
                |count| *count > 0,
            )
            .await;
            proxy.heal();
            for reply in requests.join_all().await {
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            assert_eq!(clinic.logged("doctors", "credentials fetched").len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn passwords_are_rotated_under_load_and_no_client_notices() {
    const ENVIRONMENTS: usize = 8;
    let moto = Moto::start().await.unwrap();
    let database = Database::builder().start().await.unwrap();
    let first = password(&database);
    moto.put_secret(NAME, &rds(&database, &first).to_string())
        .await
        .unwrap();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, moto.port(), "DATABASE_SECRET_ARN")
                // Each request logs in.
                .function_variable(
                    "doctors",
                    "DATABASE_URL",
                    "postgresql:///?single_use_connections=true&pool_timeout=20",
                )
                .reserved_concurrency("doctors", ENVIRONMENTS as u32)
        }),
        async |clinic| {
            let done = Arc::new(AtomicBool::new(false));
            let answered = Arc::new(AtomicUsize::new(0));
            let mut clients = JoinSet::new();
            for _ in 0..ENVIRONMENTS {
                let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
                let request = as_staff(&clinic.fleet, "/api/doctors");
                clients.spawn(async move {
                    while !done.load(Ordering::Relaxed) {
                        let reply = send(request.clone()).await;
                        assert_eq!(reply.status, 200, "{reply:?}");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let more = async |count: usize| {
                let before = answered.load(Ordering::Relaxed);
                eventually(
                    "more answers",
                    async || answered.load(Ordering::Relaxed),
                    |answered| *answered >= before + count,
                )
                .await;
            };
            more(5 * ENVIRONMENTS).await;
            let rotations = ["rotated-first", "rotated-second", "rotated-third"];
            for password in rotations {
                // As Secrets Manager's rotation does it: the server first, and the secret a moment later.
                let change = format!("alter role application password '{password}'");
                let change = sqlx::query(AssertSqlSafe(change));
                change.execute(&mut clinic.admin).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
                moto.put_secret(NAME, &rds(&clinic.database, password).to_string())
                    .await
                    .unwrap();
                more(5 * ENVIRONMENTS).await;
            }
            done.store(true, Ordering::Relaxed);
            clients.join_all().await;

            let environments = clinic.fleet.environments("doctors").len();
            assert!(environments <= ENVIRONMENTS);
            let pools = clinic.logged("doctors", "database pool created").len();
            assert_eq!(pools, environments, "the pools stayed");
            let replaced = clinic.logged("doctors", "the refused credentials were replaced");
            assert!(!replaced.is_empty());
            for password in rotations.into_iter().chain([first.as_str()]) {
                never_logged(clinic, password);
            }
        },
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_the_database_refuses_is_a_503_until_it_is_mended() {
    let moto = Moto::start().await.unwrap();
    let database = Database::builder().start().await.unwrap();
    moto.put_secret(NAME, &rds(&database, "wrong").to_string())
        .await
        .unwrap();
    let proxy = Proxy::start(moto.port()).await.unwrap();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, proxy.port(), "DATABASE_SECRET_ARN").function_variable(
                "doctors",
                "DATABASE_URL",
                "postgresql:///?pool_timeout=3",
            )
        }),
        async |clinic| {
            let start = Instant::now();
            let reply = clinic.get("/api/doctors").await;
            // Not more often than once a second, and the first time.
            let most = start.elapsed().as_secs() + 2;
            problem(&reply, 503, "credentials-unavailable");
            let fetched = clinic.logged("doctors", "credentials fetched").len();
            assert!(
                (2..=most as usize).contains(&fetched),
                "{fetched} of {most}"
            );
            let said = clinic.logged(
                "doctors",
                "there are no credentials that the database accepts",
            );
            let cause = said[0]["cause"].as_str().unwrap();
            assert!(
                cause.starts_with("the database refused the credentials in DATABASE_SECRET_ARN")
            );

            let right = rds(&clinic.database, &password(&clinic.database));
            moto.put_secret(NAME, &right.to_string()).await.unwrap();
            assert_eq!(clinic.get("/api/doctors").await.status, 200);
            assert_eq!(clinic.fleet.environments("doctors").len(), 1);
        },
    )
    .await;
}

#[tokio::test]
async fn behind_a_pooler_a_refused_secret_is_fetched_again_too() {
    let moto = Moto::start().await.unwrap();
    let database = Database::builder().start().await.unwrap();
    let url = database.application_url();
    let pooler = PgBouncer::builder(&database, &url).start().await.unwrap();
    let parameters = "pgbouncer=true&pool_timeout=20";
    let right = format!("{}?{parameters}", pooler.url());
    let wrong = right.replace("application:", "application:not");
    moto.put_secret(NAME, &wrong).await.unwrap();
    run_test(
        Clinic::open_on(database, "", |fleet| {
            kept_elsewhere(fleet, moto.port(), "DATABASE_SECRET_ARN")
        }),
        async |clinic| {
            let request = tokio::spawn(get(&clinic.fleet, "/api/doctors"));
            eventually(
                "the first fetch",
                async || clinic.logged("doctors", "credentials fetched").len(),
                |fetched| *fetched > 0,
            )
            .await;
            moto.put_secret(NAME, &right).await.unwrap();
            assert_eq!(request.await.unwrap().status, 200);
            drop(pooler);
        },
    )
    .await;
}

#[tokio::test]
async fn the_migrations_fetch_their_roles_credentials_and_name_the_source_that_was_refused() {
    let moto = Moto::start().await.unwrap();
    run_test(Clinic::open(), async |clinic| {
        let database = &clinic.database;
        let monitor = database
            .application_url()
            .replace("application:", "monitor:");
        moto.put_secret("owner", &database.url()).await.unwrap();
        moto.put_parameter("monitor", &monitor).await.unwrap();
        moto.put_secret(NAME, &rds(database, "changed").to_string())
            .await
            .unwrap();
        let wrong = database.url().replace("clinic:", "clinic:not");
        moto.put_secret("wrong", &wrong).await.unwrap();

        let migrate = async |owner: (&str, &str)| {
            let fleet = clinic
                .another_fleet(|fleet| {
                    let variables = Moto::variables(moto.port());
                    let none = [("DATABASE_URL", ""), ("DATABASE_OWNER_URL", "")];
                    let ours = [
                        ("DATABASE_SECRET_ARN", NAME),
                        ("DATABASE_MONITOR_PARAMETER", "monitor"),
                        owner,
                    ];
                    let ours = none.into_iter().chain(ours);
                    let ours = ours.map(|(name, value)| (name, value.to_owned()));
                    ours.chain(variables).fold(fleet, |fleet, (name, value)| {
                        fleet.function_variable("migrate", name, value)
                    })
                })
                .await;
            let answer = fleet.invoke("migrate", Value::Null).await;
            fleet.shutdown().await;
            answer.map_err(|error| format!("{error:?}"))
        };
        migrate(("DATABASE_OWNER_SECRET_ARN", "owner"))
            .await
            .unwrap();
        // The role's password is the secret's now, and the monitor has a role.
        assert_eq!(clinic.get("/api/doctors").await.status, 500);
        let said = clinic.logged(
            "doctors",
            "the database refused the credentials in DATABASE_URL",
        );
        assert_eq!(said.len(), 1, "{said:?}");

        for (owner, said) in [
            (
                ("DATABASE_OWNER_SECRET_ARN", "wrong"),
                "refused the credentials in DATABASE_OWNER_SECRET_ARN",
            ),
            (
                ("DATABASE_OWNER_URL", wrong.as_str()),
                "refused the credentials in DATABASE_OWNER_URL",
            ),
        ] {
            let error = migrate(owner).await.unwrap_err();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains(":not"), "{error}");
        }
    })
    .await;
}
