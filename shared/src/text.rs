//! Texts that people write, with the lengths that the database takes.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// A text of `MIN` to `MAX` characters, none of them a control character but tab and line feed.
/// Blanks around it are taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Text<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        let length = text.chars().count();
        let unprintable = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        if !(MIN..=MAX).contains(&length) || text.chars().any(unprintable) {
            return Err(D::Error::custom(format_args!(
                "it must have {MIN} to {MAX} characters, none of them a control character"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}
