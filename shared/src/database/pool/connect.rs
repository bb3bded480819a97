//! Opening one session: the attempt bounded, its failure classified, and tried again while that helps.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the one place that opens connections"
)]

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, Once, PoisonError},
    time::{Duration, SystemTime},
};

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::time::{Instant, timeout_at};

use super::{
    decide::{self, RefusedLogin},
    options::{OWN_SETTINGS, guards, log_in, options, quote_identifier, with_settings},
    retention::{self, RetentionCount},
    usage::Usage,
};
use crate::{
    clock,
    config::{self, ConfigError, Function, LeasePolicy},
    database::error::{DatabaseError, Phase},
    database::{
        backoff::Backoff,
        credentials::{Credentials, Login},
        deadline::StatementTimeout,
        lease::Lease,
        session::Session,
        session_name::SessionNames,
    },
};

/// Knows how to open sessions, and what must be said around each piece of work on them.
pub(super) struct Connector {
    credentials: Arc<Credentials>,
    /// All but what [`Connector::credentials`] decides anew for each session.
    options: PgConnectOptions,
    connect_timeout: Option<Duration>,
    named_statements: bool,
    /// Behind a transaction pooler each piece of work is a transaction of its own that begins with
    /// these statements: what is set ends with it, and never reaches the next client of the
    /// pooler's server connection.
    local_settings: Option<String>,
    /// What decides about a session's lease. Absent where there is nothing to decide: behind a
    /// pooler, whose server sessions must not get one, and where every session is closed after
    /// one use.
    leases: Option<Leases>,
}

/// What the statement that grants leases is made of.
struct Leases {
    policy: LeasePolicy,
    names: SessionNames,
    /// When this environment last counted as many retained sessions as the mark allows.
    mark_reached_at: Mutex<Option<SystemTime>>,
    /// That a role without a limit is worth one warning.
    warned: Once,
}

impl Leases {
    /// Whether counting would hardly do more than cost the server a statement: the mark was reached less
    /// than a moment ago, which is also how long a hot environment's transient session waits for the next
    /// count. Not to count is always safe, because the session stays transient.
    fn mark_was_just_reached(&self) -> bool {
        let reached_at = *self.mark_reached_at();
        reached_at.is_some_and(|then| clock::since(then) < self.policy.recount_after)
    }

    fn mark_reached_at(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.mark_reached_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

// The options' own Debug would show the password.
impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(
        config: &config::Database,
        function: &Function,
        credentials: Arc<Credentials>,
    ) -> Result<Self, DatabaseError> {
        let url = &config.url;
        for (name, _) in &url.options {
            if let Some((_, instead)) = OWN_SETTINGS.iter().find(|(own, _)| own == name) {
                let (variable, name) = (url.variable, name.clone());
                let error = ConfigError::OwnSetting {
                    variable,
                    name,
                    instead,
                };
                return Err(error.into());
            }
        }
        let search_path = quote_identifier(&url.schema);
        let names = SessionNames::new(
            url.application_name.as_deref(),
            &function.name,
            &function.version,
        );
        let options = options(url)?.application_name(&names.transient);
        let (options, local_settings, leases) = if url.pgbouncer {
            let guards = [
                ("statement_timeout", config.guards.statement_timeout),
                ("lock_timeout", config.guards.lock_timeout),
                (
                    "idle_in_transaction_session_timeout",
                    config.guards.idle_in_transaction_timeout,
                ),
            ];
            let mut settings = format!("set local search_path = {search_path}");
            for (name, time) in guards {
                settings += &format!("; set local {name} = {}", time.as_millis());
            }
            (options, Some(settings), None)
        } else {
            // Start-up options cost no round trip.
            let mut settings = guards(&config.guards);
            settings.push(("search_path", search_path));
            let lease = config.lease.short.as_millis().to_string();
            settings.push(("idle_session_timeout", lease));
            let leases = Leases {
                policy: config.lease,
                names,
                mark_reached_at: Mutex::default(),
                warned: Once::new(),
            };
            let options = with_settings(options, &settings);
            (
                options,
                None,
                (!url.single_use_connections).then_some(leases),
            )
        };
        Ok(Self {
            credentials,
            options: with_settings(options, &url.options),
            connect_timeout: url.connect_timeout,
            named_statements: !url.pgbouncer && url.statement_cache_size > 0,
            local_settings,
            leases,
        })
    }

    /// Opens one session before `until`, each attempt in at most `connect_timeout`. While the
    /// database is full, starting or absent, waits and tries again. `gap` is how long the environment had
    /// been left alone, which decides the lease that it asks for.
    ///
    /// # Errors
    /// The last attempt's, and at once what no waiting mends.
    pub(super) async fn connect(
        &self,
        until: Instant,
        gap: Option<Duration>,
        usage: &Usage,
    ) -> Result<Session, DatabaseError> {
        let mut backoff = Backoff::begin();
        let mut said = None;
        loop {
            let login = self.credentials.login(until).await?;
            usage.attempted();
            let asked = Instant::now();
            let error = match self.attempt(&login, until, gap).await {
                Ok(session) => {
                    if backoff.refusals() > 0 {
                        let attempts = backoff.refusals() + 1;
                        let waited_ms = backoff.waited().as_millis();
                        tracing::info!(attempts, waited_ms, "admitted after waiting");
                    }
                    return Ok(session);
                }
                Err(error) => error,
            };
            let over = Instant::now() >= until;
            let error = match (error, said.take()) {
                // The end of the time cut this attempt short. What the server said before tells more.
                (DatabaseError::Unreachable(_), Some(said)) if over => said,
                (error, _) => error,
            };
            let refused = matches!(error, DatabaseError::Authentication { .. });
            // PgBouncer has one code for most of what it refuses, a wrong password included.
            let doubtful = refused || matches!(error, DatabaseError::SessionLost(_));
            if doubtful && !over && self.credentials.refused(&login, until).await {
                tracing::info!("the refused credentials were replaced");
                continue;
            }
            // While credentials are being rotated, server and secret may disagree for a moment.
            let passes = error.passes_with_time() || refused && self.credentials.may_change();
            let left = until.saturating_duration_since(Instant::now());
            let Some(within) = decide::ask_again_within(RefusedLogin { passes, left }) else {
                let attempts = backoff.refusals() + 1;
                tracing::debug!(attempts, class = error.class(), "not admitted");
                return Err(if refused && passes {
                    DatabaseError::CredentialsUnavailable(error.into())
                } else {
                    error
                });
            };
            let busy = matches!(error, DatabaseError::Busy(_));
            let login = if busy {
                asked.elapsed()
            } else {
                Duration::ZERO
            };
            said = (refused || busy).then_some(error);
            backoff.wait(login, within).await;
        }
    }

    async fn attempt(
        &self,
        login: &Login,
        until: Instant,
        gap: Option<Duration>,
    ) -> Result<Session, DatabaseError> {
        let until = match self.connect_timeout {
            Some(time) => until.min(Instant::now() + time),
            None => until,
        };
        let phase = Phase::Connecting(login.url.variable);
        let options = log_in(self.options.clone(), &login.url, &login.password);
        let connection = connect(&options, phase, until).await?;
        let mut session = Session::new(connection, self.named_statements);
        if let Some(leases) = &self.leases
            && leases.mark_was_just_reached()
        {
            // As it was asked for when it was opened.
            session.grant(Lease::Transient(leases.policy.short));
            return Ok(session);
        }
        match timeout_at(until, self.count(&mut session, gap)).await {
            Ok(result) => {
                result.map_err(|error| DatabaseError::of_driver(error, phase))?;
                Ok(session)
            }
            Err(elapsed) => Err(DatabaseError::Unreachable(elapsed.into())),
        }
    }

    /// Counts, and retains the session where there is room: one round trip. Answers whether a
    /// session that stays transient may go on for another slice.
    pub(super) async fn count(
        &self,
        session: &mut Session,
        gap: Option<Duration>,
    ) -> sqlx::Result<bool> {
        let Some(leases) = &self.leases else {
            return Ok(true);
        };
        // Not user input: numbers, and a quoted name from the configuration.
        let statement = retention::statement(&leases.policy, &leases.names, gap);
        let row = session.row(AssertSqlSafe(statement)).await?;
        let census = RetentionCount::read(&row, &leases.policy)?;
        session.grant(census.lease);
        if census.full {
            *leases.mark_reached_at() = Some(clock::now());
        }
        if census.unlimited {
            leases.warned.call_once(|| {
                tracing::warn!(
                    "the database role has no connection limit, or is a superuser: all slots of the \
                     server count as its own, and nothing keeps it from taking them"
                );
            });
        }
        Ok(census.room)
    }

    /// What precedes a statement that reads; nothing on a direct connection.
    ///
    /// # Errors
    /// As for [`Connector::begin_writing`].
    pub(super) async fn begin_reading(
        &self,
        session: &mut Session,
        until: Instant,
        timeout: StatementTimeout,
    ) -> Result<(), DatabaseError> {
        match &self.local_settings {
            Some(_) => self.begin(session, "begin read only", until, timeout).await,
            None => Ok(()),
        }
    }

    /// What follows a statement that reads; nothing on a direct connection.
    pub(super) async fn end_reading(&self, session: &mut Session) -> sqlx::Result<()> {
        match &self.local_settings {
            Some(_) => session.command("commit").await,
            None => Ok(()),
        }
    }

    /// Begins a transaction that may write, in one round trip.
    ///
    /// # Errors
    /// The statement's, and [`DatabaseError::Busy`] where a pooler lent no session of the server until
    /// `until`.
    pub(super) async fn begin_writing(
        &self,
        session: &mut Session,
        until: Instant,
        timeout: StatementTimeout,
    ) -> Result<(), DatabaseError> {
        self.begin(session, "begin", until, timeout).await
    }

    async fn begin(
        &self,
        session: &mut Session,
        begin: &str,
        until: Instant,
        timeout: StatementTimeout,
    ) -> Result<(), DatabaseError> {
        let begun = match &self.local_settings {
            None => {
                timeout
                    .wait_for(session.command(AssertSqlSafe(begin.to_owned())))
                    .await?
            }
            // The pooler answers when it has a session of the server to lend, which is what else
            // connecting is for. Not user input: numbers, and a quoted identifier.
            Some(settings) => {
                let statements = AssertSqlSafe(format!("{begin}; {settings}"));
                match timeout_at(until, session.command(statements)).await {
                    Ok(begun) => begun,
                    Err(elapsed) => {
                        let busy = io::Error::new(io::ErrorKind::TimedOut, elapsed);
                        return Err(DatabaseError::Busy(busy.into()));
                    }
                }
            }
        };
        begun.map_err(|error| DatabaseError::of_driver(error, Phase::Running))
    }
}

pub(super) async fn connect(
    options: &PgConnectOptions,
    phase: Phase,
    until: Instant,
) -> Result<PgConnection, DatabaseError> {
    match timeout_at(until, options.connect()).await {
        Ok(result) => result.map_err(|error| DatabaseError::of_driver(error, phase)),
        Err(elapsed) => Err(DatabaseError::Unreachable(elapsed.into())),
    }
}
