//! A TCP proxy in front of PostgreSQL, which counts what crosses it, and stalls, cuts and delays
//! it.
//!
//! No crate, because those there are lack what is needed: toxiproxy_rust remote-controls a server
//! written in Go, and noxious (whose dependencies are of 2021) neither counts round trips nor resets
//! connections.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use url::Url;

/// As much as is passed on at once.
const CHUNK: usize = 64 * 1024;

/// As many chunks are under way in one direction at most; past it the sender has to wait, as for a
/// network whose buffers are full.
const UNDER_WAY: usize = 64;

/// A proxy on 127.0.0.1. It ends, and cuts what runs through it, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    traffic: Arc<Traffic>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Traffic {
    connections: AtomicU64,
    round_trips: AtomicU64,
    /// Set while the proxy passes nothing on.
    stalled: watch::Sender<bool>,
    /// How long everything takes, in each direction.
    delay: watch::Sender<Duration>,
    /// The last cut; none yet at first. Each connection waits for the next one.
    cut: watch::Sender<Option<Cut>>,
}

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both sides get a RST: what a crashed machine's successor or an impatient firewall sends.
    Reset,
    /// Both sides get a FIN, in the middle of whatever they were saying: what a proxy sends that is
    /// being replaced.
    Finish,
}

impl Proxy {
    /// Starts a proxy for the server that listens on `port`.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn start(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let traffic = Arc::new(Traffic {
            connections: AtomicU64::new(0),
            round_trips: AtomicU64::new(0),
            stalled: watch::Sender::new(false),
            delay: watch::Sender::new(Duration::ZERO),
            cut: watch::Sender::new(None),
        });
        let accepting = tokio::spawn(accept(listener, port, Arc::clone(&traffic)));
        Ok(Self {
            address,
            traffic,
            accepting,
        })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The same URL, with the proxy in place of the server that it names.
    ///
    /// # Panics
    /// When it is no URL with a host.
    pub fn through(&self, url: &str) -> String {
        let mut through = Url::parse(url).expect("a URL");
        let has_host = "a URL that names a server";
        through.set_host(Some("127.0.0.1")).expect(has_host);
        through.set_port(Some(self.port())).expect(has_host);
        through.into()
    }

    /// Connections that were opened so far.
    pub fn connections(&self) -> u64 {
        self.traffic.connections.load(Ordering::Relaxed)
    }

    /// How often a client has said something after the server had spoken (or at first): each time
    /// it will wait for the network once.
    pub fn round_trips(&self) -> u64 {
        self.traffic.round_trips.load(Ordering::Relaxed)
    }

    /// Passes nothing on from now on, in either direction, like a network that drops every packet.
    pub fn stall(&self) {
        self.traffic.stalled.send_replace(true);
    }

    /// Passes on what was held back, and all that follows.
    pub fn heal(&self) {
        self.traffic.stalled.send_replace(false);
    }

    /// Ends every connection at once, stalled ones too. Those that come later live.
    pub fn cut(&self, how: Cut) {
        self.traffic.cut.send_replace(Some(how));
    }

    /// Lets everything arrive so much later from now on, in each direction: a round trip takes
    /// twice as long. Zero ends it.
    pub fn delay(&self, each_way: Duration) {
        self.traffic.delay.send_replace(each_way);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, port: u16, traffic: Arc<Traffic>) {
    // Dropped, and thereby aborted, with the proxy.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        traffic.connections.fetch_add(1, Ordering::Relaxed);
        // Here and not in the task, which may be asleep when the cut comes.
        let cut = traffic.cut.subscribe();
        connections.spawn(connect(client, port, Arc::clone(&traffic), cut));
    }
}

async fn connect(
    mut client: TcpStream,
    port: u16,
    traffic: Arc<Traffic>,
    mut cut: watch::Receiver<Option<Cut>>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let how = tokio::select! {
        end = relay(&mut client, &mut server, &traffic) => return end,
        // The sender lives as long as the traffic.
        _ = cut.changed() => *cut.borrow(),
    };
    if how == Some(Cut::Reset) {
        client.set_zero_linger()?;
        server.set_zero_linger()?;
    } else {
        // Said explicitly: closing a socket with unread bytes in it says RST.
        client.shutdown().await?;
        server.shutdown().await?;
    }
    Ok(())
}

async fn relay(
    client: &mut TcpStream,
    server: &mut TcpStream,
    traffic: &Traffic,
) -> io::Result<()> {
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    // 1 while the client has the word, 0 while the server has it.
    let word = AtomicU64::new(0);
    let from_client = pass(client_read, server_write, traffic, || {
        if word.swap(1, Ordering::Relaxed) == 0 {
            traffic.round_trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    let from_server = pass(server_read, client_write, traffic, || {
        word.store(0, Ordering::Relaxed);
    });
    tokio::try_join!(from_client, from_server)?;
    Ok(())
}

/// Passes bytes on until the sender has no more, then tells the receiver. Reading does not wait for
/// what is still under way, so that a delay is one of the whole stream, and not of each chunk.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    traffic: &Traffic,
    notice: impl Fn(),
) -> io::Result<()> {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        loop {
            let mut bytes = Vec::with_capacity(CHUNK);
            let length = from.read_buf(&mut bytes).await?;
            let due = Instant::now() + *traffic.delay.borrow();
            // An empty chunk is the sender's end. The receiver is gone only after an error of its own.
            if under_way.send((due, bytes)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let mut stalled = traffic.stalled.subscribe();
    let write = async move {
        while let Some((due, bytes)) = arriving.recv().await {
            sleep_until(due).await;
            // The sender lives as long as the traffic.
            let _ = stalled.wait_for(|stalled| !stalled).await;
            if bytes.is_empty() {
                return to.shutdown().await;
            }
            notice();
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    tokio::try_join!(read, write)?;
    Ok(())
}
