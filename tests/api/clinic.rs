//! The clinic's routes, by what people do.

mod access_log;
mod availability;
mod booking;
mod dashboard;
mod frame;
mod history;
mod matrix;
mod me;
mod patients;
mod plans;
mod purge;
mod races;
mod rescheduling;
