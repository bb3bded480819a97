//! The proxy does to a connection what it says, and nothing else.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use fleet::proxy::{Cut, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

use crate::support::probe::PATIENCE;

/// A server that says what it hears, and a proxy in front of it.
struct Line {
    proxy: Proxy,
    server: JoinHandle<()>,
}

impl Line {
    async fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.split();
                    // A cut ends it with an error, as it ends whatever runs through it.
                    let _ = copy(&mut from, &mut to).await;
                });
            }
        });
        let proxy = Proxy::start(port).await.unwrap();
        Self { proxy, server }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.proxy.port()))
            .await
            .unwrap()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Says one byte and waits for it to come back.
async fn echo(client: &mut TcpStream) {
    client.write_all(b"x").await.unwrap();
    let answer = timeout(PATIENCE, client.read_u8()).await;
    assert_eq!(answer.expect("an answer in time").unwrap(), b'x');
}

#[tokio::test]
async fn it_passes_everything_on_and_counts_it() {
    let line = Line::open().await;
    let mut client = line.client().await;
    for _ in 0..3 {
        echo(&mut client).await;
    }
    assert_eq!((line.proxy.connections(), line.proxy.round_trips()), (1, 3));
    // More than fits under way at once: a client that reads slowly slows the sender down, and loses
    // nothing.
    let text: Vec<u8> = (0..20_000_000_u32)
        .map(|byte| byte.to_le_bytes()[0])
        .collect();
    let (mut from, mut to) = client.split();
    let mut heard = Vec::new();
    let (said, read) = tokio::join!(
        async {
            to.write_all(&text).await?;
            to.shutdown().await
        },
        from.read_to_end(&mut heard)
    );
    said.unwrap();
    read.unwrap();
    assert!(heard == text, "{} of {} bytes", heard.len(), text.len());
}

#[tokio::test]
async fn stalled_it_passes_nothing_on_until_it_is_healed() {
    let line = Line::open().await;
    let mut client = line.client().await;
    echo(&mut client).await;
    line.proxy.stall();
    client.write_all(b"x").await.unwrap();
    let early = timeout(Duration::from_millis(300), client.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    line.proxy.heal();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    echo(&mut client).await;
}

#[tokio::test]
async fn a_cut_ends_every_connection_and_none_that_comes_later() {
    for (how, stalled) in [
        (Cut::Reset, false),
        (Cut::Reset, true),
        (Cut::Finish, false),
        (Cut::Finish, true),
    ] {
        let line = Line::open().await;
        let mut clients = [line.client().await, line.client().await];
        for client in &mut clients {
            echo(client).await;
        }
        if stalled {
            line.proxy.stall();
        }
        line.proxy.cut(how);
        for client in &mut clients {
            let end = timeout(PATIENCE, client.read(&mut [0; 8])).await;
            let end = end.expect("the end in time").map_err(|error| error.kind());
            let expected = match how {
                Cut::Reset => Err(ErrorKind::ConnectionReset),
                Cut::Finish => Ok(0),
            };
            assert_eq!(end, expected, "{how:?}, stalled: {stalled}");
        }
        line.proxy.heal();
        echo(&mut line.client().await).await;
    }
}

#[tokio::test]
async fn a_delay_is_added_each_way_and_to_the_stream_as_a_whole() {
    const EACH_WAY: Duration = Duration::from_millis(500);
    const MESSAGES: u8 = 40;
    let line = Line::open().await;
    let mut client = line.client().await;
    echo(&mut client).await;
    line.proxy.delay(EACH_WAY);
    let start = Instant::now();
    echo(&mut client).await;
    assert!(start.elapsed() >= 2 * EACH_WAY, "{:?}", start.elapsed());

    // Messages that follow each other travel together. One after the other they would take 20 s.
    let start = Instant::now();
    let (mut from, mut to) = client.split();
    let say = async {
        for message in 0..MESSAGES {
            to.write_u8(message).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let hear = async {
        for message in 0..MESSAGES {
            assert_eq!(from.read_u8().await.unwrap(), message);
        }
    };
    tokio::join!(say, hear);
    assert!(
        start.elapsed() < u32::from(MESSAGES) * EACH_WAY,
        "{:?}",
        start.elapsed()
    );

    line.proxy.delay(Duration::ZERO);
    let trips = line.proxy.round_trips();
    echo(&mut client).await;
    assert_eq!(line.proxy.round_trips() - trips, 1);
}
