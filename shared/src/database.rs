//! One capped pool, its sessions, and what the server says.

pub mod backoff;
pub mod credentials;
pub mod deadline;
mod executor;
pub mod lease;
pub mod migrations;
pub mod pool;
pub mod reader;
pub mod roles;
pub mod server;
mod session;
pub mod session_name;
pub mod transaction;
