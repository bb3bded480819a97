//! `headroom advise`: from what was measured to new limits.

mod render;

use std::{error::Error, fs, path::PathBuf, process::ExitCode};

use clap::Args;
use shared::{
    config::database_url::DatabaseUrl,
    operator::{
        advice::{self, Deployed, Observed, Question, Skipped, cloudwatch},
        budget::{
            ceiling::OTHER_CLIENTS,
            demand::{self, Demand, Url},
            finding::Finding,
            settings,
        },
        template::Function,
    },
};

use crate::{
    deployment::Deployment,
    format::{Answer, Format},
    url,
};

const AFTER_HELP: &str = "\
What is looked at, for each function that uses the database:
  - the peak of its sessions, and what 99 of 100 looks did not exceed, against what it may have
  - how long requests waited for a session, 503s by type, and, from CloudWatch, throttles

Recordings are lines of JSON: samples of `headroom watch --record`, answers of the function
connection-monitor, metrics in the functions' logs. Other lines are passed over.

CloudWatch is asked in the account and region of AWS_PROFILE or AWS_ACCESS_KEY_ID …, AWS_REGION.
With single sign-on, give it the keys of `aws configure export-credentials --format env`.

Exit status: 0 keep every limit, 1 change one, 2 it cannot be told: too few looks, names that are no
function's, functions whose limits are not known, or none at all; or the command line is wrong.

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
    /// Sessions of all other clients, as for headroom check: they come out of what the role could have.
    #[arg(long, value_name = "N", default_value_t = OTHER_CLIENTS)]
    other_clients: u32,
    #[command(flatten)]
    deployment: Deployment,
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
    let template = arguments.deployment.read()?;
    let (deployed, skipped) = deployed(&template.functions)?;
    let observed = observed(arguments)?;
    let advice = advice::advise(&Question {
        deployed: &deployed,
        skipped: &skipped,
        functions: &template.functions,
        observed: &observed,
        looks: arguments.min_looks,
        other_clients: arguments.other_clients,
    });
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

/// The functions that use the database, with their limits; and those whose limits are not known.
fn deployed(functions: &[Function]) -> Result<(Vec<Deployed>, Vec<Skipped>), Box<dyn Error>> {
    let otherwise = Url {
        settings: DatabaseUrl::parse("postgresql://user@localhost/")?,
        known: false,
    };
    let mut deployed = Vec::new();
    let mut skipped = Vec::new();
    for function in functions {
        match limits(function, &otherwise) {
            Ok(demand) => deployed.extend(demand.map(|demand| Deployed {
                shared_environments: demand.managed,
                demand,
            })),
            Err(why) => skipped.push(Skipped {
                function: function.logical_id.clone(),
                why,
            }),
        }
    }
    Ok((deployed, skipped))
}

/// A function's limits; none where it does not use the database.
fn limits(function: &Function, otherwise: &Url) -> Result<Option<Demand>, String> {
    let what = |finding: Finding| finding.what;
    if !demand::uses_database(function).map_err(what)? {
        return Ok(None);
    }
    let url = settings::url(function, otherwise).map_err(what)?;
    let environments = demand::environments(function).map_err(what)?;
    Ok(Some(Demand {
        function: function.logical_id.clone(),
        environments: environments.ok_or("nothing bounds its environments")?,
        managed: function.managed.is_some(),
        connection_limit: demand::limit(function, &url).map_err(what)?,
    }))
}
