//! The runtime around a handler: logs, the pool, the shutdown. A function's `main` is one line.

use std::{future::Future, sync::Arc};

use lambda_http::{
    Adapter, RequestExt,
    http::{StatusCode, header::HOST},
    request::LambdaRequest,
};
use lambda_runtime::{LambdaEvent, Service, service_fn, spawn_graceful_shutdown_handler};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{self, Claims, ConfigError, Function},
    database::{deadline::Deadline, pool::POOL},
    http::{
        compression::compressed,
        invocation::Invocation,
        problem::Error,
        request::Request,
        response::Response,
        telemetry::{Outcome, Telemetry, access_log},
    },
};

/// Serves the requests of one route until Lambda ends the process. Errors become problem
/// documents here.
///
/// # Errors
/// Where Lambda's runtime API fails for good, and where `METRICS` or `GRACEFUL_SHUTDOWN` say what they
/// cannot.
pub fn serve<H, F>(handler: H) -> Result<(), lambda_http::Error>
where
    H: Fn(Request) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Error>> + Send + 'static,
{
    log_to_stdout();
    let function = Arc::new(Function::from_env());
    let claims = Arc::new(Claims::from_env());
    let telemetry = Arc::new(Telemetry::new(&function).inspect_err(say)?);
    runtime()?.block_on(async {
        close_at_the_end().await.inspect_err(say)?;
        let answer = move |http: lambda_http::Request| {
            let function = Arc::clone(&function);
            let claims = Arc::clone(&claims);
            let telemetry = Arc::clone(&telemetry);
            async move {
                let begun = telemetry.begin(http.lambda_context());
                let request_id = &begun.context.request_id;
                let deadline = Deadline::of_invocation(begun.context.deadline());
                let invocation = Invocation::new(deadline, function, &POOL);
                let request = Request::new(http, invocation.clone(), claims);
                let route = request.route().to_owned();
                let (response, problem) = match handler(request).await {
                    Ok(response) => (response, None),
                    Err(error) => {
                        error.log(request_id);
                        (error.response(request_id), Some(error.problem().name()))
                    }
                };
                begun.end(&Outcome {
                    route: Some(&route),
                    status: response.status(),
                    problem,
                    spent: invocation.spent(),
                    pool: POOL.statistics(),
                });
                Ok::<_, lambda_http::Error>(response)
            }
        };
        let adapter = Adapter::from(compressed(service_fn(answer)));
        let serve = move |mut event: LambdaEvent<LambdaRequest>| {
            sanitize_event(&mut event.payload);
            adapter.clone().call(event)
        };
        lambda_runtime::run_concurrent(service_fn(serve)).await
    })
}

/// Everything that a URI's query cannot hold as it is. Percent signs stay: the query arrives
/// escaped.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// lambda_http makes a URI of what the client sent and panics where that is none. Routes are
/// matched and parameters split off before a function is reached, so path and host can be
/// replaced; the query is escaped.
fn sanitize_event(request: &mut LambdaRequest) {
    let LambdaRequest::ApiGatewayV2(event) = request else {
        return;
    };
    event.raw_path = Some("/".to_owned());
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
    if let Some(query) = &mut event.raw_query_string {
        *query = utf8_percent_encode(query, NOT_IN_A_QUERY).to_string();
    }
}

/// Serves direct invocations, whatever their payload, until Lambda ends the process. An error is
/// the invocation's error, with its class as the type.
///
/// # Errors
/// Where Lambda's runtime API fails for good, and where `METRICS` or `GRACEFUL_SHUTDOWN` say what they
/// cannot.
pub fn serve_event<H, F>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Invocation) -> F + Copy,
    F: Future<Output = Result<Value, Error>>,
{
    log_to_stdout();
    let function = Arc::new(Function::from_env());
    let telemetry = Arc::new(Telemetry::new(&function).inspect_err(say)?);
    let handle = move |event: LambdaEvent<Value>| {
        let function = Arc::clone(&function);
        let telemetry = Arc::clone(&telemetry);
        async move {
            let begun = telemetry.begin(event.context);
            let deadline = Deadline::of_invocation(begun.context.deadline());
            let invocation = Invocation::new(deadline, function, &POOL);
            let result = handler(invocation.clone()).await;
            let (status, problem) = match &result {
                Ok(_) => (StatusCode::OK, None),
                Err(error) => {
                    error.log(&begun.context.request_id);
                    let problem = error.problem();
                    (problem.status(), Some(problem.name()))
                }
            };
            begun.end(&Outcome {
                route: None,
                status,
                problem,
                spent: invocation.spent(),
                pool: POOL.statistics(),
            });
            result.map_err(|error| lambda_runtime::Diagnostic {
                error_type: error.class().to_owned(),
                error_message: error.explanation(),
            })
        }
    };
    runtime()?.block_on(async {
        close_at_the_end().await.inspect_err(say)?;
        lambda_runtime::run(service_fn(handle)).await
    })
}

/// Lets the pool say goodbye to the server when Lambda ends the process.
async fn close_at_the_end() -> Result<(), ConfigError> {
    if config::graceful_shutdown()? {
        // Without a registered extension Lambda sends no SIGTERM.
        spawn_graceful_shutdown_handler(|| async { POOL.close() }).await;
    }
    Ok(())
}

/// Says in the log why the function cannot begin: what `main` returns does not show if an operator searches
/// it.
fn say(error: &ConfigError) {
    tracing::error!("{error}");
}

/// One thread where one invocation runs at a time: a second one would only be waited for. More
/// where a Managed Instance runs several.
fn runtime() -> std::io::Result<Runtime> {
    match config::concurrency().get() {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    }
    .enable_all()
    .build()
}

/// One JSON object a line, its fields at the top, as CloudWatch Logs Insights finds them.
fn log_to_stdout() {
    let access = format!("{}=info", access_log::TARGET);
    // At its lower levels the SDK writes down what it signs, session tokens included.
    let filter = [access.as_str(), "aws_=warn"]
        .into_iter()
        .fold(EnvFilter::new(config::log_level()), |filter, directive| {
            filter.add_directive(directive.parse().expect("a constant directive"))
        });
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_target(false)
        .with_env_filter(filter)
        .init();
}
