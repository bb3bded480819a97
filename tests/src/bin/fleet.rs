//! `make run`: the whole clinic on this machine, from the functions' source to a banner with lines
//! to paste. Everything ends with Ctrl-C or SIGTERM.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use chrono::DateTime;
use clap::{Parser, Subcommand, ValueEnum};
use fleet::{
    Binaries, Fleet, Profile, Source,
    database::Database,
    issuer::{self, NoSubject},
    sample::{self, FIRST_DOCTOR, Size, Summary},
};
use serde_json::Value;
use shared::{clock, config::database_url::DatabaseUrl, database::pool};
use sqlx::PgConnection;
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

/// Where the API listens unless told otherwise; the Makefile's PORT too.
const DEFAULT_PORT: u16 = 3000;

/// How long an environment may be idle before it is reaped. Lambda keeps them for some minutes.
const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Sessions that the local cluster grants the functions: its 100, less the superuser's, and some
/// for a developer who looks in.
const CEILING: &str = "90";

/// Every clinic on every machine is the same, so that one can talk about what one sees.
const SEED: u64 = 1;

/// Runs the functions of template.yaml as Lambda does, behind an HTTP API on 127.0.0.1.
///
/// Without DATABASE_URL a PostgreSQL cluster under the target directory is used; it keeps its data
/// from one run to the next.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the API listens on 127.0.0.1.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The clinic that an empty database is filled with.
    #[arg(long, value_enum, default_value_t = Sample::Small)]
    sample: Sample,
    /// How the functions are built.
    #[arg(long, value_enum, default_value_t = BuildProfile::Dev)]
    profile: BuildProfile,
    /// A PostgreSQL to use, with Prisma's parameters. The migrations are applied to it, and the
    /// sample clinic where it has no doctors.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Asks the fleet that runs for a token, and prints it.
    Token {
        /// Where the fleet listens on 127.0.0.1.
        #[arg(long, default_value_t = DEFAULT_PORT)]
        port: u16,
        /// doctor, patient or staff.
        #[arg(long)]
        role: String,
        /// The row of the doctor or the patient; its subject is the token's. None for staff.
        #[arg(long, default_value = "")]
        id: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Sample {
    /// 12 doctors, 6 000 appointments: seconds.
    Small,
    /// 120 doctors, 400 000 appointments.
    Medium,
    /// Nothing but the tables.
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum BuildProfile {
    /// Quick to build.
    Dev,
    /// What is deployed.
    Release,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error}");
            ExitCode::FAILURE
        }
    }
}

type Error = Box<dyn std::error::Error>;

async fn run(arguments: Arguments) -> Result<(), Error> {
    if let Some(Command::Token { port, role, id }) = &arguments.command {
        println!("{}", issuer::ask(*port, role, id).await?);
        return Ok(());
    }
    // Listened for from the start: an interrupted build must not leave a server behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut started = Started::default();
    let work = serve(&arguments, &mut started);
    let result = tokio::select! {
        result = work => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    if let Some(fleet) = started.fleet {
        eprintln!("ending the environments");
        fleet.shutdown().await;
    }
    if let Some(database) = started.database {
        eprintln!("stopping the database");
        database.shutdown().await?;
    }
    result
}

/// What runs, and has to end in order.
#[derive(Default)]
struct Started {
    database: Option<Database>,
    fleet: Option<Fleet>,
}

/// Builds and starts everything, says so, and then waits to be dropped.
async fn serve(arguments: &Arguments, started: &mut Started) -> Result<(), Error> {
    let Started { database, fleet } = started;
    eprintln!("building the functions");
    let profile = match arguments.profile {
        BuildProfile::Dev => Profile::Dev,
        BuildProfile::Release => Profile::Release,
    };
    let binaries = Binaries::build(profile).await?;

    let (owner, application) = match &arguments.database_url {
        Some(url) => (url.clone(), url.clone()),
        None => {
            eprintln!("starting PostgreSQL");
            let started = database.insert(Database::builder().kept("clinic").start().await?);
            eprintln!("its data is in {}", started.data_folder().display());
            // The owner of a cluster that was made before there were roles lacks this.
            sqlx::raw_sql("alter role clinic createrole")
                .execute(&mut started.admin().await?)
                .await?;
            (started.url(), started.application_url())
        }
    };

    let builder = Fleet::builder()
        .binaries(binaries)
        .variable("DATABASE_URL", application)
        // There is no CloudWatch here to read them, and they would bury the log.
        .variable("METRICS", "off")
        .function_variable("migrate", "DATABASE_OWNER_URL", &owner)
        .function_variable("migrate", "DATABASE_CEILING", CEILING)
        .idle_limit(IDLE_LIMIT)
        // Pages under development come from a server of their own on this machine.
        .parameter("CorsOrigin", "http://*")
        .subject_of({
            let owner = owner.clone();
            move |role, id| subject(owner.clone(), role, id)
        })
        .port(arguments.port)
        .on_log(|line| {
            // What the environments print is the developer's to see; the platform's own lines
            // only where something failed.
            if line.source != Source::Platform {
                eprintln!("{}: {}", line.function, line.text);
            }
        });
    let fleet = fleet.insert(builder.start().await?);

    eprintln!("applying the migrations");
    fleet
        .invoke("migrate", Value::Null)
        .await
        .map_err(|error| format!("the migrations failed, the line above says why: {error}"))?;
    let doctor = fill(arguments.sample, &owner).await?;
    banner(fleet, doctor)?;
    std::future::pending().await
}

/// A doctor to look at.
#[derive(sqlx::FromRow)]
struct Shown {
    id: Uuid,
    /// Whether there can be a token of theirs.
    has_subject: bool,
}

/// Fills an empty clinic, as the role of `url`. Answers with a doctor to look at: the sample's first
/// one, or any of a clinic that was there before.
async fn fill(sample: Sample, url: &str) -> Result<Option<Shown>, Error> {
    let url = DatabaseUrl::parse(url)?;
    let mut connection = pool::connect_for_maintenance(&url).await?;
    match sample {
        Sample::Small => generate(&mut connection, Size::Small).await?,
        Sample::Medium => generate(&mut connection, Size::Medium).await?,
        Sample::None => {}
    }
    let doctor = "select id, subject is not null as has_subject from doctors where active \
                  order by id <> $1::text::uuid, subject is null, id limit 1";
    let doctor = sqlx::query_as(doctor).bind(FIRST_DOCTOR.to_string());
    Ok(doctor.fetch_optional(&mut connection).await?)
}

/// The subject of a doctor or a patient. On a connection of its own: a person asks now and then.
async fn subject(url: String, role: &'static str, id: Uuid) -> Result<String, NoSubject> {
    let subjects = match role {
        "doctor" => "select subject from doctors where id = $1",
        _ => "select subject from patients where id = $1",
    };
    let unreadable = |error: Error| NoSubject::Unreadable(error.to_string());
    let url = DatabaseUrl::parse(&url).map_err(|error| unreadable(error.into()))?;
    let mut connection = pool::connect_for_maintenance(&url)
        .await
        .map_err(|error| unreadable(error.into()))?;
    let row: Option<Option<String>> = sqlx::query_scalar(subjects)
        .bind(id)
        .fetch_optional(&mut connection)
        .await
        .map_err(|error| unreadable(error.into()))?;
    row.ok_or(NoSubject::NoRow { role, id })?
        .ok_or(NoSubject::NoSubject { role, id })
}

async fn generate(connection: &mut PgConnection, size: Size) -> Result<(), Error> {
    eprintln!("filling the clinic");
    let now = DateTime::from(clock::now());
    let progress = sample::on_stderr("appointments");
    match sample::generate(connection, size, SEED, now, progress).await? {
        Summary::Already => eprintln!("the database has doctors already and is left as it is"),
        Summary::Generated {
            doctors,
            patients,
            appointments,
        } => eprintln!("{doctors} doctors, {patients} patients, {appointments} appointments"),
    }
    Ok(())
}

/// What to do now. Printed when requests are answered, and not before.
fn banner(fleet: &Fleet, doctor: Option<Shown>) -> io::Result<()> {
    let url = fleet.url();
    let port = match fleet.address().port() {
        DEFAULT_PORT => String::new(),
        port => format!(" PORT={port}"),
    };
    let curl = r#"curl -H "Authorization: Bearer $TOKEN""#;
    let mut out = io::stdout().lock();
    writeln!(out, "\nHeadroom answers. Paste:\n")?;
    writeln!(out, "  TOKEN=$(make -s token ROLE=staff{port})")?;
    writeln!(out, "  {curl} '{url}/api/doctors?limit=5'")?;
    if let Some(Shown { id, has_subject }) = doctor {
        let appointments = format!("{url}/api/doctors/{id}/appointments");
        writeln!(out, "  {curl} '{appointments}/today'")?;
        writeln!(out, "  {curl} '{appointments}/upcoming?limit=3'")?;
        if has_subject {
            writeln!(out, "\nThe same as that doctor:\n")?;
            writeln!(out, "  TOKEN=$(make -s token ROLE=doctor ID={id}{port})")?;
            writeln!(out, "  {curl} '{appointments}/today'")?;
        }
    }
    writeln!(out)?;
    writeln!(
        out,
        "Every route, to read and to try:\n\n  {}\n",
        fleet.docs()
    )?;
    writeln!(out, "Routes:\n")?;
    for route in fleet.routes() {
        writeln!(out, "  {route}")?;
    }
    writeln!(out, "\nCtrl-C ends everything.")?;
    writeln!(out, "ready {url}")?;
    out.flush()
}
