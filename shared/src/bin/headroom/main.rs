//! `headroom`, the operator's command line: whether a deployment stays within what its database
//! grants, before it is deployed.

mod advise;
mod check;
mod deployment;
mod format;
mod parameters;
mod plan;
mod samconfig;
mod secrets;
mod url;
mod watch;

use std::{env, error::Error, io::Write, process::ExitCode};

use clap::{Parser, Subcommand};

use format::Answer;

const AFTER_HELP: &str = "\
Exit status:
  0  it holds
  1  it does not hold
  2  it cannot be told, or the command line is wrong

Examples:
  headroom check --max-connections 100
  headroom check --rds-class db.t4g.medium --samconfig --config-env prod
  headroom plan --ceiling 90 --traffic traffic.toml
  headroom watch --database-url --record samples.jsonl
  headroom advise --from samples.jsonl";

/// Says whether environments × connection limit stays within what the database grants.
#[derive(Parser)]
#[command(name = "headroom", version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a template against a database, before it is deployed.
    Check(Box<check::Arguments>),
    /// Turn what was measured into advice: raise, keep or lower each limit.
    Advise(Box<advise::Arguments>),
    /// Print what a stage's deployment gives the template's parameters.
    Parameters(parameters::Arguments),
    /// Turn traffic into reserved concurrency and connection limits that fit a ceiling.
    Plan(plan::Arguments),
    /// Watch the sessions of a running database.
    Watch(watch::Arguments),
}

fn main() -> ExitCode {
    // What is not UTF-8 is refused, so that nothing of it is shown differently.
    let words: Vec<String> = env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let parsed = match Arguments::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = secrets::hidden(&error.render().ansi().to_string(), &words);
            // Help and version are no errors. Nothing is left to be done if no one reads it.
            let _ = if error.use_stderr() {
                write!(anstream::stderr(), "{text}")
            } else {
                write!(anstream::stdout(), "{text}")
            };
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let answer = match run(parsed.command) {
        Ok(answer) => answer,
        Err(error) => {
            let mut message = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                // Some errors repeat their cause.
                if !message.contains(&cause_text) {
                    message.push_str(": ");
                    message.push_str(&cause_text);
                }
                source = cause.source();
            }
            let message = secrets::hidden(&message, &words);
            // Nothing is left to be done where even standard error is gone.
            let _ = writeln!(anstream::stderr(), "headroom: {message}");
            return ExitCode::from(2);
        }
    };
    // A reader that has seen enough, such as `head`, does not change the verdict.
    let _ = write!(anstream::stdout(), "{}", answer.text);
    answer.verdict
}

fn run(command: Command) -> Result<Answer, Box<dyn Error>> {
    match command {
        Command::Advise(arguments) => advise::run(&arguments),
        Command::Check(arguments) => check::run(*arguments),
        Command::Parameters(arguments) => parameters::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
    }
}
