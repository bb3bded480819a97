//! One execution environment: a process, what it is doing, and what the platform does to it.
//!
//! Everything that decides stands behind one lock, so that "idle, therefore stopped" and "in use,
//! therefore running" cannot cross.

mod work;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use self::work::Handover;
use self::work::{Time, Work};
use crate::clock::now;
use crate::invocation::{Invocation, InvokeError, Outcome};
use crate::logs::{LogLine, Logs, Source};
use crate::sync::lock;
use crate::version::Version;

/// Between SIGTERM and SIGKILL when an extension is registered.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>
const SHUTDOWN_GRACE: Duration = Duration::from_millis(500);

/// What an environment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvironmentState {
    /// Started, and not yet asking for invocations.
    Starting,
    /// Waiting for an invocation, running.
    Idle,
    /// Handling at least one invocation, or on its way out.
    Busy,
    /// Stopped by SIGSTOP: it runs no instruction until it is used or thawed.
    Frozen,
    /// Stopped for ever: it is not used again, holds on to what it holds, and ends with the fleet.
    Vanished,
    /// Its process has ended.
    Gone,
}

/// An environment at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentStatus {
    /// Unique; the same in logs.
    pub id: String,
    /// The function version it runs.
    pub version: String,
    /// The process; when gone, the one it was.
    pub pid: u32,
    /// What it is doing.
    pub state: EnvironmentState,
    /// Invocations answered, errors of the function among them.
    pub served: u64,
}

/// One environment. Its parts are used by the function that owns it and by its Runtime API.
pub(crate) struct Environment {
    id: String,
    version: Arc<Version>,
    logs: Arc<Logs>,
    pid: Pid,
    inner: Mutex<Inner>,
    gone: watch::Sender<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    /// Takes no more invocations, runs no more, and has not ended.
    Vanished,
    /// Takes no more invocations; a signal to end is on its way.
    Ending,
    Gone,
}

struct Inner {
    phase: Phase,
    frozen: bool,
    work: Work,
    /// Whether each registered extension has polled, by identifier.
    extensions: HashMap<String, bool>,
}

impl Environment {
    /// An environment around a process that was just started, with its first invocation.
    pub(crate) fn new(
        id: String,
        version: Arc<Version>,
        logs: Arc<Logs>,
        pid: Pid,
        first: Invocation,
    ) -> Self {
        let mut work = Work::new();
        work.push(first, None);
        Self {
            id,
            version,
            logs,
            pid,
            inner: Mutex::new(Inner {
                phase: Phase::Starting,
                frozen: false,
                work,
                extensions: HashMap::new(),
            }),
            gone: watch::Sender::new(false),
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn version(&self) -> &Arc<Version> {
        &self.version
    }

    pub(crate) fn status(&self) -> EnvironmentStatus {
        let inner = lock(&self.inner);
        let state = match inner.phase {
            Phase::Gone => EnvironmentState::Gone,
            Phase::Vanished => EnvironmentState::Vanished,
            _ if inner.frozen => EnvironmentState::Frozen,
            Phase::Starting => EnvironmentState::Starting,
            Phase::Serving if inner.work.load() == 0 => EnvironmentState::Idle,
            Phase::Serving | Phase::Ending => EnvironmentState::Busy,
        };
        EnvironmentStatus {
            id: self.id.clone(),
            version: self.version.label.clone(),
            pid: self.pid.as_raw().unsigned_abs(),
            state,
            served: inner.work.served,
        }
    }

    /// When the environment was last used, if it could take an invocation now.
    pub(crate) fn available(&self) -> Option<Instant> {
        let inner = lock(&self.inner);
        inner
            .has_room(&self.version)
            .then_some(inner.work.last_used)
    }

    /// Gives the environment an invocation, or gives it back when there is no room after all.
    pub(crate) fn assign(self: &Arc<Self>, invocation: Invocation) -> Result<(), Invocation> {
        let mut inner = lock(&self.inner);
        if !inner.has_room(&self.version) {
            return Err(invocation);
        }
        let time = (inner.phase == Phase::Serving).then(|| self.begin(&invocation.request_id));
        inner.work.push(invocation, time);
        self.settle(&mut inner);
        Ok(())
    }

    /// Waits for an invocation, as a process's `next` does. None once the environment is gone.
    pub(crate) async fn next(self: &Arc<Self>) -> Option<Handover> {
        let handover = {
            let mut inner = lock(&self.inner);
            let handover = inner.work.poll();
            self.settle(&mut inner);
            handover
        };
        handover.await.ok()
    }

    /// Ends a running invocation. False when no such invocation is running.
    pub(crate) fn complete(&self, request_id: &str, outcome: Outcome) -> bool {
        lock(&self.inner).work.complete(request_id, outcome)
    }

    /// Registers an extension; its identifier. None after initialisation.
    pub(crate) fn register_extension(&self) -> Option<String> {
        let mut inner = lock(&self.inner);
        if inner.phase != Phase::Starting {
            return None;
        }
        let identifier = Uuid::new_v4().to_string();
        inner.extensions.insert(identifier.clone(), false);
        Some(identifier)
    }

    /// Notes that an extension is ready. False when there is none of that identifier.
    pub(crate) fn extension_polls(self: &Arc<Self>, identifier: &str) -> bool {
        let mut inner = lock(&self.inner);
        let Some(polled) = inner.extensions.get_mut(identifier) else {
            return false;
        };
        *polled = true;
        self.settle(&mut inner);
        true
    }

    /// Ends an environment that cannot start, with an error for the caller that waits for it.
    pub(crate) fn fail_init(&self, error: InvokeError, reason: &str) {
        let mut inner = lock(&self.inner);
        if inner.phase == Phase::Starting {
            self.platform_line(format!("INIT_REPORT Status: error: {reason}"));
            inner.work.fail_all(&error);
            self.end(&mut inner, Signal::SIGKILL);
        }
    }

    /// Stops the process, whatever it is doing. False when it is gone.
    pub(crate) fn freeze(&self) -> bool {
        let mut inner = lock(&self.inner);
        inner.frozen = self.signal(&inner, Signal::SIGSTOP);
        inner.frozen
    }

    /// Lets the process run. False when it is gone or has vanished.
    pub(crate) fn thaw(&self) -> bool {
        let mut inner = lock(&self.inner);
        if inner.phase == Phase::Vanished {
            return false;
        }
        inner.frozen = false;
        self.signal(&inner, Signal::SIGCONT)
    }

    /// Stops the process for ever, with all that it holds, and fails what it was doing. False when
    /// it is ending or gone.
    pub(crate) fn vanish(&self) -> bool {
        let mut inner = lock(&self.inner);
        if matches!(inner.phase, Phase::Ending | Phase::Gone) {
            return false;
        }
        inner.frozen = self.signal(&inner, Signal::SIGSTOP);
        inner.phase = Phase::Vanished;
        let error = "the environment has vanished";
        let error = InvokeError::platform("Fleet.Vanished", error);
        inner.work.fail_all(&error);
        true
    }

    /// Ends the process without warning. False when it is gone.
    pub(crate) fn kill(&self) -> bool {
        self.end(&mut lock(&self.inner), Signal::SIGKILL)
    }

    /// Ends the process as Lambda scales in, and waits until it has ended: SIGTERM and half a
    /// second when an extension is registered, else SIGKILL at once.
    pub(crate) async fn reap(&self) {
        let graceful = self.begin_reaping(&mut lock(&self.inner));
        self.finish_reaping(graceful).await;
    }

    /// The same if the environment has had nothing to do for longer than the limit. Nothing can
    /// be assigned between the look and the end.
    pub(crate) async fn reap_if_idle(&self, limit: Duration) {
        let graceful = {
            let mut inner = lock(&self.inner);
            let idle = inner.phase == Phase::Serving && inner.work.load() == 0;
            if !idle || inner.work.last_used.elapsed() <= limit {
                return;
            }
            self.begin_reaping(&mut inner)
        };
        self.finish_reaping(graceful).await;
    }

    /// Sends the first signal; whether it was the one that a process may act upon. One that has
    /// vanished acts no more.
    fn begin_reaping(&self, inner: &mut Inner) -> bool {
        let graceful = !inner.extensions.is_empty() && inner.phase != Phase::Vanished;
        let signal = if graceful {
            Signal::SIGTERM
        } else {
            Signal::SIGKILL
        };
        self.end(inner, signal);
        graceful
    }

    async fn finish_reaping(&self, graceful: bool) {
        let mut gone = self.gone.subscribe();
        if graceful
            && tokio::time::timeout(SHUTDOWN_GRACE, gone.wait_for(|gone| *gone))
                .await
                .is_err()
        {
            self.kill();
        }
        // Fails only when the sender is dropped, and `self` holds it.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Whether the process still has not asked for an invocation.
    pub(crate) fn is_starting(&self) -> bool {
        lock(&self.inner).phase == Phase::Starting
    }

    /// Notes that the process has ended: from here on its id may be another's.
    pub(crate) fn exited(&self, how: &str) {
        let mut inner = lock(&self.inner);
        self.platform_line(format!("Runtime exited: {how}"));
        inner.phase = Phase::Gone;
        inner.frozen = false;
    }

    /// Fails what an ended process left behind. Called once its last output is in the log, so that
    /// the caller can read the reason.
    pub(crate) fn release(&self, how: &str) {
        let mut inner = lock(&self.inner);
        inner.work.hang_up();
        inner.work.fail_all(&InvokeError::platform(
            "Runtime.ExitError",
            format_args!("Error: Runtime exited with error: {how}"),
        ));
        drop(inner);
        self.gone.send_replace(true);
    }

    /// A line of the platform's own in the function's log.
    pub(crate) fn platform_line(&self, text: String) {
        self.log(Source::Platform, text);
    }

    pub(crate) fn log(&self, source: Source, text: String) {
        self.logs.push(LogLine {
            at: now(),
            function: self.version.function.clone(),
            version: self.version.label.clone(),
            environment: self.id.clone(),
            source,
            text,
        });
    }

    /// Brings the process's state in line with its work: starts serving once the runtime and all
    /// extensions have polled, hands over what waits, and freezes when nothing is left to do.
    fn settle(self: &Arc<Self>, inner: &mut Inner) {
        let extensions_ready = inner.extensions.values().all(|polled| *polled);
        if inner.phase == Phase::Starting && extensions_ready && inner.work.is_polled() {
            inner.phase = Phase::Serving;
            inner.work.last_used = Instant::now();
        }
        if inner.phase != Phase::Serving {
            return;
        }
        if inner.work.is_waiting() && inner.frozen {
            self.signal(inner, Signal::SIGCONT);
            inner.frozen = false;
        }
        inner.work.hand_over(|request_id| self.begin(request_id));
        let idle = inner.work.load() == 0 && inner.work.is_polled();
        if idle && self.version.freezes() && !inner.frozen {
            inner.frozen = self.signal(inner, Signal::SIGSTOP);
        }
    }

    /// Starts an invocation's time, which is the function's timeout.
    fn begin(self: &Arc<Self>, request_id: &str) -> Time {
        let environment = Arc::downgrade(self);
        let request_id = request_id.to_owned();
        let timeout = self.version.timeout;
        let deadline = now() + timeout;
        let timer = tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            if let Some(environment) = environment.upgrade() {
                environment.time_out(&request_id);
            }
        })
        .abort_handle();
        Time { deadline, timer }
    }

    fn time_out(&self, request_id: &str) {
        let mut inner = lock(&self.inner);
        let Some(outcome) = inner.work.give_up(request_id) else {
            return;
        };
        let error = InvokeError::TimedOut(self.version.timeout.as_secs_f64());
        self.platform_line(format!("RequestId: {request_id} {error}"));
        // The caller may have stopped waiting.
        let _ = outcome.send(Err(error));
        if self.version.ends_with_time_out() {
            self.end(&mut inner, Signal::SIGKILL);
        }
    }

    /// Takes the environment out of use and sends the signal that ends it. A stopped process does
    /// not get a SIGTERM before it runs again, so it is thawed as well.
    fn end(&self, inner: &mut Inner, signal: Signal) -> bool {
        if inner.phase == Phase::Gone {
            return false;
        }
        inner.phase = Phase::Ending;
        let sent = self.signal(inner, signal);
        if std::mem::take(&mut inner.frozen) {
            self.signal(inner, Signal::SIGCONT);
        }
        sent
    }

    /// Signals the process group, which is the process and whatever it started. Never after the
    /// process was waited for, when its id may be another's.
    fn signal(&self, inner: &Inner, signal: Signal) -> bool {
        inner.phase != Phase::Gone && killpg(self.pid, signal).is_ok()
    }
}

impl Inner {
    fn has_room(&self, version: &Version) -> bool {
        let up = match self.phase {
            // With one slot, the caller that started the environment has taken it.
            Phase::Starting => true,
            Phase::Serving => self.work.polls_soon(),
            Phase::Vanished | Phase::Ending | Phase::Gone => false,
        };
        up && self.work.load() < version.slots()
    }
}
