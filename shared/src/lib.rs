//! What every function of Headroom links.
//!
//! `functions → clinic → http → database → config → clock`: a module uses what stands to its right,
//! never what stands to its left. `operator` and `contract` may look at everything; nothing looks at
//! them.
//!
//! To follow a request: [`http::lambda::serve`] hands each invocation to a handler as a
//! [`http::request::Request`], whose [`database::deadline::Deadline`] counts for all its work. The
//! handler reads through the environment's one [`database::pool::Pool`], or makes a
//! [`database::transaction::Change`], and answers with a row, a [`http::page::Page`] or a
//! [`http::problem::Error`].

pub mod clinic;
pub mod clock;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod database;
pub mod http;
#[cfg(feature = "operator")]
pub mod operator;
