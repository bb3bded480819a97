//! Doctors and patients, all invented. All of them can log in, as `doctor-1` and so on.

use super::calendar::{Hours, ZONES, Zone};
use super::copy::Row;
use super::words::{Order, SCRIPTS, SPECIALTIES, Script};
use chrono::{DateTime, Days, NaiveDate, Utc};
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use uuid::{Builder, Uuid};

/// The first doctor's id, the same in every sample, so that a line with it can be pasted: on duty
/// today, whatever the day, with a full list, and with many appointments to come. In Europe/Berlin.
pub const FIRST_DOCTOR: Uuid = Uuid::from_u128(0x00000000_0000_4000_8000_000000000001);

/// One doctor in this many has left the clinic: no longer active, with a past and no future.
const LEFT_THE_CLINIC: usize = 17;

/// Country codes before an invented number.
const COUNTRIES: [u16; 8] = [1, 30, 49, 55, 64, 81, 91, 380];

const INITIALS: [char; 20] = [
    'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'R', 'S', 'T', 'V',
    'Z',
];

/// A doctor, with what the calendar has to know.
pub(super) struct Doctor {
    pub(super) id: Uuid,
    pub(super) zone: Zone,
    pub(super) hours: Hours,
    pub(super) active: bool,
    full_name: String,
    specialty: &'static str,
    subject: String,
}

impl Doctor {
    pub(super) const COPY: &'static str =
        "copy doctors (id, full_name, specialty, time_zone, active, subject) from stdin";

    pub(super) fn write(&self, row: &mut Row<'_>) {
        row.plain(self.id);
        row.text(&self.full_name);
        row.text(self.specialty);
        row.plain(self.zone.name());
        row.plain(self.active);
        row.plain(&self.subject);
    }

    pub(super) const COPY_HOURS: &'static str =
        "copy working_hours (doctor_id, weekday, opens, closes) from stdin";

    /// The doctor's week, a row for each half of a day, for [`Doctor::COPY_HOURS`]: Monday to Friday,
    /// and every day for the first doctor, who is always on duty.
    pub(super) fn write_hours(&self, mut row: impl FnMut(&dyn Fn(&mut Row<'_>))) {
        let days = if self.id == FIRST_DOCTOR { 7 } else { 5 };
        for weekday in 1..=days {
            for (opens, closes) in self.hours.halves() {
                row(&|row| {
                    row.plain(self.id);
                    row.plain(weekday);
                    for minute in [opens, closes] {
                        row.plain(format_args!("{:02}:{:02}", minute / 60, minute % 60));
                    }
                });
            }
        }
    }
}

/// Every zone and every script occurs, from the second doctor on in turns of different length.
pub(super) fn doctors(number: usize, rng: &mut ChaCha8Rng) -> Vec<Doctor> {
    (0..number)
        .map(|index| Doctor {
            id: if index == 0 { FIRST_DOCTOR } else { id(rng) },
            zone: ZONES[index % ZONES.len()],
            hours: Hours::random(rng),
            active: index % LEFT_THE_CLINIC != LEFT_THE_CLINIC - 1,
            full_name: full_name(&SCRIPTS[index % SCRIPTS.len()], rng),
            specialty: SPECIALTIES[index % SPECIALTIES.len()],
            subject: format!("doctor-{}", index + 1),
        })
        .collect()
}

/// A patient.
pub(super) struct Patient {
    pub(super) id: Uuid,
    full_name: String,
    phone: Option<String>,
    email: Option<String>,
    date_of_birth: Option<String>,
    subject: String,
}

impl Patient {
    pub(super) const COPY: &'static str =
        "copy patients (id, full_name, phone, email, date_of_birth, subject) from stdin";

    pub(super) fn write(&self, row: &mut Row<'_>) {
        row.plain(self.id);
        row.text(&self.full_name);
        row.optional(self.phone.as_deref());
        row.optional(self.email.as_deref());
        row.optional(self.date_of_birth.as_deref());
        row.plain(&self.subject);
    }
}

pub(super) fn patients(number: usize, now: DateTime<Utc>, rng: &mut ChaCha8Rng) -> Vec<Patient> {
    (0..number)
        .map(|index| {
            let script = SCRIPTS
                .choose_weighted(rng, |script| script.share)
                .expect("no share is negative and not all of them are zero");
            Patient {
                id: id(rng),
                full_name: full_name(script, rng),
                phone: sometimes(0.92, rng, phone),
                // A domain that is reserved for examples reaches no mailbox.
                email: sometimes(0.8, rng, |_| format!("patient.{index}@example.org")),
                date_of_birth: sometimes(0.97, rng, |rng| {
                    date_of_birth(now.date_naive(), rng).to_string()
                }),
                subject: format!("patient-{}", index + 1),
            }
        })
        .collect()
}

/// A random id that follows from the seed.
pub(super) fn id(rng: &mut impl Rng) -> Uuid {
    Builder::from_random_bytes(rng.random()).into_uuid()
}

fn sometimes<T>(
    probability: f64,
    rng: &mut ChaCha8Rng,
    make: impl FnOnce(&mut ChaCha8Rng) -> T,
) -> Option<T> {
    rng.random_bool(probability).then(|| make(rng))
}

fn full_name(script: &Script, rng: &mut ChaCha8Rng) -> String {
    let given = one_of(script.given, rng);
    let family = one_of(script.family, rng);
    match script.order {
        Order::GivenInitialFamily if rng.random_bool(0.4) => {
            format!("{given} {}. {family}", one_of(&INITIALS, rng))
        }
        Order::GivenInitialFamily | Order::GivenFamily => format!("{given} {family}"),
        Order::FamilyGivenJoined => format!("{family}{given}"),
    }
}

/// 555 is kept for fiction in the first of the countries, and unlikely in the others.
fn phone(rng: &mut ChaCha8Rng) -> String {
    let country = one_of(&COUNTRIES, rng);
    let number = rng.random_range(0..1_000_000);
    format!("+{country} 555 {:03} {:03}", number / 1_000, number % 1_000)
}

/// Of all ages up to 95, the old more often: they come more often.
fn date_of_birth(today: NaiveDate, rng: &mut ChaCha8Rng) -> NaiveDate {
    let days = rng
        .random_range(1..95 * 365_u64)
        .max(rng.random_range(1..70 * 365));
    today - Days::new(days)
}

/// One of a list that has some.
pub(super) fn one_of<T: Copy>(list: &[T], rng: &mut ChaCha8Rng) -> T {
    list[rng.random_range(0..list.len())]
}
