//! Pure arithmetic: how many sessions a whole deployment may open, against what the database grants.
//!
//! - [`demand`]: environments × connection limit of one function; [`ceiling`]: what the database
//!   grants; [`provider`]: what a provider's database has.
//! - [`time_limits`], [`account`], [`overlap`]: what else has to hold; [`check`]: all of it
//!   together, as [`finding`]s.
//! - [`plan`]: the other way round, from traffic to limits.

pub mod account;
pub mod ceiling;
pub mod check;
pub mod demand;
mod excess;
pub mod finding;
pub mod overlap;
pub mod plan;
pub mod provider;
pub mod settings;
pub mod time_limits;
