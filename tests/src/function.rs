//! One function: its environments, and which of them gets an invocation.

use std::collections::VecDeque;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use nix::unistd::Pid;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::environment::{Environment, EnvironmentStatus};
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::logs::{Logs, Source};
use crate::runtime_api;
use crate::spawner::{self, Spawner};
use crate::sync::lock;
use crate::version::Version;

/// How long output is read on after a process ended: a child that it left behind may hold the
/// pipe open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Environments remembered after their end, per function.
const GONE_KEPT: usize = 1_000;

/// Which of several idle environments gets an invocation. Lambda documents no order, so whatever
/// must hold has to hold under either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// The one used last: few environments stay warm, the others age.
    LastUsedFirst,
    /// Any, drawn by a generator that starts from the seed, so that a failure can be run again.
    Any {
        /// Where the generator starts.
        seed: u64,
    },
}

/// What has happened to a function since the fleet started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Environments started.
    pub started: u64,
    /// Invocations refused because the reserved concurrency was in use.
    pub throttled: u64,
    /// Invocations that have begun and not ended.
    pub in_flight: u32,
}

/// One function of the fleet.
pub(crate) struct Function {
    /// What new invocations run; environments of earlier versions age beside it.
    version: Mutex<Arc<Version>>,
    /// Most invocations in flight, all versions together.
    concurrency: u32,
    logs: Arc<Logs>,
    spawner: Arc<Spawner>,
    pool: Mutex<Pool>,
    /// Held while an environment with several slots starts, so that invocations that arrive
    /// together share it.
    sharing: tokio::sync::Mutex<()>,
    /// Set while invocations wait before they are given to an environment.
    held: watch::Sender<bool>,
    started: AtomicU64,
    throttled: AtomicU64,
}

struct Pool {
    in_flight: u32,
    live: Vec<Arc<Environment>>,
    gone: VecDeque<EnvironmentStatus>,
    /// Draws among idle environments; none when the last used comes first.
    rng: Option<StdRng>,
    /// Set when the fleet ends: nothing starts any more.
    closed: bool,
}

impl Function {
    pub(crate) fn new(
        version: Version,
        concurrency: u32,
        dispatch: Dispatch,
        logs: Logs,
        spawner: Arc<Spawner>,
    ) -> Self {
        let rng = match dispatch {
            Dispatch::LastUsedFirst => None,
            Dispatch::Any { seed } => Some(StdRng::seed_from_u64(seed)),
        };
        Self {
            version: Mutex::new(Arc::new(version)),
            concurrency,
            logs: Arc::new(logs),
            spawner,
            pool: Mutex::new(Pool {
                in_flight: 0,
                live: Vec::new(),
                gone: VecDeque::new(),
                rng,
                closed: false,
            }),
            sharing: tokio::sync::Mutex::default(),
            held: watch::Sender::new(false),
            started: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }

    /// Runs one invocation to its end. A caller that stops waiting does not stop the function: Lambda
    /// does not learn that a client hung up.
    pub(crate) async fn invoke(self: &Arc<Self>, payload: Bytes) -> Outcome {
        let permit = self.admit()?;
        let function = Arc::clone(self);
        let run = tokio::spawn(async move {
            let outcome = function.run(payload).await;
            // Before the answer arrives, so that its reader is not throttled by its own call.
            drop(permit);
            outcome
        });
        run.await
            .unwrap_or_else(|end| Err(InvokeError::platform("Fleet.Ended", end)))
    }

    fn admit(self: &Arc<Self>) -> Result<Permit, InvokeError> {
        let mut pool = lock(&self.pool);
        if pool.closed {
            return Err(InvokeError::platform("Fleet.Ended", "the fleet is ending"));
        }
        if pool.in_flight >= self.concurrency {
            self.throttled.fetch_add(1, Ordering::Relaxed);
            return Err(InvokeError::Throttled);
        }
        pool.in_flight += 1;
        Ok(Permit(Arc::clone(self)))
    }

    async fn run(self: &Arc<Self>, payload: Bytes) -> Outcome {
        // The sender lives as long as the function.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        let (invocation, ended) = Invocation::new(payload);
        let version = Arc::clone(&lock(&self.version));
        let sharing = match version.slots() {
            1 => None,
            _ => Some(self.sharing.lock().await),
        };
        if let Err(invocation) = self.assign(&version, invocation) {
            self.start(version, invocation)
                .await
                .map_err(|error| InvokeError::platform("Runtime.InvalidEntrypoint", error))?;
        }
        drop(sharing);
        ended.await.unwrap_or_else(|_| {
            Err(InvokeError::platform(
                "Fleet.Ended",
                "the environment was dropped",
            ))
        })
    }

    /// Gives an invocation to an environment of the version that is free, or back.
    fn assign(&self, version: &Arc<Version>, mut invocation: Invocation) -> Result<(), Invocation> {
        let mut guard = lock(&self.pool);
        let pool = &mut *guard;
        let mut free: Vec<_> = pool
            .live
            .iter()
            .filter(|environment| Arc::ptr_eq(environment.version(), version))
            .filter_map(|environment| Some((environment.available()?, environment)))
            .collect();
        while !free.is_empty() {
            let choice = match &mut pool.rng {
                Some(rng) => (0..free.len()).choose(rng),
                None => (0..free.len()).max_by_key(|index| free[*index].0),
            };
            let (_, environment) = free.swap_remove(choice.expect("the range is not empty"));
            match environment.assign(invocation) {
                Ok(()) => return Ok(()),
                // It ended or filled up since it was looked at.
                Err(returned) => invocation = returned,
            }
        }
        Err(invocation)
    }

    /// Starts an environment for an invocation.
    async fn start(
        self: &Arc<Self>,
        version: Arc<Version>,
        invocation: Invocation,
    ) -> io::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let id = Uuid::new_v4().simple().to_string();
        let mut command = spawner::command(&version.executable);
        command.envs(version.process_variables(&id, listener.local_addr()?));
        let child = self.spawner.spawn(command).await?;
        self.started.fetch_add(1, Ordering::Relaxed);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = Pid::from_raw(pid.expect("a child that was not waited for has a process id"));

        let environment = Environment::new(id, version, Arc::clone(&self.logs), pid, invocation);
        let environment = Arc::new(environment);
        let closed = {
            let mut pool = lock(&self.pool);
            pool.live.push(Arc::clone(&environment));
            pool.closed
        };
        if closed {
            environment.kill();
        }
        let api = tokio::spawn(runtime_api::serve(listener, Arc::clone(&environment)));
        let function = Arc::clone(self);
        tokio::spawn(async move {
            watch(child, &environment).await;
            api.abort();
            function.forget(&environment);
        });
        Ok(())
    }

    fn forget(&self, environment: &Arc<Environment>) {
        let mut pool = lock(&self.pool);
        pool.live.retain(|other| !Arc::ptr_eq(other, environment));
        if pool.gone.len() == GONE_KEPT {
            pool.gone.pop_front();
        }
        pool.gone.push_back(environment.status());
    }

    /// Runs new invocations as another version from now on. What runs and what is idle stays.
    pub(crate) fn deploy(&self, label: &str) {
        let mut version = lock(&self.version);
        *version = Arc::new(Version {
            label: label.to_owned(),
            ..Version::clone(&version)
        });
    }

    /// Lets invocations that come from now on wait, or those that wait go on, all at once.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) fn logs(&self) -> &Logs {
        &self.logs
    }

    pub(crate) fn counters(&self) -> Counters {
        Counters {
            started: self.started.load(Ordering::Relaxed),
            throttled: self.throttled.load(Ordering::Relaxed),
            in_flight: lock(&self.pool).in_flight,
        }
    }

    /// Environments that have ended, then those that have not, each in order of their time.
    pub(crate) fn environments(&self) -> Vec<EnvironmentStatus> {
        let pool = lock(&self.pool);
        let live = pool.live.iter().map(|environment| environment.status());
        pool.gone.iter().cloned().chain(live).collect()
    }

    pub(crate) fn live(&self) -> Vec<Arc<Environment>> {
        lock(&self.pool).live.clone()
    }

    /// Ends the environments that have been idle for longer than the limit.
    pub(crate) async fn reap_idle(&self, limit: Duration) {
        for environment in self.live() {
            environment.reap_if_idle(limit).await;
        }
    }

    /// Takes no more invocations, and starts nothing any more. What runs goes on.
    pub(crate) fn close(&self) {
        lock(&self.pool).closed = true;
        self.hold(false);
    }

    /// Whether there is an environment, or an invocation that may be starting one.
    pub(crate) fn is_in_use(&self) -> bool {
        let pool = lock(&self.pool);
        pool.in_flight > 0 || !pool.live.is_empty()
    }
}

/// A place among the invocations in flight, given back when dropped.
struct Permit(Arc<Function>);

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.pool).in_flight -= 1;
    }
}

/// Accompanies a process to its end: reads its output, limits its initialisation, waits for it.
async fn watch(mut child: Child, environment: &Arc<Environment>) {
    let output = child.stdout.take().expect("standard output is piped");
    let errors = child.stderr.take().expect("standard error is piped");
    let readers = [
        read_lines(output, Arc::clone(environment), Source::Stdout),
        read_lines(errors, Arc::clone(environment), Source::Stderr),
    ];
    let init_limit = environment.version().init_limit();
    let ended = tokio::time::timeout(init_limit, child.wait()).await;
    let status = match ended {
        Ok(status) => status,
        Err(_) => {
            if environment.is_starting() {
                let error = InvokeError::platform(
                    "Sandbox.Timedout",
                    format_args!("Init timed out after {init_limit:?}"),
                );
                environment.fail_init(error, "timeout");
            }
            child.wait().await
        }
    };
    let how = status.map_or_else(|error| error.to_string(), describe);
    environment.exited(&how);
    let deadline = tokio::time::Instant::now() + OUTPUT_GRACE;
    for mut reader in readers {
        if tokio::time::timeout_at(deadline, &mut reader)
            .await
            .is_err()
        {
            reader.abort();
        }
    }
    environment.release(&how);
}

/// How a process ended, in Lambda's words.
fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn read_lines(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    environment: Arc<Environment>,
    source: Source,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line);
            environment.log(source, text.trim_end_matches(['\r', '\n']).to_owned());
            line.clear();
        }
    })
}
