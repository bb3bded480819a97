//! Who calls, and how far what they may do reaches.
//!
//! API Gateway has verified the token; what arrives here are its claims. Roles and actions meet in
//! one table, [`reach`]. Whether something is the caller's own is decided in the same statement
//! that reads or changes it, by the subject.

use std::collections::HashMap;

use serde::Serialize;

use crate::{config::Claims, http::problem::Error};

/// A role at the clinic. The strongest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The front desk.
    Staff,
    /// A doctor, by `doctors.subject`.
    Doctor,
    /// A patient, by `patients.subject`.
    Patient,
}

impl Role {
    /// Every role, the strongest first.
    pub const ALL: [Self; 3] = [Self::Staff, Self::Doctor, Self::Patient];

    /// The role's name in tokens and in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Doctor => "doctor",
            Self::Patient => "patient",
        }
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Who can be visited: doctors, their weeks, their free slots.
    SeeDoctors,
    /// A doctor's appointments, as lists and as figures.
    SeeSchedule,
    /// A doctor's working hours and time off.
    ChangeFrame,
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
            Self::SeeSchedule => Self::ChangeFrame,
            Self::ChangeFrame => Self::SeeAppointment,
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

/// How far a permission reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everything of the clinic.
    All,
    /// What belongs to the caller.
    Own,
    /// Nothing.
    Nothing,
}

/// Who may do what: the one table.
pub const fn reach(role: Role, action: Action) -> Reach {
    use Reach::{All, Nothing, Own};
    let (staff, doctor, patient) = match action {
        Action::SeeDoctors => (All, All, All),
        Action::SeeSchedule => (All, Own, Nothing),
        Action::ChangeFrame => (All, Own, Nothing),
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

/// Somebody whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    subject: String,
    roles: Vec<Role>,
}

/// How far one action of one caller reaches, for a statement to decide by. What fits none of the
/// three parts is not theirs.
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

impl Caller {
    /// Reads the verified claims. API Gateway hands all of them on as texts, an array as its
    /// elements between brackets with spaces in between: `[doctor staff]`. An element that has a space
    /// cannot be told from two, so no name in the role claim may have one. A single name is no array,
    /// and is compared whole.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where there are none, or no subject.
    pub(crate) fn read(
        claims: Option<&HashMap<String, String>>,
        names: &Claims,
    ) -> Result<Self, Error> {
        let claims = claims.ok_or(Error::Unauthenticated)?;
        let subject = claims.get(&names.subject).filter(|text| !text.is_empty());
        let named = claims.get(&names.role).map_or("", String::as_str);
        let array = named.strip_prefix('[');
        let named: Vec<&str> = match array.and_then(|rest| rest.strip_suffix(']')) {
            Some(elements) => elements.split(' ').collect(),
            None => vec![named],
        };
        Ok(Self {
            subject: subject.ok_or(Error::Unauthenticated)?.clone(),
            roles: Role::ALL
                .into_iter()
                .filter(|role| named.contains(&role.name()))
                .collect(),
        })
    }

    /// Who they are, as the identity provider names them.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What they are, the strongest first.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// How far an action reaches. None where no role of theirs has it.
    pub fn access(&self, action: Action) -> Option<Access<'_>> {
        let reaches =
            |role: Role, wanted| self.roles.contains(&role) && reach(role, action) == wanted;
        let own = |role| reaches(role, Reach::Own).then_some(self.subject.as_str());
        self.roles
            .iter()
            .find(|role| reach(**role, action) != Reach::Nothing)?;
        Some(Access {
            all: Role::ALL.into_iter().any(|role| reaches(role, Reach::All)),
            doctor: own(Role::Doctor),
            patient: own(Role::Patient),
            subject: &self.subject,
        })
    }

    /// How far an action reaches.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where no role of theirs has it.
    pub fn may(&self, action: Action) -> Result<Access<'_>, Error> {
        self.access(action).ok_or(Error::Forbidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(groups: &str) -> Caller {
        let claims = [("cognito:groups", groups), ("sub", "s-1")];
        let claims = claims.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Caller::read(Some(&claims.into()), &Claims::default()).expect("a caller")
    }

    #[test]
    fn roles_are_read_as_api_gateway_passes_them() {
        assert_eq!(
            caller("[doctor staff]").roles(),
            [Role::Staff, Role::Doctor]
        );
        assert_eq!(caller("[patient]").roles(), [Role::Patient]);
        assert_eq!(caller("doctor").roles(), [Role::Doctor]);
        for none in [
            "",
            "[]",
            "[admins]",
            "[staff,doctor]",
            "[ex-staff]",
            "[ex\tstaff]",
            "Staff",
            "staffdoctor",
            "ex staff",
            "doctor staff",
            "[staff",
            "staff]",
        ] {
            assert_eq!(caller(none).roles(), [], "{none}");
        }
    }

    #[test]
    fn without_claims_or_a_subject_nobody_calls() {
        let names = Claims::default();
        let unauthenticated = |claims: Option<&HashMap<String, String>>| {
            matches!(Caller::read(claims, &names), Err(Error::Unauthenticated))
        };
        assert!(unauthenticated(None));
        assert!(unauthenticated(Some(&HashMap::new())));
        let empty = HashMap::from([("sub".to_owned(), String::new())]);
        assert!(unauthenticated(Some(&empty)));
    }

    #[test]
    fn each_part_that_is_the_callers_own_counts() {
        let both = caller("[patient doctor]");
        let access = both.may(Action::SeeAppointment).expect("access");
        assert!(!access.all);
        assert_eq!((access.doctor, access.patient), (Some("s-1"), Some("s-1")));
        let access = both.may(Action::SeeSchedule).expect("access");
        assert_eq!((access.doctor, access.patient), (Some("s-1"), None));
        let staff = caller("[staff patient]");
        assert!(staff.may(Action::SearchPatients).expect("access").all);
        assert!(caller("[patient]").may(Action::SeeSchedule).is_err());
        assert!(caller("[]").may(Action::SeeDoctors).is_err());
    }
}
