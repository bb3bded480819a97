//! The clinic: row types, queries and changes, a module a table, and what follows from several.

pub mod appointments;
pub mod availability;
pub mod dashboard;
pub mod doctors;
pub mod me;
pub mod patients;
mod period;
pub mod permissions;
