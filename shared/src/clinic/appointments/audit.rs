//! The audit trail: one row for each change, in the transaction of the change.

use serde_json::Value;
use sqlx::{PgExecutor, types::Json};
use uuid::Uuid;

use crate::http::auth::Role;

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    Booked,
    Changed,
    Cancelled,
}

impl Done {
    fn name(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Changed => "changed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Who did it, and as what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor<'a> {
    pub(super) role: Role,
    pub(super) subject: &'a str,
}

/// Writes the row of the appointment's newest revision. `before` and `after` hold what the change
/// touched: played one after the other onto the booking, they yield the appointment.
pub(super) async fn write(
    db: impl PgExecutor<'_>,
    by: Actor<'_>,
    appointment: Uuid,
    done: Done,
    before: Option<&Value>,
    after: &Value,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into appointment_changes
             (appointment_id, revision, actor_role, actor_subject, action, before, after)
         select id, revision, $2, $3, $4, $5, $6 from appointments where id = $1 limit 1",
        appointment,
        by.role.name(),
        by.subject,
        done.name(),
        before.map(Json) as _,
        Json(after) as _,
    )
    .execute(db)
    .await?;
    Ok(())
}
