//! What every function of Headroom links.
//!
//! A request flows through these modules from top to bottom:
//!
//! - [`lambda`]: `serve`, the runtime around a handler.
//! - [`invocation`]: its deadline, and the way to the database.
//! - [`request`]: a request's path, query and body, read and checked; [`page`]: limits and cursors;
//!   [`range`]: days from and to.
//! - [`auth`]: who calls, and what they may do.
//! - [`doctors`], [`patients`], [`appointments`], [`health`]: row types, queries and changes, a module
//!   a table; [`availability`], [`dashboard`], [`me`]: what follows from several; [`idempotency`]: changes
//!   that are asked for again.
//! - [`reader`]: where queries run; [`transaction`]: where changes do; [`pool`]: the environment's
//!   one pool of `session`s behind both; [`deadline`]: what bounds them.
//! - `telemetry`, [`metrics`]: what each invocation writes into the log and tells CloudWatch.
//! - [`answer`]: what goes out; [`error`] and [`refusal`]: what goes wrong, and what the client is
//!   told.
//!
//! [`migrations`] brings the schema up to date, [`roles`] those who use it. Beside them, pure:
//! [`database_url`] reads Prisma's URL, [`budget`] computes the connection limit, [`lease`] the
//! terms on which sessions are kept. [`config`] reads the variables, [`credentials`] what they say is
//! kept elsewhere, [`clock`] the time; [`sessions`] looks at those of the whole server. The operator's
//! tools add, behind features, the reader of the
//! template, what a server grants, and more of the [`budget`].

mod access_log;
#[cfg(feature = "headroom")]
pub mod advice;
pub mod answer;
pub mod appointments;
pub mod auth;
pub mod availability;
pub mod budget;
pub mod clock;
mod compression;
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
pub mod credentials;
pub mod dashboard;
pub mod database_url;
pub mod deadline;
pub mod doctors;
pub mod error;
mod executor;
pub mod health;
pub mod idempotency;
pub mod invocation;
pub mod lambda;
pub mod lease;
pub mod me;
pub mod metrics;
pub mod migrations;
pub mod page;
mod patch;
pub mod patients;
mod period;
pub mod pool;
pub mod range;
pub mod reader;
pub mod refusal;
pub mod request;
pub mod roles;
#[cfg(feature = "headroom")]
pub mod server_limits;
mod session;
pub mod sessions;
mod telemetry;
#[cfg(feature = "template")]
pub mod template;
pub mod text;
pub mod transaction;
