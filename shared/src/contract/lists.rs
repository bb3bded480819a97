//! The lists of the API: what each page holds and how much of it.

use schemars::JsonSchema;

use crate::clinic::{
    appointments::{
        Appointment, DOCTOR_HISTORY_PAGE, DoctorHistoryPosition, PATIENT_HISTORY_PAGE,
        PatientAppointment, PatientHistoryPosition, TODAY_PAGE, TodayPosition, UPCOMING_PAGE,
        UpcomingPosition,
    },
    availability::{AVAILABILITY_PAGE, Slot, SlotPosition},
    doctors::{DOCTORS_PAGE, Doctor, DoctorPosition},
    patients::{FoundPatient, PATIENTS_PAGE, PatientPosition},
};

/// A list, named by the position at which one of its pages ends.
pub(super) trait List {
    /// What the list holds.
    type Item: JsonSchema;
    /// The maximum number of items on a page, which is also the default.
    const MAX: u16;
    /// Whether the client may ask for fewer.
    const LIMIT: bool;
}

macro_rules! lists {
    ($($position:ty: $item:ty, $max:expr, $limit:expr;)*) => {
        $(impl List for $position {
            type Item = $item;
            const MAX: u16 = $max;
            const LIMIT: bool = $limit;
        })*
    };
}

lists! {
    DoctorPosition: Doctor, DOCTORS_PAGE, true;
    PatientPosition: FoundPatient, PATIENTS_PAGE, true;
    SlotPosition: Slot, AVAILABILITY_PAGE, false;
    TodayPosition: Appointment, TODAY_PAGE, false;
    UpcomingPosition: Appointment, UPCOMING_PAGE, true;
    DoctorHistoryPosition: Appointment, DOCTOR_HISTORY_PAGE, true;
    PatientHistoryPosition: PatientAppointment, PATIENT_HISTORY_PAGE, true;
}
