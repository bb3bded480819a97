//! The Runtime API and the Extensions API, as one environment's processes see them.
//!
//! One listener per environment: a client is told `host:port` and nothing else, so the port is
//! what tells environments apart.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::environment::Environment;
use crate::invocation::InvokeError;

/// Largest answer of a function, in bytes (6 MB, as Lambda's quota for synchronous invocations).
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(crate) const MOST_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

/// Error objects are a type and a message; more is refused, not stored.
const MOST_ERROR_BYTES: usize = 256 * 1024;

type Shared = State<Arc<Environment>>;

/// Answers the environment's processes until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, environment: Arc<Environment>) {
    let api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .route("/2020-01-01/extension/register", post(register))
        .route("/2020-01-01/extension/event/next", get(next_event))
        .with_state(environment);
    // Accepting goes on after every failed connection, so this has no error to report.
    let _ = axum::serve(listener, api).await;
}

async fn next(State(environment): Shared) -> Response {
    let Some(handover) = environment.next().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", handover.request_id),
        (
            "Lambda-Runtime-Deadline-Ms",
            handover.deadline_ms.to_string(),
        ),
        (
            "Lambda-Runtime-Invoked-Function-Arn",
            environment.version().arn(),
        ),
        ("Lambda-Runtime-Trace-Id", handover.trace_id),
        ("Content-Type", "application/json".to_owned()),
    ];
    (headers, handover.payload).into_response()
}

async fn response(State(environment): Shared, Path(id): Path<String>, body: Body) -> Response {
    let outcome = match to_bytes(body, MOST_PAYLOAD_BYTES).await {
        Ok(answer) => Ok(answer),
        Err(_) => Err(InvokeError::platform(
            "Function.ResponseSizeTooLarge",
            format_args!("Response payload size exceeded {MOST_PAYLOAD_BYTES} bytes."),
        )),
    };
    let too_large = outcome.is_err();
    if !environment.complete(&id, outcome) {
        return failure(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        );
    }
    if too_large {
        let message = "Exceeded maximum allowed payload size.";
        return failure(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLarge",
            message,
        );
    }
    accepted()
}

async fn error(State(environment): Shared, Path(id): Path<String>, body: Body) -> Response {
    let outcome = Err(InvokeError::Function(error_object(body).await));
    if environment.complete(&id, outcome) {
        accepted()
    } else {
        failure(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        )
    }
}

async fn init_error(State(environment): Shared, body: Body) -> Response {
    let error = InvokeError::Function(error_object(body).await);
    environment.fail_init(error, "the runtime reported an init error");
    accepted()
}

/// What a runtime says of an error, or that it said nothing that can be read.
async fn error_object(body: Body) -> Value {
    let bytes = to_bytes(body, MOST_ERROR_BYTES).await.unwrap_or_default();
    serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| json!({ "errorType": "Runtime.Unknown", "errorMessage": null }))
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    events: Vec<String>,
}

async fn register(
    State(environment): Shared,
    headers: HeaderMap,
    Json(registration): Json<Registration>,
) -> Response {
    if !headers.contains_key("Lambda-Extension-Name") {
        let message = "Lambda-Extension-Name is missing";
        return failure(
            StatusCode::BAD_REQUEST,
            "Extension.InvalidExtensionName",
            message,
        );
    }
    if !registration.events.is_empty() {
        // Better no extension than one that waits for events which never come.
        let message = "the fleet has extensions for the sake of SIGTERM, and delivers no events";
        return failure(
            StatusCode::BAD_REQUEST,
            "Extension.InvalidEventType",
            message,
        );
    }
    let Some(identifier) = environment.register_extension() else {
        let message = "extensions register before the first poll";
        return failure(
            StatusCode::FORBIDDEN,
            "Extension.RegistrationClosed",
            message,
        );
    };
    let body = environment.version().describe_to_extension();
    ([("Lambda-Extension-Identifier", identifier)], Json(body)).into_response()
}

/// Blocks for good: an extension without events has only its poll to show that it is ready.
async fn next_event(State(environment): Shared, headers: HeaderMap) -> Response {
    let identifier = headers
        .get("Lambda-Extension-Identifier")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if environment.extension_polls(identifier) {
        std::future::pending().await
    } else {
        let message = "unknown Lambda-Extension-Identifier";
        failure(
            StatusCode::FORBIDDEN,
            "Extension.UnknownExtensionIdentifier",
            message,
        )
    }
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, Json(json!({ "status": "OK" }))).into_response()
}

fn failure(status: StatusCode, error_type: &str, message: &str) -> Response {
    let body = json!({ "errorType": error_type, "errorMessage": message });
    (status, Json(body)).into_response()
}
