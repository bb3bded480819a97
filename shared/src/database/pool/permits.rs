//! What deadpool counts: the right to hold a session, not the session.

use std::convert::Infallible;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use crate::database::session::Session;

/// The right to hold one session, and the session while it is idle.
#[derive(Debug)]
pub(super) struct Permit(pub(super) Option<Session>);

/// Makes permits without a session.
#[derive(Debug)]
pub(super) struct Permits;

impl Manager for Permits {
    type Type = Permit;
    type Error = Infallible;

    async fn create(&self) -> Result<Permit, Infallible> {
        Ok(Permit(None))
    }

    /// A permit without a session is thrown away, so that the next one is looked at: an invocation is
    /// handed a session that is there before another one is opened.
    async fn recycle(&self, permit: &mut Permit, _: &Metrics) -> RecycleResult<Infallible> {
        match permit.0 {
            Some(_) => Ok(()),
            None => Err(RecycleError::message("no session")),
        }
    }
}
