//! Variables that had another name in an earlier release.

use super::{ConfigError, variable};

/// Old names, each with the name that replaced it.
pub(crate) const RENAMED: [(&str, &str); 4] = [
    ("DATABASE_LEASE_CROWDED", "DATABASE_LEASE_LONG_MIN"),
    ("DATABASE_LEASE_SLICE_MS", "DATABASE_RECOUNT_AFTER_MS"),
    ("DATABASE_LEASE_HOT_MS", "DATABASE_REUSE_WITHIN_MS"),
    ("DATABASE_RETENTION_MARK", "DATABASE_RETAINED_PERCENT"),
];

/// A setting under its old name would be ignored in silence, and its default used instead.
///
/// # Errors
/// [`ConfigError::Renamed`] if an old name is set.
pub(super) fn refuse_old_names() -> Result<(), ConfigError> {
    let set = RENAMED.into_iter().find(|(old, _)| variable(old).is_some());
    set.map_or(Ok(()), |(old, new)| Err(ConfigError::Renamed { old, new }))
}
