//! Removes the answers that are kept for requests which are sent twice, once no client sends them again.
//! Invoked on a schedule, with any payload; answers with how many it removed and whether that was
//! all.

use std::time::Duration;

use serde_json::{Value, json};
use shared::http::{idempotency::Purge, invocation::Invocation, problem::Error};

fn main() -> Result<(), lambda_runtime::Error> {
    shared::http::lambda::serve_event(handler)
}

/// As much time as one more batch may take: a slot of the pool, the statement, and its second run.
/// What is left then waits for the next hour.
const ONE_BATCH: Duration = Duration::from_secs(15);

async fn handler(invocation: Invocation) -> Result<Value, Error> {
    let mut purged = 0;
    loop {
        let batch = invocation.write(&Purge).await?;
        purged += batch;
        let complete = !Purge::is_full(batch);
        if complete || !invocation.leaves(ONE_BATCH) {
            return Ok(json!({ "purged": purged, "complete": complete }));
        }
    }
}
