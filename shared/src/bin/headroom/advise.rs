//! `headroom advise`: from what was measured to new limits.

mod render;

use std::{error::Error, fs, path::PathBuf, process::ExitCode};

use clap::Args;
use shared::{
    advice::{self, Deployed, Observed, cloudwatch},
    budget::demand::{self, Demand, Url},
    database_url::DatabaseUrl,
    template::{self, Function, Parameters},
};

use crate::{
    check::{known, pairs},
    format::{Answer, Format},
    samconfig, url,
};

const AFTER_HELP: &str = "\
What is looked at, for each function that uses the database:
  - the peak of its sessions, and what 99 of 100 looks did not exceed, against what it may have
  - how long requests waited for a session, 503s by type, and, from CloudWatch, throttles

Recordings are lines of JSON: samples of `headroom watch --record`, answers of the function
connection-monitor, metrics in the functions' logs. Other lines are passed over.

CloudWatch is asked in the account and region of AWS_PROFILE or AWS_ACCESS_KEY_ID …, AWS_REGION.
With single sign-on, give it the keys of `aws configure export-credentials --format env`.

Exit status: 0 keep every limit, 1 change one, 2 it cannot be told: too few looks, or the command
line is wrong.

Examples:
  headroom advise --from samples.jsonl
  headroom advise --cloudwatch clinic-prod --hours 48 --samconfig --config-env prod
  headroom advise --from samples.jsonl --from functions.log --format markdown";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    measured: Measured,
    /// How far to look back in CloudWatch, which keeps 15 days of minutes.
    #[arg(long, value_name = "N", default_value_t = 48, requires = "cloudwatch",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(cloudwatch::MOST_HOURS)))]
    hours: u32,
    /// The namespace of the metrics in CloudWatch.
    #[arg(long, value_name = "NAME", default_value = "Headroom")]
    namespace: String,
    /// Looks at the sessions below which nothing is said.
    #[arg(long, value_name = "N", default_value_t = advice::LOOKS)]
    min_looks: usize,
    /// The template that was deployed, with the limits as they are.
    #[arg(long, value_name = "FILE", default_value = "template.yaml")]
    template: PathBuf,
    /// A value for one of the template's parameters; may be repeated, wins over --samconfig.
    #[arg(long = "parameter", short, value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Take the parameters from parameter_overrides in this file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "samconfig.toml")]
    samconfig: Option<PathBuf>,
    /// The environment in that file.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "default",
        requires = "samconfig"
    )]
    config_env: String,
    /// What comes out on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Where the measurements are.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Measured {
    /// A recording; may be repeated.
    #[arg(long, value_name = "FILE")]
    from: Vec<PathBuf>,
    /// The stack whose metrics are in CloudWatch.
    #[arg(long, value_name = "STACK")]
    cloudwatch: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, Box<dyn Error>> {
    let mut given = match &arguments.samconfig {
        Some(file) => samconfig::read(file, &arguments.config_env)?,
        None => Parameters::new(),
    };
    let asked = pairs(&arguments.parameters)?;
    given.extend(asked.clone());
    let template = template::read(&arguments.template, &given)?;
    known(&template, &asked)?;
    let deployed = deployed(&template.functions)?;
    let observed = observed(arguments)?;
    let advice = advice::advise(
        &deployed,
        &template.functions,
        &observed,
        arguments.min_looks,
    );
    Ok(Answer {
        text: render::render(&advice, arguments.format)?,
        verdict: match (advice.changes(), advice.incomplete()) {
            (true, _) => ExitCode::FAILURE,
            (false, true) => ExitCode::from(2),
            (false, false) => ExitCode::SUCCESS,
        },
    })
}

fn observed(arguments: &Arguments) -> Result<Observed, Box<dyn Error>> {
    if let Some(stack) = &arguments.measured.cloudwatch {
        let read = cloudwatch::observe(&arguments.namespace, stack, arguments.hours);
        return Ok(url::runtime()?.block_on(read)?);
    }
    let mut observed = Observed::default();
    for path in &arguments.measured.from {
        let named = |error: &dyn Error| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| named(&error))?;
        observed.read(&text).map_err(|error| named(&error))?;
    }
    Ok(observed)
}

/// The functions that use the database and have a bound, with their limits.
fn deployed(functions: &[Function]) -> Result<Vec<Deployed>, Box<dyn Error>> {
    let url = Url {
        settings: DatabaseUrl::parse("postgresql://user@localhost/")?,
        known: false,
    };
    let mut deployed = Vec::new();
    for function in functions.iter().filter(|f| demand::uses_database(f)) {
        let limits = demand::environments(function)
            .and_then(|environments| Ok((environments, demand::limit(function, &url)?)));
        let (environments, connection_limit) = limits.map_err(|finding| finding.what)?;
        // What has no bound is for `headroom check` to refuse.
        let Some(environments) = environments else {
            continue;
        };
        deployed.push(Deployed {
            demand: Demand {
                function: function.logical_id.clone(),
                environments,
                managed: function.managed.is_some(),
                connection_limit,
            },
            shared_environments: function.managed.is_some(),
        });
    }
    Ok(deployed)
}
