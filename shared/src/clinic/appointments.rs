//! Appointments: who sees whom when, and how that changes.

mod audit;
mod booking;
mod calendar;
mod changes;
mod detail;
mod history;
mod lists;
mod status;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

pub use booking::{Booking, Draft};
pub use changes::{CancelAppointment, ChangeAppointment, Patch, Reason};
pub use detail::{AppointmentDetail, DoctorName, find};
pub use history::{
    DOCTOR_HISTORY_PAGE, DoctorHistoryPosition, HISTORY_DAYS, PATIENT_HISTORY_PAGE,
    PatientAppointment, PatientHistoryPosition, of_doctor, of_patient,
};
pub use lists::{TODAY_PAGE, TodayPosition, UPCOMING_PAGE, UpcomingPosition, today, upcoming};
#[cfg(feature = "contract")]
pub(crate) use status::table as state_machine;
pub use status::{Since, Status};

/// An appointment as a list shows it: no notes, and of the patient no more than the name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Appointment {
    /// The appointment's id.
    pub id: Uuid,
    /// When it begins.
    pub starts_at: DateTime<Utc>,
    /// When it is over; this moment no longer belongs to it.
    pub ends_at: DateTime<Utc>,
    /// The status.
    pub status: Status,
    /// The reason for the visit, as given when it was booked.
    pub reason: String,
    /// Who comes.
    pub patient: PatientName,
}

/// A patient, as far as a list shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PatientName {
    /// The patient's id.
    pub id: Uuid,
    /// The patient's name.
    pub full_name: String,
}
