//! The advice, for people, programs and pull requests.

use serde::Serialize;
use shared::operator::advice::{Action, Advice, Recommendation};

use crate::format::{BAD, Format, GOOD, OPEN, styled, table};

const HEADER: [&str; 11] = [
    "function",
    "connections",
    "peak",
    "p99",
    "share",
    "wait p99",
    "busy",
    "pool full",
    "throttled",
    "advice",
    "becomes",
];

/// What a program reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(flatten)]
    advice: &'a Advice,
    changes: bool,
    incomplete: bool,
}

pub(super) fn render(advice: &Advice, format: Format) -> serde_json::Result<String> {
    if format == Format::Json {
        let document = Document {
            advice,
            changes: advice.changes(),
            incomplete: advice.incomplete(),
        };
        return Ok(serde_json::to_string_pretty(&document)? + "\n");
    }
    let rows = advice.functions.iter().map(row).collect();
    let reasons = advice.functions.iter().map(|function| {
        let name = &function.demand.function;
        format!("- {name}: {}\n", function.why)
    });
    let mut paragraphs = vec![table(format, &HEADER, rows), reasons.collect(), sum(advice)];
    let skipped = advice.skipped.iter();
    let skipped: String = skipped
        .map(|skipped| format!("- {}: not counted: {}\n", skipped.function, skipped.why))
        .collect();
    if !skipped.is_empty() {
        paragraphs.push(skipped);
    }
    if advice.functions.is_empty() {
        paragraphs
            .push("no function of the template has limits and uses the database\n".to_owned());
    }
    if !advice.unknown.is_empty() {
        let unknown = advice.unknown.join(", ");
        paragraphs.push(format!("not in the template: {unknown}\n"));
    }
    paragraphs.push(verdict(advice));
    Ok(paragraphs.join("\n"))
}

fn row(advice: &Recommendation) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let counts = advice.counts;
    vec![
        advice.demand.function.clone(),
        limits(
            advice.demand.environments,
            advice.demand.connection_limit.get(),
        ),
        advice.peak.to_string(),
        advice.p99.to_string(),
        format!("{:.0} %", advice.p99_share),
        or_none(advice.acquire_wait_p99.map(|wait| format!("{wait:.0} ms"))),
        counts.database_busy.to_string(),
        counts.pool_timeouts.to_string(),
        or_none(counts.throttles.map(|throttles| throttles.to_string())),
        word(advice.action).to_owned(),
        match advice.action {
            Action::Raise | Action::Lower => limits(
                advice.advised_environments,
                advice.advised_connection_limit.get(),
            ),
            Action::Keep | Action::CannotTell => String::new(),
        },
    ]
}

fn limits(environments: u32, connection_limit: u32) -> String {
    format!("{environments} × {connection_limit}")
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Raise => "raise",
        Action::Keep => "keep",
        Action::Lower => "lower",
        Action::CannotTell => "cannot tell",
    }
}

fn sum(advice: &Advice) -> String {
    let ceiling = advice
        .ceiling
        .map_or("unknown".to_owned(), |ceiling| ceiling.to_string());
    format!(
        "ceiling {ceiling}, {} in use at the peak; budget {}, advised {}\n",
        advice.peak, advice.budget, advice.advised_budget
    )
}

fn verdict(advice: &Advice) -> String {
    let (style, text) = match (advice.changes(), advice.incomplete()) {
        (true, _) => (BAD, "change"),
        (false, true) => (OPEN, "cannot tell"),
        (false, false) => (GOOD, "keep"),
    };
    styled(style, text) + "\n"
}
