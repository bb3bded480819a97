//! Metrics in CloudWatch's Embedded Metric Format: a line on standard output that CloudWatch Logs
//! reads. Names follow Powertools for AWS Lambda (`service`, `function_name`, `ColdStart`).
//!
//! What did not happen is left out: CloudWatch bills a metric by the hours in which it has values.

mod invocation;
mod sessions;

use std::{
    fmt,
    io::{self, Write},
    sync::{Mutex, PoisonError},
};

use metrique_writer::{
    Entry, EntryWriter, MetricValue,
    format::Format,
    unit::{self, WithUnit},
};
use metrique_writer_format_emf::Emf;

use crate::{
    config,
    database::server::activity::{Group, Sample},
};
pub(crate) use invocation::Measured;

/// Writes metrics.
pub(crate) struct Emitter {
    service: String,
    format: Mutex<Emf>,
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}

/// The dimension of what an alarm looks at.
pub const SERVICE: &[&str] = &["service"];
/// The dimensions of one function's version, which the dashboard searches for.
pub const VERSION: &[&str] = &["service", "function_name", "function_version"];

impl Emitter {
    /// For invocations. Each metric is there twice: for the whole service, which an alarm can look at,
    /// and for each function's version, which shows what a deployment changed. A function as a
    /// whole is the sum over its versions; a third set of dimensions would cost as much again.
    pub(crate) fn of_invocations(config: config::Metrics) -> Self {
        Self::new(config, &[SERVICE, VERSION])
    }

    fn new(config: config::Metrics, dimensions: &[&[&str]]) -> Self {
        let names = |set: &&[&str]| set.iter().map(|&name| name.to_owned()).collect();
        let dimensions = dimensions.iter().map(names).collect();
        Self {
            service: config.service,
            format: Mutex::new(Emf::builder(config.namespace, dimensions).build()),
        }
    }

    /// Writes one line, whole.
    pub(crate) fn emit(&self, entry: &impl Entry) {
        let mut line = Vec::new();
        if self.write(entry, &mut line) {
            // If standard output is closed, there is no place to say so.
            let _ = io::stdout().lock().write_all(&line);
        }
    }

    fn write(&self, entry: &impl Entry, line: &mut Vec<u8>) -> bool {
        let mut format = self.format.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Of {
            service: &self.service,
            entry,
        };
        match format.format(&entry, line) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(cause = %error, "a defect: metrics that have no form");
                false
            }
        }
    }
}

/// Writes what a look at the sessions tells: one line for the whole service, and one for each
/// function's version that says its name.
pub fn emit_sessions(config: config::Metrics, sample: &Sample) {
    let whole = Emitter::new(config.clone(), &[SERVICE]);
    whole.emit(&sessions::Whole(sample));
    let parts = Emitter::new(config, &[VERSION]);
    let named = |group: &&Group| !group.function.is_empty() && !group.version.is_empty();
    for group in sample.functions.iter().filter(named) {
        parts.emit(&sessions::Part { sample, group });
    }
}

/// An entry, and the dimension that all of them share.
struct Of<'e, E> {
    service: &'e str,
    entry: &'e E,
}

impl<E: Entry> Entry for Of<'_, E> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        writer.value("service", self.service);
        self.entry.write(writer);
    }
}

/// A count, left out where it is zero.
fn counted(number: u64) -> Option<WithUnit<u64, unit::Count>> {
    (number > 0).then(|| number.with_unit())
}
