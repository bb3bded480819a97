//! `headroom check`: a template against a database.

mod render;

use std::{error::Error, num::NonZeroU32};

use clap::{Args, ValueEnum};
use shared::{
    config::database_url::DatabaseUrl,
    database::server::limits::{self, ServerLimits},
    operator::budget::{
        account,
        ceiling::{OTHER_CLIENTS, SUPERUSER_RESERVED, Slots},
        check::{Question, check},
        demand::Url,
        provider,
    },
};

use crate::{
    deployment::Deployment,
    format::{self, Answer, Format},
    url,
};

const AFTER_HELP: &str = "\
What is checked:
  - the sum over all functions of environments × connection limit is within the ceiling
  - every function that uses the database has a reserved concurrency
  - pool_timeout, statement, one retry and the answer fit into Timeout, and that into API Gateway's 30 s
  - the account's concurrency can grant the reservations
  - what a deployment adds while two versions stand side by side

Exit status: 0 it holds, 1 it does not hold, 2 it cannot be told, or the command line is wrong.

Examples:
  headroom check --max-connections 100
  headroom check --max-connections 200 --other-clients 20 --parameter Reserved=15
  headroom check --rds-class db.t4g.medium --samconfig --config-env prod --overlap fail
  headroom check --aurora-acu 1-16 --format markdown
  DATABASE_URL=postgresql://… headroom check --database-url";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    deployment: Deployment,

    #[command(flatten)]
    database: DatabaseArguments,

    /// Whose connection limit counts with --database-url; the URL's own role otherwise.
    #[arg(long, value_name = "ROLE", requires = "database_url")]
    role: Option<String>,
    /// Slots that only superusers get; 3 unless the server says otherwise.
    #[arg(long, value_name = "N")]
    superuser_reserved: Option<u32>,
    /// Further slots that the functions do not get: reserved_connections, and what a provider keeps;
    /// 6 on RDS and Aurora, else 0, unless the server says otherwise.
    #[arg(long, value_name = "N")]
    reserved: Option<u32>,
    /// Sessions of all other clients: administrators, the monitor, migrations, other applications.
    #[arg(long, value_name = "N", default_value_t = OTHER_CLIENTS)]
    other_clients: u32,
    /// Parameters of DATABASE_URL where it is known only once deployed, such as 'pool_timeout=20&pgbouncer=true'.
    #[arg(long, value_name = "PARAMETERS")]
    url_parameters: Option<String>,
    /// The server's major version: before 14 no lease ends idle sessions.
    #[arg(long, value_name = "N", conflicts_with = "database_url")]
    server_version: Option<NonZeroU32>,
    /// Nested stacks have no function that uses the database, or are checked for themselves, with
    /// their sessions among --other-clients here. Otherwise it cannot be told what they add.
    #[arg(long)]
    ignore_nested_stacks: bool,
    /// Lambda's concurrency of the account in the region.
    #[arg(long, value_name = "N", default_value_t = account::CONCURRENCY)]
    account_concurrency: u32,
    /// What it means when two versions side by side may ask for more than there is, where leases
    /// end the old one's sessions. Where they do not, it is a failure.
    #[arg(long, value_enum, default_value_t = OverlapMeans::Remark)]
    overlap: OverlapMeans,
    /// What comes out on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Where the number of slots comes from.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct DatabaseArguments {
    /// The server's max_connections.
    #[arg(long, value_name = "N")]
    max_connections: Option<u32>,
    /// An RDS for PostgreSQL instance class with the default parameter group, such as db.t4g.medium.
    /// Counts 70 % of what AWS's formula says of the class's memory below 16 GiB, and 90 % from
    /// there: the formula's own memory is less, by how much AWS does not say.
    #[arg(long, value_name = "CLASS")]
    rds_class: Option<String>,
    /// The capacity range of Aurora PostgreSQL Serverless v2, such as 0.5-16.
    #[arg(long, value_name = "MIN-MAX")]
    aurora_acu: Option<String>,
    /// An Aiven for PostgreSQL plan, such as startup-4.
    #[arg(long, value_name = "PLAN")]
    aiven_plan: Option<String>,
    /// Ask the server itself; without a URL, the one in the variable DATABASE_URL, which keeps the
    /// password out of the list of processes. Its parameters count for functions whose own URL is
    /// not known.
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "")]
    database_url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OverlapMeans {
    /// Holds, and is said.
    Remark,
    /// Does not hold.
    Fail,
}

/// What the database has, from wherever it is known.
struct Database {
    max_connections: u32,
    source: String,
    superuser_reserved: u32,
    reserved: u32,
    live: Option<(ServerLimits, DatabaseUrl)>,
}

pub(crate) fn run(arguments: Arguments) -> Result<Answer, Box<dyn Error>> {
    let template = arguments.deployment.read()?;
    let database = database(arguments.database, arguments.role.as_deref())?;
    let (limits, live_url) = database.live.unzip();
    let url = match &arguments.url_parameters {
        Some(parameters) => Url {
            settings: stand_in(parameters)?,
            known: true,
        },
        None => match live_url {
            Some(settings) => Url {
                settings,
                known: true,
            },
            None => Url {
                settings: stand_in("")?,
                known: false,
            },
        },
    };
    let report = check(&Question {
        template: &template,
        slots: Slots {
            max_connections: database.max_connections,
            source: database.source,
            superuser_reserved: arguments
                .superuser_reserved
                .unwrap_or(database.superuser_reserved),
            reserved: arguments.reserved.unwrap_or(database.reserved),
            other_clients: arguments.other_clients,
            role_limit: limits.as_ref().and_then(|limits| limits.role_limit),
        },
        pooler: url.settings.pgbouncer || limits.as_ref().is_some_and(ServerLimits::behind_pooler),
        url,
        account_concurrency: arguments.account_concurrency,
        overlap_fails: arguments.overlap == OverlapMeans::Fail,
        ignore_nested_stacks: arguments.ignore_nested_stacks,
        server_version: limits
            .map(|limits| limits.version)
            .or(arguments.server_version.map(NonZeroU32::get)),
    });
    Ok(Answer {
        text: render::render(&report, arguments.format)?,
        verdict: format::exit_code(report.verdict),
    })
}

/// A URL that has the given parameters and stands for one that is not known.
fn stand_in(parameters: &str) -> Result<DatabaseUrl, Box<dyn Error>> {
    let parameters = parameters.trim_start_matches('?');
    DatabaseUrl::parse(&format!("postgresql://user@localhost/?{parameters}"))
        .map_err(|error| format!("--url-parameters: {error}").into())
}

fn database(arguments: DatabaseArguments, role: Option<&str>) -> Result<Database, Box<dyn Error>> {
    let of_table = |max_connections: Option<u32>, source: String, reserved| {
        let max_connections = max_connections.ok_or_else(|| {
            format!(
                "{source} is not in the table; give its max_connections with --max-connections N"
            )
        })?;
        Ok(Database {
            max_connections,
            source,
            superuser_reserved: SUPERUSER_RESERVED,
            reserved,
            live: None,
        })
    };
    if let Some(number) = arguments.max_connections {
        return of_table(Some(number), "--max-connections".to_owned(), 0);
    }
    if let Some(class) = arguments.rds_class {
        let source = format!("RDS class {class}");
        return of_table(provider::rds(&class), source, provider::RDS_RESERVED);
    }
    if let Some(range) = arguments.aurora_acu {
        let (fewest, most) = capacity(&range)?;
        let source = format!("Aurora Serverless v2 of {range} ACU");
        let connections = provider::aurora(fewest, most);
        return of_table(connections, source, provider::RDS_RESERVED);
    }
    if let Some(plan) = arguments.aiven_plan {
        return of_table(provider::aiven(&plan), format!("Aiven plan {plan}"), 0);
    }
    let url = arguments.database_url.unwrap_or_default();
    live(&url, role)
}

fn capacity(range: &str) -> Result<(f64, f64), Box<dyn Error>> {
    let read = || {
        let (fewest, most) = range.split_once('-')?;
        Some((fewest.parse().ok()?, most.parse().ok()?))
    };
    match read() {
        Some((fewest, most)) if 0.0 <= fewest && fewest <= most && most <= 256.0 => {
            Ok((fewest, most))
        }
        _ => Err(format!("--aurora-acu {range} is no range from 0 to 256 such as 0.5-16").into()),
    }
}

/// Asks the server.
fn live(text: &str, role: Option<&str>) -> Result<Database, Box<dyn Error>> {
    let runtime = url::runtime()?;
    let url = url::read(text, &runtime)?;
    if url.pgbouncer {
        let message = "--database-url leads to a pooler (pgbouncer=true), which does not know the \
                       server's slots; give the server's own address, and --url-parameters \
                       pgbouncer=true for the functions";
        return Err(message.into());
    }
    let limits = runtime.block_on(limits::read(&url, role))?;
    Ok(Database {
        max_connections: limits.max_connections,
        source: format!("{}:{}", url.host, url.port),
        superuser_reserved: limits.superuser_reserved,
        reserved: limits.reserved,
        live: Some((limits, url)),
    })
}
