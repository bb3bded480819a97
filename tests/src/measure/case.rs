//! What is measured: one closed loop or burst at a time, each on a fleet that was just started and
//! a database of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use super::load::{self, Question, Tally, UNTYPED};
use crate::database::{self, APPLICATION, ConnectionLog, Database};
use crate::sample::{self, FIRST_DOCTOR, Size};
use crate::{Binaries, Dispatch, Fleet, InvokeError, StartError};
use shared::{clock, config::database_url::DatabaseUrl, database::pool};

/// The function that is measured: its answer is the largest.
const FUNCTION: &str = "appointments-upcoming";

/// All slots of the server.
const SLOTS: u32 = 100;
/// The application's: its role's connection limit.
const CEILING: u32 = 90;

/// Environments of the crowded fleets, which is also the function's reserved concurrency: more
/// than three times what the database has slots for.
const CROWD: usize = 300;
/// Clients of the crowded fleets: more than there are slots, fewer than there are environments.
const CROWD_CLIENTS: usize = 120;
/// Clients and environments of the yardstick: so few that every session is retained.
const RETAINED: usize = 70;

/// How often a fleet is warmed up again before that is given up.
const WARM_UPS: usize = 30;
/// How long the requests of a warm-up are kept from being answered. Shorter than the functions wait
/// for a lock.
const HELD: Duration = Duration::from_millis(1500);
/// How long one warm-up of the yardstick lasts.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a fleet's sessions may take to end with it.
const SETTLING: Duration = Duration::from_secs(30);
/// Between two looks at how many requests have come.
const ARRIVALS: Duration = Duration::from_millis(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

const CLOSING: &str = "  the same, transient sessions closed";
const SINGLE_USE: &str = "  the same, every session closed";

/// One situation of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// 70 clients on 70 environments, all sessions retained; the others are compared with it.
    Yardstick,
    /// 120 clients over 300 environments, the one used last first.
    LastUsedFirst,
    /// As last-used-first, every transient session closed with its answer.
    LastUsedFirstClosing,
    /// As last-used-first, every session closed with its answer.
    LastUsedFirstSingleUse,
    /// 120 clients over 300 environments, any idle one.
    Any,
    /// As any, every transient session closed with its answer.
    AnyClosing,
    /// As any, every session closed with its answer.
    AnySingleUse,
    /// 300 simultaneous requests on 300 new environments.
    Burst,
}

impl Case {
    /// In a few words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Yardstick => "70 clients, 70 environments, all retained",
            Self::LastUsedFirst => "120 clients, 300 environments, last used first",
            Self::LastUsedFirstClosing => CLOSING,
            Self::LastUsedFirstSingleUse => SINGLE_USE,
            Self::Any => "120 clients, 300 environments, any idle one",
            Self::AnyClosing => CLOSING,
            Self::AnySingleUse => SINGLE_USE,
            Self::Burst => "300 at once on 300 new environments",
        }
    }

    fn dispatch(self, seed: u64) -> Dispatch {
        match self {
            Self::Any | Self::AnyClosing | Self::AnySingleUse => Dispatch::Any { seed },
            _ => Dispatch::LastUsedFirst,
        }
    }

    fn closes_transient_sessions(self) -> bool {
        matches!(self, Self::LastUsedFirstClosing | Self::AnyClosing)
    }

    fn closes_every_session(self) -> bool {
        matches!(self, Self::LastUsedFirstSingleUse | Self::AnySingleUse)
    }

    /// The same, every transient session closed with its answer.
    pub fn closing(self) -> Option<Self> {
        match self {
            Self::LastUsedFirst => Some(Self::LastUsedFirstClosing),
            Self::Any => Some(Self::AnyClosing),
            _ => None,
        }
    }

    /// The same, every session closed with its answer.
    pub fn single_use(self) -> Option<Self> {
        match self {
            Self::LastUsedFirst => Some(Self::LastUsedFirstSingleUse),
            Self::Any => Some(Self::AnySingleUse),
            _ => None,
        }
    }
}

/// What came out of one case.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub case: Case,
    /// Answers with status 200, per second of the time given; of a burst, until its last answer.
    pub answers_per_second: f64,
    /// Half of the answers took at most so long, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 answers took at most so long, in milliseconds.
    pub p99_ms: f64,
    /// The slowest answer, in milliseconds.
    pub longest_ms: f64,
    /// How many answers of each kind: a status, for problems with their type.
    pub answers: BTreeMap<String, u64>,
    /// Environments that there were in the end.
    pub environments: usize,
    /// Connections that the server was asked for under the load, refused ones included.
    pub attempts: u64,
    /// Sessions that it granted.
    pub sessions: u64,
    /// The most sessions at once in the fleet's whole life, by the order of the server's log, which may count a session that
    /// ends and one that begins at the same instant twice.
    pub peak: usize,
}

impl Measurement {
    /// Wrong answers: neither 200 nor a 503 of the function's own, which says why.
    pub fn wrong_answers(&self) -> u64 {
        let right = |kind: &str| {
            kind == "200" || kind.strip_prefix("503 ").is_some_and(|why| why != UNTYPED)
        };
        let wrong = self.answers.iter().filter(|(kind, _)| !right(kind));
        wrong.map(|(_, count)| count).sum()
    }

    /// Connections asked for, per session granted. None where there was no session.
    pub fn attempts_per_session(&self) -> Option<f64> {
        (self.sessions > 0).then(|| self.attempts as f64 / self.sessions as f64)
    }
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The database did not start, or what it wrote down cannot be read.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The clinic could not be made.
    #[error("the clinic could not be made: {0}")]
    Clinic(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The administrator was not heard.
    #[error("the database does not answer its administrator: {0}")]
    Administrator(#[from] sqlx::Error),
    /// A fleet did not start.
    #[error(transparent)]
    Fleet(#[from] StartError),
    /// The server's log cannot be read.
    #[error("the server's log cannot be read: {0}")]
    Log(#[from] io::Error),
    /// A fleet did not become what is to be measured.
    #[error("{0}")]
    WarmUp(String),
    /// Sessions outlived their fleet.
    #[error("{0} sessions are still there, long after their fleet ended")]
    Lingering(i64),
}

/// Where cases are measured: a database with a small clinic, and what fleets are made of.
pub struct Stage {
    database: Database,
    admin: PgConnection,
    binaries: Binaries,
    settings: BTreeMap<String, String>,
    path: String,
    time: Duration,
}

impl Stage {
    /// Starts a database and fills it. Each closed loop takes `time`; `settings` are variables for
    /// every function.
    ///
    /// # Errors
    /// [`MeasureError`], when there is no database or no clinic in it.
    pub async fn build(
        binaries: Binaries,
        settings: BTreeMap<String, String>,
        time: Duration,
        seed: u64,
    ) -> Result<Self, MeasureError> {
        let database = Database::builder().max_connections(SLOTS).start().await?;
        let admin = database.admin().await?;
        let stage = Self {
            database,
            admin,
            binaries,
            settings,
            path: format!("/api/doctors/{FIRST_DOCTOR}/appointments/upcoming"),
            time,
        };
        stage.fill(seed).await?;
        Ok(stage)
    }

    /// The schema, the application's role with its limit, and a small clinic.
    async fn fill(&self, seed: u64) -> Result<(), MeasureError> {
        let fleet = self.fleet(Case::Yardstick, seed).await?;
        fleet
            .invoke("migrate", Value::Null)
            .await
            .map_err(|error: InvokeError| MeasureError::Clinic(error.into()))?;
        fleet.shutdown().await;
        let url = DatabaseUrl::parse(&self.database.url())
            .map_err(|error| MeasureError::Clinic(error.into()))?;
        let mut connection = pool::connect_for_maintenance(&url)
            .await
            .map_err(|error| MeasureError::Clinic(error.into()))?;
        let now = clock::now().into();
        sample::generate(&mut connection, Size::Small, seed, now, |_, _| ()).await?;
        connection.close().await?;
        Ok(())
    }

    /// Measures one case on a fleet of its own. The seed decides which of several idle environments
    /// gets a request, where any may.
    ///
    /// # Errors
    /// [`MeasureError`], when it does not come to a measurement. Bad answers are no error here.
    pub async fn measure(&mut self, case: Case, seed: u64) -> Result<Measurement, MeasureError> {
        let life = Bookmark::at_the_end_of(self.database.log_file())?;
        let fleet = self.fleet(case, seed).await?;
        let question = self.question(&fleet);
        match case {
            Case::Yardstick => {
                self.bring_up(&fleet, RETAINED).await?;
                self.retain(&fleet).await?;
            }
            Case::Burst => {}
            _ => self.bring_up(&fleet, CROWD).await?,
        }

        let loaded = Bookmark::at_the_end_of(self.database.log_file())?;
        let (tally, time) = match case {
            Case::Burst => {
                fleet.hold(FUNCTION);
                let burst = load::burst(&question, CROWD);
                let (tally, start) = tokio::join!(burst, let_in_together(&fleet));
                (tally, start.elapsed())
            }
            _ => {
                let clients = match case {
                    Case::Yardstick => RETAINED,
                    _ => CROWD_CLIENTS,
                };
                let tally = load::closed_loop(&question, clients, self.time).await;
                (tally, self.time)
            }
        };
        let loaded = loaded.read()?;

        let environments = fleet.environments(FUNCTION).len();
        fleet.shutdown().await;
        self.settle().await?;
        let peak = ConnectionLog::parse(&life.read()?).peak(APPLICATION);
        let measurement = measurement(case, &tally, time, &loaded);
        Ok(Measurement {
            environments,
            peak,
            ..measurement
        })
    }

    async fn fleet(&self, case: Case, seed: u64) -> Result<Fleet, MeasureError> {
        let application = self.database.application_url();
        let url = format!(
            "{application}?connection_limit=1&pool_timeout=20&single_use_connections={}",
            case.closes_every_session()
        );
        let mut fleet = Fleet::builder()
            .binaries(self.binaries.clone())
            .variable("DATABASE_URL", url)
            .function_variable("migrate", "DATABASE_OWNER_URL", self.database.url())
            .function_variable("migrate", "DATABASE_CEILING", CEILING.to_string())
            .reserved_concurrency(FUNCTION, CROWD as u32)
            .dispatch(case.dispatch(seed));
        for (name, value) in &self.settings {
            fleet = fleet.variable(name, value);
        }
        if case.closes_transient_sessions() {
            fleet = fleet.variable("DATABASE_REUSE_WITHIN_MS", "0");
        }
        Ok(fleet.start().await?)
    }

    fn question(&self, fleet: &Fleet) -> Question {
        Question {
            address: fleet.address(),
            path: self.path.clone(),
            token: fleet.token("staff", "staff"),
        }
    }

    /// Warms up until every session of the yardstick is retained: one that was opened while
    /// another was being counted becomes it some seconds later.
    async fn retain(&mut self, fleet: &Fleet) -> Result<(), MeasureError> {
        let mut transient = 0;
        for _ in 0..WARM_UPS {
            load::closed_loop(&self.question(fleet), RETAINED, WARM_UP).await;
            transient = self.sessions("%/transient/%").await?;
            if transient == 0 {
                return Ok(());
            }
        }
        Err(MeasureError::WarmUp(format!(
            "{transient} of the yardstick's sessions are still not retained"
        )))
    }

    /// Warms up until there are as many environments as wanted, each of which was used. A request
    /// that is answered before the last one arrives would save an environment: the table that all
    /// of them read is locked until they are there.
    async fn bring_up(&mut self, fleet: &Fleet, wanted: usize) -> Result<(), MeasureError> {
        let mut used = 0;
        for _ in 0..WARM_UPS {
            let question = self.question(fleet);
            let mut lock = self.admin.begin().await?;
            sqlx::query("lock table appointments")
                .execute(&mut *lock)
                .await?;
            let release = async {
                sleep(HELD).await;
                lock.rollback().await
            };
            let (_, released) = tokio::join!(load::burst(&question, wanted), release);
            released?;
            let environments = fleet.environments(FUNCTION);
            used = environments.iter().filter(|one| one.served > 0).count();
            if used >= wanted {
                return Ok(());
            }
        }
        Err(MeasureError::WarmUp(format!(
            "only {used} of {wanted} environments came up"
        )))
    }

    /// Waits until the fleet's last session has ended: the next fleet must not inherit its slots.
    async fn settle(&mut self) -> Result<(), MeasureError> {
        let deadline = Instant::now() + SETTLING;
        loop {
            let sessions = self.sessions("%").await?;
            if sessions == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(MeasureError::Lingering(sessions));
            }
            sleep(PAUSE).await;
        }
    }

    /// The application's sessions with such a name, now.
    async fn sessions(&mut self, name: &str) -> Result<i64, MeasureError> {
        let count = "select count(*) from pg_stat_activity \
                     where usename = $1 and application_name like $2";
        Ok(sqlx::query_scalar(count)
            .bind(APPLICATION)
            .bind(name)
            .fetch_one(&mut self.admin)
            .await?)
    }

    /// Ends the database.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn close(self) -> Result<(), MeasureError> {
        Ok(self.database.shutdown().await?)
    }
}

/// Lets a burst in when all of it has come: requests that arrive one after the other meet
/// environments that are free again. When that was.
async fn let_in_together(fleet: &Fleet) -> Instant {
    let deadline = Instant::now() + SETTLING;
    while (fleet.counters(FUNCTION).in_flight as usize) < CROWD && Instant::now() < deadline {
        sleep(ARRIVALS).await;
    }
    fleet.release(FUNCTION);
    Instant::now()
}

/// What the clients and the server's log say.
fn measurement(case: Case, tally: &Tally, time: Duration, log: &str) -> Measurement {
    let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
    // Every connection, also one that was refused before the server knew its role. The
    // administrator's was there before.
    let attempts = log
        .lines()
        .filter(|line| line.contains(" connection received: "));
    let attempts = attempts.count() as u64;
    Measurement {
        case,
        answers_per_second: tally.served_in_time as f64 / time.as_secs_f64(),
        p50_ms: milliseconds(tally.waits.value_at_quantile(0.5)),
        p99_ms: milliseconds(tally.waits.value_at_quantile(0.99)),
        longest_ms: milliseconds(tally.waits.max()),
        answers: tally.answers.clone(),
        environments: 0,
        attempts,
        sessions: ConnectionLog::parse(log).sessions.len() as u64,
        peak: 0,
    }
}

/// A place in a growing file, to read from there later.
struct Bookmark {
    path: PathBuf,
    bytes: u64,
}

impl Bookmark {
    fn at_the_end_of(path: PathBuf) -> io::Result<Self> {
        let bytes = fs::metadata(&path)?.len();
        Ok(Self { path, bytes })
    }

    fn read(&self) -> io::Result<String> {
        let mut file = fs::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.bytes))?;
        let mut written = Vec::new();
        file.read_to_end(&mut written)?;
        Ok(String::from_utf8_lossy(&written).into_owned())
    }
}
