//! Which days a doctor works, how busy they are, and what fits into them.

use super::people::one_of;
use chrono::{Datelike, NaiveDate, Weekday};
use chrono_tz::Tz;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// No doctor begins before this, in minutes after local midnight.
pub const OPENS_AT_EARLIEST: u32 = OPENS[0];
/// No doctor works after this, in minutes after local midnight.
pub const CLOSES_AT_LATEST: u32 = CLOSES[CLOSES.len() - 1];
/// When a doctor's lunch may begin, the same each day, in minutes after local midnight.
pub const LUNCHES: [u32; 3] = [12 * 60, 12 * 60 + 30, 13 * 60];
/// How long lunch is.
pub const LUNCH_MINUTES: u32 = 45;

const OPENS: [u32; 4] = [7 * 60 + 30, 8 * 60, 8 * 60 + 30, 9 * 60];
const CLOSES: [u32; 4] = [16 * 60 + 30, 17 * 60, 17 * 60 + 30, 18 * 60];

/// Minutes that a visit may take; short ones stand here more often because they are more frequent.
const LENGTHS: [u32; 20] = [
    15, 15, 15, 15, 15, 15, 15, 15, 15, 20, 20, 20, 20, 30, 30, 30, 30, 45, 45, 60,
];

/// A year north of the equator, January first: winter brings the colds.
const SEASON: [f64; 12] = [
    1.3, 1.25, 1.15, 1.0, 0.95, 0.9, 0.8, 0.75, 0.95, 1.05, 1.15, 1.2,
];

/// Month and day on which hardly anybody works.
const HOLIDAYS: [(u32, u32); 6] = [(1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31)];

/// A doctor's time zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone {
    pub(super) tz: Tz,
    southern: bool,
}

impl Zone {
    const fn northern(tz: Tz) -> Self {
        Self {
            tz,
            southern: false,
        }
    }

    const fn southern(tz: Tz) -> Self {
        Self { tz, southern: true }
    }

    pub(super) fn name(&self) -> &'static str {
        self.tz.name()
    }
}

/// Daylight saving at different dates, none at all, half an hour of it (Lord Howe), and an offset
/// with a half hour.
pub(super) const ZONES: [Zone; 9] = [
    Zone::northern(Tz::Europe__Berlin),
    Zone::northern(Tz::America__New_York),
    Zone::northern(Tz::Asia__Kolkata),
    Zone::southern(Tz::Pacific__Auckland),
    Zone::southern(Tz::America__Sao_Paulo),
    Zone::southern(Tz::Australia__Lord_Howe),
    Zone::northern(Tz::UTC),
    Zone::northern(Tz::Asia__Tokyo),
    Zone::northern(Tz::America__Los_Angeles),
];

/// A doctor's working day, in minutes after local midnight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hours {
    opens: u32,
    lunch: u32,
    closes: u32,
}

/// A piece of a working day that one visit may take, in minutes after local midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) starts: u32,
    pub(super) ends: u32,
}

impl Hours {
    pub(super) fn random(rng: &mut ChaCha8Rng) -> Self {
        Self {
            opens: one_of(&OPENS, rng),
            lunch: one_of(&LUNCHES, rng),
            closes: one_of(&CLOSES, rng),
        }
    }

    /// When the doctor works before and after lunch.
    pub(super) fn halves(&self) -> [(u32, u32); 2] {
        [
            (self.opens, self.lunch),
            (self.lunch + LUNCH_MINUTES, self.closes),
        ]
    }

    /// Cuts a day into visits, one after the other, with lunch left free.
    pub(super) fn blocks(&self, rng: &mut ChaCha8Rng) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (mut starts, end) in self.halves() {
            loop {
                let ends = starts + one_of(&LENGTHS, rng);
                if ends > end {
                    break;
                }
                blocks.push(Block { starts, ends });
                starts = ends;
            }
        }
        blocks
    }
}

/// Two weeks of a doctor's absence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vacation(NaiveDate);

impl Vacation {
    pub(super) fn random(from: NaiveDate, days: u64, rng: &mut ChaCha8Rng) -> Self {
        Self(from + chrono::Days::new(rng.random_range(0..days)))
    }

    pub(super) fn covers(&self, date: NaiveDate) -> bool {
        (0..14).contains(&(date - self.0).num_days())
    }
}

/// How busy a day is, where 1 is an ordinary one.
pub(super) fn demand(date: NaiveDate, today: NaiveDate, zone: Zone) -> f64 {
    let weekday = match date.weekday() {
        Weekday::Mon => 1.15,
        Weekday::Tue => 1.05,
        Weekday::Wed => 0.95,
        Weekday::Thu => 1.0,
        Weekday::Fri => 0.85,
        Weekday::Sat => 0.04,
        Weekday::Sun => 0.01,
    };
    let month = date.month0() as usize + if zone.southern { 6 } else { 0 };
    let holiday = if HOLIDAYS.contains(&(date.month(), date.day())) {
        0.02
    } else {
        1.0
    };
    // Appointments far ahead are rarely booked yet. The days around today are fuller than a sparse
    // sample would make them, so that its lists of today and of what is to come are worth a look.
    let nearness = match (date - today).num_days() {
        -2..=10 => 2.5,
        11..=60 => 1.0,
        61.. => 0.7,
        _ => 1.0,
    };
    weekday * SEASON[month % 12] * holiday * nearness
}

#[cfg(test)]
mod tests {
    use super::{Hours, LUNCH_MINUTES, Zone, demand};
    use chrono::NaiveDate;
    use chrono_tz::Tz;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn date(month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, month, day).unwrap()
    }

    #[test]
    fn visits_fill_the_day_but_not_the_lunch() {
        let rng = &mut ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let hours = Hours::random(rng);
            let blocks = hours.blocks(rng);
            assert!(blocks.len() >= 7);
            assert!(blocks.windows(2).all(|two| two[0].ends <= two[1].starts));
            let back = hours.lunch + LUNCH_MINUTES;
            for block in blocks {
                assert!(block.starts >= hours.opens && block.ends <= hours.closes);
                assert!(block.ends <= hours.lunch || block.starts >= back);
                assert!((15..=60).contains(&(block.ends - block.starts)));
            }
        }
    }

    #[test]
    fn winter_is_where_the_doctor_is() {
        let (january, july) = (date(1, 14), date(7, 15));
        let today = date(4, 1);
        let north = Zone::northern(Tz::Europe__Berlin);
        let south = Zone::southern(Tz::Pacific__Auckland);
        assert!(demand(january, date(12, 1), north) > demand(july, date(1, 1), north));
        assert!(demand(january, today, south) < demand(july, today, south));
    }

    #[test]
    fn weekends_and_holidays_are_nearly_empty() {
        let (today, zone) = (date(1, 2), Zone::northern(Tz::UTC));
        let ordinary = demand(date(12, 23), today, zone);
        for quiet in [date(12, 19), date(12, 20), date(12, 25)] {
            assert!(demand(quiet, today, zone) < ordinary / 10.0);
        }
    }
}
