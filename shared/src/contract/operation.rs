//! One operation: a builder whose methods each add to OpenAPI's Operation Object.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use lambda_http::http::{Method, StatusCode};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{examples, lists::List, responses, schemas::Schemas};
use crate::{
    clinic::patients::SHORTEST,
    clinic::permissions::{Action, Scope, scope},
    http::problem::Problem,
    http::{
        auth::Role,
        date_range::YEARS,
        idempotency::MAX_KEY,
        page::{Cursor, Page},
        request::MAX_SEARCH_TEXT,
    },
};

/// Every route that requires a token answers these: it checks the caller, and may read the database.
const PROBLEMS_OF_EVERY_CALLER: [Problem; 9] = [
    Problem::Unauthenticated,
    Problem::Forbidden,
    Problem::CredentialsUnavailable,
    Problem::DatabaseBusy,
    Problem::DatabaseUnreachable,
    Problem::Internal,
    Problem::Misconfigured,
    Problem::PoolTimeout,
    Problem::QueryTimeout,
];

/// A character that a search may contain, as a pattern.
const SEARCHABLE: &str = r"[^\u0000-\u001f\u007f-\u009f]";

/// A letter or digit. Beyond ASCII it is an approximation: regular expression dialects share no class for it.
const WORD: &str = r"[^\u0000-/:-@\[-`{-\u00a9]";

/// The description of a route.
pub(super) struct Operation<'s> {
    schemas: &'s RefCell<Schemas>,
    id: &'static str,
    method: Method,
    path: &'static str,
    object: Map<String, Value>,
    description: Vec<String>,
    parameters: Vec<Value>,
    responses: BTreeMap<String, Value>,
    problems: BTreeSet<Problem>,
}

impl<'s> Operation<'s> {
    /// A route by its key, such as `GET /api/doctors`. Each variable of the path is a UUID.
    ///
    /// # Panics
    /// If the key is not a method and a path.
    pub(super) fn new(schemas: &'s RefCell<Schemas>, tag: &'static str, key: &'static str) -> Self {
        let (method, path) = key.split_once(' ').expect("a method and a path");
        let mut operation = Self {
            schemas,
            id: "",
            method: method.parse().expect("an HTTP method"),
            path,
            object: Map::from_iter([("tags".to_owned(), json!([tag]))]),
            description: Vec::new(),
            parameters: Vec::new(),
            responses: BTreeMap::new(),
            problems: BTreeSet::new(),
        };
        let mut resource = "";
        for segment in path.split('/') {
            if let Some(name) = segment.trim_end_matches('}').strip_prefix('{') {
                let says = format!("The id of the {}.", resource.trim_end_matches('s'));
                let schema = schemas.borrow_mut().accepted::<Uuid>();
                operation = operation
                    .parameter("path", name, &says, true, schema)
                    .refuses(&[Problem::NotFound]);
            }
            resource = segment;
        }
        operation
    }

    /// A verb and a noun in camel case. It comes first, because examples are found by it.
    pub(super) fn id(mut self, id: &'static str) -> Self {
        self.id = id;
        self
    }

    /// What the operation does, in one line.
    pub(super) fn summary(mut self, summary: &str) -> Self {
        self.object.insert("summary".to_owned(), summary.into());
        self
    }

    /// What the caller must be allowed to do.
    pub(super) fn action(self, action: Action) -> Self {
        self.describe(allowed_roles(action))
    }

    /// Adds a paragraph of Markdown to the description.
    pub(super) fn describe(mut self, paragraph: impl Into<String>) -> Self {
        self.description.push(paragraph.into());
        self
    }

    /// The route requires no token.
    pub(super) fn public(mut self) -> Self {
        self.object.insert("security".to_owned(), json!([]));
        self
    }

    /// Problems that the route may answer besides those of every route.
    pub(super) fn refuses(mut self, problems: &[Problem]) -> Self {
        self.problems.extend(problems);
        self
    }

    /// An optional parameter of the query string.
    pub(super) fn query<T: JsonSchema>(self, name: &str, says: &str) -> Self {
        let schema = self.schemas.borrow_mut().accepted::<T>();
        self.parameter("query", name, says, false, schema)
    }

    /// An optional text to search for.
    pub(super) fn search(self, name: &str, says: &str) -> Self {
        self.parameter("query", name, says, false, search_text(0))
    }

    /// A required text to search for, with at least [`SHORTEST`] letters or digits.
    pub(super) fn required_search(self, name: &str, says: &str) -> Self {
        self.parameter("query", name, says, true, search_text(SHORTEST))
    }

    /// A range of at most `max` days in the time zone of `owner`, such as `doctor's`.
    pub(super) fn days(self, max: u16, owner: &str) -> Self {
        let from = format!("The first day, in the {owner} time zone.");
        let to = format!(
            "The day after the last one: 1 to {max} days after `from`. Both lie in the years {} to {}.",
            YEARS.start(),
            YEARS.end(),
        );
        let day = json!({ "type": "string", "format": "date" });
        self.parameter("query", "from", &from, true, day.clone())
            .parameter("query", "to", &to, true, day)
    }

    /// A JSON body.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        let schema = self.schemas.borrow_mut().accepted::<T>();
        let content = json!({ "application/json": { "schema": schema } });
        let body = json!({ "required": true, "content": content });
        self.object.insert("requestBody".to_owned(), body);
        self.refuses(&[Problem::BadRequest, Problem::UnsupportedMediaType])
    }

    /// The client must send the ETag of the version that it changes.
    pub(super) fn if_match(self) -> Self {
        let says = "The ETag that the client last read; the change is refused if it is outdated.";
        let schema = json!({ "type": "string", "pattern": r#"^(\*|"[!#-~]*")$"# });
        self.parameter("header", "If-Match", says, true, schema)
            .refuses(&[Problem::PreconditionRequired, Problem::PreconditionFailed])
    }

    /// Answers a conditional GET.
    pub(super) fn answers<T: JsonSchema>(self, says: &str) -> Self {
        self.changed::<T>(says).conditional()
    }

    /// Answers a page of a list, with the parameters that lead to the next one.
    pub(super) fn page<L: List>(mut self, says: &str) -> Self {
        if L::LIMIT {
            let schema =
                json!({ "type": "integer", "minimum": 1, "maximum": L::MAX, "default": L::MAX });
            let says = "The maximum number of items on the page.";
            self = self.parameter("query", "limit", says, false, schema);
        }
        let cursor = "The `nextCursor` of the previous page, unchanged.";
        self = self.query::<Cursor<L>>("cursor", cursor);
        let mut schema = self.schemas.borrow_mut().shown::<Page<L::Item, L>>();
        schema["properties"]["data"]["maxItems"] = L::MAX.into();
        let content = json!({ "schema": schema, "example": examples::page::<L>(self.id) });
        self.response(StatusCode::OK, says, &["ETag"], Some(content))
            .conditional()
    }

    /// Answers the resource as it is after the change.
    pub(super) fn changed<T: JsonSchema>(self, says: &str) -> Self {
        let content = self.content::<T>();
        self.response(StatusCode::OK, says, &["ETag"], Some(content))
    }

    /// Answers the resource that was created, which has an ETag because it can be changed.
    pub(super) fn created<T: JsonSchema>(self, says: &str) -> Self {
        self.created_with::<T>(says, &["ETag", "Location", "Idempotency-Replayed"])
    }

    /// Answers the resource that was created, which cannot be changed.
    pub(super) fn created_unchangeable<T: JsonSchema>(self, says: &str) -> Self {
        self.created_with::<T>(says, &["Location", "Idempotency-Replayed"])
    }

    /// Answers nothing: the resource is deleted.
    pub(super) fn deleted(self, says: &str) -> Self {
        self.response(StatusCode::NO_CONTENT, says, &[], None)
    }

    /// Every route that creates a resource accepts an idempotency key.
    fn created_with<T: JsonSchema>(self, says: &str, headers: &[&str]) -> Self {
        let key = "Identifies this request: if it is sent again with the same key, it is carried out once and gets the first response again.";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[ -~]+$" });
        let content = self.content::<T>();
        self.parameter("header", "Idempotency-Key", key, false, schema)
            .refuses(&[Problem::KeyInFlight, Problem::KeyReused])
            .response(StatusCode::CREATED, says, headers, Some(content))
    }

    fn conditional(self) -> Self {
        let says =
            "ETags of responses that the client has: if one of them is current, the answer is 304.";
        let schema = json!({ "type": "string", "pattern": r#"^(W/)?"[!#-~]*"$"# });
        let unchanged = "Not modified: the client has the current response.";
        self.parameter("header", "If-None-Match", says, false, schema)
            .response(StatusCode::NOT_MODIFIED, unchanged, &["ETag"], None)
    }

    fn content<T: JsonSchema>(&self) -> Value {
        let schema = self.schemas.borrow_mut().shown::<T>();
        json!({ "schema": schema, "example": examples::of::<T>(self.id) })
    }

    fn parameter(
        mut self,
        place: &str,
        name: &str,
        says: &str,
        required: bool,
        schema: Value,
    ) -> Self {
        self.parameters.push(json!({
            "in": place,
            "name": name,
            "description": says,
            "required": required,
            "schema": schema,
        }));
        self.refuses(&[Problem::BadRequest])
    }

    fn response(
        mut self,
        status: StatusCode,
        says: &str,
        headers: &[&str],
        content: Option<Value>,
    ) -> Self {
        let response = responses::success(says, headers, content);
        self.responses.insert(status.as_str().to_owned(), response);
        self
    }

    /// The path, the method, and OpenAPI's Operation Object.
    pub(super) fn into_parts(mut self) -> (&'static str, String, Value) {
        let public = self.object.contains_key("security");
        if !public {
            self.problems.extend(PROBLEMS_OF_EVERY_CALLER);
        }
        if self.method != Method::GET {
            self.problems.insert(Problem::OutcomeUnknown);
        }
        let router = self.path.contains('{');
        responses::add_problems(&mut self.responses, &self.problems, self.schemas);
        responses::add_gateway(&mut self.responses, !public, router, self.schemas);
        let mut object = self.object;
        object.insert("operationId".to_owned(), self.id.into());
        object.insert("responses".to_owned(), json!(self.responses));
        if !self.description.is_empty() {
            let description = self.description.join("\n\n");
            object.insert("description".to_owned(), description.into());
        }
        if !self.parameters.is_empty() {
            object.insert("parameters".to_owned(), self.parameters.into());
        }
        let method = self.method.as_str().to_lowercase();
        (self.path, method, object.into())
    }
}

/// The schema of a text to search for, with at least this many letters or digits.
fn search_text(min: usize) -> Value {
    let words = format!("{WORD}{SEARCHABLE}*").repeat(min);
    json!({
        "type": "string",
        "minLength": min,
        "maxLength": MAX_SEARCH_TEXT,
        "pattern": format!("^{SEARCHABLE}*{words}$"),
    })
}

/// The roles that may do this, in words.
fn allowed_roles(action: Action) -> String {
    let roles = Role::ALL.into_iter().filter_map(|role| {
        let name = role.name();
        match scope(role, action) {
            Scope::All => Some(format!("{name} (everything)")),
            Scope::Own => Some(format!("{name} (their own)")),
            Scope::Nothing => None,
        }
    });
    format!("Allowed roles: {}.", roles.collect::<Vec<_>>().join(", "))
}
