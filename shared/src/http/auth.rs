//! Who calls. What they may do is the clinic's to say.
//!
//! API Gateway has verified the token; what arrives here are its claims.

use std::collections::HashMap;

use serde::Serialize;

use crate::{config::Claims, http::problem::Error};

/// What a caller is to the clinic. The strongest comes first.
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

/// A caller whose token was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    subject: String,
    roles: Vec<Role>,
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
}
