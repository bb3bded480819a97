//! What the environments of a function printed, kept for tests and handed on for `make run`.

use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Lines kept per function; older ones are dropped. A test that asks for logs asks soon.
const LINES_KEPT: usize = 10_000;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// The fleet itself, where Lambda writes a line of its own: a timeout, an exit.
    Platform,
}

/// One line of a function's log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// When the fleet read the line.
    pub at: DateTime<Utc>,
    /// The function's name, which is its binary's.
    pub function: String,
    /// The function version that the environment runs.
    pub version: String,
    /// The environment's id, as in [`EnvironmentStatus::id`](crate::EnvironmentStatus::id).
    pub environment: String,
    /// Where the line comes from.
    pub source: Source,
    /// The line without its end; what is not UTF-8 is replaced.
    pub text: String,
}

/// Called with every line as soon as it was read, on the runtime's threads: it must not block, nor
/// ask the fleet, which may be waiting for it.
pub type LogCallback = Arc<dyn Fn(&LogLine) + Send + Sync>;

/// The log of one function.
pub(crate) struct Logs {
    lines: Mutex<VecDeque<LogLine>>,
    callback: Option<LogCallback>,
}

impl Logs {
    pub(crate) fn new(callback: Option<LogCallback>) -> Self {
        Self {
            lines: Mutex::default(),
            callback,
        }
    }

    pub(crate) fn push(&self, line: LogLine) {
        if let Some(callback) = &self.callback {
            callback(&line);
        }
        let mut lines = lock(&self.lines);
        if lines.len() == LINES_KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<LogLine> {
        lock(&self.lines).iter().cloned().collect()
    }
}
