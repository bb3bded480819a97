//! The speeds of a fleet that misbehaves, each compared with that of an orderly one in the same run.
//!
//! - `case`: what is measured, and how
//! - `load`: the clients
//! - `report`: many runs in few numbers

mod case;
mod load;
mod report;

pub use case::{Case, MeasureError, Measurement, Stage};
pub use report::{Report, Spread, Summary};
