//! Who may do what.
//!
//! Roles and actions meet in one table, [`scope`]. Whether something is the caller's own is decided in the
//! same statement that reads or changes it, by the subject.

use crate::http::{
    auth::{Caller, Role},
    problem::Error,
};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Who can be visited: doctors, their weeks, their free slots.
    SeeDoctors,
    /// A doctor's appointments, as lists and as figures.
    SeeSchedule,
    /// A doctor's working hours and time off.
    ManageSchedule,
    /// One appointment.
    SeeAppointment,
    /// Its clinical notes.
    SeeNotes,
    /// A new appointment.
    Book,
    /// Outside working hours, in time off or in the past.
    OverrideHours,
    /// Moving an appointment.
    Move,
    /// An appointment's status and notes.
    KeepRecord,
    /// Giving an appointment up.
    Cancel,
    /// Finding patients by name or phone.
    SearchPatients,
    /// A patient's record.
    SeePatient,
    /// A patient's appointments; to a doctor the ones with themselves.
    SeePatientAppointments,
    /// New patients, and corrections.
    KeepPatients,
    /// Who they themselves are at the clinic.
    SeeOneself,
    /// What the database is doing.
    SeeOperations,
}

impl Action {
    /// Every action. Each leads to the next by a match that the compiler checks, so that none is forgotten.
    pub fn all() -> impl Iterator<Item = Self> {
        std::iter::successors(Some(Self::SeeDoctors), |action| action.next())
    }

    fn next(self) -> Option<Self> {
        Some(match self {
            Self::SeeDoctors => Self::SeeSchedule,
            Self::SeeSchedule => Self::ManageSchedule,
            Self::ManageSchedule => Self::SeeAppointment,
            Self::SeeAppointment => Self::SeeNotes,
            Self::SeeNotes => Self::Book,
            Self::Book => Self::OverrideHours,
            Self::OverrideHours => Self::Move,
            Self::Move => Self::KeepRecord,
            Self::KeepRecord => Self::Cancel,
            Self::Cancel => Self::SearchPatients,
            Self::SearchPatients => Self::SeePatient,
            Self::SeePatient => Self::SeePatientAppointments,
            Self::SeePatientAppointments => Self::KeepPatients,
            Self::KeepPatients => Self::SeeOneself,
            Self::SeeOneself => Self::SeeOperations,
            Self::SeeOperations => return None,
        })
    }
}

/// What a role may do an action to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything of the clinic.
    All,
    /// What belongs to the caller.
    Own,
    /// Nothing.
    Nothing,
}

/// Who may do what: the one table.
pub const fn scope(role: Role, action: Action) -> Scope {
    use Scope::{All, Nothing, Own};
    let (staff, doctor, patient) = match action {
        Action::SeeDoctors => (All, All, All),
        Action::SeeSchedule => (All, Own, Nothing),
        Action::ManageSchedule => (All, Own, Nothing),
        Action::SeeAppointment => (All, Own, Own),
        Action::SeeNotes => (All, Own, Nothing),
        Action::Book => (All, Own, Own),
        Action::OverrideHours => (All, Nothing, Nothing),
        Action::Move => (All, Own, Own),
        Action::KeepRecord => (All, Own, Nothing),
        Action::Cancel => (All, Own, Own),
        Action::SearchPatients => (All, Nothing, Nothing),
        Action::SeePatient => (All, Own, Own),
        Action::SeePatientAppointments => (All, Own, Own),
        Action::KeepPatients => (All, Nothing, Nothing),
        Action::SeeOneself => (Own, Own, Own),
        Action::SeeOperations => (All, Nothing, Nothing),
    };
    match role {
        Role::Staff => staff,
        Role::Doctor => doctor,
        Role::Patient => patient,
    }
}

/// What one caller may do one action to, for a statement to decide by. What fits none of the three
/// parts is not theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// Everything is theirs.
    pub all: bool,
    /// What belongs to the doctor with this subject is theirs.
    pub doctor: Option<&'a str>,
    /// What belongs to the patient with this subject is theirs.
    pub patient: Option<&'a str>,
    /// Who they are.
    pub subject: &'a str,
}

/// What the caller may do the action to. `None` if no role of theirs has it.
pub fn access_to(caller: &Caller, action: Action) -> Option<Access<'_>> {
    let has = |role: Role, wanted| caller.roles().contains(&role) && scope(role, action) == wanted;
    let own = |role| has(role, Scope::Own).then_some(caller.subject());
    let mut roles = caller.roles().iter();
    roles.find(|role| scope(**role, action) != Scope::Nothing)?;
    Some(Access {
        all: Role::ALL.into_iter().any(|role| has(role, Scope::All)),
        doctor: own(Role::Doctor),
        patient: own(Role::Patient),
        subject: caller.subject(),
    })
}

/// What the caller may do the action to.
///
/// # Errors
/// [`Error::Forbidden`] if no role of theirs has it.
pub fn authorize(caller: &Caller, action: Action) -> Result<Access<'_>, Error> {
    access_to(caller, action).ok_or(Error::Forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Claims;

    fn caller(groups: &str) -> Caller {
        let claims = [("cognito:groups", groups), ("sub", "s-1")];
        let claims = claims.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Caller::read(Some(&claims.into()), &Claims::default()).expect("a caller")
    }

    #[test]
    fn each_part_that_is_the_callers_own_counts() {
        let both = caller("[patient doctor]");
        let access = authorize(&both, Action::SeeAppointment).expect("access");
        assert!(!access.all);
        assert_eq!((access.doctor, access.patient), (Some("s-1"), Some("s-1")));
        let access = authorize(&both, Action::SeeSchedule).expect("access");
        assert_eq!((access.doctor, access.patient), (Some("s-1"), None));
        let staff = caller("[staff patient]");
        assert!(
            authorize(&staff, Action::SearchPatients)
                .expect("access")
                .all
        );
        assert!(authorize(&caller("[patient]"), Action::SeeSchedule).is_err());
        assert!(authorize(&caller("[]"), Action::SeeDoctors).is_err());
    }
}
