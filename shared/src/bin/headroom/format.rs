//! What an answer looks like.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{Cell, CellAlignment, Table, presets};
use shared::operator::budget::finding::Verdict;

/// What `main` prints, and what it ends with.
pub(crate) struct Answer {
    /// With colours, which are taken out if no terminal shows them.
    pub(crate) text: String,
    pub(crate) verdict: ExitCode,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For a pull request.
    Markdown,
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const OPEN: Style = AnsiColor::Yellow.on_default().bold();

pub(crate) fn exit_code(verdict: Verdict) -> ExitCode {
    match verdict {
        Verdict::Holds => ExitCode::SUCCESS,
        Verdict::DoesNotHold => ExitCode::FAILURE,
        Verdict::CannotTell => ExitCode::from(2),
    }
}

/// Rows under a header. Every column but the first holds numbers.
pub(crate) fn table(format: Format, header: &[&str], rows: Vec<Vec<String>>) -> String {
    aligned(format, header, rows, CellAlignment::Right)
}

/// Rows under a header. Every column holds texts.
pub(crate) fn texts(format: Format, header: &[&str], rows: Vec<Vec<String>>) -> String {
    aligned(format, header, rows, CellAlignment::Left)
}

fn aligned(
    format: Format,
    header: &[&str],
    rows: Vec<Vec<String>>,
    others: CellAlignment,
) -> String {
    let mut table = Table::new();
    table.load_preset(match format {
        Format::Markdown => presets::ASCII_MARKDOWN,
        _ => presets::NOTHING,
    });
    table.set_header(header);
    table.add_rows(rows.into_iter().map(|row| {
        row.into_iter().enumerate().map(|(column, text)| {
            Cell::new(text).set_alignment(match column {
                0 => CellAlignment::Left,
                _ => others,
            })
        })
    }));
    let lines = table.to_string();
    let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n"))
}

/// A text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
