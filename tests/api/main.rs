//! Everything proven on the local fleet.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod access_log;
mod admission;
mod advise;
mod authorizer;
mod availability;
mod binaries;
mod booking;
mod bootstraps;
mod bounded_queries;
mod budget;
mod canary;
mod ceiling;
mod clinic;
mod compression;
mod concurrency;
mod contract;
mod cors;
mod credentials;
mod dashboard;
mod database;
mod deploy;
mod desk;
mod failures;
mod faults;
mod frame;
mod fuzz;
mod gateway;
mod guards;
mod history;
mod hostile;
mod idempotency;
mod issuer;
mod lambda;
mod leases;
mod lifecycle;
mod logs;
mod managed;
mod manifest;
mod matrix;
mod me;
mod metrics;
mod migrating;
mod monitor;
mod paging;
mod patients;
mod plans;
mod polling;
mod pool;
mod pooler;
mod probe;
mod proxy;
mod purge;
mod races;
mod requests;
mod rescheduling;
mod roles;
mod routes;
mod run;
mod sample;
mod schema;
mod seed;
mod tls;
mod tokens;
mod watch;
mod writes;
