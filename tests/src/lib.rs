//! Lambda on this machine, and everything that is proven on it.
//!
//! A [`Fleet`] runs the functions of a template as Lambda does: real processes, one invocation at
//! a time each, stopped in between, as many as there is traffic and the reserved concurrency
//! allows, behind an HTTP API that answers as API Gateway does.
//!
//! | module | what is in it |
//! | --- | --- |
//! | `builder` | what a fleet is made of, and how it starts |
//! | `binaries` | the executables |
//! | `gateway` | HTTP requests to events, answers to responses; who may come in |
//! | [`issuer`] | whose tokens the gateway accepts, and for whom it makes them |
//! | `function` | which environment gets an invocation; throttling |
//! | `environment` | one process: freeze, thaw, time out, end |
//! | `runtime_api` | what that process talks to |
//! | [`fuzz`] | a client that tries what the API's description allows, and what it does not |
//! | [`python`] | programs from PyPI |
//! | `docs` | a page that shows the API's description |
//! | `spawner` | starting processes that end with the fleet |
//! | [`database`] | PostgreSQL, for `make run` and for each test |
//! | [`pgbouncer`] | a transaction pooler in front of it |
//! | [`moto`] | AWS's services that keep credentials |
//! | [`measure`] | how fast a misbehaving fleet is |
//! | [`proxy`] | a network between the two, to count and to disturb |
//! | [`sample`] | a clinic to fill it with |
//! | `version`, `invocation`, `logs`, `clock`, `sync` | what these share |

mod binaries;
mod builder;
mod clock;
pub mod database;
mod docs;
mod environment;
mod fleet;
mod function;
pub mod fuzz;
mod gateway;
mod invocation;
pub mod issuer;
mod logs;
pub mod measure;
pub mod moto;
pub mod pgbouncer;
pub mod proxy;
pub mod python;
mod runtime_api;
pub mod sample;
mod spawner;
mod sync;
mod version;

pub use binaries::{Binaries, BuildError, Profile, cargo};
pub use builder::{Builder, StartError};
pub use environment::{EnvironmentState, EnvironmentStatus};
pub use fleet::Fleet;
pub use function::{Counters, Dispatch};
pub use invocation::InvokeError;
pub use logs::{LogCallback, LogLine, Source};
