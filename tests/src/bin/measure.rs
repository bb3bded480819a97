//! `make measure`: how fast a misbehaving fleet answers, beside an orderly one. Asserts no speed:
//! other machines are faster, other things run on this one; ratios within a run say more.

use std::{
    collections::BTreeMap, num::NonZeroU32, path::PathBuf, process::ExitCode, thread,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use fleet::{
    Binaries, Profile,
    measure::{Case, Measurement, Report, Stage, Summary},
};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// Measures fleets of appointments-upcoming on a database of their own: 100 slots, 90 of them the
/// application's, one session per environment.
///
/// Exit status: 0 when every answer was 200 or a 503 that says why, 1 when one was not, 2 when nothing could be
/// measured.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How often each case is measured, on a new fleet each time.
    #[arg(long, default_value = "5")]
    runs: NonZeroU32,
    /// How long each closed loop takes.
    #[arg(long, default_value = "10")]
    seconds: NonZeroU32,
    /// How the functions are built.
    #[arg(long, value_enum, default_value_t = BuildProfile::Release)]
    profile: BuildProfile,
    /// Measures what `make build ARCH=x86_64` left in this folder, `lambda` in the target directory, and
    /// builds nothing.
    #[arg(long, value_name = "FOLDER", conflicts_with = "profile")]
    bootstraps: Option<PathBuf>,
    /// What comes out on standard output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Where random choices start; drawn, and printed, when not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these cases; all of them otherwise. Without the yardstick there are no ratios.
    #[arg(long = "case", value_enum)]
    cases: Vec<Case>,
    /// A variable for every function, such as DATABASE_LEASE_SHORT_MS=500. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

#[derive(Clone, Copy, ValueEnum)]
enum BuildProfile {
    /// Quick to build.
    Dev,
    /// What is deployed.
    Release,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs: every run's measurements and their summaries.
    Json,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a variable is given as NAME=VALUE".to_owned()),
    }
}

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.format;
    match run(arguments).await.and_then(|report| {
        show(&report, format)?;
        Ok(report.wrong_answers())
    }) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report, Error> {
    // An interrupt must not leave a server behind: the futures end what they started.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        report = measure(arguments) => report,
        _ = interrupt.recv() => Err("interrupted".into()),
        _ = terminate.recv() => Err("ended".into()),
    }
}

async fn measure(arguments: Arguments) -> Result<Report, Error> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    eprintln!("seed {seed}");
    let (binaries, built_as) = match (&arguments.bootstraps, arguments.profile) {
        (Some(folder), _) => (
            Binaries::bootstraps(folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?,
            "for Lambda",
        ),
        (None, profile) => {
            eprintln!("building the functions");
            match profile {
                BuildProfile::Dev => (Binaries::build(Profile::Dev).await?, "dev"),
                BuildProfile::Release => (Binaries::build(Profile::Release).await?, "release"),
            }
        }
    };
    let settings: BTreeMap<String, String> = arguments.settings.into_iter().collect();
    let seconds = u64::from(arguments.seconds.get());
    let time = Duration::from_secs(seconds);
    let cases: Vec<Case> = match arguments.cases.as_slice() {
        [] => Case::value_variants().into(),
        some => some.into(),
    };

    let mut stage = Stage::build(binaries, settings.clone(), time, seed).await?;
    let mut runs = Vec::new();
    for number in 1..=arguments.runs.get() {
        let mut run = Vec::new();
        for case in &cases {
            let seed = seed.wrapping_add(number.into());
            let measurement = stage.measure(*case, seed).await?;
            tell(number, arguments.runs.get(), &measurement);
            run.push(measurement);
        }
        runs.push(run);
    }
    stage.close().await?;
    Ok(Report {
        seed,
        profile: built_as.to_owned(),
        processors: thread::available_parallelism()?.get(),
        seconds,
        settings,
        runs,
    })
}

/// A line for a user who waits.
fn tell(number: u32, runs: u32, measurement: &Measurement) {
    eprintln!(
        "run {number}/{runs}: {}: {:.0}/s, longest {:.2} s, {} environments, {:?}",
        measurement.case.describe().trim_start(),
        measurement.answers_per_second,
        measurement.longest_ms / 1000.0,
        measurement.environments,
        measurement.answers,
    );
}

fn show(report: &Report, format: Format) -> Result<(), Error> {
    match format {
        Format::Table => print!("{report}"),
        Format::Json => {
            #[derive(Serialize)]
            struct Everything<'a> {
                #[serde(flatten)]
                report: &'a Report,
                summaries: Vec<Summary>,
            }
            let summaries = report.summaries();
            let everything = Everything { report, summaries };
            println!("{}", serde_json::to_string_pretty(&everything)?);
        }
    }
    Ok(())
}
