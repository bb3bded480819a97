//! Patients: finding them, their records, and how these change.

mod changes;
mod details;
mod record;
mod search;

pub use changes::{CorrectPatient, Patch, RegisterPatient};
pub use details::{DateOfBirth, Draft, Email, Phone};
pub use record::{Patient, find};
#[cfg(feature = "contract")]
pub(crate) use search::SHORTEST;
pub use search::{FoundPatient, PATIENTS_PAGE, PatientPosition, SearchTerm, search};
