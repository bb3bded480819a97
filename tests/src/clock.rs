//! The fleet's clock: the platform's, which runs while environments stand still.

use chrono::{DateTime, Utc};

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the platform's time is the machine's; no function asks here"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
