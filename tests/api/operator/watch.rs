//! `headroom watch`, run as an operator runs it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
};

use shared::database::server::activity::Sample;

use crate::{
    database::roles::login,
    operator::{
        budget::{headroom, run},
        monitor::watched,
    },
};

/// The command, with the URL where the list of processes does not show it.
fn watch(url: &str, arguments: &[&str]) -> Command {
    let mut command = headroom();
    command.args(["watch", "--database-url"]).args(arguments);
    command.env("DATABASE_URL", url);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_for_programs_and_for_people() {
    let clinic = watched(20).await;
    assert_eq!(clinic.get("/api/doctors").await.status, 200);
    let url = login(&clinic.database, "monitor", "watching");

    let (status, text) = run(&mut watch(&url, &["--once", "--format", "json"]));
    assert_eq!(status, 0, "{text}");
    let sample: Sample = serde_json::from_str(&text).unwrap();
    assert_eq!((sample.sessions, sample.ceiling()), (1, 20));
    assert_eq!(sample.functions[0].function, "doctors");

    let (status, text) = run(&mut watch(&url, &["--once"]));
    assert_eq!(status, 0, "{text}");
    for words in [
        "application  1 of 20 sessions, 5 % of the ceiling",
        "doctors",
        "$LATEST",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains("watching") && !text.contains('\u{1b}'),
        "{text}"
    );

    let (status, text) = run(&mut watch(&url, &["--once", "--role", "nobody"]));
    assert_eq!(
        (status, text.trim()),
        (2, "headroom: there is no such role")
    );
    let wrong = url.replace("watching", "hush");
    let (status, text) = run(&mut watch(&wrong, &["--once"]));
    assert_eq!(status, 2, "{text}");
    clinic.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_has_each_look_and_says_nothing_else() {
    let clinic = watched(20).await;
    let url = login(&clinic.database, "monitor", "watching");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.jsonl");
    let record = ["--record", file.to_str().unwrap()];
    let mut command = watch(&url, &["--interval", "1", "--count", "2"]);
    assert_eq!(run(command.args(record)), (0, String::new()));
    // A second run goes on where the first one ended.
    assert_eq!(
        run(watch(&url, &["--count", "1"]).args(record)),
        (0, String::new())
    );
    let text = fs::read_to_string(&file).unwrap();
    let samples: Vec<Sample> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(samples.len(), 3);
    assert!(samples[0].at < samples[1].at);
    clinic.close().await;
}

/// Nothing was seen, or nothing is kept: whoever looks at the exit status must hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_saw_or_kept_nothing_did_not_look() {
    let clinic = watched(20).await;
    let url = login(&clinic.database, "monitor", "watching");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("samples.jsonl");
    let wrong = url.replace("watching", "hush");
    let record = ["--interval", "1", "--count", "2", "--record"];
    let (status, text) = run(watch(&wrong, &record).arg(&file));
    assert!(
        status == 2 && text.contains("no look succeeded: "),
        "{text}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
    // Where the disk is full; for an hour it would not be noticed.
    let record = ["--interval", "3600", "--record", "/dev/full"];
    let (status, text) = run(&mut watch(&url, &record));
    assert!(
        status == 2 && text.contains("--record /dev/full: "),
        "{text}"
    );
    clinic.close().await;
}

/// A look at a server that does not answer takes a while, and ends with the key all the same.
#[test]
fn a_key_ends_it_during_a_look() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgresql://monitor@127.0.0.1:{port}/clinic?connect_timeout=0");
    let mut terminal = Terminal::open(&url, &[("NO_COLOR", "1")]);
    terminal.shows("looking at");
    // Somebody is in the middle of a look.
    let _asked = silent.accept().unwrap();
    let (status, shown) = terminal.press(b"q");
    assert!(
        status == Some(2) && shown.contains("before the first look was over"),
        "{shown}"
    );
}

/// What `script` lends a terminal.
struct Terminal {
    script: Child,
    shown: ChildStdout,
    all: Vec<u8>,
}

impl Terminal {
    fn open(url: &str, variables: &[(&str, &str)]) -> Self {
        let command = headroom();
        let program = command.get_program().to_str().unwrap();
        let command = format!("{program} watch --database-url --interval 3600");
        let mut script = Command::new("script")
            .args(["-qec", &command, "/dev/null"])
            .env("DATABASE_URL", url)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            // Where it fails, it ends its process group.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script");
        Self {
            shown: script.stdout.take().unwrap(),
            script,
            all: Vec::new(),
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.all).into_owned()
    }

    /// Waits until it shows these words.
    fn shows(&mut self, words: &str) {
        let mut buffer = [0; 4096];
        while !self.text().contains(words) {
            let read = self.shown.read(&mut buffer).expect("a terminal");
            assert!(read > 0, "{words} is not shown: {}", self.text());
            self.all.extend_from_slice(&buffer[..read]);
        }
    }

    /// Presses a key that ends it. How it ended, and all that was shown.
    fn press(mut self, key: &[u8]) -> (Option<i32>, String) {
        let mut keyboard = self.script.stdin.take().unwrap();
        keyboard.write_all(key).unwrap();
        self.shown.read_to_end(&mut self.all).expect("a terminal");
        drop(keyboard);
        (self.script.wait().unwrap().code(), self.text())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_is_live_until_q_or_control_c_and_gives_the_terminal_back() {
    let clinic = watched(20).await;
    let url = login(&clinic.database, "monitor", "watching");
    for (key, no_colour) in [(b"q".as_slice(), None), (b"\x03", Some(("NO_COLOR", "1")))] {
        let url = url.clone();
        let (status, shown) = tokio::task::spawn_blocking(move || {
            let mut terminal = Terminal::open(&url, no_colour.as_slice());
            terminal.shows("0 of 20 sessions");
            terminal.shows("q ends");
            terminal.press(key)
        })
        .await
        .unwrap();
        assert_eq!(status, Some(0), "{shown}");
        let (entered, left) = (shown.find("\u{1b}[?1049h"), shown.rfind("\u{1b}[?1049l"));
        assert!(entered.is_some() && entered < left, "{shown:?}");
        // Green, where colours are wanted.
        assert_eq!(
            shown.contains("\u{1b}[32m"),
            no_colour.is_none(),
            "{shown:?}"
        );
    }
    clinic.close().await;
}
