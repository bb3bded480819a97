//! From traffic to limits: how many environments each function needs, and whether they fit.
//!
//! Little's law: on average, as many invocations are in flight as arrive per second × seconds that
//! each takes. Arrivals come in clumps, so that average is multiplied by a safety factor before it
//! is rounded up: with a factor of 2, an average of 4 in flight gets 8 environments.

use std::{collections::BTreeMap, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::database::pool::limit::connection_limit;

/// By how much more than the average in flight is planned for, unless the caller says.
pub const SAFETY: f64 = 2.0;

/// What one function has to do.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Requests a second on an ordinary busy day.
    pub requests_per_second: f64,
    /// Requests a second in the worst minute, where that is more.
    #[serde(default)]
    pub burst_per_second: Option<f64>,
    /// How long an invocation takes on average, in milliseconds.
    pub mean_duration_ms: f64,
    /// Of that, how long it holds its session, in milliseconds. Counts behind a pooler alone.
    #[serde(default)]
    pub mean_query_ms: Option<f64>,
    /// Invocations that one environment serves at once: 1, or more on Managed Instances.
    #[serde(default = "one")]
    pub concurrency: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

/// A file of traffic: functions by logical id.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forecast {
    /// What each function has to do.
    pub functions: BTreeMap<String, Traffic>,
}

/// What one function gets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Its logical id.
    pub function: String,
    /// Invocations in flight on average in the worst minute.
    pub in_flight: f64,
    /// Environments that serve them.
    pub environments: u32,
    /// Invocations that one of them serves at once.
    pub concurrency: NonZeroU32,
    /// Sessions that one of them may open.
    pub connection_limit: NonZeroU32,
    /// Sessions of all of them.
    pub connections: u32,
}

/// Functions that need fewer sessions as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Merger {
    /// Which ones.
    pub functions: Vec<String>,
    /// Sessions of each for itself, summed up.
    pub apart: u32,
    /// Sessions of the one.
    pub together: u32,
    /// Sessions that are still too many with it; 0 where it suffices.
    pub still_missing: u64,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The most sessions that there may be.
    pub ceiling: u32,
    /// The factor above the average.
    pub safety: f64,
    /// What each function gets.
    pub functions: Vec<Share>,
    /// The sum.
    pub budget: u32,
    /// Ceiling less budget; negative where it does not fit.
    pub headroom: i64,
    /// What merging would save, where it does not fit.
    pub merger: Option<Merger>,
    /// Sessions at the server behind a transaction pooler, where it does not fit: only queries hold
    /// one there. None where a function does not say how long its queries take.
    pub behind_pooler: Option<u32>,
}

impl Plan {
    /// Whether it fits.
    pub fn fits(&self) -> bool {
        self.headroom >= 0
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to plan for.
    #[error(
        "the forecast has no functions; write [functions.NAME] with requests_per_second and mean_duration_ms"
    )]
    Nothing,
    /// A number that means nothing.
    #[error("{function}: {name} must be a number from 0 to {most}")]
    Number {
        /// The function.
        function: String,
        /// The number's key.
        name: &'static str,
        /// The largest accepted.
        most: u32,
    },
    /// A safety factor that means nothing.
    #[error("a factor must be a number from 1 to 100")]
    Safety,
}

/// The most of anything that a forecast may name: far beyond what Lambda runs.
const MOST: u32 = 1_000_000;
/// Lambda's longest function time-out.
const LONGEST_MS: u32 = 900_000;

/// Plans.
///
/// # Errors
/// Where a number of the forecast cannot mean anything.
pub fn plan(forecast: &Forecast, ceiling: u32, safety: f64) -> Result<Plan, PlanError> {
    if !(1.0..=100.0).contains(&safety) {
        return Err(PlanError::Safety);
    }
    if forecast.functions.is_empty() {
        return Err(PlanError::Nothing);
    }
    for (function, traffic) in &forecast.functions {
        verify(function, traffic)?;
    }
    let functions: Vec<Share> = forecast
        .functions
        .iter()
        .map(|(function, traffic)| {
            share(
                function.clone(),
                traffic.in_flight(),
                traffic.concurrency,
                safety,
            )
        })
        .collect();
    let budget = functions
        .iter()
        .map(|share| share.connections)
        .fold(0, u32::saturating_add);
    let headroom = i64::from(ceiling) - i64::from(budget);
    let over = headroom < 0;
    Ok(Plan {
        ceiling,
        safety,
        merger: over
            .then(|| merger(&functions, headroom.unsigned_abs(), safety))
            .flatten(),
        behind_pooler: over.then(|| behind_pooler(forecast, safety)).flatten(),
        functions,
        budget,
        headroom,
    })
}

impl Traffic {
    fn rate(&self) -> f64 {
        self.requests_per_second
            .max(self.burst_per_second.unwrap_or(0.0))
    }

    fn in_flight(&self) -> f64 {
        self.rate() * self.mean_duration_ms / 1000.0
    }
}

fn verify(function: &str, traffic: &Traffic) -> Result<(), PlanError> {
    let numbers = [
        (
            "requests_per_second",
            Some(traffic.requests_per_second),
            MOST,
        ),
        ("burst_per_second", traffic.burst_per_second, MOST),
        (
            "mean_duration_ms",
            Some(traffic.mean_duration_ms),
            LONGEST_MS,
        ),
        ("mean_query_ms", traffic.mean_query_ms, LONGEST_MS),
    ];
    for (name, number, most) in numbers {
        if number.is_some_and(|number| !(0.0..=f64::from(most)).contains(&number)) {
            return Err(PlanError::Number {
                function: function.to_owned(),
                name,
                most,
            });
        }
    }
    Ok(())
}

fn share(function: String, in_flight: f64, concurrency: NonZeroU32, safety: f64) -> Share {
    // The cast saturates. A function without traffic still needs one environment to answer at all.
    let invocations = (in_flight * safety).ceil() as u32;
    let environments = invocations.div_ceil(concurrency.get()).max(1);
    let connection_limit = connection_limit(None, None, concurrency).effective;
    Share {
        function,
        in_flight,
        environments,
        concurrency,
        connection_limit,
        connections: environments.saturating_mul(connection_limit.get()),
    }
}

/// The fewest functions, the quietest first, that as one would save what is missing; all of them
/// where even that is not enough. None where nothing would be saved.
fn merger(shares: &[Share], missing: u64, safety: f64) -> Option<Merger> {
    let mut quiet: Vec<&Share> = shares
        .iter()
        .filter(|share| share.concurrency == NonZeroU32::MIN)
        .collect();
    quiet.sort_by(|one, other| one.in_flight.total_cmp(&other.in_flight));
    let mut best = None;
    for count in 2..=quiet.len() {
        let merged = &quiet[..count];
        let apart = merged
            .iter()
            .map(|share| share.connections)
            .fold(0, u32::saturating_add);
        let in_flight = merged.iter().map(|share| share.in_flight).sum();
        let together = share(String::new(), in_flight, NonZeroU32::MIN, safety).connections;
        let saved = apart.saturating_sub(together);
        let better = match &best {
            None => saved > 0,
            Some(Merger {
                apart, together, ..
            }) => saved > apart - together,
        };
        if better {
            best = Some(Merger {
                functions: merged.iter().map(|share| share.function.clone()).collect(),
                apart,
                together,
                still_missing: missing.saturating_sub(saved.into()),
            });
        }
        if u64::from(saved) >= missing {
            break;
        }
    }
    best
}

/// Sessions that are in use at once where a session is lent for a query alone.
fn behind_pooler(forecast: &Forecast, safety: f64) -> Option<u32> {
    let in_use = forecast
        .functions
        .values()
        .map(|traffic| Some(traffic.rate() * traffic.mean_query_ms? / 1000.0))
        .sum::<Option<f64>>()?;
    Some(((in_use * safety).ceil() as u32).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn traffic(requests_per_second: f64, mean_duration_ms: f64) -> Traffic {
        Traffic {
            requests_per_second,
            burst_per_second: None,
            mean_duration_ms,
            mean_query_ms: Some(mean_duration_ms / 10.0),
            concurrency: NonZeroU32::MIN,
        }
    }

    fn forecast(all: &[(&str, Traffic)]) -> Forecast {
        Forecast {
            functions: all
                .iter()
                .map(|(name, traffic)| ((*name).to_owned(), *traffic))
                .collect(),
        }
    }

    #[test]
    fn littles_law_with_the_factor() {
        let plan = plan(&forecast(&[("A", traffic(40.0, 100.0))]), 90, 2.0).unwrap();
        assert_eq!(plan.functions[0].in_flight, 4.0);
        assert_eq!(plan.functions[0].environments, 8);
        assert_eq!((plan.budget, plan.headroom), (8, 82));
        assert!(plan.fits() && plan.merger.is_none());
    }

    #[test]
    fn the_burst_counts_where_it_is_more() {
        let burst = |burst| Traffic {
            burst_per_second: Some(burst),
            ..traffic(10.0, 100.0)
        };
        let environments = |traffic| plan(&forecast(&[("A", traffic)]), 90, 2.0).unwrap().budget;
        assert_eq!(environments(burst(100.0)), 20);
        assert_eq!(environments(burst(1.0)), 2);
    }

    #[test]
    fn managed_instances_share_sessions() {
        let busy = Traffic {
            concurrency: NonZeroU32::new(16).unwrap(),
            ..traffic(400.0, 100.0)
        };
        let plan = plan(&forecast(&[("A", busy)]), 90, 2.0).unwrap();
        let share = &plan.functions[0];
        assert_eq!((share.environments, share.connection_limit.get()), (5, 4));
        assert_eq!(plan.budget, 20);
    }

    #[test]
    fn quiet_functions_are_merged_first() {
        let quiet = traffic(1.0, 50.0);
        let all = forecast(&[
            ("Busy", traffic(40.0, 100.0)),
            ("One", quiet),
            ("Two", quiet),
            ("Three", quiet),
        ]);
        let plan = plan(&all, 9, 2.0).unwrap();
        assert_eq!((plan.budget, plan.headroom), (11, -2));
        let merger = plan.merger.unwrap();
        assert_eq!(merger.functions, ["One", "Three", "Two"]);
        assert_eq!(
            (merger.apart, merger.together, merger.still_missing),
            (3, 1, 0)
        );
        assert_eq!(plan.behind_pooler, Some(1));
    }

    #[test]
    fn numbers_without_a_meaning_are_named() {
        for (number, name) in [
            (traffic(-1.0, 5.0), "requests_per_second"),
            (traffic(f64::NAN, 5.0), "requests_per_second"),
            (traffic(1.0, f64::INFINITY), "mean_duration_ms"),
        ] {
            let error = plan(&forecast(&[("A", number)]), 90, 2.0).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let one = forecast(&[("A", traffic(1.0, 1.0))]);
        assert_eq!(plan(&one, 90, 0.5), Err(PlanError::Safety));
        assert_eq!(plan(&forecast(&[]), 90, 2.0), Err(PlanError::Nothing));
    }

    proptest! {
        #[test]
        fn more_traffic_never_needs_less(rate in 0.0_f64..1e6, more in 0.0_f64..1e3, duration in 0.0_f64..9e5, safety in 1.0_f64..100.0) {
            let budget = |rate: f64| plan(&forecast(&[("A", traffic(rate.min(1e6), duration))]), 90, safety).unwrap().budget;
            prop_assert!(budget(rate + more) >= budget(rate));
        }

        #[test]
        fn a_merger_saves_what_it_says(rates in proptest::collection::vec(0.0_f64..20.0, 1..16), ceiling in 0_u32..40) {
            let all: Vec<(String, Traffic)> = rates.iter().enumerate().map(|(index, rate)| (format!("F{index}"), traffic(*rate, 100.0))).collect();
            let all = Forecast { functions: all.into_iter().collect() };
            if let Some(merger) = plan(&all, ceiling, 2.0).unwrap().merger {
                prop_assert!(merger.functions.len() >= 2);
                prop_assert!(merger.together < merger.apart);
            }
        }
    }
}
