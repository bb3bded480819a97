//! A fleet of the probe, and an HTTP client to talk to it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use chrono::Timelike;
use fleet::{Binaries, Builder, EnvironmentState, EnvironmentStatus, Fleet, LogLine, Source};
use http::{HeaderMap, Method, Request, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::task::JoinSet;

/// Longer than anything takes on a machine that does other things too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One function, on the routes that the tests need.
const TEMPLATE: &str = "
Resources:
  Probe:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: probe } }
    Properties:
      Timeout: 20
      MemorySize: 256
      Environment: { Variables: { FROM_TEMPLATE: template, REPLACED: template } }
      Events:
        Root: { Type: HttpApi, Properties: { Method: GET, Path: /probe } }
        Send: { Type: HttpApi, Properties: { Method: POST, Path: /probe } }
        One: { Type: HttpApi, Properties: { Method: GET, Path: '/doctors/{id}/visits/{visit}' } }
        Rest: { Type: HttpApi, Properties: { Method: ANY, Path: '/files/{proxy+}' } }
";

/// A fleet of the probe, not yet started.
pub(crate) fn probe() -> Builder {
    probe_with(TEMPLATE)
}

/// The same with a timeout of one second.
pub(crate) fn impatient_probe() -> Builder {
    probe_with(&TEMPLATE.replace("Timeout: 20", "Timeout: 1"))
}

fn probe_with(template: &str) -> Builder {
    let binaries = Binaries::none().with("probe", env!("CARGO_BIN_EXE_probe"));
    Fleet::builder().template_text(template).binaries(binaries)
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(request: Request<Full<Bytes>>) -> Reply {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client
        .request(request)
        .await
        .expect("an answer")
        .into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.expect("a whole body").to_bytes(),
    }
}

/// Gets a path of a fleet as staff. The fleet may end before the answer comes.
pub(crate) fn get(fleet: &Fleet, path: &str) -> impl Future<Output = Reply> + use<> {
    get_as(fleet, &staff(fleet), path)
}

/// Gets a path of a fleet with this token.
pub(crate) fn get_as(
    fleet: &Fleet,
    token: &str,
    path: &str,
) -> impl Future<Output = Reply> + use<> {
    send_as(fleet, Method::GET, path, Some(token), &[], None)
}

/// A token of staff.
pub(crate) fn staff(fleet: &Fleet) -> String {
    fleet.token("staff", "staff")
}

/// A request to send with [`send`] more than once, as staff.
pub(crate) fn as_staff(fleet: &Fleet, path: &str) -> Request<Full<Bytes>> {
    request_as(fleet, Method::GET, path, Some(&staff(fleet)), &[], None)
}

/// Sends a request with a token or without, further headers, and a JSON body or none.
pub(crate) fn send_as(
    fleet: &Fleet,
    method: Method,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> impl Future<Output = Reply> + use<> {
    send(request_as(fleet, method, path, token, headers, body))
}

fn request_as(
    fleet: &Fleet,
    method: Method,
    path: &str,
    token: Option<&str>,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", fleet.url()));
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(|body| Full::from(body.to_string()));
    request
        .body(body.unwrap_or_default())
        .expect("a valid request")
}

/// Lets the probe answer with exactly this.
pub(crate) async fn reply_with(fleet: &Fleet, answer: &str) -> Reply {
    let request = Request::post(format!("{}/probe?reply=1", fleet.url()))
        .header("content-type", "application/json");
    let body = Full::from(answer.to_owned());
    send(request.body(body).expect("a valid request")).await
}

/// Requests at the same time, each answered after so many milliseconds.
pub(crate) async fn together(fleet: &Fleet, count: usize, sleep_ms: u32) -> Vec<Reply> {
    let path = format!("/probe?sleep_ms={sleep_ms}");
    // Signed once: a signature each would keep them apart.
    let request = as_staff(fleet, &path);
    let requests: JoinSet<Reply> = (0..count).map(|_| send(request.clone())).collect();
    requests.join_all().await
}

/// The process that answered.
pub(crate) fn pid(reply: &Reply) -> u32 {
    let pid = reply.json()["pid"].as_u64();
    pid.and_then(|pid| u32::try_from(pid).ok())
        .expect("the probe shows its process id")
}

/// The probe's log, of one source.
pub(crate) fn lines(fleet: &Fleet, source: Source) -> Vec<String> {
    let of_source = |line: LogLine| (line.source == source).then_some(line.text);
    fleet
        .logs("probe")
        .into_iter()
        .filter_map(of_source)
        .collect()
}

/// The environments of the probe that have not ended.
pub(crate) fn live(fleet: &Fleet) -> Vec<EnvironmentStatus> {
    let mut environments = fleet.environments("probe");
    environments.retain(|environment| environment.state != EnvironmentState::Gone);
    environments
}

/// Looks again until it sees enough, which it returns. After [`PATIENCE`] it panics with what it
/// saw last.
pub(crate) async fn eventually<T: Debug>(
    what: &str,
    mut look: impl AsyncFnMut() -> T,
    enough: impl Fn(&T) -> bool,
) -> T {
    let start = Instant::now();
    loop {
        let seen = look().await;
        if enough(&seen) {
            return seen;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "waited in vain for {what}; last seen: {seen:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The probe's newest environment, when it is in this state.
pub(crate) async fn environment_in(fleet: &Fleet, state: EnvironmentState) -> EnvironmentStatus {
    let what = format!("an environment that is {state:?}");
    let in_state = |found: &Option<EnvironmentStatus>| {
        found.as_ref().is_some_and(|found| found.state == state)
    };
    let found = eventually(&what, async || live(fleet).pop(), in_state).await;
    found.expect("an environment was seen")
}

/// A time zone in which it is about noon now: no day ends there while a test runs.
pub(crate) fn zone_at_noon() -> String {
    zone(12 - hour())
}

/// A time zone in which it is another day than in UTC, and no day ends for an hour.
pub(crate) fn zone_of_another_day() -> String {
    zone(if hour() > 10 { 14 } else { -12 })
}

/// The hour of the day in UTC.
fn hour() -> i64 {
    let now = chrono::DateTime::<chrono::Utc>::from(shared::clock::now());
    now.hour().into()
}

/// So many hours ahead of UTC, which the name says the other way round.
fn zone(hours_ahead: i64) -> String {
    format!("Etc/GMT{:+}", -hours_ahead)
}

/// The kernel's word for what a process is doing: `S` sleeping, `T` stopped, none when gone.
pub(crate) fn kernel_state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it stands in parentheses and may hold anything.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}
