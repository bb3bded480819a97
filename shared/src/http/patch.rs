//! Patches: what a client wants to be different, told from what it does not mention.

use serde::{Deserialize, Deserializer};

/// Reads a field that is there. With `default` beside it, an absent one is none and stays; `null`
/// is for the field's own type to take, as `Option` does, or to refuse.
///
/// # Errors
/// The type's.
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
