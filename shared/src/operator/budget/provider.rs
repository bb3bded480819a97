//! What a provider's database has for `max_connections` unless it was changed.
//!
//! Only tables whose source was read are here, each with its address and the day. What is not in
//! them is asked of the server, or given.

/// Slots beside PostgreSQL's own three that RDS and Aurora keep: `rds.rds_reserved_connections`,
/// in the release notes since 17.1, 16.5, 15.9 and 14.14, found at 2 to 4, and
/// `reserved_connections`, found at 2. <https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-versions.html>,
/// read 2026-11-24.
pub const RDS_RESERVED: u32 = 6;

const GIB: u64 = 1 << 30;

/// Memory of RDS's instance classes in GiB, by size. Read 2026-11-24 in the user guide,
/// "Hardware specifications for DB instance classes":
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html>
const RDS_MEMORY: [Memory; 3] = [
    Memory {
        families: &["t2", "t3", "t4g"],
        sizes: &[
            ("micro", 1),
            ("small", 2),
            ("medium", 4),
            ("large", 8),
            ("xlarge", 16),
            ("2xlarge", 32),
        ],
    },
    Memory {
        families: &["m5", "m5d", "m6g", "m6gd", "m6i"],
        sizes: &[
            ("large", 8),
            ("xlarge", 16),
            ("2xlarge", 32),
            ("4xlarge", 64),
            ("8xlarge", 128),
            ("12xlarge", 192),
            ("16xlarge", 256),
        ],
    },
    Memory {
        families: &["r5", "r5b", "r5d", "r6g", "r6gd", "r6i"],
        sizes: &[
            ("large", 16),
            ("xlarge", 32),
            ("2xlarge", 64),
            ("4xlarge", 128),
            ("8xlarge", 256),
            ("12xlarge", 384),
            ("16xlarge", 512),
        ],
    },
];

/// Families of instance classes that have the same memory at the same size.
struct Memory {
    families: &'static [&'static str],
    /// Name and GiB.
    sizes: &'static [(&'static str, u64)],
}

/// `max_connections` of an RDS for PostgreSQL instance with the default parameter group, such as
/// `db.t4g.medium`: `LEAST({DBInstanceClassMemory/9531392}, 5000)`. None where the class is not in
/// the table.
///
/// The formula: <https://docs.aws.amazon.com/prescriptive-guidance/latest/tuning-postgresql-parameters/max-connections.html>,
/// read 2026-11-24. `DBInstanceClassMemory` is the class's memory less what the operating system
/// and RDS's own processes take, and AWS says that without saying how much
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections>,
/// read 2026-11-24).
///
/// `percent_of_memory` is therefore an assumption, and a cautious one: a number that is too small
/// costs a few sessions, one that is too large costs the promise.
pub fn rds(class: &str) -> Option<u32> {
    let (family, size) = class.strip_prefix("db.")?.split_once('.')?;
    let alike = RDS_MEMORY
        .iter()
        .find(|alike| alike.families.contains(&family))?;
    let (_, memory) = alike.sizes.iter().find(|(name, _)| *name == size)?;
    u32::try_from((memory * GIB * percent_of_memory(*memory) / 100 / 9_531_392).min(5000)).ok()
}

/// How much of a class's memory in GiB is taken for PostgreSQL's. Assumed: no page that was read gives
/// it for RDS. The nearest that AWS does give is [`AURORA`], whose numbers are the same formula's:
/// they come to 84 % at 2 GiB, 91 % at 8, 93 % at 16 and 32. What runs beside PostgreSQL weighs more the
/// smaller the server is.
fn percent_of_memory(memory: u64) -> u64 {
    if memory < 16 { 70 } else { 90 }
}

/// Default `max_connections` of Aurora PostgreSQL Serverless v2 by the most capacity units, and the
/// cap where the fewest are half a unit or none. Read 2026-11-24 in the user guide and
/// in an AWS article that agrees with it:
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html#aurora-serverless-v2.max-connections>
/// <https://repost.aws/articles/ARm5e6RHE3R4mnHS2S-UZUwA/working-of-max-connections-for-amazon-aurora-postgresql-serverless>
const AURORA: [(f64, u32); 5] = [
    (32.0, 5000),
    (16.0, 3360),
    (8.0, 1669),
    (4.0, 823),
    (1.0, 189),
];
const AURORA_BELOW_ONE_UNIT: u32 = 2000;

/// `max_connections` of an Aurora PostgreSQL Serverless v2 cluster by its capacity range. Between
/// two lines of the table the lower one counts. None below the table: a maximum under one unit.
pub fn aurora(fewest: f64, most: f64) -> Option<u32> {
    let (_, connections) = AURORA.iter().find(|(units, _)| most >= *units)?;
    Some(if fewest < 1.0 {
        (*connections).min(AURORA_BELOW_ONE_UNIT)
    } else {
        *connections
    })
}

/// `max_connections` of an Aiven for PostgreSQL plan, such as `startup-4`. None where the plan is
/// not in the table. <https://aiven.io/docs/products/postgresql/reference/pg-connection-limits>,
/// read 2026-11-24, which adds that Aiven may use any of these for managing the service.
pub fn aiven(plan: &str) -> Option<u32> {
    match plan {
        "free" => return Some(20),
        "hobbyist" => return Some(25),
        _ => {}
    }
    let (tier, size) = plan.split_once('-')?;
    if !["startup", "business", "premium"].contains(&tier) {
        return None;
    }
    match size.parse().ok()? {
        4 => Some(100),
        8 => Some(200),
        16 => Some(400),
        32 => Some(800),
        64.. => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rds_counts_less_memory_than_the_class_has() {
        // The formula over the whole memory would say 112, 450 and 1802.
        assert_eq!(rds("db.t4g.micro"), Some(78));
        assert_eq!(rds("db.t4g.medium"), Some(315));
        assert_eq!(rds("db.m6g.xlarge"), Some(1622));
        assert_eq!(rds("db.r6g.16xlarge"), Some(5000));
        for unknown in ["db.t4g.nano", "db.z9.large", "t4g.medium", "db.t4g", ""] {
            assert_eq!(rds(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn aurora_follows_the_most_units_and_the_cap() {
        assert_eq!(aurora(0.5, 1.0), Some(189));
        assert_eq!(aurora(1.0, 16.0), Some(3360));
        assert_eq!(aurora(0.5, 16.0), Some(2000));
        assert_eq!(aurora(0.0, 128.0), Some(2000));
        assert_eq!(aurora(8.0, 31.5), Some(3360));
        assert_eq!(aurora(0.5, 0.5), None);
        assert_eq!(aurora(0.5, f64::NAN), None);
    }

    #[test]
    fn aiven_has_plans() {
        assert_eq!(aiven("hobbyist"), Some(25));
        assert_eq!(aiven("startup-4"), Some(100));
        assert_eq!(aiven("premium-120"), Some(1000));
        assert_eq!(aiven("startup-5"), None);
        assert_eq!(aiven("gold-4"), None);
    }
}
