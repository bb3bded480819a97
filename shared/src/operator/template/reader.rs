//! One function resource with what it inherits.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use saphyr::{Mapping, Yaml};

use super::{
    Function, Managed, Mapped, Route, Unusable, Variable, lookup,
    merge::inherit,
    resolve::{Scope, Value, call, expanded},
};

/// Lambda's time-out where a template names none.
const DEFAULT_TIMEOUT_S: u32 = 3;
/// Lambda's memory where a template names none, in MB.
const DEFAULT_MEMORY_MB: u32 = 128;
/// The most memory a function may have: 10 240 MB on Lambda itself, 32 768 on Managed Instances.
const MOST_MEMORY_MB: u64 = 32_768;
const AN_EVENT: &str = "events that are known before the deployment";
const RESERVED: &str = "ReservedConcurrentExecutions";
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
    logical_id: &'a str,
    resource: &'a Yaml<'input>,
    kind: FunctionKind,
    scope: &'a Scope<'a, 'input>,
    /// With what it inherits.
    properties: Value,
}

impl<'a, 'input> Reader<'a, 'input> {
    pub(super) fn new(
        logical_id: &'a str,
        resource: &'a Yaml<'input>,
        globals: Option<&Yaml<'input>>,
        kind: FunctionKind,
        scope: &'a Scope<'a, 'input>,
    ) -> Self {
        let own = lookup(resource, &["Properties"]);
        let nothing = Yaml::Mapping(Mapping::new());
        let properties = match globals.and_then(|globals| without_ignored(globals, resource, scope))
        {
            Some(inherited) => scope.value(&inherit(&inherited, own.unwrap_or(&nothing))),
            None => scope.value(own.unwrap_or(&nothing)),
        };
        // A macro beside the properties may change them.
        let properties = expanded(resource).map_or(properties, Value::Unknown);
        Self {
            logical_id,
            resource,
            kind,
            scope,
            properties,
        }
    }

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
            name: self.name(),
            deployed,
            binary: self.binary(),
            reserved_concurrency: self.number(&[RESERVED], 0..=u32::MAX.into(), A_NUMBER),
            reserved_in: self.reserved_in(),
            timeout: self
                .number(&["Timeout"], 1..=900, "seconds from 1 to 900")
                .map(|given| Duration::from_secs(given.unwrap_or(DEFAULT_TIMEOUT_S).into())),
            memory_mb: self
                .number(&["MemorySize"], 128..=MOST_MEMORY_MB, "megabytes from 128")
                .map(|given| given.unwrap_or(DEFAULT_MEMORY_MB)),
            variables: self.variables(),
            routes: self.routes(),
            behind_gateway: self.behind_gateway(),
            managed: self.managed(),
        })
    }

    fn name(&self) -> Result<Option<String>, Unusable> {
        const NAME: &str = "FunctionName";
        match self.property(&[NAME]) {
            None => Ok(None),
            Some(Value::Text { text, .. }) => Ok(Some(text.clone())),
            other => Err(self.unusable(NAME, other, "a name that is known before the deployment")),
        }
    }

    fn reserved_in(&self) -> Option<Mapped> {
        let node = lookup(self.resource, &["Properties", RESERVED])?;
        let ("FindInMap", arguments) = call(node)? else {
            return None;
        };
        let text = |node| Some(self.scope.value(node).text()?.to_owned());
        let [mapping, line, key, ..] = arguments.as_vec()?.as_slice() else {
            return None;
        };
        Some(Mapped {
            mapping: text(mapping)?,
            line: text(line)?,
            key: text(key)?,
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

    /// A property, or what is not known on the way to it.
    fn property(&self, path: &[&str]) -> Option<&Value> {
        let mut value = &self.properties;
        for key in path {
            if matches!(value, Value::Unknown(_)) {
                break;
            }
            value = value.get(key)?;
        }
        Some(value)
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
            .ok_or_else(|| self.unusable(&path.join("."), Some(value), accepted))
    }

    fn variables(&self) -> Result<BTreeMap<String, Variable>, Unusable> {
        const PATH: [&str; 2] = ["Environment", "Variables"];
        let entries = match self.property(&PATH) {
            None | Some(Value::Empty) => return Ok(BTreeMap::new()),
            Some(Value::Map(entries)) => entries,
            other => {
                let accepted = "a mapping of variables that is known before the deployment";
                return Err(self.unusable(&PATH.join("."), other, accepted));
            }
        };
        let variable = |value: &Value| match value {
            Value::Text { text, .. } => Variable::Literal(text.clone()),
            Value::Fraction(_) => {
                Variable::Unresolved(format!("{}, which must be quoted", value.describe()))
            }
            other => Variable::Unresolved(other.describe()),
        };
        Ok(entries
            .iter()
            .map(|(name, value)| (name.clone(), variable(value)))
            .collect())
    }

    /// By their names. An event that is not known as a whole is among them.
    fn events(&self) -> Result<&[(String, Value)], Unusable> {
        const EVENTS: &str = "Events";
        match self.property(&[EVENTS]) {
            None | Some(Value::Empty) => Ok(&[]),
            Some(Value::Map(events)) => Ok(events),
            other => Err(self.unusable(EVENTS, other, AN_EVENT)),
        }
    }

    fn routes(&self) -> Result<Vec<Route>, Unusable> {
        let mut routes = Vec::new();
        for (name, event) in self.events()? {
            if self.event_type(name, event)? == Some("HttpApi") {
                routes.push(route(self.logical_id, name, event)?);
            }
        }
        Ok(routes)
    }

    fn behind_gateway(&self) -> Result<bool, Unusable> {
        let mut unknown = None;
        for (name, event) in self.events()? {
            match self.event_type(name, event) {
                Ok(Some("HttpApi" | "Api")) => return Ok(true),
                Ok(_) => {}
                Err(error) => unknown = Some(error),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    /// # Errors
    /// Where it is known only once deployed what the event is.
    fn event_type<'v>(&self, name: &str, event: &'v Value) -> Result<Option<&'v str>, Unusable> {
        let kind = match event {
            Value::Unknown(_) => Some(event),
            event => event.get("Type"),
        };
        match kind {
            Some(unknown @ Value::Unknown(_)) => {
                Err(self.unusable(&format!("Events.{name}"), Some(unknown), AN_EVENT))
            }
            kind => Ok(kind.and_then(Value::text)),
        }
    }

    fn managed(&self) -> Option<Managed> {
        const PROVIDER: &str = "CapacityProviderConfig";
        let provider = self.property(&[PROVIDER])?;
        let concurrency: &[&str] = match self.kind {
            FunctionKind::Serverless => &[PROVIDER, "PerExecutionEnvironmentMaxConcurrency"],
            FunctionKind::Lambda => &[
                PROVIDER,
                "LambdaManagedInstancesCapacityProviderConfig",
                "PerExecutionEnvironmentMaxConcurrency",
            ],
        };
        // Where it is not known whether there is one, it is not known either whose bound counts.
        let max_environments = match provider {
            Value::Unknown(_) => Err(self.unusable(
                PROVIDER,
                Some(provider),
                "a mapping that is known before the deployment",
            )),
            _ => self.number(
                &["FunctionScalingConfig", "MaxExecutionEnvironments"],
                0..=u32::MAX.into(),
                A_NUMBER,
            ),
        };
        Some(Managed {
            concurrency: self.number(concurrency, 1..=1600, "a whole number from 1 to 1600"),
            max_environments,
        })
    }

    fn unusable(&self, property: &str, found: Option<&Value>, accepted: &'static str) -> Unusable {
        unusable(self.logical_id, property, found, accepted)
    }
}

/// What a resource takes of `Globals`: all but what `IgnoreGlobals` names; nothing where that is `*`.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
fn without_ignored<'input>(
    globals: &Yaml<'input>,
    resource: &Yaml<'input>,
    scope: &Scope<'_, 'input>,
) -> Option<Yaml<'input>> {
    let ignored = match lookup(resource, &["IgnoreGlobals"]).map(|node| scope.value(node)) {
        Some(Value::Text { text, .. }) if text == "*" => return None,
        Some(Value::List(names)) => names,
        _ => Vec::new(),
    };
    let mut globals = globals.clone();
    if let Yaml::Mapping(entries) = &mut globals {
        entries.retain(|name, _| {
            !ignored
                .iter()
                .any(|ignored| ignored.text() == name.as_str())
        });
    }
    Some(globals)
}

/// The route of an `HttpApi` event.
///
/// # Errors
/// Where method or path is not known, or is none.
pub(super) fn route(logical_id: &str, event_name: &str, event: &Value) -> Result<Route, Unusable> {
    const A_PATH: &str = "a path that begins with a slash, or $default";
    let property = |name: &str| event.get("Properties").and_then(|all| all.get(name));
    let refused = |name: &str, value, accepted| {
        let path = format!("Events.{event_name}.{name}");
        unusable(logical_id, &path, value, accepted)
    };
    let text = |name: &str, accepted| match property(name) {
        None => Ok(None),
        Some(value) => value
            .text()
            .map(Some)
            .ok_or_else(|| refused(name, Some(value), accepted)),
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
        _ => Err(refused("Path", property("Path"), A_PATH)),
    }
}

fn unusable(
    logical_id: &str,
    property: &str,
    found: Option<&Value>,
    accepted: &'static str,
) -> Unusable {
    Unusable {
        logical_id: logical_id.to_owned(),
        property: property.to_owned(),
        found: found.map_or_else(|| "missing".to_owned(), Value::describe),
        accepted,
    }
}
