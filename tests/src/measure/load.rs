//! Clients that know nothing but the API: each on a connection of its own that it keeps, asking
//! again as soon as it was answered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Past the gateway's own limit of 30 s: an answer that is still missing then never comes.
const PATIENCE: Duration = Duration::from_secs(40);

/// After a connection that failed, so that a fleet that is gone is not asked a million times.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits are kept to a thousandth, in microseconds.
const SIGNIFICANT_DIGITS: u8 = 3;

/// What a client counts where it got no answer.
const NO_ANSWER: &str = "no answer";

/// What a client counts where a problem does not say which one it is: the gateway's own.
pub(super) const UNTYPED: &str = "untyped";

/// What clients saw.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// From the request to the whole answer, in microseconds.
    pub(super) waits: Histogram<u64>,
    /// How many answers of each kind: a status, for problems with their type.
    pub(super) answers: BTreeMap<String, u64>,
    /// Answers with status 200 that came before the time was up.
    pub(super) served_in_time: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            waits: Histogram::new(SIGNIFICANT_DIGITS).expect("three digits are possible"),
            answers: BTreeMap::new(),
            served_in_time: 0,
        }
    }

    fn count(&mut self, kind: String, wait: Duration, in_time: bool) {
        self.served_in_time += u64::from(in_time && kind == StatusCode::OK.as_str());
        *self.answers.entry(kind).or_default() += 1;
        let wait = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        // It grows with its values.
        self.waits.record(wait).expect("a wait is a number");
    }

    fn add(&mut self, other: &Self) {
        self.waits
            .add(&other.waits)
            .expect("histograms of the same precision add up");
        for (kind, count) in &other.answers {
            *self.answers.entry(kind.clone()).or_default() += count;
        }
        self.served_in_time += other.served_in_time;
    }
}

/// What the clients ask for.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) address: SocketAddr,
    pub(super) path: String,
    /// A token that the path accepts.
    pub(super) token: String,
}

/// So many clients for so long. Requests under way at the end are waited for: the longest waits
/// are among them.
pub(super) async fn closed_loop(question: &Question, clients: usize, time: Duration) -> Tally {
    let end = Instant::now() + time;
    together(question, clients, move |mut client| async move {
        let mut tally = Tally::new();
        while Instant::now() < end {
            let (kind, wait) = client.ask().await;
            tally.count(kind, wait, Instant::now() < end);
        }
        tally
    })
    .await
}

/// So many requests at the same moment, each client with one.
pub(super) async fn burst(question: &Question, requests: usize) -> Tally {
    let barrier = Arc::new(Barrier::new(requests));
    together(question, requests, move |mut client| {
        let barrier = Arc::clone(&barrier);
        async move {
            client.connect().await;
            barrier.wait().await;
            let (kind, wait) = client.ask().await;
            let mut tally = Tally::new();
            tally.count(kind, wait, true);
            tally
        }
    })
    .await
}

async fn together<F>(question: &Question, clients: usize, work: impl Fn(Client) -> F) -> Tally
where
    F: Future<Output = Tally> + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(work(Client::new(question)));
    }
    let mut total = Tally::new();
    for tally in running.join_all().await {
        total.add(&tally);
    }
    total
}

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Client {
    question: Question,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    fn new(question: &Question) -> Self {
        Self {
            question: question.clone(),
            connection: None,
        }
    }

    /// Opens the connection before it is needed. One that fails is tried again when it is.
    async fn connect(&mut self) {
        self.connection = open(self.question.address).await.ok();
    }

    /// What came, and how long it took to its last byte.
    async fn ask(&mut self) -> (String, Duration) {
        let start = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, self.exchange()).await;
        let wait = start.elapsed();
        if let Ok(Ok(kind)) = answer {
            return (kind, wait);
        }
        self.connection = None;
        tokio::time::sleep(PAUSE).await;
        (NO_ANSWER.to_owned(), wait)
    }

    async fn exchange(&mut self) -> Result<String, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(self.question.address).await?,
        };
        connection.ready().await?;
        let Question {
            address,
            path,
            token,
        } = &self.question;
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Empty::new())?;
        let kind = kind(connection.send_request(request).await?).await?;
        self.connection = Some(connection);
        Ok(kind)
    }
}

async fn open(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; how is seen there.
    tokio::spawn(connection);
    Ok(sender)
}

/// Reads an answer to its end and says what it was: `200`, `503 database-busy`. A 503 of the
/// gateway's own, as for a throttled function, has no type.
async fn kind(response: Response<Incoming>) -> Result<String, Error> {
    let status = response.status();
    let mut body = response.into_body();
    if status == StatusCode::OK {
        // Dropped as it arrives: what is in it is for other checks to see.
        while let Some(frame) = body.frame().await {
            frame?;
        }
        return Ok(status.as_str().to_owned());
    }
    let body = body.collect().await?.to_bytes();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let kind = problem["type"]
        .as_str()
        .and_then(|kind| kind.rsplit(':').next());
    Ok(format!("{} {}", status.as_str(), kind.unwrap_or(UNTYPED)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::Router;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers with a problem every third time, and otherwise as wished.
    async fn server() -> Question {
        let requests = Arc::new(AtomicU64::new(0));
        let answer = move || {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            async move {
                let busy = r#"{"type":"urn:headroom:problem:database-busy"}"#;
                match number % 3 {
                    2 => (StatusCode::SERVICE_UNAVAILABLE, busy),
                    _ => (StatusCode::OK, "rows"),
                }
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Router::new().fallback(answer);
        tokio::spawn(axum::serve(listener, service).into_future());
        question(address)
    }

    fn question(address: SocketAddr) -> Question {
        Question {
            address,
            path: "/".to_owned(),
            token: "none".to_owned(),
        }
    }

    #[tokio::test]
    async fn every_answer_of_a_burst_is_counted_by_its_kind() {
        let tally = burst(&server().await, 30).await;
        assert_eq!(tally.answers["200"], 20);
        assert_eq!(tally.answers["503 database-busy"], 10);
        assert_eq!(tally.served_in_time, 20);
        assert_eq!(tally.waits.len(), 30);
        assert!(tally.waits.max() > 0);
    }

    #[tokio::test]
    async fn a_closed_loop_goes_on_until_its_time_is_up() {
        let time = Duration::from_millis(200);
        let start = Instant::now();
        let tally = closed_loop(&server().await, 3, time).await;
        assert!(start.elapsed() >= time);
        assert!(tally.served_in_time > 3, "{tally:?}");
        assert_eq!(tally.waits.len(), tally.answers.values().sum::<u64>());
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_no_answer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let tally = burst(&question(address), 2).await;
        assert_eq!(tally.answers[NO_ANSWER], 2);
        assert_eq!(tally.served_in_time, 0);
    }
}
