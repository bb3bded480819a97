//! What the database grants the application.

use serde::Serialize;

use crate::database::server::limits::session_limit;

/// PostgreSQL's default of `superuser_reserved_connections`.
/// <https://www.postgresql.org/docs/current/runtime-config-connection.html>
pub const SUPERUSER_RESERVED: u32 = 3;

/// Sessions of other clients that are kept free unless the operator says how many: three for administrators, the
/// three of the monitor's role, and the one in which the owner migrates.
pub const OTHER_CLIENTS: u32 = 7;

/// The database's slots, and who else takes of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slots {
    /// PostgreSQL's `max_connections`.
    pub max_connections: u32,
    /// Where that number comes from, for people.
    pub source: String,
    /// `superuser_reserved_connections`: slots that only superusers get.
    pub superuser_reserved: u32,
    /// `reserved_connections` (PostgreSQL 16), and what a provider keeps for itself.
    pub reserved: u32,
    /// Sessions of all clients that are not functions.
    pub other_clients: u32,
    /// The application role's own `CONNECTION LIMIT`, if it is known.
    pub role_limit: Option<u32>,
}

impl Slots {
    /// The most sessions that all functions together may have.
    pub fn ceiling(&self) -> u32 {
        let taken = self
            .superuser_reserved
            .saturating_add(self.reserved)
            .saturating_add(self.other_clients);
        session_limit(self.max_connections, taken, self.role_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(max_connections: u32, role_limit: Option<u32>) -> Slots {
        Slots {
            max_connections,
            source: String::new(),
            superuser_reserved: SUPERUSER_RESERVED,
            reserved: 0,
            other_clients: OTHER_CLIENTS,
            role_limit,
        }
    }

    #[test]
    fn of_postgresqls_hundred_ninety_are_the_applications() {
        assert_eq!(slots(100, None).ceiling(), 90);
        assert_eq!(slots(100, Some(50)).ceiling(), 50);
        assert_eq!(slots(100, Some(95)).ceiling(), 90);
    }

    #[test]
    fn what_is_reserved_beyond_all_slots_leaves_none() {
        assert_eq!(slots(5, None).ceiling(), 0);
    }
}
