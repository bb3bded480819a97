//! What every function of Headroom links.
//!
//! `functions → clinic → http → database → config → clock`: a module uses what stands to its right,
//! never what stands to its left. `operator` and `contract` may look at everything; nothing looks at
//! them.

pub mod clinic;
pub mod clock;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod database;
pub mod http;
#[cfg(feature = "operator")]
pub mod operator;
