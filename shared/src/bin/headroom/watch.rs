//! `headroom watch`: the sessions of a running database, live, once, or into a recording.

mod render;
mod screen;

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use shared::{
    database_url::DatabaseUrl,
    sessions::{self, Sample},
};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{
    format::{Answer, Format},
    url,
};
use screen::Screen;

const AFTER_HELP: &str = "\
The URL is best the monitor's (DATABASE_MONITOR_URL of the migrations), whose slots are not the
application's, and straight to the server. Each look is one connection, closed at its end.

On a terminal: q, Esc or Ctrl-C ends it. Without one, each look is printed, and with --record it
is quiet: that can run for days.

Exit status: 0 it looked, 2 it could not, or the command line is wrong.

Examples:
  DATABASE_URL=postgresql://monitor:…@host/clinic headroom watch --database-url
  headroom watch --database-url --once --format json
  headroom watch --database-url --interval 60 --record samples.jsonl";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The server; without a URL, the one in the variable DATABASE_URL, which keeps the password out
    /// of the list of processes.
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = "", required = true)]
    database_url: String,
    /// Whose sessions count; the one role with a connection limit otherwise.
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Look once, and end.
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Look so often, and end.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Append each look to this file, as a line of JSON.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What a look is printed as; json is one line.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Answer, Box<dyn Error>> {
    let runtime = url::runtime()?;
    let url = url::read(&arguments.database_url, &runtime)?;
    let mut recording = match &arguments.record {
        Some(path) => Some(open(path)?),
        None => None,
    };
    let text = if arguments.once {
        let sample = runtime.block_on(look(&url, arguments, &mut recording))?;
        render::render(&sample, arguments.format)?
    } else {
        runtime.block_on(keep_looking(&url, arguments, &mut recording))?;
        String::new()
    };
    Ok(Answer {
        text,
        verdict: ExitCode::SUCCESS,
    })
}

fn open(path: &PathBuf) -> Result<File, String> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|error| format!("--record {}: {error}", path.display()))
}

/// Where the looks go.
enum Output {
    Screen(Box<Screen>),
    Lines,
    /// The recording is enough.
    Quiet,
}

async fn keep_looking(
    url: &DatabaseUrl,
    arguments: &Arguments,
    recording: &mut Option<File>,
) -> Result<(), Box<dyn Error>> {
    let live = io::stdout().is_terminal() && io::stdin().is_terminal();
    let mut output = match &recording {
        _ if live => Output::Screen(Box::new(Screen::open()?)),
        Some(_) => Output::Quiet,
        None => Output::Lines,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut looks = 0;
    loop {
        let next = Instant::now() + Duration::from_secs(arguments.interval);
        let round = async {
            let sample = look(url, arguments, recording).await;
            match &sample {
                Ok(_) => {}
                // Whoever watches wants to see it end; whoever records wants no gap to end it.
                Err(error) if looks > 0 || !matches!(output, Output::Lines) => {
                    if !live {
                        eprintln!("headroom: {error}");
                    }
                }
                Err(error) => return Err(Box::<dyn Error>::from(error.clone())),
            }
            show(&sample, arguments, &mut output)?;
            looks += 1;
            if arguments.count.is_some_and(|count| looks >= count) {
                return Ok(true);
            }
            match &mut output {
                Output::Screen(screen) => select! {
                    () = sleep_until(next) => Ok(false),
                    ended = screen.quit() => Ok(ended?),
                },
                Output::Lines | Output::Quiet => {
                    sleep_until(next).await;
                    Ok(false)
                }
            }
        };
        let ended = select! {
            ended = round => ended?,
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
        };
        if ended {
            return Ok(());
        }
    }
}

/// One look, recorded where that is asked for.
async fn look(
    url: &DatabaseUrl,
    arguments: &Arguments,
    recording: &mut Option<File>,
) -> Result<Sample, String> {
    let sample = sessions::look_once(url, arguments.role.as_deref()).await;
    let sample = sample.map_err(|error| {
        error
            .explanation()
            .replace("DATABASE_APPLICATION_ROLE is not set; ", "give --role; ")
    })?;
    if let (Some(file), Some(path)) = (recording, &arguments.record) {
        let line = serde_json::to_string(&sample).map_err(|error| error.to_string())? + "\n";
        file.write_all(line.as_bytes())
            .map_err(|error| format!("--record {}: {error}", path.display()))?;
    }
    Ok(sample)
}

fn show(
    sample: &Result<Sample, String>,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Box<dyn Error>> {
    let text = match sample {
        Ok(sample) => render::render(sample, arguments.format)?,
        Err(error) => format!("{error}\n"),
    };
    match output {
        Output::Screen(screen) => screen.draw(&text)?,
        Output::Lines if sample.is_ok() => write!(anstream::stdout(), "{text}")?,
        Output::Lines | Output::Quiet => {}
    }
    Ok(())
}
