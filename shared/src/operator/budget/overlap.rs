//! What a deployment adds: environments of the old version that still hold sessions.
//!
//! Reserved concurrency bounds what is active over all versions, not what is frozen. A frozen
//! environment's retained session lives until its lease ends, so at worst the old version's
//! sessions stand beside the new one's until then.

use serde::Serialize;

/// How the functions hold on to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `DATABASE_LEASE_LONG`: how long a retained session may sit idle, in seconds.
    pub lease_seconds: u64,
    /// `DATABASE_RETAINED_PERCENT`: the share of the ceiling up to which sessions are retained, in
    /// percent.
    pub percent: u64,
    /// Whether the server enforces leases: not behind a pooler, and not before PostgreSQL 14.
    pub leases: bool,
}

/// The worst that a deployment may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlap {
    /// Sessions of both versions.
    pub connections: u64,
    /// For how long at most, in seconds; none where nothing ends idle sessions.
    pub seconds: Option<u64>,
}

/// The worst case beside `active` sessions, of which `managed` belong to environments that are
/// never frozen and that a new version brings a second time.
pub fn worst(active: u64, managed: u64, ceiling: u32, retention: Retention) -> Overlap {
    let frozen = active.saturating_sub(managed);
    let held = if retention.leases {
        frozen.min(retained(ceiling, retention.percent))
    } else {
        frozen
    };
    Overlap {
        connections: active + managed + held,
        seconds: retention.leases.then_some(retention.lease_seconds),
    }
}

/// Sessions that are retained at most.
fn retained(ceiling: u32, percent: u64) -> u64 {
    u64::from(ceiling) * percent.min(100) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASES: Retention = Retention {
        lease_seconds: 300,
        percent: 80,
        leases: true,
    };
    const NONE: Retention = Retention {
        leases: false,
        ..LEASES
    };

    #[test]
    fn leases_leave_a_fifth_free() {
        assert_eq!(worst(86, 0, 90, LEASES).connections, 86 + 72);
        assert_eq!(worst(40, 0, 90, LEASES).connections, 80);
        assert_eq!(worst(86, 0, 90, NONE).connections, 172);
        assert_eq!(worst(86, 0, 90, NONE).seconds, None);
    }

    #[test]
    fn managed_environments_run_twice() {
        assert_eq!(worst(50, 50, 90, LEASES).connections, 100);
    }
}
