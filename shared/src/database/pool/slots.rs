//! What deadpool counts: the right to hold a session, not the session.

use std::convert::Infallible;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use crate::database::session::Session;

/// The right to hold one session, and the session while nobody uses it.
#[derive(Debug)]
pub(super) struct Slot(pub(super) Option<Session>);

/// Makes empty slots.
#[derive(Debug)]
pub(super) struct Slots;

impl Manager for Slots {
    type Type = Slot;
    type Error = Infallible;

    async fn create(&self) -> Result<Slot, Infallible> {
        Ok(Slot(None))
    }

    /// An empty slot is thrown away, so that the next one is looked at: whoever comes is handed a session
    /// that is there before another one is opened.
    async fn recycle(&self, slot: &mut Slot, _: &Metrics) -> RecycleResult<Infallible> {
        match slot.0 {
            Some(_) => Ok(()),
            None => Err(RecycleError::message("empty")),
        }
    }
}
