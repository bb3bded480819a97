//! Who may do what: roles and actions meet in one table, [`scope`]. Whether something is the caller's own is
//! decided in the same statement that reads or changes it, by the subject.

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
    /// Who the caller is at the clinic.
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

/// How far a permission reaches: the scope of an action for a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything of the clinic.
    All,
    /// What belongs to the caller.
    Own,
    /// Nothing.
    Nothing,
}

/// The table.
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

/// How far one action of one caller reaches, for a statement to decide by. What fits none of the
/// three parts is not the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access<'a> {
    /// Everything is in reach.
    pub all: bool,
    /// What belongs to the doctor with this subject is in reach.
    pub doctor: Option<&'a str>,
    /// What belongs to the patient with this subject is in reach.
    pub patient: Option<&'a str>,
    /// The caller's subject.
    pub subject: &'a str,
}

impl Caller {
    /// How far an action reaches. None if none of the caller's roles has it.
    pub fn access(&self, action: Action) -> Option<Access<'_>> {
        let reaches =
            |role: Role, wanted| self.roles().contains(&role) && scope(role, action) == wanted;
        let own = |role| reaches(role, Scope::Own).then_some(self.subject());
        self.roles()
            .iter()
            .find(|role| scope(**role, action) != Scope::Nothing)?;
        Some(Access {
            all: Role::ALL.into_iter().any(|role| reaches(role, Scope::All)),
            doctor: own(Role::Doctor),
            patient: own(Role::Patient),
            subject: self.subject(),
        })
    }

    /// How far an action reaches, for the statement that carries it out.
    ///
    /// # Errors
    /// [`Error::Forbidden`] if none of the caller's roles has it.
    pub fn authorize(&self, action: Action) -> Result<Access<'_>, Error> {
        self.access(action).ok_or(Error::Forbidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::auth::caller;

    #[test]
    fn each_part_that_is_the_callers_own_counts() {
        let both = caller("[patient doctor]");
        let access = both.authorize(Action::SeeAppointment).expect("access");
        assert!(!access.all);
        assert_eq!((access.doctor, access.patient), (Some("s-1"), Some("s-1")));
        let access = both.authorize(Action::SeeSchedule).expect("access");
        assert_eq!((access.doctor, access.patient), (Some("s-1"), None));
        let staff = caller("[staff patient]");
        assert!(staff.authorize(Action::SearchPatients).expect("access").all);
        assert!(caller("[patient]").authorize(Action::SeeSchedule).is_err());
        assert!(caller("[]").authorize(Action::SeeDoctors).is_err());
    }
}
