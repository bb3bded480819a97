//! A doctor's row, locked: how changes of a calendar wait for each other.

use sqlx::PgExecutor;
use uuid::Uuid;

use crate::clinic::permissions::Access;
use crate::http::{auth::Role, problem::Error};

/// What the lock's holder learns about the doctor.
pub(crate) struct LockedDoctor {
    pub(crate) id: Uuid,
    pub(crate) active: bool,
    pub(crate) subject: Option<String>,
}

impl LockedDoctor {
    /// Whether an action of this reach is staff's, or this doctor's own. To a doctor who has left,
    /// nothing is.
    pub(crate) fn is_kept_by(&self, access: &Access<'_>) -> bool {
        self.kept_as(access).is_some()
    }

    /// As what: the role by which the action is allowed, and not the caller's strongest.
    pub(crate) fn kept_as(&self, access: &Access<'_>) -> Option<Role> {
        let own = access.doctor.is_some() && access.doctor == self.subject.as_deref();
        if access.all {
            Some(Role::Staff)
        } else {
            (own && self.active).then_some(Role::Doctor)
        }
    }
}

/// The doctor's row, locked until the transaction ends. A change of the calendar or the schedule
/// does this first, so that changes wait for each other in the order they came, and never for each
/// other in a circle, as two inserts against an exclusion constraint may.
pub(crate) async fn lock(
    db: impl PgExecutor<'_>,
    doctor: Uuid,
) -> sqlx::Result<Option<LockedDoctor>> {
    sqlx::query_as!(
        LockedDoctor,
        "select id, active, subject from doctors where id = $1 limit 1 for no key update",
        doctor
    )
    .fetch_optional(db)
    .await
}

/// The same for changes of the schedule.
///
/// # Errors
/// [`Error::NotFound`] without such a doctor, [`Error::Forbidden`] where the frame is another
/// doctor's, and the driver's.
pub(super) async fn lock_schedule(
    db: impl PgExecutor<'_>,
    access: &Access<'_>,
    doctor: Uuid,
) -> Result<LockedDoctor, Error> {
    let doctor = lock(db, doctor).await?.ok_or(Error::NotFound("doctor"))?;
    if doctor.is_kept_by(access) {
        Ok(doctor)
    } else {
        Err(Error::Forbidden)
    }
}
