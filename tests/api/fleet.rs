//! The local Lambda itself.

mod binaries;
mod concurrency;
mod database;
mod docs;
mod gateway;
mod issuer;
mod lifecycle;
mod proxy;
mod run;
mod sample;
mod setup;
