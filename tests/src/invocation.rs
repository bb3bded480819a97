//! One invocation of a function, and how it can end.

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::now;

/// How an invocation ended: with the function's answer, or without one.
pub(crate) type Outcome = Result<Bytes, InvokeError>;

/// Why an invocation has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InvokeError {
    /// As many invocations are in flight as the function's reserved concurrency allows.
    #[error("throttled: the reserved concurrency is in use")]
    Throttled,
    /// The function failed: it answered with an error, or its process ended. Holds the object
    /// that Lambda answers, with `errorType` and `errorMessage`.
    #[error("the function failed: {0}")]
    Function(Value),
    /// The function took longer than its timeout; its environment was killed.
    #[error("Task timed out after {0:.2} seconds")]
    TimedOut(f64),
}

impl InvokeError {
    /// A failure that the platform reports, not the function itself.
    pub(crate) fn platform(error_type: &str, message: impl std::fmt::Display) -> Self {
        Self::Function(json!({
            "errorType": error_type,
            "errorMessage": message.to_string(),
        }))
    }
}

/// An invocation on its way to an environment.
pub(crate) struct Invocation {
    /// `Lambda-Runtime-Aws-Request-Id`.
    pub(crate) request_id: String,
    /// `Lambda-Runtime-Trace-Id`.
    pub(crate) trace_id: String,
    /// The event, as JSON.
    pub(crate) payload: Bytes,
    /// Where the end is awaited.
    pub(crate) outcome: oneshot::Sender<Outcome>,
}

impl Invocation {
    /// An invocation, and the end to wait for.
    pub(crate) fn new(payload: Bytes) -> (Self, oneshot::Receiver<Outcome>) {
        let (outcome, ended) = oneshot::channel();
        let invocation = Self {
            request_id: Uuid::new_v4().to_string(),
            trace_id: trace_id(),
            payload,
            outcome,
        };
        (invocation, ended)
    }
}

/// A trace header as X-Ray forms it: seconds since 1970 in hex, then 96 random bits.
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
pub(crate) fn trace_id() -> String {
    let seconds = now().timestamp();
    let random = Uuid::new_v4().simple().to_string();
    format!("Root=1-{seconds:08x}-{}", &random[..24])
}
