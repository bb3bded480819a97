//! Everything proven on the local fleet.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod clinic;
mod database;
mod fleet;
mod http;
mod operator;
mod support;
