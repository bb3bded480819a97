//! The one statement right after connecting: it counts, and where there is room, it retains.

use std::time::Duration;

use sqlx::{Row, postgres::PgRow};

use crate::{
    config::LeasePolicy,
    database::{lease::Lease, session_name::SessionNames},
};

/// The first key of the advisory lock under which sessions are retained; the second is the role.
/// Any number that nothing else uses: it spells "head".
const LOCK: i32 = 0x6865_6164;

/// What the count found, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetentionCount {
    /// What the session was granted.
    pub(super) lease: Lease,
    /// Whether the role has slots left beside the ones in use. Unknown, and taken for no, where
    /// another session was counting at the same moment.
    pub(super) room: bool,
    /// Whether there are as many retained sessions as the mark allows, not counting this one.
    pub(super) full: bool,
    /// Whether the role has no limit of its own, so that all slots of the server counted.
    pub(super) unlimited: bool,
}

/// The statement. It is sent without parameters, in one round trip; what is put into it are numbers
/// and two quoted texts of the configuration.
///
/// - The lock is only tried, never waited for: a session that does not get it stays transient. It is
///   held until the statement's end, when the new name is already visible, so that no two
///   sessions count the same slot. The table of sessions is read through an argument that
///   depends on the lock, and so not before it.
/// - The role's slots are the smallest of its own limit, the database's, and what the server has for
///   every role; no limit binds a superuser. The role is the one that logged in, whatever it set itself
///   to since.
/// - `pg_stat_get_activity` by role is cheaper than the view, and shows a role its own sessions
///   without any privilege.
/// - The lease shrinks from what the environment's rhythm asks for (`long` at most), while less than
///   half of the mark is used, to `least` at the mark: long leases are for quiet times, and
///   slots must come to those that are hot.
pub(super) fn statement(
    policy: &LeasePolicy,
    names: &SessionNames,
    gap: Option<Duration>,
) -> String {
    let name = quote(&names.retained);
    let long = policy.asked(gap).as_millis();
    let least = policy.long_min.as_millis().min(long);
    let mark = policy.retained_percent;
    format!(
        "select n.unlimited, c.counted, c.sessions < n.slots as room, l.length, \
         case when c.counted and c.retained < n.mark then \
             set_config('application_name', {name}, false) is not null \
             and set_config('idle_session_timeout', l.length::text, false) is not null \
         else false end as retained \
         from ( \
             select r.oid, s.slots, s.slots * {mark} / 100 as mark, s.unlimited \
             from pg_roles r, pg_database d, lateral ( \
                 select r.rolsuper or r.rolconnlimit < 0, \
                        least( \
                            case when not r.rolsuper then nullif(r.rolconnlimit, -1) end, \
                            case when not r.rolsuper then nullif(d.datconnlimit, -1) end, \
                            current_setting('max_connections')::int \
                                - current_setting('superuser_reserved_connections')::int \
                                - coalesce(current_setting('reserved_connections', true)::int, 0) \
                                - coalesce(current_setting('rds.rds_reserved_connections', true)::int, 0) \
                        ) \
             ) s (unlimited, slots) \
             where r.rolname = session_user and d.datname = current_database() \
         ) n, \
         lateral (select pg_try_advisory_xact_lock({LOCK}, (n.oid::bigint - 2147483648)::int) as held \
             offset 0) t, \
         lateral ( \
             select t.held as counted, count(*) as sessions, \
                    count(*) filter (where split_part(a.application_name, '/', 2) = 'retained') as retained \
             from pg_stat_get_activity(case when t.held then null else -1 end) a \
             where a.usesysid = n.oid \
         ) c, \
         lateral (select round({long} * power({least}::float8 / {long}, \
             least(1, greatest(0, 2 * (c.retained + 1)::float8 / greatest(n.mark, 1) - 1))))::int as length) l"
    )
}

impl RetentionCount {
    /// Reads the statement's row.
    pub(super) fn read(row: &PgRow, policy: &LeasePolicy) -> sqlx::Result<Self> {
        let length: i32 = row.try_get("length")?;
        let (counted, retained) = (row.try_get("counted")?, row.try_get("retained")?);
        let lease = if retained {
            Lease::Retained(Duration::from_millis(length.unsigned_abs().into()))
        } else {
            Lease::Transient(policy.short)
        };
        Ok(Self {
            lease,
            room: counted && row.try_get("room")?,
            full: counted && !retained,
            unlimited: row.try_get("unlimited")?,
        })
    }
}

/// Quotes a text for use in SQL.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
