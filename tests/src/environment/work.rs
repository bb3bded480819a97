//! What an environment has to do: invocations it was given, those its process fetched, and the
//! polls with which the process asks for more.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::invocation::{Invocation, InvokeError, Outcome};

/// How long an environment that has answered, and not yet asked for more, counts as free.
///
/// A runtime polls again within a millisecond, and a client that waits for one answer before it
/// asks again should meet the same environment, as it does on Lambda, where the way back to the
/// client takes longer than that. A function that is busy past its answer is not waited for.
const POLL_GRACE: Duration = Duration::from_secs(1);

/// An invocation as the process gets it.
pub(crate) struct Handover {
    pub(crate) request_id: String,
    pub(crate) trace_id: String,
    pub(crate) payload: Bytes,
    /// Milliseconds since 1970.
    pub(crate) deadline_ms: i64,
}

/// The work of one environment.
pub(super) struct Work {
    /// Given to the environment, not yet fetched by the process.
    waiting: VecDeque<Waiting>,
    /// Long polls for an invocation, oldest first.
    polls: VecDeque<oneshot::Sender<Handover>>,
    /// Fetched, not yet answered; by request id.
    running: HashMap<String, Running>,
    /// Invocations answered.
    pub(super) served: u64,
    /// When something was last answered; at first, when the process came up.
    pub(super) last_used: Instant,
}

/// The time that an invocation has.
pub(super) struct Time {
    /// When it is over, as the process is told.
    pub(super) deadline: DateTime<Utc>,
    /// What ends the invocation then.
    pub(super) timer: AbortHandle,
}

struct Waiting {
    invocation: Invocation,
    /// Runs from the start only when the process is up: Lambda does not count a function's
    /// initialisation against its timeout.
    time: Option<Time>,
}

struct Running {
    /// None once the invocation ran out of time: the caller is gone, and the process is still at it.
    outcome: Option<oneshot::Sender<Outcome>>,
    timer: AbortHandle,
}

impl Work {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            polls: VecDeque::new(),
            running: HashMap::new(),
            served: 0,
            last_used: Instant::now(),
        }
    }

    /// Invocations given to the environment and not answered.
    pub(super) fn load(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the process asks for an invocation right now.
    pub(super) fn is_polled(&self) -> bool {
        self.polls.iter().any(|poll| !poll.is_closed())
    }

    /// Whether the process will fetch one more invocation without finishing another first.
    pub(super) fn polls_soon(&self) -> bool {
        let polls = self.polls.iter().filter(|poll| !poll.is_closed()).count();
        polls > self.waiting.len() || self.last_used.elapsed() < POLL_GRACE
    }

    pub(super) fn push(&mut self, invocation: Invocation, time: Option<Time>) {
        self.waiting.push_back(Waiting { invocation, time });
    }

    pub(super) fn poll(&mut self) -> oneshot::Receiver<Handover> {
        let (poll, handover) = oneshot::channel();
        self.polls.push_back(poll);
        handover
    }

    pub(super) fn hang_up(&mut self) {
        self.polls.clear();
    }

    /// Hands over what waits, as far as there are polls. The time of what came before the process
    /// was up begins now.
    pub(super) fn hand_over(&mut self, begin: impl Fn(&str) -> Time) {
        self.polls.retain(|poll| !poll.is_closed());
        while !self.polls.is_empty()
            && let Some(Waiting { invocation, time }) = self.waiting.pop_front()
        {
            let Time { deadline, timer } = time.unwrap_or_else(|| begin(&invocation.request_id));
            let mut handover = Handover {
                request_id: invocation.request_id.clone(),
                trace_id: invocation.trace_id,
                payload: invocation.payload,
                deadline_ms: deadline.timestamp_millis(),
            };
            // Should every poll be hung up now, the process is ending, and its end is the answer.
            while let Some(poll) = self.polls.pop_front() {
                let Err(returned) = poll.send(handover) else {
                    break;
                };
                handover = returned;
            }
            let running = Running {
                timer,
                outcome: Some(invocation.outcome),
            };
            self.running.insert(invocation.request_id, running);
        }
    }

    /// Ends a running invocation. False when no such invocation is running.
    pub(super) fn complete(&mut self, request_id: &str, outcome: Outcome) -> bool {
        let Some(running) = self.running.remove(request_id) else {
            return false;
        };
        self.served += 1;
        self.last_used = Instant::now();
        running.end(outcome);
        true
    }

    /// Where the end of an invocation that ran out of time is awaited; none when it has ended. One
    /// that runs keeps its slot for as long as the process is busy with it.
    pub(super) fn give_up(&mut self, request_id: &str) -> Option<oneshot::Sender<Outcome>> {
        if let Some(running) = self.running.get_mut(request_id) {
            return running.outcome.take();
        }
        let waits = |waiting: &Waiting| waiting.invocation.request_id == request_id;
        let position = self.waiting.iter().position(waits)?;
        let waiting = self.waiting.remove(position)?;
        Some(waiting.invocation.outcome)
    }

    /// Ends every invocation with one error.
    pub(super) fn fail_all(&mut self, error: &InvokeError) {
        for (_, running) in self.running.drain() {
            running.end(Err(error.clone()));
        }
        for Waiting { invocation, time } in self.waiting.drain(..) {
            if let Some(time) = time {
                time.timer.abort();
            }
            // As in `Running::end`.
            let _ = invocation.outcome.send(Err(error.clone()));
        }
    }
}

impl Running {
    fn end(self, outcome: Outcome) {
        self.timer.abort();
        if let Some(waiting) = self.outcome {
            // The caller may have stopped waiting; Lambda finishes the invocation regardless.
            let _ = waiting.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;

    #[tokio::test]
    async fn what_waited_for_a_poll_is_told_the_end_of_the_time_that_has_begun() {
        let mut work = Work::new();
        let deadline = now() + Duration::from_secs(7);
        let timer = tokio::spawn(std::future::pending::<()>()).abort_handle();
        let (invocation, _ended) = Invocation::new(Bytes::new());
        work.push(invocation, Some(Time { deadline, timer }));
        let handover = work.poll();
        work.hand_over(|_| panic!("it has begun"));
        let handover = handover.await.expect("an invocation");
        assert_eq!(handover.deadline_ms, deadline.timestamp_millis());
    }
}
