//! Ranges of days, as `from` and `to` name them in a query string.

use chrono::{Datelike, NaiveDate};

use crate::http::problem::Error;

/// The years that a range may touch; others are slips of the pen.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 1900..=2199;

/// The day that a text is, exactly as it is written here. The parser alone would also take days of one
/// digit, signs, and blanks in place of zeros.
pub(crate) fn exact_day(text: &str) -> Option<NaiveDate> {
    let day: NaiveDate = text.parse().ok()?;
    (day.to_string() == text).then_some(day)
}

/// One to `MAX_DAYS` days, half-open: `to` no longer belongs to it. In whose time zone the days are
/// is the statement's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateRange<const MAX_DAYS: u16> {
    from: NaiveDate,
    to: NaiveDate,
}

impl<const MAX_DAYS: u16> DateRange<MAX_DAYS> {
    /// Reads the parameters `from` and `to`. Both are required: a range that a client forgot to
    /// name would be all the years there are.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the parameter and what is accepted.
    pub fn read(from: Option<&str>, to: Option<&str>) -> Result<Self, Error> {
        let (from, to) = (day("from", from)?, day("to", to)?);
        let days = to.signed_duration_since(from).num_days();
        if (1..=i64::from(MAX_DAYS)).contains(&days) {
            Ok(Self { from, to })
        } else {
            Err(Error::BadRequest(format!(
                "to must be 1 to {MAX_DAYS} days after from; it no longer belongs to the range"
            )))
        }
    }

    /// The first day.
    pub fn from(self) -> NaiveDate {
        self.from
    }

    /// The day after the last one.
    pub fn to(self) -> NaiveDate {
        self.to
    }
}

fn day(name: &str, text: Option<&str>) -> Result<NaiveDate, Error> {
    text.and_then(exact_day)
        .filter(|day| YEARS.contains(&day.year()))
        .ok_or_else(|| {
            let (first, last) = (YEARS.start(), YEARS.end());
            Error::BadRequest(format!(
                "{name} must be a day such as 2026-03-29, in the years {first} to {last}"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(from: &str, to: &str) -> Result<DateRange<31>, String> {
        let given = |text| Some(text).filter(|text: &&str| !text.is_empty());
        DateRange::read(given(from), given(to)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_range_ends_before_its_last_parameter() {
        let range = read("2026-02-28", "2026-03-01").expect("a day");
        assert_eq!(range.from().to_string(), "2026-02-28");
        assert_eq!(range.to().to_string(), "2026-03-01");
        assert!(read("2026-03-01", "2026-04-01").is_ok(), "31 days");
    }

    #[test]
    fn a_refusal_names_the_parameter_and_what_is_accepted() {
        for (from, to, says) in [
            ("", "2026-03-02", "from must be a day such as"),
            ("2026-03-01", "", "to must be a day such as"),
            ("2026-3-1", "2026-03-02", "from must be a day"),
            ("2026-02-29", "2026-03-02", "from must be a day"),
            ("2026-02-28", "2026-03-01T00:00:00Z", "to must be a day"),
            ("+2026-3-01", "2026-03-02", "from must be a day"),
            ("2026- 3- 1", "2026-03-02", "from must be a day"),
            ("1899-12-31", "1900-01-02", "in the years 1900 to 2199"),
            ("2199-12-31", "2200-01-01", "in the years 1900 to 2199"),
            ("2026-03-01", "2026-03-01", "1 to 31 days after from"),
            ("2026-03-02", "2026-03-01", "1 to 31 days after from"),
            ("2026-03-01", "2026-04-02", "1 to 31 days after from"),
        ] {
            let said = read(from, to).expect_err(from);
            assert!(said.contains(says), "{from} {to}: {said}");
        }
    }
}
