//! What the database is logged in to with, wherever it is kept: fetched once, again when the
//! database refuses it, and as a token of its own for each new session.

mod aws;
mod stored;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex, OnceCell},
    time::{Instant, timeout_at},
};

use crate::{
    clock,
    config::{self, ConfigError, Migration, Source, Stored, database_url::DatabaseUrl},
    database::error::DatabaseError,
};
use aws::FetchError;
#[cfg(feature = "operator")]
pub(crate) use aws::sdk;

/// The least time between two fetches of one environment. While credentials are being rotated,
/// every session that it opens is refused, and each refusal asks for a fetch.
const BETWEEN_FETCHES: Duration = Duration::from_secs(1);

/// The credentials of one role.
pub(crate) struct Credentials {
    source: Source,
    time_limit: Duration,
    /// Held while fetching: one at a time, and the others take what it brings.
    fetched: Mutex<Fetched>,
    /// Fetches that have ended, so that an invocation that waited for one knows it from an older one.
    ended: AtomicU64,
    signer: OnceCell<aws::Signer>,
}

// Nothing in it is for logs, and the SDK's part of it is long.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Fetched {
    current: Option<Arc<DatabaseUrl>>,
    /// When the last fetch began, by wall clock: an environment may be frozen in between.
    begun_at: Option<SystemTime>,
    /// Why the last fetch failed.
    failure: Option<FetchError>,
}

/// What one attempt to connect logs in with.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Where, and as whom.
    pub(crate) url: Arc<DatabaseUrl>,
    /// The URL's password, or a token in its place.
    pub(crate) password: SecretString,
}

impl Credentials {
    /// Of the role that the functions log in as. Fetches nothing yet.
    pub(crate) fn from_env() -> Result<Self, ConfigError> {
        Ok(Self::new(
            config::application()?,
            config::credentials_timeout()?,
        ))
    }

    fn new(source: Source, time_limit: Duration) -> Self {
        let current = match &source {
            Source::Url(url) | Source::Iam(url) => Some(Arc::new(url.clone())),
            Source::Stored(_) => None,
        };
        Self {
            source,
            time_limit,
            fetched: Mutex::new(Fetched {
                current,
                ..Fetched::default()
            }),
            ended: AtomicU64::new(0),
            signer: OnceCell::new(),
        }
    }

    /// What to log in with before `until`: fetched where nothing was fetched yet, with a token
    /// that is signed now where tokens take the password's place.
    ///
    /// # Errors
    /// [`DatabaseError::CredentialsUnavailable`] where a service does not answer in time, and
    /// [`DatabaseError::InvalidConfiguration`] where asking again would not help.
    pub(crate) async fn login(&self, until: Instant) -> Result<Login, DatabaseError> {
        let url = self.url(until).await?;
        let password = match &self.source {
            Source::Iam(url) => {
                let sign = async {
                    let signer = self
                        .signer
                        .get_or_init(|| aws::Signer::new(self.time_limit));
                    signer.await.token(url).await
                };
                let token = self.in_time(until, url.variable, sign).await;
                token.map_err(|error| error.of(url.variable))?
            }
            Source::Url(_) | Source::Stored(_) => url.password.clone(),
        };
        Ok(Login { url, password })
    }

    /// Where the database is, and as whom to log in; fetched where it was not yet.
    ///
    /// # Errors
    /// Those of [`Credentials::login`].
    pub(crate) async fn url(&self, until: Instant) -> Result<Arc<DatabaseUrl>, DatabaseError> {
        let before = self.ended.load(Ordering::Acquire);
        let mut fetched = self.lock(until).await?;
        if let Some(url) = &fetched.current {
            return Ok(Arc::clone(url));
        }
        let Source::Stored(stored) = &self.source else {
            unreachable!("what is in a variable is there from the beginning");
        };
        let waited = self.ended.load(Ordering::Acquire) > before;
        if let Some(failure) = &fetched.failure
            && (waited || !fetched.may_fetch())
        {
            return Err(failure.clone().of(stored.variable));
        }
        let url = self.fetch(stored, &mut fetched, until).await;
        url.map_err(|failure| failure.of(stored.variable))
    }

    /// Whether asking again may bring other credentials, or a token that is accepted.
    pub(crate) fn may_change(&self) -> bool {
        !matches!(self.source, Source::Url(_))
    }

    /// The database refused this login, or may have done so. Fetches again where others have not done so meanwhile, and
    /// not too soon. Answers whether there is another login to try at once.
    pub(crate) async fn refused(&self, login: &Login, until: Instant) -> bool {
        let Source::Stored(stored) = &self.source else {
            return false;
        };
        let Ok(mut fetched) = self.lock(until).await else {
            return false;
        };
        let newer = |fetched: &Fetched| {
            let current = fetched.current.as_ref();
            current.is_some_and(|url| !Arc::ptr_eq(url, &login.url))
        };
        if newer(&fetched) {
            return true;
        }
        if !fetched.may_fetch() {
            return false;
        }
        match self.fetch(stored, &mut fetched, until).await {
            Ok(_) => newer(&fetched),
            Err(failure) => {
                let cause = failure.to_string();
                tracing::warn!(
                    cause,
                    variable = stored.variable,
                    "refused credentials could not be fetched again"
                );
                false
            }
        }
    }

    /// Fetches. What is the same as before stays the same, so that others see that nothing changed.
    async fn fetch(
        &self,
        stored: &Stored,
        fetched: &mut Fetched,
        until: Instant,
    ) -> Result<Arc<DatabaseUrl>, FetchError> {
        let start = Instant::now();
        fetched.begun_at = Some(clock::now());
        let text = aws::fetch(stored, self.time_limit);
        let text = self.in_time(until, stored.variable, text).await;
        self.ended.fetch_add(1, Ordering::Release);
        let url = text.and_then(|text| {
            stored::read(text.expose_secret(), stored).map_err(FetchError::unusable)
        });
        let url = url.inspect_err(|failure| fetched.failure = Some(failure.clone()))?;
        fetched.failure = None;
        tracing::info!(
            variable = stored.variable,
            fetched_ms = start.elapsed().as_secs_f64() * 1000.0,
            "credentials fetched"
        );
        let current = match fetched.current.take() {
            Some(before) if same(&before, &url) => before,
            _ => Arc::new(url),
        };
        fetched.current = Some(Arc::clone(&current));
        Ok(current)
    }

    async fn lock(
        &self,
        until: Instant,
    ) -> Result<tokio::sync::MutexGuard<'_, Fetched>, DatabaseError> {
        timeout_at(until, self.fetched.lock())
            .await
            .map_err(|elapsed| DatabaseError::CredentialsUnavailable(elapsed.into()))
    }

    async fn in_time<T>(
        &self,
        until: Instant,
        variable: &'static str,
        work: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let until = until.min(Instant::now() + self.time_limit);
        match timeout_at(until, work).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::late(variable)),
        }
    }
}

impl Fetched {
    fn may_fetch(&self) -> bool {
        self.begun_at
            .is_none_or(|begun_at| clock::since(begun_at) >= BETWEEN_FETCHES)
    }
}

/// Whether two URLs log in the same way. The other parameters count from the first fetch on.
fn same(one: &DatabaseUrl, other: &DatabaseUrl) -> bool {
    let address = |url: &DatabaseUrl| (url.host.clone(), url.port);
    let role = |url: &DatabaseUrl| (url.user.clone(), url.database.clone());
    address(one) == address(other)
        && role(one) == role(other)
        && one.password.expose_secret() == other.password.expose_secret()
}

/// What the functions log in with now, a token in the password's place where there is one; for whoever
/// needs no pool, such as the monitor and the operator's tools. What should be said about the URL is
/// said in the log, as the pool says it of its own.
///
/// # Errors
/// [`DatabaseError::CredentialsUnavailable`] and [`DatabaseError::InvalidConfiguration`].
pub async fn application() -> Result<DatabaseUrl, DatabaseError> {
    let time_limit = config::credentials_timeout()?;
    let Login { url, password } = login(config::application()?, time_limit).await?;
    url.log_warnings();
    Ok(DatabaseUrl {
        password,
        ..DatabaseUrl::clone(&url)
    })
}

/// What the migrations need: whose credentials are kept elsewhere, theirs are fetched.
///
/// # Errors
/// [`DatabaseError::CredentialsUnavailable`] and [`DatabaseError::InvalidConfiguration`].
pub async fn migration() -> Result<Migration, DatabaseError> {
    let time_limit = config::credentials_timeout()?;
    let application = config::application()?;
    let owner = Source::from_env(&config::OWNER)?;
    let monitor = Source::from_env(&config::MONITOR)?;
    // Who only has its role set up logs in with tokens, and gets no password.
    let role = async |source| {
        Ok::<_, DatabaseError>(DatabaseUrl::clone(&login(source, time_limit).await?.url))
    };
    // Who migrates logs in now.
    let migrates = async |source| {
        let Login { url, password } = login(source, time_limit).await?;
        Ok::<_, DatabaseError>(DatabaseUrl {
            password,
            ..DatabaseUrl::clone(&url)
        })
    };
    let application = match owner {
        None => migrates(application).await?,
        Some(_) => role(application).await?,
    };
    let owner = match owner {
        Some(owner) => Some(migrates(owner).await?),
        None => None,
    };
    let monitor = match monitor {
        Some(monitor) => Some(role(monitor).await?),
        None => None,
    };
    for url in [Some(&application), owner.as_ref(), monitor.as_ref()] {
        url.into_iter().for_each(DatabaseUrl::log_warnings);
    }
    Ok(Migration::from_env(application, owner, monitor)?)
}

async fn login(source: Source, time_limit: Duration) -> Result<Login, DatabaseError> {
    let credentials = Credentials::new(source, time_limit);
    credentials.login(Instant::now() + time_limit).await
}
