//! The description of the API: OpenAPI 3.1, of which `shared/openapi.json` is the copy that is read
//! without a compiler. `make contract` writes it.
//!
//! - `routes`: the one table, a row a route
//! - `operation`: what a row may say
//! - `problems`: every refusal there is
//!
//! Types say themselves what they accept and show, by the attributes that serde follows; bounds are the
//! constants of the code. No function is built with any of this.

mod operation;
mod problems;
mod routes;
mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use self::schemas::Schemas;

/// What is true of the whole API.
const ABOUT: &str = "Times are RFC 3339 in UTC. A parameter without a value counts as absent; one that \
    the route does not know is refused. Errors are problem documents (RFC 9457) whose `type` tells them \
    apart; what API Gateway says on its own account has a `message` alone.";

/// The document, as it is checked in.
///
/// # Panics
/// Where the table names a problem that there is not, or two types of one name differ.
pub fn document() -> String {
    let mut schemas = Schemas::new();
    let mut refusals = Refusals::default();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in routes::all() {
        let methods = paths.entry(operation.path()).or_default();
        let mut described = operation.describe(&mut schemas);
        refusals.take_from(&mut described);
        let twice = methods.insert(operation.method().to_owned(), described);
        assert!(twice.is_none(), "{} is described twice", operation.path());
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Headroom",
            "summary": "A doctors' appointments API that cannot exhaust its database.",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token of the clinic's OpenID Connect provider. Its roles are staff, doctor and patient.",
                },
            },
            "responses": refusals.0,
            "schemas": schemas.into_definitions(),
        },
    });
    format!("{document:#}\n")
}

/// Responses that many operations share, by a name: the status, and a number where there are several.
#[derive(Default)]
struct Refusals(BTreeMap<String, Value>);

impl Refusals {
    /// Leaves references in place of an operation's refusals.
    fn take_from(&mut self, operation: &mut Value) {
        let responses = operation["responses"].as_object_mut().into_iter().flatten();
        for (status, response) in responses.filter(|(status, _)| status.as_str() >= "400") {
            let mut names = (1..).map(|number| format!("{status}.{number}"));
            let name = names.find(|name| self.0.get(name).is_none_or(|known| known == response));
            let name = name.expect("there are numbers enough");
            let reference = json!({ "$ref": format!("#/components/responses/{name}") });
            self.0.insert(name, std::mem::replace(response, reference));
        }
    }
}
