//! Responses: successes, problems, and what API Gateway itself answers.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use serde_json::{Map, Value, json};

use super::{
    problems::{GatewayMessage, ProblemDocument},
    schemas::Schemas,
};
use crate::http::problem::Problem;

/// What API Gateway answers on any route: the status, and when.
const GATEWAY: [(u16, &str); 4] = [
    (413, "API Gateway: the request is too large"),
    (429, "API Gateway: the route's rate limit is reached"),
    (500, "API Gateway: the function failed or timed out"),
    (503, "API Gateway: the function did not answer in time"),
];

/// What it answers if a variable of the path is empty.
const ROUTER: (u16, &str) = (404, "API Gateway: there is no such route");

/// What it answers if the route requires a token.
const AUTHORIZER: (u16, &str) = (401, "API Gateway: the token is missing or not accepted");

/// A response to a request that was carried out.
pub(super) fn success(says: &str, headers: &[&str], content: Option<Value>) -> Value {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|name| ((*name).to_owned(), header(name)))
        .collect();
    let mut response = json!({ "description": says, "headers": headers });
    if let Some(content) = content {
        response["content"] = json!({ "application/json": content });
    }
    response
}

/// Adds a response for each status that one of these problems has.
pub(super) fn add_problems(
    responses: &mut BTreeMap<String, Value>,
    problems: &BTreeSet<Problem>,
    schemas: &RefCell<Schemas>,
) {
    let mut by_status: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
    for problem in problems {
        let status = problem.status().as_u16();
        by_status.entry(status).or_default().push(*problem);
    }
    for (status, problems) in by_status {
        let says = problems.iter();
        let says = says.map(|problem| format!("- `{}`: {}", problem.name(), problem.title()));
        let document = schemas.borrow_mut().shown::<ProblemDocument>();
        let types: Vec<String> = problems.iter().map(|problem| problem.urn()).collect();
        let types = json!({ "properties": { "type": { "enum": types } } });
        let mut response = json!({
            "description": says.collect::<Vec<_>>().join("\n"),
            "content": { "application/problem+json": { "schema": { "allOf": [document, types] } } },
        });
        let name = match status {
            401 => Some("WWW-Authenticate"),
            503 | 504 => Some("Retry-After"),
            _ => None,
        };
        if let Some(name) = name {
            response["headers"][name] = header(name);
        }
        responses.insert(status.to_string(), response);
    }
}

/// Adds what API Gateway itself answers, beside the problems of the same status.
pub(super) fn add_gateway(
    responses: &mut BTreeMap<String, Value>,
    authorizer: bool,
    router: bool,
    schemas: &RefCell<Schemas>,
) {
    let authorizer = authorizer.then_some(AUTHORIZER);
    let router = router.then_some(ROUTER);
    for (status, says) in GATEWAY.into_iter().chain(authorizer).chain(router) {
        let response = responses
            .entry(status.to_string())
            .or_insert_with(|| json!({ "description": "", "content": {} }));
        let before = response["description"].as_str().unwrap_or_default();
        response["description"] = format!("{before}\n- {says}").trim().into();
        let schema = schemas.borrow_mut().shown::<GatewayMessage>();
        response["content"]["application/json"] = json!({ "schema": schema });
    }
}

fn header(name: &str) -> Value {
    let text = json!({ "type": "string" });
    let (says, schema) = match name {
        "ETag" => (
            "Identifies this version: for If-None-Match and, if it is strong, If-Match.",
            text,
        ),
        "Location" => (
            "The path of the created resource.",
            json!({ "type": "string", "format": "uri-reference" }),
        ),
        "Idempotency-Replayed" => (
            "Present if this repeats the first response to the same Idempotency-Key.",
            json!({ "const": "true" }),
        ),
        "Retry-After" => (
            "The number of seconds to wait before trying again, if the function answered.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        "WWW-Authenticate" => (
            "The authentication scheme, and what was wrong with the token.",
            text,
        ),
        _ => panic!("the header {name} has no description"),
    };
    json!({ "description": says, "schema": schema })
}
