//! A TCP proxy in front of PostgreSQL, which counts what crosses it.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// As much as is passed on at once.
const CHUNK: usize = 64 * 1024;

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
        connections.spawn(connect(client, port, Arc::clone(&traffic)));
    }
}

async fn connect(client: TcpStream, port: u16, traffic: Arc<Traffic>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    // 1 while the client has the word, 0 while the server has it.
    let word = Arc::new(AtomicU64::new(0));
    let from_client = pass(client_read, server_write, &traffic, || {
        if word.swap(1, Ordering::Relaxed) == 0 {
            traffic.round_trips.fetch_add(1, Ordering::Relaxed);
        }
    });
    let from_server = pass(server_read, client_write, &traffic, || {
        word.store(0, Ordering::Relaxed);
    });
    tokio::try_join!(from_client, from_server)?;
    Ok(())
}

/// Passes bytes on until the sender has no more, then tells the receiver.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    traffic: &Traffic,
    notice: impl Fn(),
) -> io::Result<()> {
    let mut stalled = traffic.stalled.subscribe();
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        // The sender lives as long as the traffic.
        let _ = stalled.wait_for(|stalled| !stalled).await;
        if length == 0 {
            return to.shutdown().await;
        }
        notice();
        to.write_all(&buffer[..length]).await?;
    }
}
