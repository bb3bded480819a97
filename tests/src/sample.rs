//! A clinic to look at and to measure on: invented doctors and patients, and a year of appointments
//! around now.
//!
//! - `words`: names in many scripts, reasons, notes
//! - `people`: doctors and patients
//! - `calendar`: which days a doctor works, and how busy they are
//! - `visits`: the appointments of those days
//! - `copy`: rows as PostgreSQL's COPY reads them
//! - `progress`: how far it is, for a user who waits
//!
//! Everything follows from the size, the seed and the time taken for now: the same three give the
//! same rows.

mod calendar;
mod copy;
mod people;
mod progress;
mod visits;
mod words;

pub use calendar::{CLOSES_AT_LATEST, LUNCH_MINUTES, LUNCHES, OPENS_AT_EARLIEST};
pub use people::FIRST_DOCTOR;
pub use progress::on_stderr;

use chrono::{DateTime, Utc};
use copy::Copy;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use sqlx::{Connection, PgConnection};

/// Rows sent between two reports of progress.
const CHUNK: usize = 5_000;

/// How large a clinic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 12 doctors, 600 patients, 6 000 appointments: there within a second or two.
    Small,
    /// 120 doctors, 40 000 patients, 400 000 appointments: enough that a missing index shows.
    Medium,
}

/// A size in numbers.
#[derive(Clone, Copy, Debug)]
struct Extent {
    doctors: usize,
    patients: usize,
    appointments: usize,
    past_days: u64,
    future_days: u64,
}

impl Size {
    fn extent(self) -> Extent {
        match self {
            Self::Small => Extent {
                doctors: 12,
                patients: 600,
                appointments: 6_000,
                past_days: 180,
                future_days: 90,
            },
            Self::Medium => Extent {
                doctors: 120,
                patients: 40_000,
                appointments: 400_000,
                past_days: 240,
                future_days: 120,
            },
        }
    }
}

/// What [`generate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// Nothing: the database has doctors, from wherever they came.
    Already,
    /// The clinic is in the database.
    Generated {
        /// Rows in `doctors`.
        doctors: u64,
        /// Rows in `patients`.
        patients: u64,
        /// Rows in `appointments`.
        appointments: u64,
    },
}

/// Fills an empty clinic, in one transaction: all of it arrives or nothing. Past and future are
/// told apart by `now`; about two thirds of the appointments lie before it.
///
/// `progress` is called with the appointments sent and all of them, the last time with both equal.
///
/// # Errors
/// Those of the database; a schema that is not there is one of them.
pub async fn generate(
    connection: &mut PgConnection,
    size: Size,
    seed: u64,
    now: DateTime<Utc>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Summary, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // Of two that fill the clinic at the same time, the second waits here and then finds it filled.
    sqlx::raw_sql("lock table doctors in share row exclusive mode")
        .execute(&mut *transaction)
        .await?;
    let already: bool = sqlx::query_scalar("select exists (select from doctors)")
        .fetch_one(&mut *transaction)
        .await?;
    if already {
        transaction.rollback().await?;
        return Ok(Summary::Already);
    }

    let extent = size.extent();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let doctors = people::doctors(extent.doctors, &mut rng);
    let mut copy = Copy::begin(&mut transaction, people::Doctor::COPY).await?;
    for doctor in &doctors {
        copy.row(|row| doctor.write(row));
    }
    let doctors_sent = copy.finish().await?;
    let mut copy = Copy::begin(&mut transaction, people::Doctor::COPY_HOURS).await?;
    for doctor in &doctors {
        doctor.write_hours(|write| copy.row(|row| write(row)));
    }
    copy.finish().await?;

    let patients = people::patients(extent.patients, now, &mut rng);
    let mut copy = Copy::begin(&mut transaction, people::Patient::COPY).await?;
    for patient in &patients {
        copy.row(|row| patient.write(row));
    }
    let patients_sent = copy.finish().await?;

    let slots = visits::slots(&doctors, &extent, now, &mut rng);
    let total = slots.len() as u64;
    let mut sent = 0;
    let mut copy = Copy::begin(&mut transaction, visits::Appointment::COPY).await?;
    for chunk in slots.chunks(CHUNK) {
        for slot in chunk {
            let appointment = visits::appointment(slot, &doctors, &patients, now, &mut rng);
            copy.row(|row| appointment.write(row));
        }
        copy.send().await?;
        sent += chunk.len() as u64;
        progress(sent, total);
    }
    let appointments_sent = copy.finish().await?;
    transaction.commit().await?;

    // Without it the planner takes the tables for empty until autovacuum comes by.
    sqlx::raw_sql("analyze doctors, working_hours, patients, appointments")
        .execute(connection)
        .await?;
    Ok(Summary::Generated {
        doctors: doctors_sent,
        patients: patients_sent,
        appointments: appointments_sent,
    })
}
