//! The local database is a real one, is there alone, and leaves nothing behind.
mod sessions;

use fleet::database::{Database, Error, Stop};
use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the server under test"
)]
async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(url).await
}

async fn started() -> Database {
    Database::builder().start().await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap();
}

async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn server_pid(data: &Path) -> i32 {
    let mark = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    mark.lines().next().unwrap().parse().unwrap()
}

fn is_alive(pid: i32) -> bool {
    signal::kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clinic_belongs_to_an_ordinary_role() {
    let database = started().await;
    let mut clinic = connect(&database.url()).await.unwrap();
    let owner = "select r.rolname::text from pg_database d join pg_roles r on r.oid = d.datdba \
                 where d.datname = current_database() and not r.rolsuper and r.rolcreaterole";
    assert_eq!(text(&mut clinic, owner).await, "clinic");
    assert_eq!(text(&mut clinic, "show timezone").await, "UTC");
    assert_eq!(text(&mut clinic, "show server_encoding").await, "UTF8");
    let mut admin = connect(&database.admin_url()).await.unwrap();
    assert_eq!(text(&mut admin, "show is_superuser").await, "on");
    let mut admin = database.admin().await.unwrap();
    let here = "select concat(current_user, '@', current_database())";
    assert_eq!(text(&mut admin, here).await, "postgres@clinic");
    database.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_logs_in_without_the_password_or_from_elsewhere() {
    let (database, other) = tokio::join!(started(), started());
    assert_ne!(database.port(), other.port());
    let swapped = database.url().replace(
        &format!(":{}/", database.port()),
        &format!(":{}/", other.port()),
    );
    let refused = connect(&swapped).await.unwrap_err();
    let code = refused.into_database_error().unwrap();
    assert_eq!(
        code.code().as_deref(),
        Some("28P01"),
        "another server's password"
    );

    let mut admin = database.admin().await.unwrap();
    let trusted =
        "select count(*)::text from pg_hba_file_rules where auth_method <> 'scram-sha-256'";
    assert_eq!(text(&mut admin, trusted).await, "0");
    assert_eq!(text(&mut admin, "show listen_addresses").await, "127.0.0.1");
    assert_eq!(text(&mut admin, "show unix_socket_directories").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_server() {
    let database = Database::builder()
        .max_connections(17)
        .setting("application_name", "it's here")
        .setting("fsync", "on")
        .start()
        .await
        .unwrap();
    let mut admin = database.admin().await.unwrap();
    assert_eq!(text(&mut admin, "show max_connections").await, "17");
    assert_eq!(text(&mut admin, "show application_name").await, "it's here");
    assert_eq!(text(&mut admin, "show fsync").await, "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_address_and_data() {
    let mut database = started().await;
    let url = database.url();
    let mut session = connect(&url).await.unwrap();
    execute(&mut session, "create table kept as select 'here' as word").await;
    for how in [Stop::Fast, Stop::Immediate] {
        let before = server_pid(&database.data_folder());
        let mut session = connect(&url).await.unwrap();
        database.restart(how).await.unwrap();
        assert_ne!(server_pid(&database.data_folder()), before);
        assert!(session.ping().await.is_err(), "{how:?} ends every session");
        let mut session = connect(&url).await.unwrap();
        assert_eq!(text(&mut session, "select word from kept").await, "here");
    }
    database.stop(Stop::Fast).await.unwrap();
    assert!(
        connect(&url).await.is_err(),
        "a stopped server does not answer"
    );
    database.start().await.unwrap();
    connect(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_dropped_database_even_by_a_panic() {
    let (report, reported) = std::sync::mpsc::channel();
    let panicked = tokio::spawn(async move {
        let database = started().await;
        let data = database.data_folder();
        report.send((server_pid(&data), data)).unwrap();
        panic!("as a failing assertion does");
    })
    .await;
    assert!(panicked.unwrap_err().is_panic());
    let (pid, data): (i32, PathBuf) = reported.recv().unwrap();
    assert!(!is_alive(pid));
    assert!(!data.parent().unwrap().exists());
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "waits to be killed by a_server_does_not_outlive_a_killed_process"]
async fn waits_to_be_killed() {
    let database = started().await;
    let data = database.data_folder();
    println!("\nSERVER {} {}", server_pid(&data), data.display());
    // It is not killed when it is run by itself.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_does_not_outlive_a_killed_process() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "fleet::database::waits_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let server = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("SERVER ").map(str::to_owned))
        .unwrap();
    let (pid, data) = server.split_once(' ').unwrap();
    let (pid, data) = (pid.parse().unwrap(), Path::new(data));
    assert!(is_alive(pid));
    process.kill().unwrap();
    process.wait().unwrap();
    until("the server ends", || !is_alive(pid)).await;
    // The next throwaway, of this test or of another, clears up what the killed process could not.
    started().await;
    until("its data is removed", || !data.exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_data_is_found_again_and_used_by_one_server_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Database::builder().kept(folder.path().join("clinic"));
    let mut first = kept.clone().start().await.unwrap();
    let mut session = connect(&first.url()).await.unwrap();
    execute(&mut session, "create table kept as select 'here' as word").await;

    match kept.clone().start().await {
        Err(Error::AlreadyRunning { pid, .. }) => {
            assert_eq!(pid, server_pid(&first.data_folder()));
        }
        other => panic!("two servers on one folder: {other:?}"),
    }
    first.restart(Stop::Immediate).await.unwrap();
    let data = first.data_folder();
    first.shutdown().await.unwrap();
    assert!(data.exists());

    let second = kept.start().await.unwrap();
    let mut session = connect(&second.url()).await.unwrap();
    assert_eq!(text(&mut session, "select word from kept").await, "here");
    assert_eq!(text(&mut session, "show fsync").await, "on");
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_a_killed_server_does_not_block_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Database::builder().kept(folder.path().join("clinic"));
    let first = kept.clone().start().await.unwrap();
    let data = first.data_folder();
    // A session at work outlives its server by a moment, and holds the data for as long.
    let mut session = connect(&first.url()).await.unwrap();
    execute(&mut session, "create table kept as select 'here' as word").await;
    signal::kill(Pid::from_raw(server_pid(&data)), Signal::SIGKILL).unwrap();
    let mark = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    drop(first);

    let second = kept.clone().start().await.unwrap();
    drop(second);
    // By now another process of the same user may have got the server's number.
    let other = started().await;
    let taken = server_pid(&other.data_folder()).to_string();
    let mark = mark.replacen(mark.lines().next().unwrap(), &taken, 1);
    std::fs::write(data.join("postmaster.pid"), mark).unwrap();
    let third = kept.start().await.unwrap();
    let mut session = connect(&third.url()).await.unwrap();
    assert_eq!(text(&mut session, "select word from kept").await, "here");
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_starts_share_one_template() {
    let work = tempfile::tempdir().unwrap();
    let start = || Database::builder().work_folder(work.path()).start();
    let (a, b, c) = tokio::join!(start(), start(), start());
    for database in [a, b, c] {
        connect(&database.unwrap().url()).await.unwrap();
    }
    let templates = std::fs::read_dir(work.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("template-") && !name.ends_with(".lock"));
    assert_eq!(templates.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_only_root_can_enter_is_replaced() {
    if !nix::unistd::geteuid().is_root() {
        // Only root runs its server as another user.
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    std::fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let database = Database::builder()
        .work_folder(closed.path().join("clone/target"))
        .start()
        .await
        .unwrap();
    let data = database.data_folder();
    assert!(data.starts_with("/var/tmp"), "{}", data.display());
    connect(&database.url()).await.unwrap();
    drop(database);
    std::fs::remove_dir_all(data.ancestors().nth(2).unwrap()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_the_error_is_one_line_with_the_cure() {
    let work = tempfile::tempdir().unwrap();
    let error = Database::builder()
        .work_folder(work.path())
        .program_folders([])
        .start()
        .await
        .unwrap_err();
    assert_one_line_with_the_cure(&error.to_string());
}

/// Data of another major version, which only its own programs can read.
#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_major_version_is_one_line_with_the_cure() {
    let work = tempfile::tempdir().unwrap();
    let start = || {
        Database::builder()
            .work_folder(work.path())
            .kept("kept")
            .start()
    };
    let database = start().await.unwrap();
    let data = database.data_folder().to_owned();
    let version = std::fs::read_to_string(data.join("PG_VERSION")).unwrap();
    drop(database);
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = start().await.unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1);
    assert!(error.contains("PostgreSQL 9 wrote"), "{error}");
    assert!(error.contains(&data.display().to_string()), "{error}");
    // Its own version's programs are there.
    std::fs::write(data.join("PG_VERSION"), version).unwrap();
    connect(&start().await.unwrap().url()).await.unwrap();
}

fn assert_one_line_with_the_cure(error: &str) {
    assert!(error.starts_with("PostgreSQL 14 or newer was not found"));
    assert!(error.contains("install"));
    assert_eq!(error.lines().count(), 1);
}
