//! The appointments of the doctors' days.

use super::Extent;
use super::calendar::{Block, Vacation, demand};
use super::copy::Row;
use super::people::{Doctor, FIRST_DOCTOR, Patient, id, one_of};
use super::words::{NOTES, REASONS};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use rand::seq::index;
use uuid::Uuid;

/// Of a hundred appointments, those whose time was given away a second time: cancelled, or nobody
/// came.
const TWINS_PER_HUNDRED: usize = 4;

/// Who is due within this time may already sit in the waiting room.
const WAITING_ROOM: TimeDelta = TimeDelta::minutes(20);

/// A time at a doctor's, taken by a patient.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    doctor: usize,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    /// It shares its time with another that may be live, so this one cannot be.
    twin: bool,
}

/// A doctor's day, before it is known how many come.
struct Day {
    doctor: usize,
    date: NaiveDate,
    blocks: Vec<Block>,
    weight: f64,
}

/// Exactly the appointments that were asked for, two thirds of them before today, in the order of
/// their start.
pub(super) fn slots(
    doctors: &[Doctor],
    extent: &Extent,
    now: DateTime<Utc>,
    rng: &mut ChaCha8Rng,
) -> Vec<Slot> {
    let (past, future) = days(doctors, extent, now, rng);
    let before = extent.appointments * 2 / 3;
    let mut slots = Vec::with_capacity(extent.appointments);
    for (days, number) in [(past, before), (future, extent.appointments - before)] {
        let twins = number * TWINS_PER_HUNDRED / 100;
        let first = slots.len();
        for (day, number) in days.iter().zip(allot(&days, number - twins)) {
            let mut taken = index::sample(rng, day.blocks.len(), number).into_vec();
            taken.sort_unstable();
            let times = taken.into_iter().map(|block| day.blocks[block]);
            slots.extend(times.filter_map(|block| slot(day, block, doctors)));
        }
        let taken = slots.len() - first;
        for chosen in index::sample(rng, taken, twins.min(taken)) {
            slots.push(Slot {
                twin: true,
                ..slots[first + chosen]
            });
        }
    }
    slots.sort_by_key(|slot| (slot.starts_at, slot.doctor, slot.twin));
    slots
}

/// Every working day of every doctor: those before today, and the others.
fn days(
    doctors: &[Doctor],
    extent: &Extent,
    now: DateTime<Utc>,
    rng: &mut ChaCha8Rng,
) -> (Vec<Day>, Vec<Day>) {
    let (mut past, mut future) = (Vec::new(), Vec::new());
    for (index, doctor) in doctors.iter().enumerate() {
        let today = now.with_timezone(&doctor.zone.tz).date_naive();
        let begin = today - Days::new(extent.past_days);
        let vacations = [
            Vacation::random(begin, extent.past_days, rng),
            Vacation::random(today, extent.future_days, rng),
        ];
        let ahead = if doctor.active {
            extent.future_days + 1
        } else {
            0
        };
        let dates = (0..extent.past_days + ahead).map(|day| begin + Days::new(day));
        for date in dates {
            let first = doctor.id == FIRST_DOCTOR;
            let weight = if first && date == today {
                // More than any day can hold: on duty, and fully booked.
                1_000.0
            } else if !first && vacations.iter().any(|vacation| vacation.covers(date)) {
                0.0
            } else {
                demand(date, today, doctor.zone)
            };
            let day = Day {
                doctor: index,
                date,
                blocks: doctor.hours.blocks(rng),
                weight,
            };
            if date < today {
                past.push(day);
            } else {
                future.push(day);
            }
        }
    }
    (past, future)
}

/// Shares out a number of visits in proportion to the days' weights, none getting more than it can
/// hold. Remainders carry over to the next day, so that the sum is exact.
fn allot(days: &[Day], number: usize) -> Vec<usize> {
    let shares = |scale: f64| {
        days.iter()
            .map(move |day| (day.weight * scale).min(day.blocks.len() as f64))
    };
    // The sum grows with the scale, and with the largest of these every day with any weight is
    // full.
    let (mut low, mut high) = (0.0, 10_000.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if shares(middle).sum::<f64>() < number as f64 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let mut carried = 0.5;
    shares(high)
        .map(|share| {
            carried += share;
            let whole = carried.floor();
            carried -= whole;
            whole as usize
        })
        .collect()
}

/// The block's time in the doctor's zone. `None` when the clock skips it, which no clock does in
/// working hours.
fn slot(day: &Day, block: Block, doctors: &[Doctor]) -> Option<Slot> {
    let at = |minutes: u32| {
        let local = day.date.and_hms_opt(minutes / 60, minutes % 60, 0)?;
        let zoned = doctors[day.doctor].zone.tz.from_local_datetime(&local);
        Some(zoned.earliest()?.to_utc())
    };
    Some(Slot {
        doctor: day.doctor,
        starts_at: at(block.starts)?,
        ends_at: at(block.ends)?,
        twin: false,
    })
}

/// A row of the table.
pub(super) struct Appointment {
    id: Uuid,
    doctor_id: Uuid,
    patient_id: Uuid,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    status: &'static str,
    reason: &'static str,
    notes: &'static str,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Appointment {
    pub(super) const COPY: &'static str = "copy appointments (id, doctor_id, patient_id, starts_at, \
         ends_at, status, reason, notes, created_at, updated_at) from stdin";

    pub(super) fn write(&self, row: &mut Row<'_>) {
        row.plain(self.id);
        row.plain(self.doctor_id);
        row.plain(self.patient_id);
        row.plain(self.starts_at.to_rfc3339());
        row.plain(self.ends_at.to_rfc3339());
        row.plain(self.status);
        row.text(self.reason);
        row.text(self.notes);
        row.plain(self.created_at.to_rfc3339());
        row.plain(self.updated_at.to_rfc3339());
    }
}

/// What became of a slot, as far as that is known now.
pub(super) fn appointment(
    slot: &Slot,
    doctors: &[Doctor],
    patients: &[Patient],
    now: DateTime<Utc>,
    rng: &mut ChaCha8Rng,
) -> Appointment {
    let status = status(slot, now, rng);
    // The lower of two numbers: some patients come often, most of them rarely.
    let patient = rng
        .random_range(0..patients.len())
        .min(rng.random_range(0..patients.len()));
    let notes = if status == "completed" && rng.random_bool(0.3) {
        one_of(&NOTES, rng)
    } else {
        ""
    };
    let booked = slot.starts_at - TimeDelta::minutes(rng.random_range(60..60 * 24 * 60));
    let created_at = if booked < now {
        booked
    } else {
        now - TimeDelta::minutes(rng.random_range(10..30 * 24 * 60))
    };
    Appointment {
        id: id(rng),
        doctor_id: doctors[slot.doctor].id,
        patient_id: patients[patient].id,
        starts_at: slot.starts_at,
        ends_at: slot.ends_at,
        status,
        reason: one_of(&REASONS, rng),
        notes,
        created_at,
        updated_at: match status {
            "completed" | "no_show" => slot.ends_at,
            "in_progress" => slot.starts_at,
            _ => created_at,
        },
    }
}

fn status(slot: &Slot, now: DateTime<Utc>, rng: &mut ChaCha8Rng) -> &'static str {
    let over = slot.ends_at <= now;
    if slot.twin {
        return if over && rng.random_bool(0.4) {
            "no_show"
        } else {
            "cancelled"
        };
    }
    if over {
        return match rng.random_range(0..100) {
            0..8 => "cancelled",
            8..26 => "no_show",
            _ => "completed",
        };
    }
    if slot.starts_at <= now {
        return match rng.random_range(0..100) {
            0..80 => "in_progress",
            _ => "checked_in",
        };
    }
    let until = slot.starts_at - now;
    let confirmed = if until < TimeDelta::days(7) { 75 } else { 30 };
    match rng.random_range(0..100) {
        0..60 if until < WAITING_ROOM => "checked_in",
        94.. => "cancelled",
        drawn if drawn < confirmed => "confirmed",
        _ => "scheduled",
    }
}
