//! Doctors: who can be visited, and when: the frame of their week and their absences.

mod absence;
mod affected;
mod detail;
mod list;
mod lock;
mod week;
mod working_hours;

#[cfg(feature = "contract")]
pub(crate) use absence::Added;
pub use absence::{AddTimeOff, RemoveTimeOff, TimeOff, TimeOffDraft};
pub use affected::{AFFECTED_SHOWN, AffectedAppointment};
pub use detail::{DoctorDetail, TIME_OFF_SHOWN, find};
pub use list::{DOCTORS_PAGE, Doctor, DoctorFilter, DoctorPosition, list};
pub(crate) use lock::{LockedDoctor, lock};
#[cfg(feature = "contract")]
pub(crate) use week::Changed;
pub use week::{NewWeek, ReplaceWorkingHours};
pub use working_hours::{MAX_HOURS, WorkingHours};
