//! What a look at the server's sessions tells: as a whole, and for each function's version.

use metrique_writer::{
    Entry, EntryWriter, MetricValue,
    unit::{Count, Percent, Second},
};

use crate::database::server::activity::{Group, Sample};

/// The application as a whole.
pub(super) struct Whole<'a>(pub(super) &'a Sample);

impl Entry for Whole<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        let sample = self.0;
        writer.timestamp(sample.at.into());
        let mut number = |name, number: u32| writer.value(name, &number.with_unit::<Count>());
        number("Sessions", sample.sessions);
        number("Ceiling", sample.ceiling());
        number("RetainedSessions", sample.sum(|group| group.retained));
        number("TransientSessions", sample.sum(|group| group.transient));
        number("ActiveSessions", sample.sum(|group| group.active));
        let idle = sample.sum(|group| group.idle_in_transaction);
        number("IdleInTransaction", idle);
        number("BlockedSessions", sample.blocked);
        number("ServerSessions", sample.server_sessions);
        number("MaxConnections", sample.max_connections);
        writer.value("CeilingShare", &sample.share().with_unit::<Percent>());
        // Zero where there is none: an alarm must see that it is over.
        let seconds = |time: Option<f64>| time.unwrap_or_default().with_unit::<Second>();
        writer.value("OldestTransaction", &seconds(sample.oldest_transaction));
        writer.value("LongestQuery", &seconds(sample.longest_query));
    }
}

/// One function's version.
pub(super) struct Part<'a> {
    pub(super) sample: &'a Sample,
    pub(super) group: &'a Group,
}

impl Entry for Part<'_> {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        writer.timestamp(self.sample.at.into());
        writer.value("function_name", &self.group.function);
        writer.value("function_version", &self.group.version);
        let mut number = |name, number: u32| writer.value(name, &number.with_unit::<Count>());
        number("Sessions", self.group.sessions);
        number("ActiveSessions", self.group.active);
        number("IdleInTransaction", self.group.idle_in_transaction);
    }
}
