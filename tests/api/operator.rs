//! What an operator runs: the budget, the deployment, the monitor.

mod advise;
mod bootstraps;
pub(crate) mod budget;
mod deploy;
mod manifest;
pub(crate) mod monitor;
mod parameters;
mod repository;
mod watch;
