//! From an event to a response.

mod authorizer;
mod compression;
mod contract;
mod cors;
mod fuzz;
mod hostile;
mod idempotency;
mod lambda;
mod logs;
pub(crate) mod metrics;
mod paging;
mod routes;
mod tokens;
