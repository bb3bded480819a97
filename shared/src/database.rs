//! One capped pool, its sessions, and what the server says.

mod backoff;
pub mod credentials;
pub mod deadline;
pub mod error;
mod executor;
pub mod lease;
pub mod migrations;
pub mod pool;
pub mod reader;
pub mod roles;
pub mod server;
mod session;
mod session_name;
pub mod transaction;
