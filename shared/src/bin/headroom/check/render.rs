//! The report of a check, for people, programs and pull requests.

use anstyle::Style;
use shared::operator::budget::{
    check::Report,
    finding::{Finding, Severity, Verdict},
};

use crate::format::{BAD, Format, GOOD, OPEN, styled, table};

const HEADER: [&str; 5] = ["function", "environments", "limit", "connections", "share"];

pub(super) fn render(report: &Report, format: Format) -> serde_json::Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(report)? + "\n");
    }
    let paragraphs = [
        Some(table(format, &HEADER, rows(report))),
        Some(table(format, &["slots", "connections"], slots(report))),
        Some(overlap(report)),
        (!report.findings.is_empty()).then(|| findings(report, format)),
        Some(verdict(report, format)),
    ];
    Ok(paragraphs
        .into_iter()
        .flatten()
        .collect::<Vec<String>>()
        .join("\n"))
}

fn rows(report: &Report) -> Vec<Vec<String>> {
    let share =
        |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{share:.0} %"));
    let mut rows: Vec<Vec<String>> = report
        .functions
        .iter()
        .map(|line| {
            vec![
                line.demand.function.clone(),
                line.demand.environments.to_string(),
                line.demand.connection_limit.to_string(),
                line.connections.to_string(),
                share(line.share),
            ]
        })
        .collect();
    let ceiling = f64::from(report.ceiling);
    rows.push(vec![
        "budget".to_owned(),
        String::new(),
        String::new(),
        report.budget.to_string(),
        share((report.ceiling > 0).then(|| report.budget as f64 * 100.0 / ceiling)),
    ]);
    rows
}

fn slots(report: &Report) -> Vec<Vec<String>> {
    let slots = &report.slots;
    let row = |name: &str, number: String| vec![name.to_owned(), number];
    let mut rows = vec![
        row(
            &format!("max_connections ({})", slots.source),
            slots.max_connections.to_string(),
        ),
        row(
            "superuser_reserved",
            format!("−{}", slots.superuser_reserved),
        ),
        row("reserved", format!("−{}", slots.reserved)),
        row("other clients", format!("−{}", slots.other_clients)),
    ];
    if let Some(limit) = slots.role_limit {
        rows.push(row("the role's own limit", format!("≤{limit}")));
    }
    rows.push(row("ceiling", report.ceiling.to_string()));
    rows.push(row("budget", format!("−{}", report.budget)));
    rows.push(row("headroom", report.headroom.to_string()));
    rows
}

fn overlap(report: &Report) -> String {
    let overlap = report.overlap;
    let until = match overlap.seconds {
        Some(seconds) => format!("for {seconds} s at most"),
        None => "until the old version's environments are gone".to_owned(),
    };
    format!(
        "During a deployment: {} sessions at worst, {until}.\n",
        overlap.connections
    )
}

fn findings(report: &Report, format: Format) -> String {
    report
        .findings
        .iter()
        .map(|finding| match format {
            Format::Markdown => as_item(finding),
            _ => as_lines(finding),
        })
        .collect()
}

fn kind(severity: Severity) -> (&'static str, Style) {
    match severity {
        Severity::Fails => ("fails", BAD),
        Severity::Unknown => ("unknown", OPEN),
        Severity::Remark => ("remark", Style::new()),
    }
}

fn subject(finding: &Finding) -> String {
    let function = finding.function.as_deref();
    function.map_or(String::new(), |function| format!("{function}: "))
}

fn as_lines(finding: &Finding) -> String {
    let (name, style) = kind(finding.severity);
    let change = finding.change.as_deref();
    let change = change.map_or(String::new(), |change| format!("         → {change}\n"));
    format!(
        "{}{}{}\n{change}",
        styled(style, &format!("{name:<9}")),
        subject(finding),
        finding.what
    )
}

fn as_item(finding: &Finding) -> String {
    let (name, _) = kind(finding.severity);
    let change = finding.change.as_deref();
    let change = change.map_or(String::new(), |change| format!("; {change}"));
    format!(
        "- **{name}** {}{}{change}\n",
        subject(finding),
        finding.what
    )
}

fn verdict(report: &Report, format: Format) -> String {
    let (text, style) = match report.verdict {
        Verdict::Holds => ("holds", GOOD),
        Verdict::DoesNotHold => ("does not hold", BAD),
        Verdict::CannotTell => ("cannot tell", OPEN),
    };
    match format {
        Format::Markdown => format!("**{text}**\n"),
        _ => format!("{}\n", styled(style, text)),
    }
}
