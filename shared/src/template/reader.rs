//! One function resource with what it inherits.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use saphyr::Yaml;

use super::{
    Function, Managed, Route, Unusable, Variable, lookup,
    resolve::{Scope, Value, call},
};

/// Lambda's time-out where a template names none.
const DEFAULT_TIMEOUT_S: u32 = 3;
/// Lambda's memory where a template names none, in MB.
const DEFAULT_MEMORY_MB: u32 = 128;
/// The most memory a function may have: 10 240 MB on Lambda itself, 32 768 on Managed Instances.
const MOST_MEMORY_MB: u64 = 32_768;
const A_NUMBER: &str = "a whole number, or !Ref of a parameter that has one";

/// Which resource describes the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FunctionKind {
    /// `AWS::Serverless::Function`.
    Serverless,
    /// `AWS::Lambda::Function`, which has no events and inherits nothing.
    Lambda,
}

/// Reads one function resource.
pub(super) struct Reader<'a, 'input> {
    pub(super) logical_id: &'a str,
    pub(super) resource: &'a Yaml<'input>,
    pub(super) globals: Option<&'a Yaml<'input>>,
    pub(super) kind: FunctionKind,
    pub(super) scope: &'a Scope<'a, 'input>,
}

impl Reader<'_, '_> {
    /// The function; none where its condition is false.
    pub(super) fn function(&self) -> Option<Function> {
        let deployed = match lookup(self.resource, &["Condition"]) {
            None => Ok(()),
            Some(name) => match self.scope.condition(name.as_str().unwrap_or_default()) {
                Ok(true) => Ok(()),
                Ok(false) => return None,
                Err(why) => Err(Unusable {
                    logical_id: self.logical_id.to_owned(),
                    property: "Condition".to_owned(),
                    found: format!("not known: it depends on {why}"),
                    accepted: "a condition over values that are known before the deployment",
                }),
            },
        };
        Some(Function {
            logical_id: self.logical_id.to_owned(),
            deployed,
            binary: self.binary(),
            reserved_concurrency: self.number(
                &["ReservedConcurrentExecutions"],
                0..=u32::MAX.into(),
                A_NUMBER,
            ),
            timeout: self
                .number(&["Timeout"], 1..=900, "seconds from 1 to 900")
                .map(|given| Duration::from_secs(given.unwrap_or(DEFAULT_TIMEOUT_S).into())),
            memory_mb: self
                .number(&["MemorySize"], 128..=MOST_MEMORY_MB, "megabytes from 128")
                .map(|given| given.unwrap_or(DEFAULT_MEMORY_MB)),
            variables: self.variables(),
            routes: self.routes(),
            behind_gateway: self
                .events()
                .iter()
                .any(|(_, event)| matches!(event_type(event), Some("HttpApi" | "Api"))),
            managed: self.managed(),
        })
    }

    fn binary(&self) -> Result<String, Unusable> {
        const BINARY: &[&str] = &["Metadata", "BuildProperties", "Binary"];
        let value = lookup(self.resource, BINARY).map(|node| self.scope.value(node));
        match value.as_ref().and_then(Value::text) {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(self.unusable(
                &BINARY.join("."),
                value.as_ref(),
                "the name of the function's executable",
            )),
        }
    }

    /// A property: the function's own, else the one in `Globals`; maps are merged, as SAM merges
    /// them, key by key before anything is resolved.
    fn property(&self, path: &[&str]) -> Option<Value> {
        let ignored = path.first().is_some_and(|name| self.ignores_global(name));
        let value = |node| match self.scope.value(node) {
            Value::Removed => None,
            value => Some(value),
        };
        let mut own = lookup(self.resource, &["Properties"]);
        let mut inherited = self.globals.filter(|_| !ignored);
        let mut resolved = None;
        for key in path {
            own = own.and_then(|node| node.as_mapping_get(key));
            inherited = inherited.and_then(|node| node.as_mapping_get(key));
            resolved = match &resolved {
                Some(value) => Some(Value::get(value, key)?.clone()),
                None => None,
            };
            // A function of CloudFormation replaces what is inherited; its result is looked into.
            if let Some(node) = own.filter(|node| call(node).is_some()) {
                resolved = Some(value(node)?);
                (own, inherited) = (None, None);
            } else if own.is_none()
                && let Some(node) = inherited.filter(|node| call(node).is_some())
            {
                resolved = Some(value(node)?);
                inherited = None;
            }
        }
        match (resolved, own, inherited) {
            (Some(value), ..) => Some(value),
            (None, Some(own), Some(inherited)) => match (value(own)?, value(inherited)) {
                (Value::Map(own), Some(Value::Map(inherited))) => {
                    let mut merged: BTreeMap<String, Value> = inherited.into_iter().collect();
                    merged.extend(own);
                    Some(Value::Map(merged.into_iter().collect()))
                }
                (own, _) => Some(own),
            },
            (None, own, inherited) => value(own.or(inherited)?),
        }
    }

    /// Whether the resource takes nothing of a property from `Globals`: `IgnoreGlobals`, a list of
    /// names, or `*` for all.
    /// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
    fn ignores_global(&self, name: &str) -> bool {
        match lookup(self.resource, &["IgnoreGlobals"]).map(|node| self.scope.value(node)) {
            Some(Value::Text { text, .. }) => text == "*",
            Some(Value::List(names)) => names.iter().any(|ignored| ignored.text() == Some(name)),
            _ => false,
        }
    }

    fn number(
        &self,
        path: &[&str],
        range: RangeInclusive<u64>,
        accepted: &'static str,
    ) -> Result<Option<u32>, Unusable> {
        let Some(value) = self.property(path) else {
            return Ok(None);
        };
        let number = value.text().and_then(|text| text.trim().parse().ok());
        number
            .filter(|number| range.contains(number))
            .and_then(|number| u32::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| self.unusable(&path.join("."), Some(&value), accepted))
    }

    fn variables(&self) -> BTreeMap<String, Variable> {
        const PATH: [&str; 2] = ["Environment", "Variables"];
        let entries = match self.property(&PATH) {
            Some(Value::Map(entries)) => entries,
            // Whatever they hold, it is known only once deployed.
            Some(Value::Unknown(expression)) => {
                vec![(PATH.join("."), Value::Unknown(expression))]
            }
            _ => Vec::new(),
        };
        let variable = |value: Value| match value {
            Value::Text { text, .. } => Variable::Literal(text),
            Value::Fraction(_) => {
                Variable::Unresolved(format!("{}, which must be quoted", value.describe()))
            }
            other => Variable::Unresolved(other.describe()),
        };
        entries
            .into_iter()
            .map(|(name, value)| (name, variable(value)))
            .collect()
    }

    fn events(&self) -> Vec<(String, Value)> {
        match self.property(&["Events"]) {
            Some(Value::Map(events)) => events,
            _ => Vec::new(),
        }
    }

    fn routes(&self) -> Result<Vec<Route>, Unusable> {
        self.events()
            .iter()
            .filter(|(_, event)| event_type(event) == Some("HttpApi"))
            .map(|(name, event)| self.route(name, event))
            .collect()
    }

    /// The route of an `HttpApi` event.
    ///
    /// # Errors
    /// Where method or path is not known, or is none.
    pub(super) fn route(&self, event_name: &str, event: &Value) -> Result<Route, Unusable> {
        const A_PATH: &str = "a path that begins with a slash, or $default";
        let property = |name: &str| event.get("Properties").and_then(|all| all.get(name));
        let text = |name: &str, accepted| match property(name) {
            None => Ok(None),
            Some(value) => value.text().map(Some).ok_or_else(|| {
                let path = format!("Events.{event_name}.{name}");
                self.unusable(&path, Some(value), accepted)
            }),
        };
        let method = text("Method", "an HTTP method or ANY")?;
        let path = text("Path", A_PATH)?;
        match (method, path) {
            // SAM: an event with neither is the API's default route.
            (None, None) | (_, Some("$default")) => Ok(Route::Default),
            (method, Some(path)) if path.starts_with('/') => Ok(Route::Path {
                method: match method {
                    None | Some("x-amazon-apigateway-any-method") => "ANY".to_owned(),
                    Some(method) => method.to_ascii_uppercase(),
                },
                path: path.to_owned(),
            }),
            _ => Err(self.unusable(
                &format!("Events.{event_name}.Path"),
                property("Path"),
                A_PATH,
            )),
        }
    }

    fn managed(&self) -> Option<Managed> {
        const PROVIDER: &str = "CapacityProviderConfig";
        self.property(&[PROVIDER])?;
        let concurrency: &[&str] = match self.kind {
            FunctionKind::Serverless => &[PROVIDER, "PerExecutionEnvironmentMaxConcurrency"],
            FunctionKind::Lambda => &[
                PROVIDER,
                "LambdaManagedInstancesCapacityProviderConfig",
                "PerExecutionEnvironmentMaxConcurrency",
            ],
        };
        Some(Managed {
            concurrency: self.number(concurrency, 1..=1600, "a whole number from 1 to 1600"),
            max_environments: self.number(
                &["FunctionScalingConfig", "MaxExecutionEnvironments"],
                0..=u32::MAX.into(),
                A_NUMBER,
            ),
        })
    }

    fn unusable(&self, property: &str, found: Option<&Value>, accepted: &'static str) -> Unusable {
        Unusable {
            logical_id: self.logical_id.to_owned(),
            property: property.to_owned(),
            found: found.map_or_else(|| "missing".to_owned(), Value::describe),
            accepted,
        }
    }
}

fn event_type(event: &Value) -> Option<&str> {
    event.get("Type").and_then(Value::text)
}
