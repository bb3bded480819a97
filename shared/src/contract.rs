//! The description of the API in OpenAPI 3.1. `make contract` writes it to `shared/openapi.json`.
//!
//! - `routes`: the table, one row per route
//! - `operation`: what a row may state
//! - `lists`: what a page holds, and how much of it
//! - `responses`, `problems`, `examples`: what the routes answer
//!
//! Schemas follow the types' serde attributes, and bounds are the constants of the code. No function is
//! built with any of this.

mod examples;
mod lists;
mod operation;
mod problems;
mod responses;
mod routes;
mod schemas;

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::{Map, Value, json};

use self::schemas::Schemas;

/// What is true of the whole API.
const ABOUT: &str = "Times are RFC 3339 in UTC. A query parameter without a value counts as absent; an \
    unknown one is refused. Errors are problem documents (RFC 9457) whose `type` tells them apart; API \
    Gateway's own errors have only a `message`.";

/// The document, as it is checked in.
///
/// # Panics
/// If a route is described twice, a type has no example, or two types have the same name.
pub fn document() -> String {
    let schemas = RefCell::new(Schemas::new());
    let mut refusals = Refusals::default();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in routes::all(&schemas) {
        let (path, method, mut described) = operation.into_parts();
        refusals.take_from(&mut described);
        let twice = paths.entry(path).or_default().insert(method, described);
        assert!(twice.is_none(), "{path} is described twice");
    }
    let tags = routes::TAGS.map(|(name, says)| json!({ "name": name, "description": says }));
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
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A token from the clinic's OpenID Connect provider. The roles are staff, doctor and patient.",
                },
            },
            "responses": refusals.0,
            "schemas": schemas.into_inner().into_definitions(),
        },
    });
    format!("{document:#}\n")
}

/// Error responses that operations share, named by the status and a number.
#[derive(Default)]
struct Refusals(BTreeMap<String, Value>);

impl Refusals {
    /// Replaces an operation's error responses by references.
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
