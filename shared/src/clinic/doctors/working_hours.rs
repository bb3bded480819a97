//! The hours of a week in which a doctor works.

use std::ops::RangeInclusive;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

/// The most intervals of a week: eight a day. More are a slip.
pub const MAX_HOURS: u16 = 56;

/// From Monday to Sunday.
const WEEKDAYS: RangeInclusive<i16> = 1..=7;

/// How a time of day is written.
const HH_MM: &str = "%H:%M";

/// The end of the day, which is no time of day but can be the end of one's work.
const MIDNIGHT: &str = "24:00";

/// An interval of a day of the week, in the doctor's own time zone. Half-open: it does not include
/// `closes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkingHours {
    /// ISO 8601: Monday is 1, Sunday 7.
    pub weekday: Weekday,
    /// When they begin.
    pub opens: WallClock,
    /// When they end.
    pub closes: WallClock,
}

/// 1 for Monday to 7 for Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("minimum" = WEEKDAYS.start(), "maximum" = WEEKDAYS.end()))
)]
#[serde(try_from = "i16")]
pub struct Weekday(pub(super) i16);

impl TryFrom<i16> for Weekday {
    type Error = &'static str;

    fn try_from(number: i16) -> Result<Self, &'static str> {
        let known = WEEKDAYS.contains(&number).then_some(Self(number));
        known.ok_or("weekday must be from 1, Monday, to 7, Sunday")
    }
}

/// A time on the clock on the wall, `00:00` to `24:00`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, extend("pattern" = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))
)]
#[serde(try_from = "String")]
pub struct WallClock(pub(super) String);

impl TryFrom<String> for WallClock {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        // The parser would take an hour of one digit, and blanks before it, too.
        let time = NaiveTime::parse_from_str(&text, HH_MM);
        let is_exact = time.is_ok_and(|time| time.format(HH_MM).to_string() == text);
        if is_exact || text == MIDNIGHT {
            Ok(Self(text))
        } else {
            Err("it must be a time from 00:00 to 24:00, as HH:MM")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn weekdays_and_times_are_the_walls() {
        let takes = |weekday: i32, opens: &str, closes: &str| {
            let hours = json!({ "weekday": weekday, "opens": opens, "closes": closes });
            serde_json::from_value::<WorkingHours>(hours).is_ok()
        };
        assert!(takes(1, "00:00", "24:00") && takes(7, "09:30", "23:59"));
        for (weekday, opens, closes) in [
            (0, "09:00", "10:00"),
            (8, "09:00", "10:00"),
            (1, "9:00", "10:00"),
            (1, " 9:00", "10:00"),
            (1, "09: 0", "10:00"),
            (1, "09:00", "24:01"),
            (1, "09:00", "10:60"),
            (1, "09:00", "10:00:00"),
            (1, "+9:00", "10:00"),
            (1, "09:00", ""),
        ] {
            assert!(!takes(weekday, opens, closes), "{weekday} {opens} {closes}");
        }
    }
}
