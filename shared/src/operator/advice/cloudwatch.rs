//! What CloudWatch kept of a deployment's metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_cloudwatch::{
    Client,
    error::{DisplayErrorContext, SdkError},
    primitives::DateTime,
    types::{Dimension, DimensionFilter, Metric, MetricDataQuery, MetricStat, ScanBy},
};

use super::observed::{Look, Observed};
use crate::{clock, database::credentials, operator::budget::ceiling::SUPERUSER_RESERVED};

/// How long one request may take, its retries included.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Seconds that one value stands for: the monitor looks each minute.
const PERIOD: i32 = 60;

/// The longest time that can be asked for: values of a minute are kept for 15 days.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html>
pub const MOST_HOURS: u32 = 15 * 24;

/// Queries that one request may hold; see the same page.
const QUERIES: usize = 500;

/// CloudWatch did not answer as asked; holds its words.
#[derive(Debug, thiserror::Error)]
#[error("CloudWatch: {0}")]
pub struct CloudWatchError(String);

impl CloudWatchError {
    fn of<E: std::error::Error + 'static, R: std::fmt::Debug + 'static>(
        error: SdkError<E, R>,
    ) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }
}

/// What one query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Sessions,
    Ceiling,
    MaxConnections,
    AcquireWait,
    DatabaseBusy,
    PoolTimeout,
    ServerErrors,
    Throttles,
    Concurrency,
}

impl Figure {
    /// By the name of the project's own metric.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "Sessions" => Self::Sessions,
            "Ceiling" => Self::Ceiling,
            "MaxConnections" => Self::MaxConnections,
            "AcquireWait" => Self::AcquireWait,
            "DatabaseBusy" => Self::DatabaseBusy,
            "PoolTimeout" => Self::PoolTimeout,
            "ServerErrors" => Self::ServerErrors,
            _ => return None,
        })
    }

    fn statistic(self) -> &'static str {
        match self {
            Self::Sessions | Self::AcquireWait | Self::Concurrency => "Maximum",
            Self::Ceiling | Self::MaxConnections => "Minimum",
            Self::DatabaseBusy | Self::PoolTimeout | Self::ServerErrors | Self::Throttles => "Sum",
        }
    }
}

/// One metric to ask for.
struct Question {
    figure: Figure,
    /// Whose it is; none for the service's own.
    function: Option<String>,
    metric: Metric,
}

/// Reads what the last `hours` left in CloudWatch, of the metrics in `namespace` whose dimension
/// `service` is `stack`. Account, region and credentials are the environment's.
///
/// # Errors
/// Where CloudWatch cannot be asked.
pub async fn observe(
    namespace: &str,
    stack: &str,
    hours: u32,
) -> Result<Observed, CloudWatchError> {
    let client = Client::new(&credentials::sdk(TIME_LIMIT).await);
    let questions = questions(&client, namespace, stack).await?;
    let end = clock::now();
    let start = end - Duration::from_secs(u64::from(hours.min(MOST_HOURS)) * 3600);
    let mut values = Values::default();
    for questions in questions.chunks(QUERIES) {
        let queries = questions.iter().enumerate().map(|(number, question)| {
            let stat = MetricStat::builder()
                .metric(question.metric.clone())
                .period(PERIOD)
                .stat(question.figure.statistic())
                .build();
            MetricDataQuery::builder()
                .id(format!("q{number}"))
                .metric_stat(stat)
                .build()
        });
        let mut pages = client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.collect()))
            .start_time(DateTime::from(start))
            .end_time(DateTime::from(end))
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(CloudWatchError::of)?;
            for result in page.metric_data_results() {
                let number = result
                    .id()
                    .and_then(|id| id.strip_prefix('q')?.parse().ok());
                let Some(question) = number.and_then(|number: usize| questions.get(number)) else {
                    continue;
                };
                let times = result.timestamps().iter().map(DateTime::secs);
                for (time, value) in times.zip(result.values()) {
                    values.add(question, time, *value);
                }
            }
        }
    }
    Ok(values.observed())
}

/// Which metrics there are.
async fn questions(
    client: &Client,
    namespace: &str,
    stack: &str,
) -> Result<Vec<Question>, CloudWatchError> {
    let service = DimensionFilter::builder()
        .name("service")
        .value(stack)
        .build();
    let mut pages = client
        .list_metrics()
        .namespace(namespace)
        .dimensions(service)
        .into_paginator()
        .send();
    let mut questions = Vec::new();
    let mut functions = BTreeSet::new();
    while let Some(page) = pages.next().await {
        for metric in page.map_err(CloudWatchError::of)?.metrics() {
            let Some(figure) = metric.metric_name().and_then(Figure::of) else {
                continue;
            };
            let mut dimensions = metric.dimensions().iter();
            let function = dimensions
                .find(|dimension| dimension.name() == Some("function_name"))
                .and_then(Dimension::value)
                .map(str::to_owned);
            // As a whole there are only the looks; the rest is asked for by function.
            let of_the_whole = matches!(
                figure,
                Figure::Sessions | Figure::Ceiling | Figure::MaxConnections
            );
            if function.is_none() && !of_the_whole {
                continue;
            }
            functions.extend(function.clone());
            // Asked for twice, it would count twice.
            if questions.iter().all(|q: &Question| q.metric != *metric) {
                questions.push(Question {
                    figure,
                    function,
                    metric: metric.clone(),
                });
            }
        }
    }
    // Throttled invocations reach no function, and a burst between two looks leaves no trace there: Lambda
    // itself counts them.
    let by_lambda = [
        (Figure::Throttles, "Throttles"),
        (Figure::Concurrency, "ConcurrentExecutions"),
    ];
    questions.extend(functions.iter().flat_map(|function| {
        by_lambda.map(|(figure, name)| Question {
            figure,
            function: Some(function.clone()),
            metric: Metric::builder()
                .namespace("AWS/Lambda")
                .metric_name(name)
                .dimensions(
                    Dimension::builder()
                        .name("FunctionName")
                        .value(function)
                        .build(),
                )
                .build(),
        })
    }));
    Ok(questions)
}

/// Values as they come in, by time where they belong to a look.
#[derive(Default)]
struct Values {
    observed: Observed,
    sessions: BTreeMap<i64, u32>,
    ceiling: BTreeMap<i64, u32>,
    max_connections: BTreeMap<i64, u32>,
    by_function: BTreeMap<String, BTreeMap<i64, u32>>,
}

impl Values {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts come as doubles, and are whole and not negative"
    )]
    fn add(&mut self, question: &Question, time: i64, value: f64) {
        let Some(function) = &question.function else {
            match question.figure {
                Figure::Sessions => self.sessions.insert(time, value as u32),
                Figure::MaxConnections => self.max_connections.insert(time, value as u32),
                _ => self.ceiling.insert(time, value as u32),
            };
            return;
        };
        let seen = self.observed.functions.entry(function.clone()).or_default();
        let count = value as u64;
        match question.figure {
            // Several versions at once add up.
            Figure::Sessions => {
                let looks = self.by_function.entry(function.clone()).or_default();
                *looks.entry(time).or_default() += value as u32;
            }
            Figure::AcquireWait => seen.acquire_waits.push(value),
            Figure::DatabaseBusy => seen.counts.database_busy += count,
            Figure::PoolTimeout => seen.counts.pool_timeouts += count,
            Figure::ServerErrors => seen.counts.server_errors += count,
            Figure::Throttles => *seen.counts.throttles.get_or_insert(0) += count,
            Figure::Concurrency => seen.concurrency = seen.concurrency.max(Some(value as u32)),
            Figure::Ceiling | Figure::MaxConnections => {}
        }
    }

    fn observed(mut self) -> Observed {
        for (time, sessions) in self.sessions {
            let ceiling = self.ceiling.get(&time);
            let there_are = self.max_connections.get(&time);
            if let (Some(&ceiling), Some(there_are)) = (ceiling, there_are) {
                self.observed.looks.push(Look {
                    sessions,
                    ceiling,
                    // What is reserved is no metric; PostgreSQL's own default.
                    slots: there_are.saturating_sub(SUPERUSER_RESERVED),
                });
            }
        }
        for (function, looks) in self.by_function {
            let seen = self.observed.functions.entry(function).or_default();
            seen.sessions.extend(looks.into_values());
        }
        self.observed
    }
}
