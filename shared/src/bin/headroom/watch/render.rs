//! One look, for people and programs.

use shared::database::server::activity::{Group, Sample, Wait};

use crate::format::{BAD, Format, GOOD, OPEN, styled, table};

/// The share of the ceiling, in percent, from which it is worth a look; the alarm's own.
const WARN: f64 = 80.0;

const FUNCTIONS: [&str; 7] = [
    "function",
    "version",
    "sessions",
    "active",
    "in transaction",
    "retained",
    "transient",
];

pub(super) fn render(sample: &Sample, format: Format) -> serde_json::Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string(sample)? + "\n");
    }
    let functions = sample.functions.iter().map(function).collect();
    let mut paragraphs = vec![head(sample), table(format, &FUNCTIONS, functions)];
    paragraphs.push(times(sample));
    if !sample.waits.is_empty() {
        let waits = sample
            .waits
            .iter()
            .map(|Wait { event, sessions }| vec![event.clone(), sessions.to_string()]);
        paragraphs.push(table(format, &["waits for", "sessions"], waits.collect()));
    }
    Ok(paragraphs.join("\n"))
}

fn head(sample: &Sample) -> String {
    let share = sample.share();
    let style = match share {
        share if share >= 100.0 => BAD,
        share if share > WARN => OPEN,
        _ => GOOD,
    };
    let limit = sample
        .limit
        .map_or("no limit of its own".to_owned(), |limit| {
            format!("limit {limit}")
        });
    format!(
        "{}  {}  {} of {} sessions, {}\nserver: {} of {} connections, {} reserved\n",
        sample.at.format("%Y-%m-%d %H:%M:%S UTC"),
        sample.role,
        sample.sessions,
        sample.ceiling(),
        styled(style, &format!("{share:.0} % of the ceiling ({limit})")),
        sample.server_sessions,
        sample.max_connections,
        sample.reserved,
    )
}

fn function(group: &Group) -> Vec<String> {
    let name = match group.function.as_str() {
        "" => "(no name)",
        name => name,
    };
    vec![
        name.to_owned(),
        group.version.clone(),
        group.sessions.to_string(),
        group.active.to_string(),
        group.idle_in_transaction.to_string(),
        group.retained.to_string(),
        group.transient.to_string(),
    ]
}

fn times(sample: &Sample) -> String {
    let seconds =
        |time: Option<f64>| time.map_or("–".to_owned(), |seconds| format!("{seconds:.1} s"));
    format!(
        "longest query {}, oldest transaction {}, waiting for a lock {}\n",
        seconds(sample.longest_query),
        seconds(sample.oldest_transaction),
        sample.blocked,
    )
}
