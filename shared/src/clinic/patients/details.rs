//! What is known of a patient, as clients write it.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

#[cfg(feature = "contract")]
use crate::http::text::PRINTABLE;
use crate::{
    clock,
    http::{date_range::exact_day, text::Text},
};

/// A new patient.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(rename = "PatientDraft")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draft {
    /// 1 to 200 characters.
    pub full_name: Text<1, 200>,
    /// At most 40 characters.
    pub phone: Option<Phone>,
    /// At most 254 characters.
    pub email: Option<Email>,
    /// From 1900 to today.
    pub date_of_birth: Option<DateOfBirth>,
    /// Who logs in as them: the subject of their tokens.
    pub subject: Option<Text<1, 255>>,
}

/// A character of an address, as a pattern.
#[cfg(feature = "contract")]
const ADDRESS: &str = r"[^\u0000-\u0020\u007f-\u00a0\s@]";

/// What a field must be.
#[derive(Debug)]
pub struct Unacceptable(&'static str);

impl fmt::Display for Unacceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A phone number as people write it; a search compares its digits alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("pattern" = format!("^{PRINTABLE}*[0-9]{PRINTABLE}*$")))
)]
#[serde(try_from = "Text<1, 40>")]
pub struct Phone(Text<1, 40>);

impl Phone {
    /// The number, punctuated as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Text<1, 40>> for Phone {
    type Error = Unacceptable;

    fn try_from(text: Text<1, 40>) -> Result<Self, Unacceptable> {
        if text.as_str().contains(|c: char| c.is_ascii_digit()) {
            Ok(Self(text))
        } else {
            Err(Unacceptable("a phone number must have digits"))
        }
    }
}

/// An address with one `@`. Whether it reaches anybody only a message can tell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("pattern" = format!(r"^[ \t\r\n]*{ADDRESS}+@{ADDRESS}+[ \t\r\n]*$")))
)]
#[serde(try_from = "Text<3, 254>")]
pub struct Email(Text<3, 254>);

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl TryFrom<Text<3, 254>> for Email {
    type Error = Unacceptable;

    fn try_from(text: Text<3, 254>) -> Result<Self, Unacceptable> {
        let parts: Vec<&str> = text.as_str().split('@').collect();
        let blank = text.as_str().contains(char::is_whitespace);
        match parts.as_slice() {
            [local, domain] if !blank && !local.is_empty() && !domain.is_empty() => Ok(Self(text)),
            _ => Err(Unacceptable(
                "an email address must have one @ with something on both sides, and no blanks",
            )),
        }
    }
}

/// A day, from the year 1900 to today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("format" = "date"))
)]
#[serde(try_from = "String")]
pub struct DateOfBirth(NaiveDate);

/// The first year that is no slip of the pen.
const EARLIEST_YEAR: i32 = 1900;
/// By how much the earliest of the world's time zones is ahead of UTC, in hours: a child born there
/// this morning is born.
const AHEAD_OF_UTC_HOURS: i64 = 14;

impl DateOfBirth {
    /// The day.
    pub fn date(self) -> NaiveDate {
        self.0
    }
}

impl TryFrom<String> for DateOfBirth {
    type Error = Unacceptable;

    fn try_from(text: String) -> Result<Self, Unacceptable> {
        let somewhere = DateTime::<Utc>::from(clock::now()) + TimeDelta::hours(AHEAD_OF_UTC_HOURS);
        exact_day(&text)
            .filter(|date| date.year() >= EARLIEST_YEAR && *date <= somewhere.date_naive())
            .map(Self)
            .ok_or(Unacceptable(
                "it must be a day from 1900-01-01 to today, as YYYY-MM-DD",
            ))
    }
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn takes<T: DeserializeOwned>(value: impl Into<Value>) -> bool {
        serde_json::from_value::<T>(value.into()).is_ok()
    }

    #[test]
    fn phones_have_digits() {
        assert!(takes::<Phone>(" +49 (30) 1-2 "));
        assert!(takes::<Phone>("1".repeat(40)));
        for none in ["", "none", "()", "+49\u{0}", &"1".repeat(41)] {
            assert!(!takes::<Phone>(none), "{none}");
        }
    }

    #[test]
    fn addresses_have_one_at_sign_amid() {
        assert!(takes::<Email>("a@b"));
        assert!(takes::<Email>("zoë.иванова@example.org"));
        for none in ["", "a@", "@b", "abc", "a@b@c", "a b@c", "a@b\tc"] {
            assert!(!takes::<Email>(none), "{none}");
        }
        let long = |length| format!("{}@b", "a".repeat(length));
        assert!(takes::<Email>(long(252)) && !takes::<Email>(long(253)));
    }

    #[test]
    fn people_are_born_from_1900_to_today() {
        let today = DateTime::<Utc>::from(clock::now()).date_naive();
        let day = |days| (today + Days::new(days)).to_string();
        for born in ["1900-01-01", "2000-02-29", &day(0)] {
            assert!(takes::<DateOfBirth>(born), "{born}");
        }
        for unborn in [
            "1899-12-31",
            "1900-02-29",
            "2000-2-9",
            "2000- 2- 9",
            " 2000-2-09",
            "+2000-01-1",
            "2000-01-01T00:00:00Z",
            "",
            &day(2),
        ] {
            assert!(!takes::<DateOfBirth>(unborn), "{unborn}");
        }
        assert!(!takes::<DateOfBirth>(json!(2000)));
    }
}
