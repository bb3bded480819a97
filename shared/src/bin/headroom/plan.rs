//! `headroom plan`: from traffic to limits.

mod lines;

use std::{error::Error, fs, path::PathBuf, process::ExitCode};

use clap::Args;
use serde::Serialize;
use shared::operator::{
    budget::plan::{Forecast, Plan, PlanError, SAFETY, Share, plan},
    template::{self, Function, Parameters},
};

use crate::format::{Answer, BAD, Format, GOOD, styled, table};

const AFTER_HELP: &str = "\
The traffic, functions by their logical id in the template:
  [functions.DoctorsFunction]
  requests_per_second = 12
  burst_per_second = 40    # the worst minute, where that is more
  mean_duration_ms = 35
  mean_query_ms = 4        # says what a pooler would buy
  concurrency = 16         # on Managed Instances; 1 otherwise

By Little's law requests per second × seconds are in flight on average; that, times the safety
factor and rounded up, is the reserved concurrency.

Exit status: 0 it fits, 1 it does not fit, 2 the command line or the file is wrong.

Examples:
  headroom plan --ceiling 90 --traffic traffic.toml
  headroom plan --ceiling 90 --traffic traffic.toml --template template.yaml
  headroom plan --ceiling 90 --traffic traffic.toml --safety 3 --format markdown";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The most sessions that all functions together may have; headroom check prints it.
    #[arg(long, value_name = "N")]
    ceiling: u32,
    /// What each function has to do.
    #[arg(long, value_name = "FILE")]
    traffic: PathBuf,
    /// The template that the lines are for. Where its reservations stand in a mapping, it is the
    /// mapping's line that is printed.
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// How many times the average in flight is planned for.
    #[arg(long, value_name = "FACTOR", default_value_t = SAFETY)]
    safety: f64,
    /// What comes out on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// What a program reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    fits: bool,
    /// The lines for the template.
    template: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, Box<dyn Error>> {
    let path = &arguments.traffic;
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let forecast: Forecast =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let plan =
        plan(&forecast, arguments.ceiling, arguments.safety).map_err(|error| match error {
            PlanError::Safety => format!("--safety: {error}"),
            _ => format!("{}: {error}", path.display()),
        })?;
    let there = match &arguments.template {
        Some(template) => template::read(template, &Parameters::new())?.functions,
        None => Vec::new(),
    };
    if arguments.template.is_some() {
        known(&plan, &there).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(Answer {
        text: render(&plan, &there, arguments.format)?,
        verdict: if plan.fits() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        },
    })
}

/// A function that the template does not have is a misspelling.
fn known(plan: &Plan, there: &[Function]) -> Result<(), String> {
    let is_there = |share: &&Share| there.iter().any(|f| f.logical_id == share.function);
    match plan.functions.iter().find(|share| !is_there(share)) {
        None => Ok(()),
        Some(share) => {
            let names: Vec<&str> = there.iter().map(|f| f.logical_id.as_str()).collect();
            Err(format!(
                "the template has no function {}; it has: {}",
                share.function,
                names.join(", ")
            ))
        }
    }
}

fn render(plan: &Plan, there: &[Function], format: Format) -> serde_json::Result<String> {
    if format == Format::Json {
        let document = Document {
            plan,
            fits: plan.fits(),
            template: lines::template(plan, there),
        };
        return Ok(serde_json::to_string_pretty(&document)? + "\n");
    }
    let header = [
        "function",
        "in flight",
        "environments",
        "limit",
        "connections",
    ];
    let mut paragraphs = vec![table(format, &header, rows(plan)), sum(plan, format)];
    if plan.fits() {
        paragraphs.push(match format {
            Format::Markdown => format!("```yaml\n{}```\n", lines::template(plan, there)),
            _ => lines::template(plan, there),
        });
    } else {
        paragraphs.push(advice(plan));
    }
    Ok(paragraphs.join("\n"))
}

fn rows(plan: &Plan) -> Vec<Vec<String>> {
    let row = |share: &Share| {
        vec![
            share.function.clone(),
            format!("{:.2}", share.in_flight),
            share.environments.to_string(),
            share.connection_limit.to_string(),
            share.connections.to_string(),
        ]
    };
    plan.functions.iter().map(row).collect()
}

fn sum(plan: &Plan, format: Format) -> String {
    let (text, style) = if plan.fits() {
        ("fits", GOOD)
    } else {
        ("does not fit", BAD)
    };
    let verdict = match format {
        Format::Markdown => format!("**{text}**"),
        _ => styled(style, text),
    };
    format!(
        "{verdict}: budget {} of ceiling {}, headroom {}, with {} times the average in flight\n",
        plan.budget, plan.ceiling, plan.headroom, plan.safety
    )
}

/// What would make it fit.
fn advice(plan: &Plan) -> String {
    let mut lines = vec![format!(
        "A ceiling of {} would hold it: {} more than there is.",
        plan.budget,
        plan.headroom.unsigned_abs()
    )];
    match &plan.merger {
        Some(merger) => lines.push(format!(
            "As one function, {} would need {} sessions in place of {}: {}.",
            merger.functions.join(", "),
            merger.together,
            merger.apart,
            match merger.still_missing {
                0 => "that would fit".to_owned(),
                missing => format!("still {missing} too many"),
            }
        )),
        None => lines.push("Merging functions would save nothing.".to_owned()),
    }
    lines.push(match plan.behind_pooler {
        Some(sessions) => format!(
            "Behind a transaction pooler queries alone hold sessions: {sessions} at the server, while \
             {} environments are the pooler's clients.",
            plan.budget
        ),
        None => "Behind a transaction pooler queries alone hold sessions; give mean_query_ms of each \
                 function to learn how many."
            .to_owned(),
    });
    lines.push(String::new());
    lines.join("\n")
}
