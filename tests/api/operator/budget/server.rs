//! `headroom check` against a running server.

use fleet::{
    database::{self, Database},
    pgbouncer::PgBouncer,
};
use serde_json::Value;

use super::{fixture, headroom, run};
use crate::support::clinic::{CEILING, Clinic};

/// What a running server says counts, and its password is never repeated.
#[tokio::test]
async fn a_server_says_what_it_grants() {
    let mut clinic = Clinic::open().await;
    clinic
        .sql("alter role current_user connection limit 5")
        .await;
    let live = |url: &str, more: &[&str]| {
        let mut command = headroom();
        command
            .args(["check", "--template"])
            .arg(fixture("holds.yaml"));
        command.args(["--format", "json", "--database-url", url]);
        let (status, text) = run(command.args(more));
        (status, text)
    };
    let application = clinic.application_url();
    let (status, text) = live(&application, &[]);
    assert_eq!(status, 0, "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["slots"]["maxConnections"], 100);
    assert_eq!(report["slots"]["superuserReserved"], 3);
    assert_eq!(report["slots"]["roleLimit"], CEILING);
    assert_eq!(report["ceiling"], 90);
    let admin = clinic.database.admin_url();
    let report = |more: &[&str]| -> Value {
        let (_, text) = live(&admin, more);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    };
    // No limit stops a superuser, and another role's may be asked for.
    assert_eq!(report(&[])["slots"]["roleLimit"], Value::Null);
    let role = ["--role", database::APPLICATION, "--other-clients", "0"];
    assert_eq!(report(&role)["ceiling"], CEILING);
    let (status, text) = live(&admin, &["--role", "nobody-there"]);
    assert!(status == 2 && text.contains("no such role"), "{text}");

    // Also where it goes wrong, the URL's password is not repeated.
    let secret = "nobody-may-read-this";
    let (host, name) = admin
        .rsplit_once('@')
        .map(|(_, rest)| rest.split_once('/').unwrap())
        .unwrap();
    for url in [
        format!("postgresql://application:{secret}@{host}/{name}"),
        format!("postgresql://application:{secret}@127.0.0.1:1/{name}"),
        format!("postgresql://application:{secret}@{host}/{name}?pgbouncer=true"),
        format!("postgresql://application:{secret}@{host}/{name}?sslmode=allow"),
        format!("mysql://application:{secret}@{host}/{name}"),
    ] {
        let (status, text) = live(&url, &[]);
        assert_eq!(status, 2, "{text}");
        assert!(
            text.starts_with("headroom: ") && !text.contains(secret),
            "{text}"
        );
    }
    // Out of the variable, as the help recommends.
    let (status, text) = run(headroom()
        .args(["check", "--database-url", "--template"])
        .arg(fixture("small.yaml"))
        .env("DATABASE_URL", &application));
    assert_eq!(status, 0, "{text}");

    // The migrations will set the role's limit to what the template says, so the old one bounds nothing.
    clinic
        .sql("alter role application connection limit 20")
        .await;
    let (status, text) = run(headroom()
        .args(["check", "--template"])
        .arg(fixture("ceiling.yaml"))
        .args(["--parameter", "Ceiling=60", "--database-url", &application]));
    assert!(status == 0 && text.contains("≤60"), "{text}");
    let (status, text) = live(&application, &[]);
    assert!(status == 1 && text.contains("\"ceiling\": 20"), "{text}");
    clinic.close().await;
}

#[tokio::test]
async fn a_smaller_server_is_noticed() {
    let database = Database::builder()
        .max_connections(50)
        .setting("superuser_reserved_connections", 5)
        .start()
        .await
        .unwrap();
    let mut command = headroom();
    command
        .args(["check", "--template"])
        .arg(fixture("small.yaml"));
    let (status, text) = run(command.args(["--database-url", &database.admin_url()]));
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("exceeds the ceiling of 38 by 2"), "{text}");
    database.shutdown().await.unwrap();
}

/// Leases end nothing behind a pooler, so it must be noticed, also where nobody says so.
#[tokio::test]
async fn a_pooler_in_between_is_noticed() {
    let clinic = Clinic::open().await;
    let direct = clinic.application_url();
    let live = |url: &str| {
        let mut command = headroom();
        command
            .args(["check", "--template"])
            .arg(fixture("holds.yaml"));
        run(command.args(["--database-url", url]))
    };
    let (status, text) = live(&direct);
    assert_eq!(status, 0, "{text}");

    // It refuses the settings of a session's start, or, told to ignore them, drops them.
    let refusing = PgBouncer::builder(&clinic.database, &direct).start().await;
    let refusing = refusing.unwrap();
    let (status, text) = live(refusing.url());
    assert!(
        status == 2 && text.contains("startup parameter"),
        "{status} {text}"
    );
    let ignoring = PgBouncer::builder(&clinic.database, &direct)
        .setting("ignore_startup_parameters", "options")
        .start()
        .await
        .unwrap();
    let (status, text) = live(ignoring.url());
    assert!(
        status == 1 && text.contains("sessions of a pooler have none"),
        "{status} {text}"
    );
    drop((refusing, ignoring));
    clinic.close().await;
}
