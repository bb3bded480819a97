//! All clients come at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use fleet::database::Database;
use sqlx::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use url::Url;

use super::{
    CROWDED, LIMIT, UPCOMING, assert_all_served, assert_ceiling, at_once, clinic, let_in, lock_out,
    peak, sessions_are, together, waiting_for_locks,
};
use crate::support::clinic::run_test;
use crate::support::{clinic::Clinic, probe::eventually};

/// All slots of the server, but the three that are reserved for superusers and the one that this
/// test's own has.
const ALL_BUT_RESERVED: usize = 96;

/// A client that connects again and again until it is told to stop.
struct Visitor {
    stop: Arc<AtomicBool>,
    logins: JoinHandle<Logins>,
}

/// How that went.
#[derive(Debug, Default)]
struct Logins {
    granted: usize,
    refused: Vec<String>,
}

impl Visitor {
    fn coming(url: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let logins = tokio::spawn(async move {
            let mut logins = Logins::default();
            while !stopped.load(Ordering::Relaxed) {
                match visit(&url).await {
                    Ok(()) => logins.granted += 1,
                    Err(error) => logins.refused.push(error.to_string()),
                }
                // Not the load that is to be proven.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            logins
        });
        Self { stop, logins }
    }

    async fn went(self) -> Logins {
        self.stop.store(true, Ordering::Relaxed);
        self.logins.await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "not the application")]
async fn visit(url: &str) -> sqlx::Result<()> {
    sqlx::PgConnection::connect(url).await?.close().await
}

/// A role of another application: it may log in, and has no limit and no privilege.
async fn ordinary(clinic: &mut Clinic) -> String {
    clinic
        .sql("create role ordinary login password 'ordinary'")
        .await;
    url_as(&clinic.database, "ordinary", "ordinary")
}

fn url_as(database: &Database, role: &str, password: &str) -> String {
    let mut url = Url::parse(&database.admin_url()).unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some(password)).unwrap();
    url.into()
}

#[tokio::test]
async fn a_burst_of_300_on_300_environments_is_answered() {
    let _alone = CROWDED.lock().await;
    run_test(clinic(|fleet| fleet), async |(clinic, path)| {
        let another = ordinary(clinic).await;
        let administrator = Visitor::coming(clinic.database.admin_url());
        let another = Visitor::coming(another);
        let answers = together(&clinic.fleet, path, 300).await;
        assert_all_served(&answers, 300);
        assert_eq!(clinic.fleet.environments(UPCOMING).len(), 300);
        let administrator = administrator.went().await;
        assert_eq!(administrator.refused, Vec::<String>::new());
        assert!(administrator.granted > 0);
        let another = another.went().await;
        println!("another application: {another:?}");
        // What no limit of a role holds back are the application's logins under way: where the machine
        // is slow enough for them to pile up, another client may have to ask again.
        assert!(another.granted > another.refused.len(), "{another:?}");
        assert_ceiling(clinic).await;
    })
    .await;
}

#[tokio::test]
async fn without_the_roles_limit_a_burst_goes_through_the_ceiling_and_locks_others_out() {
    run_test(
        clinic(|fleet| waiting_for_locks(fleet).variable("DATABASE_RETAINED_PERCENT", "100")),
        async |(clinic, path)| {
            let another = ordinary(clinic).await;
            clinic
                .sql("alter role application connection limit -1")
                .await;
            visit(&another).await.unwrap();
            lock_out(clinic).await;
            // As many as there are slots: logins under way hold some, and hundreds of them would be in each
            // other's way.
            let answers = at_once(&clinic.fleet, path, ALL_BUT_RESERVED);
            sessions_are(clinic, ALL_BUT_RESERVED).await;
            let refused = visit(&another).await.unwrap_err();
            let refused = refused.into_database_error().expect("the server's word");
            assert_eq!(refused.code().as_deref(), Some("53300"));
            let_in(clinic).await;
            answers.await.unwrap();
            let peak = peak(clinic).await;
            assert!(peak > LIMIT, "the check cannot fail: {peak}");
        },
    )
    .await;
}

/// A login of the application's that has begun, and waits for the client's proof of its password.
async fn half_a_login(port: u16) -> TcpStream {
    const PROTOCOL: u32 = 3 << 16;
    let names = b"user\0application\0database\0clinic\0\0";
    let mut message = u32::try_from(8 + names.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    message.extend(PROTOCOL.to_be_bytes());
    message.extend(names);
    let mut login = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    login.write_all(&message).await.unwrap();
    // The server asks for it.
    assert_eq!(login.read_u8().await.unwrap(), b'R');
    login
}

/// Where the promise ends: this is why a server needs more slots than its roles' limits add up to.
#[tokio::test]
async fn logins_under_way_hold_slots_that_no_limit_bounds() {
    run_test(clinic(|fleet| fleet), async |(clinic, _)| {
        let administrator = clinic.database.admin_url();
        let mut logins = Vec::new();
        while logins.len() <= LIMIT {
            logins.push(half_a_login(clinic.database.port()).await);
        }
        visit(&administrator).await.unwrap();
        while logins.len() < ALL_BUT_RESERVED + 3 {
            logins.push(half_a_login(clinic.database.port()).await);
        }
        let refused = visit(&administrator).await.unwrap_err();
        let refused = refused.into_database_error().expect("the server's word");
        assert_eq!(refused.code().as_deref(), Some("53300"));
        drop(logins);
        eventually(
            "the slots of the abandoned logins",
            async || visit(&administrator).await,
            Result::is_ok,
        )
        .await
        .unwrap();
    })
    .await;
}
