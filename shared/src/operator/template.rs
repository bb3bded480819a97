//! The only reader of `template.yaml`: what is deployed, for the local fleet and the operator's
//! tools.
//!
//! It reads the part of SAM's language that sessions depend on: functions with what they inherit,
//! resolved as far as it can be known before a deployment (`resolve`). A property that is not
//! understood is an error in its place, [`Unusable`], which stops a caller that needs that property and
//! no other. Everything but [`read`] is pure.

mod http_api;
mod merge;
mod reader;
mod resolve;
mod unread;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use saphyr::{LoadableYamlNode, Yaml};

pub use self::http_api::{Cors, HttpApi, Protection};
use self::reader::{FunctionKind, Reader};
use self::resolve::Scope;
pub use self::unread::Unread;

/// The deepest column in which a line may begin. Each level of a block is at least one column, the
/// parser follows them by recursion, and a stack ends: a text that is no template must not end the
/// process.
const DEEPEST: usize = 300;

/// Values for the template's `Parameters`, by name. They win over a parameter's `Default`. Pseudo
/// parameters such as `AWS::Region` may be among them.
pub type Parameters = BTreeMap<String, String>;

/// What a template deploys, in its own order, and the API in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Every `AWS::Serverless::Function`, `Globals` merged in, and every `AWS::Lambda::Function`;
    /// without those whose `Condition` is false.
    pub functions: Vec<Function>,
    /// What guards their routes.
    pub http_api: Result<HttpApi, Unusable>,
    /// What stands under `Parameters`, in the template's order.
    pub parameters: Vec<Parameter>,
    /// What may make further functions and is not read.
    pub unread: Vec<Unread>,
}

/// One of the template's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// The value that was given, else its `Default`; none if there is neither.
    pub value: Option<String>,
    /// `NoEcho`: its value must not be shown.
    pub secret: bool,
}

/// One function. What is not understood stays an error in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The resource's key in `Resources`.
    pub logical_id: String,
    /// `FunctionName`; none where CloudFormation makes one up.
    pub name: Result<Option<String>, Unusable>,
    /// Whether it is deployed for certain: an error where its `Condition` is not known here.
    pub deployed: Result<(), Unusable>,
    /// `Metadata.BuildProperties.Binary`: the name of the executable, and of the function.
    pub binary: Result<String, Unusable>,
    /// `ReservedConcurrentExecutions`: most invocations in flight, over all versions. None when
    /// the function draws on the account's unreserved concurrency.
    pub reserved_concurrency: Result<Option<u32>, Unusable>,
    /// Where that stands, if it is `!FindInMap`.
    pub reserved_in: Option<Mapped>,
    /// `Timeout`: how long one invocation may take; 1 s to 900 s, 3 s when not given.
    pub timeout: Result<Duration, Unusable>,
    /// `MemorySize` in MB; 128 to 32768, 128 when not given.
    pub memory_mb: Result<u32, Unusable>,
    /// `Environment.Variables`.
    pub variables: Result<BTreeMap<String, Variable>, Unusable>,
    /// The `HttpApi` events.
    pub routes: Result<Vec<Route>, Unusable>,
    /// Whether a client waits behind API Gateway: an `HttpApi` or `Api` event.
    pub behind_gateway: Result<bool, Unusable>,
    /// Where it runs on Lambda Managed Instances (`CapacityProviderConfig`).
    pub managed: Option<Managed>,
}

/// A place among the template's `Mappings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The mapping's name.
    pub mapping: String,
    /// The line's key, such as a server's size.
    pub line: String,
    /// The value's key within the line.
    pub key: String,
}

/// How a function runs on Lambda Managed Instances.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-capacityproviderconfig.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Managed {
    /// `PerExecutionEnvironmentMaxConcurrency`, 1 to 1600: invocations that one environment serves
    /// at once.
    pub concurrency: Result<Option<u32>, Unusable>,
    /// `FunctionScalingConfig.MaxExecutionEnvironments`: most environments of one version.
    pub max_environments: Result<Option<u32>, Unusable>,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// Known from the template, or from a parameter's value.
    Literal(String),
    /// Known only once deployed, such as `!GetAtt`; or a parameter without value and default; or
    /// no single value. Holds what stands there as text, for messages.
    Unresolved(String),
}

/// Which requests of the HTTP API reach a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    /// `$default`: whatever matches no other route.
    Default,
    /// A method and a path.
    Path {
        /// Upper case; `ANY` for every method.
        method: String,
        /// Begins with a slash; `{name}` stands for one segment, a last `{name+}` for the rest.
        path: String,
    },
}

/// Why a template could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file could not be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file asked for.
        path: PathBuf,
        /// What the file system answered.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("the template is not YAML: {0}")]
    Yaml(#[from] saphyr::ScanError),
    /// The text is nested more deeply than any template.
    #[error("the template is indented by more than {DEEPEST} columns")]
    TooDeep,
    /// The text is YAML, but not one document with `Resources`.
    #[error("the template must be one YAML document with a mapping `Resources`")]
    NotATemplate,
    /// YAML's merge key beside something that has no keys.
    #[error("a merge key << must be followed by a mapping or a list of mappings")]
    Merge,
    /// A property that is needed holds something that cannot be used.
    #[error(transparent)]
    Property(#[from] Unusable),
}

/// A property that holds something that cannot be used, or that is known only once deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{logical_id}: {property} is {found}; accepted is {accepted}")]
pub struct Unusable {
    /// The resource's key in `Resources`.
    pub logical_id: String,
    /// The property's path below the resource.
    pub property: String,
    /// What stands in the template.
    pub found: String,
    /// What would be understood.
    pub accepted: &'static str,
}

/// Reads the template in a file. See [`parse`] for the parameters and the errors.
pub fn read(path: &Path, parameters: &Parameters) -> Result<Template, TemplateError> {
    let text = std::fs::read_to_string(path).map_err(|source| TemplateError::File {
        path: path.to_owned(),
        source,
    })?;
    parse(&text, parameters)
}

/// Reads a template. Parameters stand for `!Ref` of their names and win over their defaults.
///
/// # Errors
/// When the text is not a template. What is wrong with one property stays in its place.
pub fn parse(text: &str, parameters: &Parameters) -> Result<Template, TemplateError> {
    let depth = |line: &str| line.len() - line.trim_start_matches([' ', '-', '?', ':']).len();
    if text.lines().any(|line| depth(line) > DEEPEST) {
        return Err(TemplateError::TooDeep);
    }
    let documents = Yaml::load_from_str(text)?;
    let [document] = &documents[..] else {
        return Err(TemplateError::NotATemplate);
    };
    let document = &merge::flatten(document.clone())?;
    let resources = lookup(document, &["Resources"])
        .and_then(Yaml::as_mapping)
        .ok_or(TemplateError::NotATemplate)?;
    let scope = Scope::new(document, parameters);
    let globals = lookup(document, &["Globals", "Function"]);

    let mut functions = Vec::new();
    let mut unread = unread::of_document(document);
    for (key, resource) in resources {
        let Some(logical_id) = key.as_str() else {
            continue;
        };
        let (kind, globals) = match lookup(resource, &["Type"]).and_then(Yaml::as_str) {
            Some("AWS::Serverless::Function") => (FunctionKind::Serverless, globals),
            Some("AWS::Lambda::Function") => (FunctionKind::Lambda, None),
            _ => {
                unread.extend(unread::of_resource(logical_id, resource, &scope));
                continue;
            }
        };
        functions.extend(Reader::new(logical_id, resource, globals, kind, &scope).function());
    }
    let declared = lookup(document, &["Parameters"]).and_then(Yaml::as_mapping);
    let declared = declared.into_iter().flatten();
    Ok(Template {
        functions,
        http_api: http_api::read(document, &scope),
        parameters: declared
            .filter_map(|(name, node)| Some(resolve::parameter(name.as_str()?, node, parameters)))
            .collect(),
        unread,
    })
}

impl Route {
    /// The route key that API Gateway shows in its events, such as `GET /api/doctors`.
    pub fn key(&self) -> String {
        match self {
            Self::Default => "$default".to_owned(),
            Self::Path { method, path } => format!("{method} {path}"),
        }
    }
}

/// The node at a path of keys, if every step is a mapping that has it.
fn lookup<'a, 'input>(node: &'a Yaml<'input>, path: &[&str]) -> Option<&'a Yaml<'input>> {
    path.iter()
        .try_fold(node, |node, key| node.as_mapping_get(key))
}

#[cfg(test)]
mod tests;
