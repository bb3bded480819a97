//! The HTTP API itself: which routes ask for a token, and whom browsers may let in.

use std::collections::BTreeMap;

use saphyr::Yaml;

use super::reader::route;
use super::resolve::{Scope, Value};
use super::{Route, Unusable, lookup};

/// The only place of a token that is understood, and SAM's own default for JWT authorizers.
const IDENTITY_SOURCE: &str = "$request.header.Authorization";

/// What `AWS::Serverless::HttpApi` says besides the functions' events. Empty where a template has
/// none: its routes are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpApi {
    /// What the routes behind a JWT authorizer ask of a token. A route that is not here is open.
    pub protected: BTreeMap<Route, Protection>,
    /// `CorsConfiguration`. Without one, the gateway neither answers preflights nor adds headers.
    pub cors: Option<Cors>,
}

/// What a JWT authorizer asks of a token beside a signature, an issuer, an audience and a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// `AuthorizationScopes`, the event's in place of the authorizer's: a token must have one of
    /// them. Empty where none is asked for.
    pub scopes: Vec<String>,
}

/// `CorsConfiguration`, each list as API Gateway sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins, or patterns of them: `*`, `https://*`, `http://*`.
    pub allow_origins: Vec<String>,
    /// Methods that a page may use, or `*`.
    pub allow_methods: Vec<String>,
    /// Headers that a page may send, or `*`.
    pub allow_headers: Vec<String>,
    /// Headers of a response that a page may read, or `*`.
    pub expose_headers: Vec<String>,
    /// Whether a page may have its cookies sent.
    pub allow_credentials: bool,
    /// For how many seconds a browser may remember a preflight.
    pub max_age: Option<u32>,
}

/// The resource `AWS::Serverless::HttpApi`.
struct Api<'a, 'input> {
    logical_id: &'a str,
    resource: &'a Yaml<'input>,
    scope: &'a Scope<'a, 'input>,
}

/// Reads the template's HTTP API.
///
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-httpapi-httpapiauth.html>,
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-httpapifunctionauth.html>
///
/// # Errors
/// Where a route that is guarded once deployed would be open here, or the reverse: an authorizer
/// of another type, an unknown one, a second API, or settings in `Globals`, which are not read.
pub(super) fn read(document: &Yaml<'_>, scope: &Scope<'_, '_>) -> Result<HttpApi, Unusable> {
    for property in ["Auth", "CorsConfiguration"] {
        if let Some(found) = lookup(document, &["Globals", "HttpApi", property]) {
            return Err(error(
                scope,
                "Globals",
                &format!("HttpApi.{property}"),
                Some(found),
                "nothing: it belongs to the resource AWS::Serverless::HttpApi",
            ));
        }
    }
    let resources = lookup(document, &["Resources"]).and_then(Yaml::as_mapping);
    let of_type = |wanted: &'static str| {
        resources
            .into_iter()
            .flatten()
            .filter_map(move |(key, resource)| {
                let found = lookup(resource, &["Type"]).and_then(Yaml::as_str)?;
                (found == wanted).then_some((key.as_str()?, resource))
            })
    };
    let mut apis = of_type("AWS::Serverless::HttpApi");
    let api = apis.next().map(|(logical_id, resource)| Api {
        logical_id,
        resource,
        scope,
    });
    if let Some((logical_id, second)) = apis.next() {
        let found = lookup(second, &["Type"]);
        return Err(error(
            scope,
            logical_id,
            "Type",
            found,
            "one HTTP API in a template",
        ));
    }

    let mut protected = BTreeMap::new();
    for (logical_id, resource) in of_type("AWS::Serverless::Function") {
        let condition = lookup(resource, &["Condition"]).and_then(Yaml::as_str);
        if condition.map(|name| scope.condition(name)) == Some(Ok(false)) {
            continue;
        }
        let events = lookup(resource, &["Properties", "Events"]).and_then(Yaml::as_mapping);
        for (name, event) in events.into_iter().flatten() {
            if lookup(event, &["Type"]).and_then(Yaml::as_str) != Some("HttpApi") {
                continue;
            }
            let name = name.as_str().unwrap_or_default();
            if let Some(protection) = protection(scope, api.as_ref(), logical_id, name, event)? {
                protected.insert(route(logical_id, name, &scope.value(event))?, protection);
            }
        }
    }
    let cors = api.as_ref().map(Api::cors).transpose()?.flatten();
    Ok(HttpApi { protected, cors })
}

/// What an event's route asks for; none where it is open.
fn protection(
    scope: &Scope<'_, '_>,
    api: Option<&Api<'_, '_>>,
    logical_id: &str,
    event_name: &str,
    event: &Yaml<'_>,
) -> Result<Option<Protection>, Unusable> {
    let own = |property: &str| lookup(event, &["Properties", "Auth", property]);
    let refused = |property: &str, found, accepted| {
        let property = format!("Events.{event_name}.{property}");
        Err(error(scope, logical_id, &property, found, accepted))
    };
    let Some(api) = api.filter(|api| api.property(&["Auth"]).is_some()) else {
        return match lookup(event, &["Properties", "Auth"]) {
            None => Ok(None),
            found => refused("Auth", found, "Auth where the HTTP API has authorizers"),
        };
    };
    // Without ApiId, SAM would put the route into an API of its own, which nothing guards.
    let api_id = lookup(event, &["Properties", "ApiId"]);
    let reference = format!("!Ref {}", api.logical_id);
    match api_id.map(|node| scope.value(node)) {
        Some(Value::Unknown(found)) if found == reference => {}
        _ => return refused("ApiId", api_id, "!Ref of the template's HTTP API"),
    }
    let name = match own("Authorizer").or_else(|| api.auth(&["DefaultAuthorizer"])) {
        None => return Ok(None),
        Some(node) => match scope.value(node) {
            Value::Text { text, .. } if text == "NONE" => return Ok(None),
            Value::Text { text, .. } => text,
            _ => {
                return refused(
                    "Auth.Authorizer",
                    Some(node),
                    "an authorizer's name, or NONE",
                );
            }
        },
    };
    let scopes = match (own("AuthorizationScopes"), api.authorizer(&name)?) {
        (Some(own), _) => list(own, scope),
        (None, inherited) => Some(inherited),
    };
    match scopes {
        Some(scopes) => Ok(Some(Protection { scopes })),
        None => refused(
            "Auth.AuthorizationScopes",
            own("AuthorizationScopes"),
            "a list of scopes",
        ),
    }
}

impl<'a, 'input> Api<'a, 'input> {
    fn property(&self, path: &[&str]) -> Option<&'a Yaml<'input>> {
        lookup(self.resource, &["Properties"]).and_then(|node| lookup(node, path))
    }

    fn auth(&self, path: &[&str]) -> Option<&'a Yaml<'input>> {
        self.property(&["Auth"]).and_then(|node| lookup(node, path))
    }

    /// The scopes of a JWT authorizer. Its issuer and audience are the deployment's, and not read;
    /// that they are there is checked, so that what is deployed is checked there too.
    fn authorizer(&self, name: &str) -> Result<Vec<String>, Unusable> {
        let refused = |property: &str, found, accepted| {
            let property = format!("Auth.Authorizers.{name}{property}");
            Err(error(
                self.scope,
                self.logical_id,
                &property,
                found,
                accepted,
            ))
        };
        let Some(authorizer) = self.auth(&["Authorizers", name]) else {
            return refused("", None, "an authorizer of that name");
        };
        let source = lookup(authorizer, &["IdentitySource"]);
        match source.map(|node| self.scope.value(node)) {
            Some(Value::Text { text, .. }) if text == IDENTITY_SOURCE => {}
            _ => return refused(".IdentitySource", source, IDENTITY_SOURCE),
        }
        for part in ["issuer", "audience"] {
            if lookup(authorizer, &["JwtConfiguration", part]).is_none() {
                let property = format!(".JwtConfiguration.{part}");
                return refused(&property, None, "a JWT authorizer's issuer and audience");
            }
        }
        match lookup(authorizer, &["AuthorizationScopes"]) {
            None => Ok(Vec::new()),
            Some(node) => match list(node, self.scope) {
                Some(scopes) => Ok(scopes),
                None => refused(".AuthorizationScopes", Some(node), "a list of scopes"),
            },
        }
    }

    fn cors(&self) -> Result<Option<Cors>, Unusable> {
        let Some(cors) = self.property(&["CorsConfiguration"]) else {
            return Ok(None);
        };
        let property = |name: &str| format!("CorsConfiguration.{name}");
        let refused = |name: &str, found, accepted| {
            error(
                self.scope,
                self.logical_id,
                &property(name),
                found,
                accepted,
            )
        };
        if cors.as_mapping().is_none() {
            return Err(refused("AllowOrigins", None, "a mapping with AllowOrigins"));
        }
        let texts = |name: &str| match lookup(cors, &[name]) {
            None => Ok(Vec::new()),
            Some(node) => {
                list(node, self.scope).ok_or_else(|| refused(name, Some(node), "a list of texts"))
            }
        };
        let value = |name: &str| match lookup(cors, &[name]).map(|node| self.scope.value(node)) {
            Some(Value::Text { text, .. }) => Some(text),
            _ => None,
        };
        let max_age = match lookup(cors, &["MaxAge"]) {
            None => None,
            found => {
                let seconds = value("MaxAge").and_then(|seconds| seconds.parse().ok());
                Some(seconds.ok_or_else(|| refused("MaxAge", found, "seconds"))?)
            }
        };
        Ok(Some(Cors {
            allow_origins: texts("AllowOrigins")?,
            allow_methods: texts("AllowMethods")?,
            allow_headers: texts("AllowHeaders")?,
            expose_headers: texts("ExposeHeaders")?,
            allow_credentials: value("AllowCredentials").as_deref() == Some("true"),
            max_age,
        }))
    }
}

/// A list of texts that are known. None where it is no list: SAM takes a function in its place for
/// the whole `CorsConfiguration`.
fn list(node: &Yaml<'_>, scope: &Scope<'_, '_>) -> Option<Vec<String>> {
    let Yaml::Sequence(nodes) = node else {
        return None;
    };
    let known = |node: &Yaml<'_>| match scope.value(node) {
        Value::Text { text, .. } => Some(text),
        _ => None,
    };
    nodes.iter().map(known).collect()
}

fn error(
    scope: &Scope<'_, '_>,
    logical_id: &str,
    property: &str,
    found: Option<&Yaml<'_>>,
    accepted: &'static str,
) -> Unusable {
    Unusable {
        logical_id: logical_id.to_owned(),
        property: property.to_owned(),
        found: found.map_or_else(|| "missing".to_owned(), |node| scope.describe(node)),
        accepted,
    }
}

#[cfg(test)]
mod tests;
