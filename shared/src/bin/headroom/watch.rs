//! `headroom watch`: the sessions of a running database, live, once, or into a recording.

mod render;
mod screen;

use std::{
    error::Error,
    fs::{File, OpenOptions},
    future::pending,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use shared::{
    config::database_url::DatabaseUrl,
    database::server::activity::{self, Sample},
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

Exit status: 0 it looked, 2 no look succeeded or none could be kept, or the command line is wrong.

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
        Some(path) => Some(Recording::open(path)?),
        None => None,
    };
    let text = if arguments.once {
        let sample = runtime.block_on(look(&url, arguments))?;
        record(&mut recording, &sample)?;
        render::render(&sample, arguments.format)?
    } else {
        runtime.block_on(keep_looking(&url, arguments, recording))?;
        String::new()
    };
    Ok(Answer {
        text,
        verdict: ExitCode::SUCCESS,
    })
}

/// Where looks are kept, a line of JSON each.
struct Recording<'a> {
    path: &'a Path,
    file: File,
}

impl<'a> Recording<'a> {
    fn open(path: &'a Path) -> Result<Self, String> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|error| format!("--record {}: {error}", path.display()))?;
        Ok(Self { path, file })
    }
}

/// An operator who records for days must hear that nothing is kept, and not find it out afterwards.
fn record(recording: &mut Option<Recording<'_>>, sample: &Sample) -> Result<(), Box<dyn Error>> {
    if let Some(Recording { path, file }) = recording {
        let line = serde_json::to_string(sample)? + "\n";
        file.write_all(line.as_bytes())
            .map_err(|error| format!("--record {}: {error}", path.display()))?;
    }
    Ok(())
}

/// Where the looks go.
enum Output {
    Screen(Box<Screen>),
    Lines,
    /// The recording is enough.
    Quiet,
}

impl Output {
    fn show(&mut self, text: &str) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.draw(text),
            Self::Lines => write!(anstream::stdout(), "{text}"),
            Self::Quiet => Ok(()),
        }
    }

    /// A look failed, and others follow.
    fn complain(&mut self, error: &str) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.draw(&format!("{error}\n")),
            Self::Lines | Self::Quiet => writeln!(anstream::stderr(), "headroom: {error}"),
        }
    }

    /// Waits until the operator at the keyboard wants it to end.
    async fn quit(&mut self) -> io::Result<()> {
        match self {
            Self::Screen(screen) => screen.quit().await,
            Self::Lines | Self::Quiet => pending().await,
        }
    }
}

/// Looks until it is ended, by a signal, a key or its count.
///
/// # Errors
/// Where no look succeeded, or one could not be kept.
async fn keep_looking(
    url: &DatabaseUrl,
    arguments: &Arguments,
    mut recording: Option<Recording<'_>>,
) -> Result<(), Box<dyn Error>> {
    let live = io::stdout().is_terminal() && io::stdin().is_terminal();
    let mut output = match &recording {
        _ if live => Output::Screen(Box::new(Screen::open()?)),
        Some(_) => Output::Quiet,
        None => Output::Lines,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    if live {
        output.show(&format!("looking at {}:{} …\n", url.host, url.port))?;
    }
    let mut looks = 0;
    let mut nothing_seen = Some("it was ended before the first look was over".to_owned());
    loop {
        let next = Instant::now() + Duration::from_secs(arguments.interval);
        // A look at a server that does not answer takes a while, and the operator should not have to wait.
        let sample = select! {
            sample = look(url, arguments) => sample,
            ended = output.quit() => { ended?; break }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        match sample {
            Ok(sample) => {
                nothing_seen = None;
                record(&mut recording, &sample)?;
                output.show(&render::render(&sample, arguments.format)?)?;
            }
            // An operator who watches wants to see it end; one who records wants no gap to end it.
            Err(error) if looks == 0 && matches!(output, Output::Lines) => return Err(error.into()),
            Err(error) => {
                output.complain(&error)?;
                nothing_seen = nothing_seen.map(|_| error);
            }
        }
        looks += 1;
        if arguments.count.is_some_and(|count| looks >= count) {
            break;
        }
        select! {
            () = sleep_until(next) => {}
            ended = output.quit() => { ended?; break }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    match nothing_seen {
        None => Ok(()),
        Some(why) => Err(format!("no look succeeded: {why}").into()),
    }
}

async fn look(url: &DatabaseUrl, arguments: &Arguments) -> Result<Sample, String> {
    let sample = activity::look_once(url, arguments.role.as_deref()).await;
    sample.map_err(|error| {
        error
            .explanation()
            .replace("DATABASE_APPLICATION_ROLE is not set; ", "give --role; ")
    })
}
