//! What the server lacks: the catalog, compared with what the roles are to be and may do.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::quote_identifier;
use crate::{
    config::{Application, Migration},
    database::error::DatabaseError,
    database::pool::guards,
};

/// What the functions do with which table, and nothing else: no function rewrites an audit trail or
/// removes a patient. The migrations' own list is not among them. Locking a doctor's row, so that
/// bookings wait for each other, takes the right to update it.
const PRIVILEGES: [(&str, &[&str]); 7] = [
    ("appointment_changes", &["insert"]),
    ("appointments", &["insert", "select", "update"]),
    ("doctors", &["select", "update"]),
    (
        "idempotency_keys",
        &["delete", "insert", "select", "update"],
    ),
    ("patients", &["insert", "select", "update"]),
    ("time_off", &["delete", "insert", "select"]),
    ("working_hours", &["delete", "insert", "select"]),
];

/// Sessions of the monitor's role: a scheduled look, one that overlaps it, and an operator who is
/// curious. They are not taken from the application's.
const MONITOR_LIMIT: u32 = 3;

/// The attributes that no role gets, by the columns that show them.
const FORBIDDEN: [&str; 5] = [
    "superuser",
    "createdb",
    "createrole",
    "replication",
    "bypassrls",
];

/// Settings that must not be a role's default where no guard asks for them: an interval that was
/// switched off, and a lease, which would end the sessions that a pooler keeps open.
const NOT_BY_DEFAULT: [&str; 2] = ["client_connection_check_interval", "idle_session_timeout"];

/// Amazon's way to say that a role logs in by a token. It gives no rights in the database.
const TOKEN_ROLE: &str = "rds_iam";

/// The SCRAM verifiers to store; none where the server knows the password.
#[derive(Default)]
pub(super) struct Verifiers {
    pub(super) application: Option<String>,
    pub(super) monitor: Option<String>,
}

/// Statements that make the roles what they are to be.
#[derive(Default)]
pub(super) struct Plan {
    /// Without these it does not work or is not safe.
    pub(super) needed: Vec<String>,
    /// What else an administrator should do, because this owner may not: take away rights that come
    /// from elsewhere, let the monitor see the sessions of all roles.
    pub(super) advised: Vec<String>,
}

impl Plan {
    /// Compares. Sees what the connection's own transaction changed.
    ///
    /// # Errors
    /// Those of the database, and [`DatabaseError::InvalidConfiguration`] where the role to change is the
    /// server's own superuser.
    pub(super) async fn new(
        connection: &mut PgConnection,
        config: &Migration,
        verifiers: &Verifiers,
    ) -> Result<Self, DatabaseError> {
        let mut plan = Self::default();
        let database: String = sqlx::query_scalar("select current_database()")
            .fetch_one(&mut *connection)
            .await?;
        if let Some(application) = &config.application {
            let name = &application.url.user;
            let limit = application.ceiling.get();
            let role = Role::find(connection, name).await?;
            plan.role(name, role.as_ref(), limit, &verifiers.application)?;
            let scope = Scope {
                role: quote_identifier(name),
                oid: role.map(|role| role.oid),
                database: quote_identifier(&database),
                schema: &config.owner.schema,
            };
            plan.defaults(connection, &scope, application).await?;
            plan.containers(connection, &scope).await?;
            plan.tables(connection, &scope).await?;
            plan.inheritance(connection, &scope, &config.owner.user)
                .await?;
        }
        if let Some(monitor) = &config.monitor {
            let role = Role::find(connection, &monitor.user).await?;
            plan.role(
                &monitor.user,
                role.as_ref(),
                MONITOR_LIMIT,
                &verifiers.monitor,
            )?;
            plan.watching(connection, &monitor.user, &database).await?;
        }
        Ok(plan)
    }

    /// Everything, for an administrator.
    pub(super) fn script(&self) -> String {
        let statements = self.needed.iter().chain(&self.advised);
        statements.map(|sql| format!("{sql};\n")).collect()
    }

    /// The role itself. What is right already is not said again: only a superuser may name some of
    /// the attributes, whatever is said about them.
    fn role(
        &mut self,
        name: &str,
        role: Option<&Role>,
        limit: u32,
        verifier: &Option<String>,
    ) -> Result<(), DatabaseError> {
        let mut attributes = Vec::new();
        if role.is_none_or(|role| !role.login) {
            attributes.push("login".to_owned());
        }
        for attribute in FORBIDDEN {
            if role.is_none_or(|role| role.forbidden.contains(&attribute)) {
                attributes.push(format!("no{attribute}"));
            }
        }
        if role.is_none_or(|role| u32::try_from(role.limit) != Ok(limit)) {
            attributes.push(format!("connection limit {limit}"));
        }
        if let Some(verifier) = verifier {
            attributes.push(format!("password '{verifier}'"));
        }
        if attributes.is_empty() {
            return Ok(());
        }
        if role.is_some_and(|role| role.oid == BOOTSTRAP_SUPERUSER) {
            let error = format!("the role {name} is the server's own superuser; name another one");
            return Err(DatabaseError::InvalidConfiguration(error.into()));
        }
        let verb = if role.is_some() { "alter" } else { "create" };
        let (name, attributes) = (quote_identifier(name), attributes.join(" "));
        self.needed.push(format!("{verb} role {name} {attributes}"));
        Ok(())
    }

    /// The role's defaults in this database: the guards, which so hold behind a pooler too.
    async fn defaults(
        &mut self,
        connection: &mut PgConnection,
        scope: &Scope<'_>,
        application: &Application,
    ) -> sqlx::Result<()> {
        let settings: Option<Vec<String>> = sqlx::query_scalar(
            "select s.setconfig from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase
             where d.datname = current_database() and s.setrole = $1::int8::oid",
        )
        .bind(scope.oid)
        .fetch_optional(connection)
        .await?;
        let settings = settings.unwrap_or_default();
        let now: BTreeMap<&str, &str> = settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .collect();
        let wanted = guards(&application.guards);
        let Scope { role, database, .. } = scope;
        let alter = format!("alter role {role} in database {database}");
        for (name, value) in &wanted {
            if now.get(name) != Some(&value.as_str()) {
                self.needed.push(format!("{alter} set {name} = '{value}'"));
            }
        }
        for name in NOT_BY_DEFAULT {
            if now.contains_key(name) && !wanted.iter().any(|(wanted, _)| *wanted == name) {
                self.needed.push(format!("{alter} reset {name}"));
            }
        }
        Ok(())
    }

    /// The database, to connect to, and the schema, to look names up in; to create nothing in
    /// either. Every role may create temporary tables, and tables in the schema `public` before
    /// PostgreSQL 15: that is taken back where the owner may do so.
    async fn containers(
        &mut self,
        connection: &mut PgConnection,
        scope: &Scope<'_>,
    ) -> sqlx::Result<()> {
        let rows: Vec<(String, String, bool, bool)> = sqlx::query_as(
            "select o.kind, lower(a.privilege_type), a.grantee = 0, pg_has_role(o.owner, 'usage')
             from (
                 select 'database', datdba, coalesce(datacl, acldefault('d', datdba))
                 from pg_database where datname = current_database()
                 union all
                 select 'schema', nspowner, coalesce(nspacl, acldefault('n', nspowner))
                 from pg_namespace where nspname = $1
             ) o (kind, owner, acl), aclexplode(o.acl) a
             where a.grantee in (0, $2::int8::oid)",
        )
        .bind(scope.schema)
        .bind(scope.oid.unwrap_or_default())
        .fetch_all(connection)
        .await?;
        let schema = quote_identifier(scope.schema);
        for (kind, name, wanted) in [
            ("database", &scope.database, "connect"),
            ("schema", &schema, "usage"),
        ] {
            let granted = || rows.iter().filter(|(of, ..)| of == kind);
            if !granted().any(|(_, privilege, ..)| privilege == wanted) {
                self.needed
                    .push(format!("grant {wanted} on {kind} {name} to {}", scope.role));
            }
            for (_, privilege, everybody, may_revoke) in granted() {
                if privilege == wanted {
                    continue;
                }
                let from = if *everybody { "public" } else { &scope.role };
                let revoke = format!("revoke {privilege} on {kind} {name} from {from}");
                if *may_revoke {
                    self.needed.push(revoke);
                } else {
                    self.advised.push(revoke);
                }
            }
        }
        Ok(())
    }

    /// The tables: exactly [`PRIVILEGES`].
    async fn tables(
        &mut self,
        connection: &mut PgConnection,
        scope: &Scope<'_>,
    ) -> sqlx::Result<()> {
        // A privilege on single columns is not yet one on the table, but it goes with it.
        let granted: Vec<(String, String, String, bool)> = sqlx::query_as(
            "select case c.relkind when 'S' then 'sequence' else 'table' end, c.relname::text,
                    lower(a.privilege_type), bool_or(o.whole)
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             cross join lateral (
                 select c.relacl, true
                 union all
                 select t.attacl, false from pg_attribute t where t.attrelid = c.oid
             ) o (acl, whole), aclexplode(o.acl) a
             where n.nspname = $1 and a.grantee = $2::int8::oid
             group by 1, 2, 3 order by 2, 3",
        )
        .bind(scope.schema)
        .bind(scope.oid)
        .fetch_all(connection)
        .await?;
        let schema = quote_identifier(scope.schema);
        for (kind, relation, privilege, _) in &granted {
            let wanted = PRIVILEGES
                .iter()
                .any(|(table, wanted)| table == relation && wanted.contains(&privilege.as_str()));
            if !wanted {
                let relation = quote_identifier(relation);
                self.needed.push(format!(
                    "revoke {privilege} on {kind} {schema}.{relation} from {}",
                    scope.role
                ));
            }
        }
        for (table, wanted) in PRIVILEGES {
            for privilege in wanted {
                let has = granted.iter().any(|(_, relation, granted, whole)| {
                    relation == table && granted == privilege && *whole
                });
                if !has {
                    let table = quote_identifier(table);
                    self.needed.push(format!(
                        "grant {privilege} on table {schema}.{table} to {}",
                        scope.role
                    ));
                }
            }
        }
        Ok(())
    }

    /// What the role may do as a member of another role, or as an owner: not taken away unasked.
    async fn inheritance(
        &mut self,
        connection: &mut PgConnection,
        scope: &Scope<'_>,
        owner: &str,
    ) -> sqlx::Result<()> {
        let memberships: Vec<String> = sqlx::query_scalar(
            "select distinct r.rolname::text from pg_auth_members m join pg_roles r on r.oid = m.roleid
             where m.member = $1::int8::oid and r.rolname <> $2",
        )
        .bind(scope.oid)
        .bind(TOKEN_ROLE)
        .fetch_all(&mut *connection)
        .await?;
        for membership in memberships {
            let membership = quote_identifier(&membership);
            self.advised
                .push(format!("revoke {membership} from {}", scope.role));
        }
        let owns: bool = sqlx::query_scalar(
            "select exists (select from pg_class where relowner = $1::int8::oid)
                 or exists (select from pg_namespace where nspowner = $1::int8::oid)
                 or exists (select from pg_database
                            where datname = current_database() and datdba = $1::int8::oid)",
        )
        .bind(scope.oid)
        .fetch_one(connection)
        .await?;
        if owns {
            let owner = quote_identifier(owner);
            self.advised
                .push(format!("reassign owned by {} to {owner}", scope.role));
        }
        Ok(())
    }

    /// The monitor sees the sessions of all roles, and no table.
    async fn watching(
        &mut self,
        connection: &mut PgConnection,
        name: &str,
        database: &str,
    ) -> sqlx::Result<()> {
        // Up to PostgreSQL 15 a role with CREATEROLE may grant any role that is no superuser; since 16 it
        // needs ADMIN OPTION on the role that it grants.
        let (watches, connects, may_grant): (bool, bool, bool) = sqlx::query_as(
            "select coalesce(bool_or(pg_has_role(oid, 'pg_monitor', 'usage')), false),
                    coalesce(bool_or(has_database_privilege(oid, current_database(), 'connect')), false),
                    current_setting('server_version_num')::int < 160000
                        or pg_has_role(current_user, 'pg_monitor', 'usage with admin option')
             from pg_roles where rolname = $1",
        )
        .bind(name)
        .fetch_one(connection)
        .await?;
        let (name, database) = (quote_identifier(name), quote_identifier(database));
        if !watches {
            let grant = format!("grant pg_monitor to {name}");
            if may_grant {
                self.needed.push(grant);
            } else {
                self.advised.push(grant);
            }
        }
        if !connects {
            self.needed
                .push(format!("grant connect on database {database} to {name}"));
        }
        Ok(())
    }
}

/// The role that `initdb` made; the server cannot be without it.
const BOOTSTRAP_SUPERUSER: i64 = 10;

/// Where the application's rights are.
struct Scope<'a> {
    /// Quoted.
    role: String,
    /// Absent where there is no such role yet.
    oid: Option<i64>,
    /// Quoted.
    database: String,
    schema: &'a str,
}

/// A role as it is.
struct Role {
    oid: i64,
    login: bool,
    /// Which of [`FORBIDDEN`] it has.
    forbidden: Vec<&'static str>,
    /// -1 where there is none.
    limit: i32,
}

impl Role {
    async fn find(connection: &mut PgConnection, name: &str) -> sqlx::Result<Option<Self>> {
        let row: Option<(i64, bool, i32, Vec<bool>)> = sqlx::query_as(
            "select oid::int8, rolcanlogin, rolconnlimit,
                    array[rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls]
             from pg_roles where rolname = $1",
        )
        .bind(name)
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|(oid, login, limit, attributes)| Self {
            oid,
            login,
            forbidden: FORBIDDEN
                .into_iter()
                .zip(attributes)
                .filter_map(|(name, has)| has.then_some(name))
                .collect(),
            limit,
        }))
    }
}
