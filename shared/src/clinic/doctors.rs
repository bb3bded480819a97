//! Doctors: who can be visited, and when: the frame of their week and their absences.

mod absence;
mod detail;
mod list;
mod lock;
mod outside;
mod week;

#[cfg(feature = "contract")]
pub(crate) use absence::Added;
pub use absence::{Addition, Removal, TimeOff, TimeOffDraft};
pub use detail::{DoctorDetail, TIME_OFF_SHOWN, find};
pub use list::{DOCTORS_PAGE, Doctor, DoctorFilter, DoctorPosition, list};
pub(crate) use lock::{LockedDoctor, lock};
pub use outside::{OUTSIDE_SHOWN, OutsideAppointment};
#[cfg(feature = "contract")]
pub(crate) use week::Changed;
pub use week::{MAX_HOURS, NewWeek, Replacement, WorkingHours};
