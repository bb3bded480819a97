//! What a fleet is made of, and how it starts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::operator::template::{
    self, Parameters, Route, Template, TemplateError, Unusable, Variable,
};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::binaries::Binaries;
use crate::fleet::Fleet;
use crate::function::{Dispatch, Function};
use crate::gateway::routes::Routes;
use crate::gateway::{Gateway, INTEGRATION_TIMEOUT, Target};
use crate::issuer::{Issuer, NoSubject, SubjectOf, endpoint};
use crate::logs::{LogCallback, LogLine, Logs};
use crate::spawner::Spawner;
use crate::version::Version;

/// An account's concurrency unless it was raised: what functions without reserved concurrency
/// share on Lambda, and what each of them may use here.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const ACCOUNT_CONCURRENCY: u32 = 1_000;

/// What a fleet is made of; see [`Fleet::builder`]. Functions are addressed by the template's
/// `Binary`; settings of one hold for every function of that executable.
pub struct Builder {
    template: Source,
    parameters: Parameters,
    variables: BTreeMap<String, String>,
    overrides: BTreeMap<String, Overrides>,
    binaries: Binaries,
    version: String,
    dispatch: Dispatch,
    freeze: bool,
    idle_limit: Option<Duration>,
    integration_timeout: Duration,
    port: u16,
    on_log: Option<LogCallback>,
    subject_of: Option<SubjectOf>,
}

enum Source {
    Text(String),
    File(PathBuf),
}

/// What is different for one function.
#[derive(Default)]
struct Overrides {
    variables: BTreeMap<String, String>,
    reserved_concurrency: Option<u32>,
    max_concurrency: Option<u32>,
}

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template is not understood.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A property of the template that a fleet needs is not known.
    #[error(transparent)]
    Property(#[from] Unusable),
    /// A function of the template has no executable.
    #[error(
        "{logical_id}: there is no executable `{binary}` (Metadata.BuildProperties.Binary); \
         there are: {there_are}"
    )]
    NoExecutable {
        /// The resource in the template.
        logical_id: String,
        /// The executable asked for.
        binary: String,
        /// The executables that exist, by name.
        there_are: String,
    },
    /// A variable's value is known only once deployed, and nothing replaces it here.
    #[error("{logical_id}: variable {name} is {expression}; give it a value for the fleet")]
    UnresolvedVariable {
        /// The resource in the template.
        logical_id: String,
        /// The variable.
        name: String,
        /// What stands in the template.
        expression: String,
    },
    /// Something was set for a function that the template does not have.
    #[error("the template has no function with the binary `{0}`")]
    UnknownFunction(String),
    /// A route of the template is the fleet's own.
    #[error("{logical_id}: {route} begins with {prefix}, which is the fleet's own", prefix = endpoint::PREFIX)]
    ReservedPath {
        /// The resource in the template.
        logical_id: String,
        /// The route's key.
        route: String,
    },
    /// The gateway's port cannot be listened on.
    #[error("port {port} on 127.0.0.1 cannot be used ({source}); choose another one")]
    Port {
        /// The port asked for.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// A thread could not be had.
    #[error("the fleet could not start: {0}")]
    Io(#[from] io::Error),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            template: Source::File(Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml")),
            // The one pseudo parameter that a function is told.
            parameters: Parameters::from([("AWS::StackName".to_owned(), "fleet".to_owned())]),
            variables: BTreeMap::new(),
            overrides: BTreeMap::new(),
            binaries: Binaries::none(),
            version: "$LATEST".to_owned(),
            dispatch: Dispatch::LastUsedFirst,
            freeze: true,
            idle_limit: None,
            integration_timeout: INTEGRATION_TIMEOUT,
            port: 0,
            on_log: None,
            subject_of: None,
        }
    }

    /// The template, as text. Without one, the project's own `template.yaml` is read.
    #[must_use]
    pub fn template_text(mut self, text: impl Into<String>) -> Self {
        self.template = Source::Text(text.into());
        self
    }

    /// The template, in a file.
    #[must_use]
    pub fn template_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.template = Source::File(path.into());
        self
    }

    /// A value for one of the template's parameters.
    #[must_use]
    pub fn parameter(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// An environment variable for every function; wins over the template's.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// An environment variable for one function; wins over [`Builder::variable`].
    #[must_use]
    pub fn function_variable(
        mut self,
        function: &str,
        name: &str,
        value: impl Into<String>,
    ) -> Self {
        let overrides = self.overrides(function);
        overrides.variables.insert(name.to_owned(), value.into());
        self
    }

    /// Most invocations in flight, in place of the template's. 0 throttles every one.
    #[must_use]
    pub fn reserved_concurrency(mut self, function: &str, most: u32) -> Self {
        self.overrides(function).reserved_concurrency = Some(most);
        self
    }

    /// Runs a function as on Lambda Managed Instances: one environment takes up to so many
    /// invocations at once, and is never frozen.
    #[must_use]
    pub fn max_concurrency(mut self, function: &str, most: u32) -> Self {
        self.overrides(function).max_concurrency = Some(most);
        self
    }

    /// The executables; every function of the template needs one.
    #[must_use]
    pub fn binaries(mut self, binaries: Binaries) -> Self {
        self.binaries = binaries;
        self
    }

    /// The version that functions run as; `$LATEST` otherwise.
    #[must_use]
    pub fn version(mut self, label: impl Into<String>) -> Self {
        self.version = label.into();
        self
    }

    /// Which of several idle environments is used; the last used one otherwise.
    #[must_use]
    pub fn dispatch(mut self, dispatch: Dispatch) -> Self {
        self.dispatch = dispatch;
        self
    }

    /// Whether idle environments are stopped, as they are on Lambda; they are otherwise.
    #[must_use]
    pub fn freeze(mut self, freeze: bool) -> Self {
        self.freeze = freeze;
        self
    }

    /// Ends environments that have been idle for longer. Otherwise they stay.
    #[must_use]
    pub fn idle_limit(mut self, limit: Duration) -> Self {
        self.idle_limit = Some(limit);
        self
    }

    /// How long the gateway waits for a function; API Gateway's 30 s otherwise.
    #[must_use]
    pub fn integration_timeout(mut self, limit: Duration) -> Self {
        self.integration_timeout = limit;
        self
    }

    /// The gateway's port on 127.0.0.1; a free one otherwise.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Called with every line that an environment prints. See [`LogCallback`].
    #[must_use]
    pub fn on_log(mut self, callback: impl Fn(&LogLine) + Send + Sync + 'static) -> Self {
        self.on_log = Some(Arc::new(callback));
        self
    }

    /// Finds the subject of a row for local processes that ask the fleet for a token: called with
    /// the role, `doctor` or `patient`, and the row's id. Without it, they get staff's alone.
    #[must_use]
    pub fn subject_of<F>(
        mut self,
        find: impl Fn(&'static str, Uuid) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<String, NoSubject>> + Send + 'static,
    {
        self.subject_of = Some(Arc::new(move |role, id| Box::pin(find(role, id))));
        self
    }

    /// Starts the gateway. Environments start with the first invocations. Must be called inside a
    /// Tokio runtime, which has to outlive the fleet.
    pub async fn start(self) -> Result<Fleet, StartError> {
        let template = match &self.template {
            Source::Text(text) => template::parse(text, &self.parameters)?,
            Source::File(path) => template::read(path, &self.parameters)?,
        };
        self.check_names(&template)?;
        if let Dispatch::Any { seed } = self.dispatch {
            // Standard error of a test that failed is shown; it names the order to run again.
            eprintln!("fleet: dispatch with seed {seed}");
        }
        let listener = TcpListener::bind(("127.0.0.1", self.port))
            .await
            .map_err(|source| StartError::Port {
                port: self.port,
                source,
            })?;
        let spawner = Arc::new(Spawner::new()?);
        let mut functions = BTreeMap::new();
        let mut routes = Vec::new();
        let http_api = template.http_api?;
        for described in template.functions {
            let function = Arc::new(self.function(&described, &spawner)?);
            for route in described.routes? {
                if matches!(&route, Route::Path { path, .. } if endpoint::is_local(path)) {
                    return Err(StartError::ReservedPath {
                        logical_id: described.logical_id,
                        route: route.key(),
                    });
                }
                let target = Target {
                    function: Arc::clone(&function),
                    protection: http_api.protected.get(&route).cloned(),
                };
                routes.push((route, target));
            }
            // Two functions of one executable are two: the second has its name in the template.
            let binary = described.binary?;
            let name = match functions.contains_key(&binary) {
                true => described.logical_id,
                false => binary,
            };
            functions.insert(name, function);
        }
        let address = listener.local_addr()?;
        let issuer = Issuer::new(format!("http://{address}{}", endpoint::PREFIX)).await?;
        let gateway = Gateway {
            authority: address.to_string(),
            routes: Routes::new(routes),
            cors: http_api.cors,
            issuer: Arc::new(issuer),
            subject_of: self.subject_of,
            integration_timeout: self.integration_timeout,
        };
        Ok(Fleet::new(
            listener,
            address,
            gateway,
            functions,
            self.idle_limit,
        ))
    }

    fn overrides(&mut self, function: &str) -> &mut Overrides {
        self.overrides.entry(function.to_owned()).or_default()
    }

    /// A setting for a function that does not exist is a misspelling.
    fn check_names(&self, template: &Template) -> Result<(), StartError> {
        let known = |name: &str| {
            template
                .functions
                .iter()
                .any(|function| function.binary.as_deref() == Ok(name))
        };
        match self.overrides.keys().find(|name| !known(name)) {
            Some(unknown) => Err(StartError::UnknownFunction(unknown.clone())),
            None => Ok(()),
        }
    }

    fn function(
        &self,
        described: &template::Function,
        spawner: &Arc<Spawner>,
    ) -> Result<Function, StartError> {
        let binary = described.binary.clone()?;
        let executable = self.binaries.path(&binary).ok_or_else(|| {
            let names: Vec<&str> = self.binaries.names().collect();
            StartError::NoExecutable {
                logical_id: described.logical_id.clone(),
                binary: binary.clone(),
                there_are: names.join(", "),
            }
        })?;
        let overrides = self.overrides.get(&binary);
        let version = Version {
            function: binary,
            label: self.version.clone(),
            executable: executable.to_owned(),
            variables: self.variables(described, overrides)?,
            timeout: described.timeout.clone()?,
            memory_mb: described.memory_mb.clone()?,
            max_concurrency: overrides.and_then(|overrides| overrides.max_concurrency),
            freeze: self.freeze,
        };
        let concurrency = overrides
            .and_then(|overrides| overrides.reserved_concurrency)
            .or(described.reserved_concurrency.clone()?)
            .unwrap_or(ACCOUNT_CONCURRENCY);
        let logs = Logs::new(self.on_log.clone());
        Ok(Function::new(
            version,
            concurrency,
            self.dispatch,
            logs,
            Arc::clone(spawner),
        ))
    }

    fn variables(
        &self,
        described: &template::Function,
        overrides: Option<&Overrides>,
    ) -> Result<BTreeMap<String, String>, StartError> {
        let mut variables = self.variables.clone();
        if let Some(overrides) = overrides {
            variables.extend(overrides.variables.clone());
        }
        for (name, variable) in described.variables.as_ref().map_err(Clone::clone)? {
            if variables.contains_key(name) {
                continue;
            }
            match variable {
                Variable::Literal(value) => variables.insert(name.clone(), value.clone()),
                Variable::Unresolved(expression) => {
                    return Err(StartError::UnresolvedVariable {
                        logical_id: described.logical_id.clone(),
                        name: name.clone(),
                        expression: expression.clone(),
                    });
                }
            };
        }
        Ok(variables)
    }
}
