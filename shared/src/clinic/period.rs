//! From when to when.

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};

use crate::http::{date_range::YEARS, problem::Error};

/// Half-open: the end belongs to what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) ends_at: DateTime<Utc>,
}

impl Period {
    /// Takes two moments, `longest` apart at most. Whole seconds: the database keeps no more than
    /// microseconds, and what it rounded would not be what was asked for.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where they are no such period.
    pub(crate) fn new(
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
        longest: TimeDelta,
    ) -> Result<Self, Error> {
        // A leap second has them, too.
        if starts_at.nanosecond() != 0 || ends_at.nanosecond() != 0 {
            return Err(Error::BadRequest(
                "startsAt and endsAt must be whole seconds".to_owned(),
            ));
        }
        let length = ends_at.signed_duration_since(starts_at);
        if length <= TimeDelta::zero() || length > longest {
            return Err(Error::BadRequest(format!(
                "endsAt must be after startsAt, and at most {} hours after it",
                longest.num_hours()
            )));
        }
        if !YEARS.contains(&starts_at.year()) {
            let (first, last) = (YEARS.start(), YEARS.end());
            return Err(Error::BadRequest(format!(
                "startsAt must lie in the years {first} to {last}"
            )));
        }
        Ok(Self { starts_at, ends_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(starts_at: &str, ends_at: &str) -> bool {
        let moment = |text: &str| text.parse().expect("a moment");
        Period::new(moment(starts_at), moment(ends_at), TimeDelta::hours(24)).is_ok()
    }

    #[test]
    fn a_period_ends_after_it_begins_and_not_too_late() {
        assert!(taken("2190-01-01T08:00:00Z", "2190-01-01T08:00:01Z"));
        assert!(taken("2190-01-01T08:00:00Z", "2190-01-02T08:00:00Z"));
        assert!(taken("1900-01-01T00:00:00Z", "1900-01-01T01:00:00Z"));
        assert!(taken("2199-12-31T23:00:00Z", "2200-01-01T01:00:00Z"));
        for (starts_at, ends_at) in [
            ("2190-01-01T08:00:00Z", "2190-01-01T08:00:00Z"),
            ("2190-01-01T08:00:00Z", "2190-01-01T07:00:00Z"),
            ("2190-01-01T08:00:00Z", "2190-01-02T08:00:01Z"),
            ("1899-12-31T23:00:00Z", "1900-01-01T01:00:00Z"),
            ("2200-01-01T00:00:00Z", "2200-01-01T01:00:00Z"),
            ("2190-01-01T08:00:00.000000001Z", "2190-01-01T08:30:00Z"),
            ("2190-01-01T08:00:00Z", "2190-01-01T08:59:60Z"),
        ] {
            assert!(!taken(starts_at, ends_at), "{starts_at} to {ends_at}");
        }
    }
}
