//! From a Lambda event to a response: the runtime around a handler, who calls, what is read from a
//! request and what is sent back. Its only SQL is idempotency's.

pub mod auth;
mod compression;
pub mod date_range;
pub mod idempotency;
pub mod invocation;
pub mod lambda;
pub mod page;
pub(crate) mod patch;
pub mod problem;
pub mod refusal;
pub mod request;
pub mod response;
pub mod telemetry;
pub mod text;
