//! Texts that people write, with the lengths that the database takes.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use unicode_normalization::UnicodeNormalization;

/// A text of `MIN` to `MAX` characters, none of them a control character but tab and line feed.
/// Blanks around it are taken off; they do not count for `MIN`. It is kept in Unicode's composed form
/// (NFC), in which the same letters are the same characters, whatever wrote them: macOS, for one, takes
/// an é for an e with an accent behind it.
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
        let composed: String = text.trim().nfc().collect();
        let unprintable = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
        if text.chars().count() > MAX
            // A few characters are longer when they are composed.
            || !(MIN..=MAX).contains(&composed.chars().count())
            || text.chars().any(unprintable)
        {
            return Err(D::Error::custom(format_args!(
                "it must have {MIN} to {MAX} characters, none of them a control character"
            )));
        }
        Ok(Self(composed))
    }
}

/// A character that a text may have, as a pattern.
#[cfg(feature = "contract")]
pub(crate) const PRINTABLE: &str = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]";

/// One that is no blank.
#[cfg(feature = "contract")]
pub(crate) const VISIBLE: &str = r"[^\u0000-\u0020\u007f-\u00a0\s]";

#[cfg(feature = "contract")]
impl<const MIN: usize, const MAX: usize> schemars::JsonSchema for Text<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Text{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": MIN,
            "maxLength": MAX,
            "pattern": pattern(PRINTABLE, MIN),
        })
    }
}

/// The pattern of a text with so many characters at least, not counting blanks around them.
#[cfg(feature = "contract")]
pub(crate) fn pattern(any: &str, least: usize) -> String {
    match least {
        0 => format!("^{any}*$"),
        1 => format!("^{any}*{VISIBLE}{any}*$"),
        _ => {
            let between = least - 2;
            format!("^{any}*{VISIBLE}{any}{{{between},}}{VISIBLE}{any}*$")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<const MIN: usize, const MAX: usize>(text: &str) -> Option<String> {
        let text = serde_json::from_value::<Text<MIN, MAX>>(text.into());
        text.ok().map(|text| text.as_str().to_owned())
    }

    #[test]
    fn texts_are_composed() {
        let zaneta = "Z\u{30c}aneta";
        assert_eq!(read::<1, 7>(zaneta).as_deref(), Some("Žaneta"));
        assert_eq!(read::<1, 7>("Žaneta").as_deref(), Some("Žaneta"));
        // One character that is two when it is composed.
        let qa = "\u{958}".repeat(2);
        assert_eq!(read::<1, 4>(&qa).map(|text| text.chars().count()), Some(4));
        assert_eq!(read::<1, 3>(&qa), None);
        assert_eq!(read::<2, 9>(" e\u{301} "), None);
    }
}
