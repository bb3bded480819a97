//! Who saw whose data.

use uuid::Uuid;

use crate::http::auth::Caller;

/// The log target of these lines: they are written whatever the log level.
pub(crate) const TARGET: &str = "headroom::access";

/// Writes the line.
pub(crate) fn shown(caller: &Caller, route: &str, patients: &[Uuid]) {
    let roles: Vec<&str> = caller.roles().iter().map(|role| role.name()).collect();
    let patients: Vec<String> = patients.iter().map(Uuid::to_string).collect();
    tracing::info!(
        target: TARGET,
        subject = caller.subject(),
        roles = roles.join(" "),
        route,
        // One text: the log's format has no lists.
        patients = patients.join(" "),
        "patient data shown"
    );
}
