//! The pool, its sessions, the ceiling, the schema and the roles.

mod admission;
mod bounded_queries;
mod canary;
mod ceiling;
mod credentials;
mod failures;
mod faults;
mod guards;
mod leases;
mod managed;
mod migrating;
mod pool;
mod pooler;
pub(crate) mod roles;
mod schema;
mod tls;
mod writes;
