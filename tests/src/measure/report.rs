//! Many runs in few numbers, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use clap::ValueEnum;
use serde::Serialize;

use super::case::{Case, Measurement};

/// Where several runs lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The one in the middle; of an even number, the lower of the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// None of nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = values[(values.len() - 1) / 2];
        Some(Self { median, min, max })
    }
}

/// One case over all runs.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was measured.
    pub case: Case,
    /// Answers with status 200, per second.
    pub answers_per_second: Spread,
    /// Answers per second over those of the same run's yardstick; absent where there is none.
    pub ratio: Option<Spread>,
    /// The same over those of the same run's case in which transient sessions are closed with each answer;
    /// absent where there is none.
    pub of_closing: Option<Spread>,
    /// The same over those of the same run's case in which every session is closed with its answer;
    /// absent where there is none.
    pub of_single_use: Option<Spread>,
    /// Half of the answers took at most so long, in milliseconds.
    pub p50_ms: Spread,
    /// 99 of 100 answers took at most so long, in milliseconds.
    pub p99_ms: Spread,
    /// The slowest answer, in milliseconds.
    pub longest_ms: Spread,
    /// How many answers of each kind, all runs together.
    pub answers: BTreeMap<String, u64>,
    /// The fewest environments that a run had.
    pub environments: usize,
    /// Connections asked for, per session granted.
    pub attempts_per_session: Option<Spread>,
    /// The most sessions at once; see [`Measurement::peak`].
    pub peak: usize,
}

/// What was measured, and how.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What decides which idle environment gets a request: run n starts from the seed + n.
    pub seed: u64,
    /// How the functions were built.
    pub profile: String,
    /// Processors that fleet, clients and database share.
    pub processors: usize,
    /// Length of each closed loop.
    pub seconds: u64,
    /// Variables that were set for every function.
    pub settings: BTreeMap<String, String>,
    /// Every run's measurements, in their order.
    pub runs: Vec<Vec<Measurement>>,
}

impl Report {
    /// Each case over all runs, in the order in which [`Case`] lists them.
    pub fn summaries(&self) -> Vec<Summary> {
        let cases = Case::value_variants().iter();
        cases.filter_map(|case| self.summary(*case)).collect()
    }

    /// Wrong answers: neither 200 nor a 503 that says why.
    pub fn wrong_answers(&self) -> u64 {
        let all = self.runs.iter().flatten();
        all.map(Measurement::wrong_answers).sum()
    }

    fn summary(&self, case: Case) -> Option<Summary> {
        let of = |run: &'_ Vec<Measurement>, case| run.iter().find(|one| one.case == case).cloned();
        let all: Vec<Measurement> = self.runs.iter().filter_map(|run| of(run, case)).collect();
        let spread = |field: fn(&Measurement) -> f64| Spread::of(all.iter().map(field));
        let ratio = |other: Case| {
            let ratios = self.runs.iter().filter_map(|run| {
                let other = of(run, other)?.answers_per_second;
                Some(of(run, case)?.answers_per_second / other)
            });
            Spread::of(ratios)
        };
        let mut answers = BTreeMap::new();
        for (kind, count) in all.iter().flat_map(|one| &one.answers) {
            *answers.entry(kind.clone()).or_default() += count;
        }
        Some(Summary {
            case,
            answers_per_second: spread(|one| one.answers_per_second)?,
            // A burst has no rate to compare: what counts is when its last answer comes.
            ratio: ratio(Case::Yardstick).filter(|_| case != Case::Burst),
            of_closing: case.closing().and_then(ratio),
            of_single_use: case.single_use().and_then(ratio),
            p50_ms: spread(|one| one.p50_ms)?,
            p99_ms: spread(|one| one.p99_ms)?,
            longest_ms: spread(|one| one.longest_ms)?,
            answers,
            environments: all.iter().map(|one| one.environments).min()?,
            attempts_per_session: Spread::of(
                all.iter().filter_map(Measurement::attempts_per_session),
            ),
            peak: all.iter().map(|one| one.peak).max()?,
        })
    }
}

/// A table for a terminal.
impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs of {} s a loop, functions built as {}, seed {}; {} processors, which functions, database and clients share",
            self.runs.len(),
            self.seconds,
            self.profile,
            self.seed,
            self.processors
        )?;
        for (name, value) in &self.settings {
            writeln!(f, "{name}={value}")?;
        }
        writeln!(
            f,
            "\n{:<48} {:>19} {:>16} {:>16} {:>16} {:>6} {:>6} {:>7} {:>8} {:>5} {:>5}  answers",
            "",
            "answers/s",
            "of yardstick",
            "of closing",
            "of single use",
            "p50",
            "p99",
            "longest",
            "attempts",
            "envs",
            "peak"
        )?;
        for summary in self.summaries() {
            summary.row(f)?;
        }
        writeln!(
            f,
            "\nanswers/s and their shares of the same run's yardstick, of closing transient sessions and of closing every session: median (least-most); waits in seconds: medians, and the longest of all; \
             attempts: connections asked for per session granted; envs: fewest environments of a run; peak: most sessions by the order of the server's log, in which an end and a beginning at the same instant may cross"
        )?;
        let wrong = self.wrong_answers();
        if wrong > 0 {
            writeln!(
                f,
                "\n!!! {wrong} ANSWERS ARE NEITHER 200 NOR A 503 THAT SAYS WHY !!!"
            )?;
        }
        Ok(())
    }
}

impl Summary {
    fn row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_bounds = |spread: Spread, digits: usize| {
            let Spread { median, min, max } = spread;
            format!("{median:.digits$} ({min:.digits$}-{max:.digits$})")
        };
        let seconds = |milliseconds: f64| format!("{:.2}", milliseconds / 1000.0);
        let share =
            |share: Option<Spread>| share.map_or("-".to_owned(), |share| with_bounds(share, 2));
        let answers: Vec<String> = self
            .answers
            .iter()
            .map(|(kind, count)| format!("{count} x {kind}"))
            .collect();
        writeln!(
            f,
            "{:<48} {:>19} {:>16} {:>16} {:>16} {:>6} {:>6} {:>7} {:>8} {:>5} {:>5}  {}",
            self.case.describe(),
            with_bounds(self.answers_per_second, 0),
            share(self.ratio),
            share(self.of_closing),
            share(self.of_single_use),
            seconds(self.p50_ms.median),
            seconds(self.p99_ms.median),
            seconds(self.longest_ms.max),
            self.attempts_per_session
                .map_or("-".to_owned(), |attempts| format!("{:.2}", attempts.median)),
            self.environments,
            self.peak,
            answers.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(case: Case, answers_per_second: f64, kind: &str) -> Measurement {
        Measurement {
            case,
            answers_per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            longest_ms: answers_per_second,
            answers: BTreeMap::from([(kind.to_owned(), 10)]),
            environments: 300,
            attempts: 6,
            sessions: 2,
            peak: 90,
        }
    }

    fn report(runs: Vec<Vec<Measurement>>) -> Report {
        Report {
            seed: 1,
            profile: "dev".to_owned(),
            processors: 2,
            seconds: 1,
            settings: BTreeMap::new(),
            runs,
        }
    }

    #[test]
    fn a_ratio_is_one_of_the_same_run() {
        let run = |yardstick, crowded| {
            vec![
                measurement(Case::Yardstick, yardstick, "200"),
                measurement(Case::Any, crowded, "200"),
                measurement(Case::AnyClosing, yardstick / 4.0, "200"),
                measurement(Case::AnySingleUse, yardstick / 5.0, "200"),
            ]
        };
        // The machine was twice as fast in the second run.
        let report = report(vec![run(100.0, 50.0), run(200.0, 100.0), run(100.0, 20.0)]);
        let any = report.summary(Case::Any).unwrap();
        let ratio = Spread {
            median: 0.5,
            min: 0.2,
            max: 0.5,
        };
        assert_eq!(any.ratio, Some(ratio));
        let of_closing = Spread {
            median: 2.0,
            min: 0.8,
            max: 2.0,
        };
        assert_eq!(any.of_closing, Some(of_closing));
        let of_single_use = Spread {
            median: 2.5,
            min: 1.0,
            max: 2.5,
        };
        assert_eq!(any.of_single_use, Some(of_single_use));
        assert_eq!(any.answers_per_second.median, 50.0);
        assert_eq!(any.answers["200"], 30);
        assert_eq!(any.attempts_per_session.unwrap().median, 3.0);
        assert_eq!(report.summaries().len(), 4);
    }

    #[test]
    fn without_a_yardstick_there_is_no_ratio() {
        let report = report(vec![vec![measurement(Case::Any, 1.0, "200")]]);
        let summary = report.summary(Case::Any).unwrap();
        let shares = (summary.ratio, summary.of_closing, summary.of_single_use);
        assert_eq!(shares, (None, None, None));
    }

    #[test]
    fn wrong_answers_stand_out() {
        let quiet = ["200", "503 database-busy"];
        let loud = [
            "500 unexpected",
            "503 untyped",
            "504 query-timeout",
            "no answer",
        ];
        let shouts = |kind| {
            let report = report(vec![vec![measurement(Case::Any, 1.0, kind)]]);
            report.to_string().contains("!!! 10 ANSWERS")
        };
        assert!(!quiet.into_iter().any(shouts));
        assert!(loud.into_iter().all(shouts));
    }

    #[test]
    fn the_middle_of_an_even_number_was_measured() {
        let spread = Spread::of([3.0, 1.0, 2.0, 4.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 4.0));
        assert_eq!(Spread::of([]), None);
    }
}
