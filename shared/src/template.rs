//! The only reader of `template.yaml`: what is deployed, for the local fleet and the operator's
//! tools.
//!
//! It reads the part of SAM's language that Headroom uses, and refuses what it does not
//! understand where a number or a route would be lost: a budget computed from half a template is
//! worse than none. Everything but [`read`] is pure.

mod http_api;
mod scalar;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use saphyr::{LoadableYamlNode, Yaml};

pub use self::http_api::{Cors, HttpApi, Protection};
use self::scalar::{Scalar, describe, scalar};

/// Lambda's time-out where a template names none.
const DEFAULT_TIMEOUT_S: u64 = 3;
/// Lambda's memory where a template names none, in MB.
const DEFAULT_MEMORY_MB: u32 = 128;

/// Values for the template's `Parameters`, by name. They win over a parameter's `Default`.
pub type Parameters = BTreeMap<String, String>;

/// The functions that a template deploys, in its own order, and the API in front of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Every `AWS::Serverless::Function`, `Globals` merged in.
    pub functions: Vec<Function>,
    /// What guards their routes.
    pub http_api: HttpApi,
}

/// One `AWS::Serverless::Function`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The resource's key in `Resources`.
    pub logical_id: String,
    /// `Metadata.BuildProperties.Binary`: the name of the executable, and of the function.
    pub binary: String,
    /// `ReservedConcurrentExecutions`: most invocations in flight, over all versions. None when
    /// the function draws on the account's unreserved concurrency.
    pub reserved_concurrency: Option<u32>,
    /// `Timeout`: how long one invocation may take; 1 s to 900 s, 3 s when not given.
    pub timeout: Duration,
    /// `MemorySize` in MB; 128 to 10240, 128 when not given.
    pub memory_mb: u32,
    /// `Environment.Variables`.
    pub variables: BTreeMap<String, Variable>,
    /// The `HttpApi` events.
    pub routes: Vec<Route>,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// Known from the template, or from a parameter's value.
    Literal(String),
    /// Known only once deployed, such as `!GetAtt`; or a parameter without value and default.
    /// Holds the expression as text, for messages.
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
    /// The text is YAML, but not one document with `Resources`.
    #[error("the template must be one YAML document with a mapping `Resources`")]
    NotATemplate,
    /// A property holds something that cannot be used.
    #[error("{logical_id}: {property} is {found}; accepted is {accepted}")]
    Property {
        /// The resource's key in `Resources`.
        logical_id: String,
        /// The property's path below the resource.
        property: String,
        /// What stands in the template.
        found: String,
        /// What would be understood.
        accepted: &'static str,
    },
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
/// When the text is not a template, and when a property that the model needs is missing or is not
/// understood. The error names the resource, the property, what was found and what is accepted.
pub fn parse(text: &str, parameters: &Parameters) -> Result<Template, TemplateError> {
    let documents = Yaml::load_from_str(text)?;
    let [document] = documents.as_slice() else {
        return Err(TemplateError::NotATemplate);
    };
    let resources = document
        .as_mapping_get("Resources")
        .and_then(Yaml::as_mapping)
        .ok_or(TemplateError::NotATemplate)?;
    let parameters = with_defaults(document, parameters);
    let globals = lookup(document, &["Globals", "Function"]);

    let mut functions = Vec::new();
    for (key, resource) in resources {
        let is_function =
            lookup(resource, &["Type"]).and_then(Yaml::as_str) == Some("AWS::Serverless::Function");
        if let (true, Some(logical_id)) = (is_function, key.as_str()) {
            let reader = Reader {
                logical_id,
                resource,
                globals,
                parameters: &parameters,
            };
            functions.push(reader.function()?);
        }
    }
    Ok(Template {
        functions,
        http_api: http_api::read(document, &parameters)?,
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

/// The values that `!Ref` of a parameter stands for: those given, else the defaults.
fn with_defaults(document: &Yaml<'_>, given: &Parameters) -> Parameters {
    let declared = lookup(document, &["Parameters"])
        .and_then(Yaml::as_mapping)
        .into_iter()
        .flatten();
    let mut values: Parameters = declared
        .filter_map(
            |(name, parameter)| match scalar(lookup(parameter, &["Default"])?, given) {
                Scalar::Known(value) => Some((name.as_str()?.to_owned(), value)),
                Scalar::Unresolved(_) | Scalar::Collection => None,
            },
        )
        .collect();
    values.extend(given.clone());
    values
}

/// The node at a path of keys, if every step is a mapping that has it.
fn lookup<'a, 'input>(node: &'a Yaml<'input>, path: &[&str]) -> Option<&'a Yaml<'input>> {
    path.iter()
        .try_fold(node, |node, key| node.as_mapping_get(key))
}

/// One function resource with what it inherits.
struct Reader<'a, 'input> {
    logical_id: &'a str,
    resource: &'a Yaml<'input>,
    globals: Option<&'a Yaml<'input>>,
    parameters: &'a Parameters,
}

impl<'a, 'input> Reader<'a, 'input> {
    fn function(&self) -> Result<Function, TemplateError> {
        const BINARY: &[&str] = &["Metadata", "BuildProperties", "Binary"];
        const A_NAME: &str = "the name of the function's executable";
        let binary = match lookup(self.resource, BINARY).map(|node| scalar(node, self.parameters)) {
            Some(Scalar::Known(name)) if !name.is_empty() => name,
            _ => return Err(self.error(&BINARY.join("."), lookup(self.resource, BINARY), A_NAME)),
        };
        Ok(Function {
            logical_id: self.logical_id.to_owned(),
            binary,
            reserved_concurrency: self.number(
                "ReservedConcurrentExecutions",
                0..=u32::MAX.into(),
                "a whole number, or !Ref of a parameter that has one",
            )?,
            timeout: Duration::from_secs(
                self.number("Timeout", 1..=900, "seconds from 1 to 900")?
                    .map_or(DEFAULT_TIMEOUT_S, u64::from),
            ),
            memory_mb: self
                .number("MemorySize", 128..=10_240, "megabytes from 128 to 10240")?
                .unwrap_or(DEFAULT_MEMORY_MB),
            variables: self.variables()?,
            routes: self.routes()?,
        })
    }

    /// A scalar property: the resource's own, else the one in `Globals`, as SAM merges scalars.
    fn property(&self, name: &str) -> Option<&'a Yaml<'input>> {
        lookup(self.resource, &["Properties", name])
            .or_else(|| self.globals.and_then(|globals| lookup(globals, &[name])))
    }

    fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
        accepted: &'static str,
    ) -> Result<Option<u32>, TemplateError> {
        let Some(node) = self.property(name) else {
            return Ok(None);
        };
        let known = match scalar(node, self.parameters) {
            Scalar::Known(text) => text.trim().parse::<u64>().ok(),
            Scalar::Unresolved(_) | Scalar::Collection => None,
        };
        known
            .filter(|number| range.contains(number))
            .and_then(|number| u32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| self.error(name, Some(node), accepted))
    }

    /// The variables of `Globals` and of the function; the function's own win, as SAM merges maps.
    fn variables(&self) -> Result<BTreeMap<String, Variable>, TemplateError> {
        const ACCEPTED: &str =
            "a string, a whole number, true or false, or a function such as !Ref";
        const PATH: [&str; 2] = ["Environment", "Variables"];
        let inherited = self.globals.and_then(|globals| lookup(globals, &PATH));
        let own = lookup(self.resource, &["Properties", PATH[0], PATH[1]]);
        let mut variables = BTreeMap::new();
        for (key, node) in [inherited, own]
            .into_iter()
            .flatten()
            .filter_map(Yaml::as_mapping)
            .flatten()
        {
            let name = key.as_str().unwrap_or_default();
            let variable = match scalar(node, self.parameters) {
                Scalar::Known(value) => Variable::Literal(value),
                Scalar::Unresolved(expression) => Variable::Unresolved(expression),
                Scalar::Collection => {
                    let property = format!("{}.{name}", PATH.join("."));
                    return Err(self.error(&property, Some(node), ACCEPTED));
                }
            };
            variables.insert(name.to_owned(), variable);
        }
        Ok(variables)
    }

    fn routes(&self) -> Result<Vec<Route>, TemplateError> {
        let events = lookup(self.resource, &["Properties", "Events"]).and_then(Yaml::as_mapping);
        events
            .into_iter()
            .flatten()
            .filter(|(_, event)| lookup(event, &["Type"]).and_then(Yaml::as_str) == Some("HttpApi"))
            .map(|(name, event)| self.route(name.as_str().unwrap_or_default(), event))
            .collect()
    }

    fn route(&self, event_name: &str, event: &Yaml<'input>) -> Result<Route, TemplateError> {
        let text = |property: &str, accepted| {
            let Some(node) = lookup(event, &["Properties", property]) else {
                return Ok(None);
            };
            match scalar(node, self.parameters) {
                Scalar::Known(text) => Ok(Some(text)),
                _ => {
                    let property = format!("Events.{event_name}.{property}");
                    Err(self.error(&property, Some(node), accepted))
                }
            }
        };
        let method = text("Method", "an HTTP method or ANY")?;
        let path = text("Path", "a path that begins with a slash, or $default")?;
        match (method, path.as_deref()) {
            // SAM: an event with neither is the API's default route.
            (None, None) | (_, Some("$default")) => Ok(Route::Default),
            (method, Some(path)) if path.starts_with('/') => Ok(Route::Path {
                method: match method.as_deref() {
                    None | Some("x-amazon-apigateway-any-method") => "ANY".to_owned(),
                    Some(method) => method.to_ascii_uppercase(),
                },
                path: path.to_owned(),
            }),
            _ => Err(self.error(
                &format!("Events.{event_name}.Path"),
                lookup(event, &["Properties", "Path"]),
                "a path that begins with a slash, or $default",
            )),
        }
    }

    fn error(
        &self,
        property: &str,
        found: Option<&Yaml<'_>>,
        accepted: &'static str,
    ) -> TemplateError {
        TemplateError::Property {
            logical_id: self.logical_id.to_owned(),
            property: property.to_owned(),
            found: found.map_or_else(|| "missing".to_owned(), describe),
            accepted,
        }
    }
}

#[cfg(test)]
mod tests;
