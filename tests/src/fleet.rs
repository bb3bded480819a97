//! The running fleet, as tests and `make run` use it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::builder::Builder;
use crate::docs;
use crate::environment::{Environment, EnvironmentStatus};
use crate::function::{Counters, Function};
use crate::gateway::{self, Gateway};
use crate::invocation::InvokeError;
use crate::issuer::Issuer;
use crate::logs::LogLine;

/// How long requests that have begun may go on when the fleet ends.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// How long the environments together may take to end: each has its 500 ms, at the same time.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Between two looks at whether everything has ended.
const SETTLING_PAUSE: Duration = Duration::from_millis(1);

/// How often idle environments are looked for, as a share of the idle limit.
const IDLE_CHECKS_PER_LIMIT: u32 = 10;

/// Functions as Lambda runs them, behind an HTTP API. Functions are addressed by the template's
/// `Binary`; naming one that the template does not have is a mistake in the caller and panics.
///
/// End it with [`Fleet::shutdown`]. A fleet that is dropped kills its environments without
/// SIGTERM; they also end when this process does, however it ends.
pub struct Fleet {
    address: SocketAddr,
    functions: BTreeMap<String, Arc<Function>>,
    routes: Vec<String>,
    issuer: Arc<Issuer>,
    gateway: JoinHandle<()>,
    stop_gateway: Option<oneshot::Sender<()>>,
    idle_reaper: Option<JoinHandle<()>>,
}

impl Fleet {
    /// A fleet of the project's own template, without executables, to be told otherwise.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn new(
        listener: TcpListener,
        address: SocketAddr,
        gateway: Gateway,
        functions: BTreeMap<String, Arc<Function>>,
        idle_limit: Option<Duration>,
    ) -> Self {
        let routes = gateway.routes.keys();
        let issuer = Arc::clone(&gateway.issuer);
        let (stop_gateway, stopped) = oneshot::channel::<()>();
        let gateway = tokio::spawn(gateway::run(listener, gateway, async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
        }));
        let idle_reaper = idle_limit.map(|limit| tokio::spawn(reap_idle(functions.clone(), limit)));
        Self {
            address,
            functions,
            routes,
            issuer,
            gateway,
            stop_gateway: Some(stop_gateway),
            idle_reaper,
        }
    }

    /// Where the API answers, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where a browser finds the page that shows the API.
    pub fn docs(&self) -> String {
        format!("{}{}/", self.url(), docs::PATH)
    }

    /// The API's address, for clients that speak TCP themselves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A token that the API accepts for an hour: of a user in this role (a group of Cognito's),
    /// with this subject.
    pub fn token(&self, role: &str, subject: &str) -> String {
        self.issuer.token(role, subject)
    }

    /// Who signs the tokens, for other ones.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The functions' names, sorted.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The API's route keys, such as `GET /api/doctors`, in the template's order.
    pub fn routes(&self) -> impl Iterator<Item = &str> {
        self.routes.iter().map(String::as_str)
    }

    /// Invokes a function directly with a payload, past the gateway; what it answered.
    ///
    /// # Errors
    /// As Lambda's `Invoke`: throttled, failed, or timed out.
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        let payload = Bytes::from(payload.to_string());
        let answer = self.function(function).invoke(payload).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| InvokeError::platform("Function.InvalidJson", error))
    }

    /// The last lines (some thousands) that the function's environments printed, oldest first.
    pub fn logs(&self, function: &str) -> Vec<LogLine> {
        self.function(function).logs().lines()
    }

    /// The function's environments: those that have ended, then those that have not.
    pub fn environments(&self, function: &str) -> Vec<EnvironmentStatus> {
        self.function(function).environments()
    }

    /// What has happened to the function since the fleet started.
    pub fn counters(&self, function: &str) -> Counters {
        self.function(function).counters()
    }

    /// Runs new invocations of the function as a version of that name from now on. Environments
    /// of the version before finish what they do and stay, idle, until they are reaped: during a
    /// deployment both exist, and share the reserved concurrency.
    pub fn deploy(&self, function: &str, label: &str) {
        self.function(function).deploy(label);
    }

    /// Keeps the function's invocations that come from now on from its environments, until they are
    /// [released](Self::release): then they come at the same moment, however long they took to
    /// arrive. They count as in flight.
    pub fn hold(&self, function: &str) {
        self.function(function).hold(true);
    }

    /// Lets the invocations go on that were held back.
    pub fn release(&self, function: &str) {
        self.function(function).hold(false);
    }

    /// Stops an environment's process, busy or not. It is thawed when it is given an invocation.
    /// False when it is gone.
    pub fn freeze(&self, environment: &str) -> bool {
        self.environment(environment)
            .is_some_and(|found| found.freeze())
    }

    /// Lets an environment's process run, used or not. False when it is gone or has vanished.
    pub fn thaw(&self, environment: &str) -> bool {
        self.environment(environment)
            .is_some_and(|found| found.thaw())
    }

    /// Stops an environment's process for ever, as a machine that drops out of sight: it keeps its
    /// connections, is never used again, and is killed when the fleet ends. What it was doing
    /// fails. False when it is ending or gone.
    pub fn vanish(&self, environment: &str) -> bool {
        self.environment(environment)
            .is_some_and(|found| found.vanish())
    }

    /// Does the same to every environment that a function has now; how many that were.
    pub fn vanish_all(&self, function: &str) -> usize {
        let environments = self.function(function).live().into_iter();
        environments.filter(|found| found.vanish()).count()
    }

    /// Ends an environment without warning, as a machine that is lost. False when it is gone.
    pub fn kill(&self, environment: &str) -> bool {
        self.environment(environment)
            .is_some_and(|found| found.kill())
    }

    /// Ends an environment as Lambda scales in, and waits for its end: SIGTERM and 500 ms when
    /// it registered an extension, SIGKILL otherwise. False when it is gone.
    pub async fn reap(&self, environment: &str) -> bool {
        let Some(found) = self.environment(environment) else {
            return false;
        };
        found.reap().await;
        true
    }

    /// Takes no more requests, lets those that have begun finish for up to 2 s, and reaps every
    /// environment. No process is left when it returns.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop_gateway.take() {
            let _ = stop.send(());
        }
        if tokio::time::timeout(DRAIN_LIMIT, &mut self.gateway)
            .await
            .is_err()
        {
            self.gateway.abort();
        }
        for function in self.functions.values() {
            function.close();
        }
        // Past the limit something is beyond a kill, and waiting for it would not help.
        let _ = tokio::time::timeout(END_LIMIT, self.reap_everything()).await;
    }

    async fn reap_everything(&self) {
        // More than one round where an environment was just being started.
        while self.functions.values().any(|function| function.is_in_use()) {
            let mut ends = JoinSet::new();
            for environment in self.all_environments() {
                ends.spawn(async move { environment.reap().await });
            }
            ends.join_all().await;
            tokio::time::sleep(SETTLING_PAUSE).await;
        }
    }

    fn function(&self, name: &str) -> &Arc<Function> {
        self.functions.get(name).unwrap_or_else(|| {
            let names: Vec<&str> = self.functions().collect();
            panic!("no function `{name}`; there are: {}", names.join(", "))
        })
    }

    fn all_environments(&self) -> Vec<Arc<Environment>> {
        let functions = self.functions.values();
        functions.flat_map(|function| function.live()).collect()
    }

    fn environment(&self, id: &str) -> Option<Arc<Environment>> {
        let mut environments = self.all_environments().into_iter();
        environments.find(|environment| environment.id() == id)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.gateway.abort();
        if let Some(reaper) = &self.idle_reaper {
            reaper.abort();
        }
        for function in self.functions.values() {
            function.close();
        }
        for environment in self.all_environments() {
            environment.kill();
        }
    }
}

async fn reap_idle(functions: BTreeMap<String, Arc<Function>>, limit: Duration) {
    loop {
        tokio::time::sleep(limit / IDLE_CHECKS_PER_LIMIT).await;
        for function in functions.values() {
            function.reap_idle(limit).await;
        }
    }
}
