//! `headroom watch`, run as an operator runs it.

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use shared::sessions::Sample;

use crate::{
    budget::{headroom, run},
    monitor::watched,
    probe::PATIENCE,
    roles::login,
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

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_is_live_until_q_or_control_c_and_gives_the_terminal_back() {
    let clinic = watched(20).await;
    let url = login(&clinic.database, "monitor", "watching");
    for key in [b"q".as_slice(), b"\x03"] {
        let command = watch(&url, &["--interval", "3600"]);
        let program = command.get_program().to_str().unwrap().to_owned();
        // `script` lends it a terminal.
        let mut terminal = Command::new("script")
            .args([
                "-qec",
                &format!("{program} watch --database-url --interval 3600"),
                "/dev/null",
            ])
            .env("DATABASE_URL", &url)
            .env("TERM", "xterm")
            // Where it fails, it ends its process group.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script");
        let mut keyboard = terminal.stdin.take().unwrap();
        let mut shown = terminal.stdout.take().unwrap();
        let (seen, look) = mpsc::channel();
        let reader = thread::spawn(move || {
            let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(read @ 1..) = shown.read(&mut buffer) {
                all.extend_from_slice(&buffer[..read]);
                let _ = seen.send(String::from_utf8_lossy(&all).into_owned());
            }
            String::from_utf8_lossy(&all).into_owned()
        });
        while !look
            .recv_timeout(PATIENCE)
            .expect("a look")
            .contains("q ends")
        {}
        keyboard.write_all(key).unwrap();
        let status = tokio::task::spawn_blocking(move || terminal.wait().unwrap())
            .await
            .unwrap();
        drop(keyboard);
        let shown = reader.join().unwrap();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(shown.contains("0 of 20 sessions"), "{shown}");
        let (entered, left) = (shown.find("\u{1b}[?1049h"), shown.rfind("\u{1b}[?1049l"));
        assert!(entered.is_some() && entered < left, "{shown:?}");
    }
    clinic.close().await;
}
