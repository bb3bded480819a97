//! One row of the table, and what the document says about it.

use std::collections::{BTreeMap, BTreeSet};

use lambda_http::http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    problems::{self, GatewayMessage, ProblemDocument},
    schemas::{SchemaOf, Schemas},
};
use crate::{
    clinic::patients::SHORTEST,
    clinic::permissions::{Action, Scope, scope},
    http::problem::Problem,
    http::{
        auth::Role, date_range::YEARS, idempotency::MAX_KEY, page::Cursor, request::MAX_SEARCH_TEXT,
    },
};

/// What may go wrong wherever the database is asked.
const OF_THE_DATABASE: [Problem; 7] = [
    Problem::CredentialsUnavailable,
    Problem::DatabaseBusy,
    Problem::DatabaseUnreachable,
    Problem::Internal,
    Problem::Misconfigured,
    Problem::PoolTimeout,
    Problem::QueryTimeout,
];

/// What API Gateway answers on its own account, whatever the route: the status, and when.
const OF_THE_GATEWAY: [(u16, &str); 4] = [
    (413, "API Gateway: the request is too large"),
    (
        429,
        "API Gateway: the route is in use as often as it may be",
    ),
    (
        500,
        "API Gateway: the function failed, or ran out of its time",
    ),
    (503, "API Gateway: the function did not answer in time"),
];

/// The same where the path has variables, which may turn out to be none.
const OF_ITS_ROUTER: (u16, &str) = (404, "API Gateway: there is no such route");

/// The same where a token is asked for.
const OF_THE_AUTHORIZER: (u16, &str) = (401, "API Gateway: no token, or none that is good here");

struct Parameter {
    place: &'static str,
    name: &'static str,
    says: String,
    required: bool,
    schema: SchemaOf,
}

/// An answer that is as asked.
struct Shown {
    status: StatusCode,
    says: &'static str,
    headers: &'static [&'static str],
    schema: Option<SchemaOf>,
    /// The most entries of a page's `data`.
    most: Option<u16>,
}

/// A route, described.
pub(super) struct Operation {
    route: (&'static str, &'static str),
    summary: &'static str,
    action: Option<Action>,
    says: Option<String>,
    open: bool,
    parameters: Vec<Parameter>,
    body: Option<SchemaOf>,
    shown: Vec<Shown>,
    problems: BTreeSet<Problem>,
}

impl Operation {
    /// A route by its key, such as `GET /api/doctors`, and what it is for.
    pub(super) fn new(route: &'static str, summary: &'static str) -> Self {
        Self {
            route: route.split_once(' ').expect("a method and a path"),
            summary,
            action: None,
            says: None,
            open: false,
            parameters: Vec::new(),
            body: None,
            shown: Vec::new(),
            problems: BTreeSet::new(),
        }
    }

    pub(super) fn path(&self) -> &'static str {
        self.route.1
    }

    /// As OpenAPI spells it.
    pub(super) fn method(&self) -> String {
        self.route.0.to_lowercase()
    }

    /// What the caller must be allowed to do.
    pub(super) fn action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self.refuses(&[Problem::Unauthenticated, Problem::Forbidden])
    }

    /// More than the summary, in Markdown.
    pub(super) fn says(mut self, says: String) -> Self {
        self.says = Some(says);
        self
    }

    /// For everybody, without a token.
    pub(super) fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// It asks the database.
    pub(super) fn reads(self) -> Self {
        self.refuses(&OF_THE_DATABASE)
    }

    /// It changes the database.
    pub(super) fn writes(self) -> Self {
        self.refuses(&OF_THE_DATABASE)
            .refuses(&[Problem::OutcomeUnknown])
    }

    /// Problems that it may answer, by the ends of their types.
    pub(super) fn refuses(mut self, problems: &[Problem]) -> Self {
        self.problems.extend(problems);
        self
    }

    /// A UUID in the path.
    pub(super) fn id(self, name: &'static str, says: &'static str) -> Self {
        self.parameter("path", name, says, true, Schemas::accepted::<Uuid>)
            .refuses(&[Problem::NotFound])
    }

    /// A parameter of the query string.
    pub(super) fn query<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter("query", name, says, false, Schemas::accepted::<T>)
    }

    /// A text to search for.
    pub(super) fn search(self, name: &'static str, says: &'static str) -> Self {
        self.parameter("query", name, says, false, |_| search())
    }

    /// The same where it must be there, with the fewest letters or digits.
    pub(super) fn needed_search(self, name: &'static str, says: &'static str) -> Self {
        self.parameter("query", name, says, true, |_| {
            let mut schema = search();
            schema["minLength"] = SHORTEST.into();
            let words = format!("{WORD}{SEARCHED}*").repeat(SHORTEST);
            schema["pattern"] = format!("^{SEARCHED}*{words}$").into();
            schema
        })
    }

    /// A range of so many days at most, in the time zone of `whose` clock.
    pub(super) fn days(self, most: u16, whose: &str) -> Self {
        let from = format!("The first day, in the {whose} time zone.");
        let to = format!(
            "The day after the last one: 1 to {most} days after `from`. Both lie in the years {} to {}.",
            YEARS.start(),
            YEARS.end(),
        );
        let day: SchemaOf = |_| json!({ "type": "string", "format": "date" });
        self.parameter("query", "from", from, true, day)
            .parameter("query", "to", to, true, day)
    }

    /// Where a page of the list goes on.
    pub(super) fn cursor<P>(self) -> Self {
        let says = "The `nextCursor` of the page before, unchanged.";
        self.query::<Cursor<P>>("cursor", says)
    }

    /// A body of JSON.
    pub(super) fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(Schemas::accepted::<T>);
        self.refuses(&[Problem::BadRequest, Problem::UnsupportedMediaType])
    }

    /// A request that is sent twice with one key is carried out once.
    pub(super) fn idempotent(self) -> Self {
        let says = "The client's own name for this request: sent again with it, the first answer comes again.";
        self.parameter("header", "Idempotency-Key", says, false, |_| {
            json!({ "type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[ -~]+$" })
        })
        .refuses(&[Problem::KeyInFlight, Problem::KeyReused])
    }

    /// Only what the client has seen is changed.
    pub(super) fn if_match(self) -> Self {
        let says = "The ETag of what is changed, as the client has read it.";
        self.parameter(
            "header",
            "If-Match",
            says,
            true,
            |_| json!({ "type": "string", "pattern": r#"^(\*|"[!#-~]*")$"# }),
        )
        .refuses(&[Problem::PreconditionRequired, Problem::PreconditionFailed])
    }

    /// Shows a list or figures: with a weak ETag.
    pub(super) fn many<T: JsonSchema>(self, says: &'static str) -> Self {
        self.shows(StatusCode::OK, says, &["ETag"], Some(Schemas::shown::<T>))
            .unless_known()
    }

    /// Shows a page of a list, with so many entries at most.
    pub(super) fn page<T: JsonSchema>(mut self, most: u16, says: &'static str) -> Self {
        self = self.many::<T>(says);
        for shown in &mut self.shown {
            shown.most = Some(most);
        }
        self
    }

    /// Shows one thing: with a strong ETag.
    pub(super) fn one<T: JsonSchema>(self, says: &'static str) -> Self {
        self.changed::<T>(says).unless_known()
    }

    /// Shows the thing that was changed.
    pub(super) fn changed<T: JsonSchema>(self, says: &'static str) -> Self {
        self.shows(StatusCode::OK, says, &["ETag"], Some(Schemas::shown::<T>))
    }

    /// Shows the thing that was made, which can be changed.
    pub(super) fn created<T: JsonSchema>(self, says: &'static str) -> Self {
        const HEADERS: &[&str] = &["ETag", "Location", "Idempotency-Replayed"];
        let schema = Schemas::shown::<T>;
        self.shows(StatusCode::CREATED, says, HEADERS, Some(schema))
    }

    /// Shows the thing that was made, which stays as it is.
    pub(super) fn added<T: JsonSchema>(self, says: &'static str) -> Self {
        const HEADERS: &[&str] = &["Location", "Idempotency-Replayed"];
        let schema = Schemas::shown::<T>;
        self.shows(StatusCode::CREATED, says, HEADERS, Some(schema))
    }

    /// Shows nothing: the thing is no more.
    pub(super) fn removed(self, says: &'static str) -> Self {
        self.shows(StatusCode::NO_CONTENT, says, &[], None)
    }

    fn unless_known(self) -> Self {
        let says =
            "ETags of answers that the client has: it is told where one of them is still right.";
        let schema: SchemaOf = |_| json!({ "type": "string", "pattern": r#"^(W/)?"[!#-~]*"$"# });
        let has = "The client has it already.";
        self.parameter("header", "If-None-Match", says, false, schema)
            .shows(StatusCode::NOT_MODIFIED, has, &["ETag"], None)
    }

    fn parameter(
        mut self,
        place: &'static str,
        name: &'static str,
        says: impl Into<String>,
        required: bool,
        schema: SchemaOf,
    ) -> Self {
        self.parameters.push(Parameter {
            place,
            name,
            says: says.into(),
            required,
            schema,
        });
        self.refuses(&[Problem::BadRequest])
    }

    fn shows(
        mut self,
        status: StatusCode,
        says: &'static str,
        headers: &'static [&'static str],
        schema: Option<SchemaOf>,
    ) -> Self {
        self.shown.push(Shown {
            status,
            says,
            headers,
            schema,
            most: None,
        });
        self
    }

    /// OpenAPI's Operation Object.
    pub(super) fn describe(&self, schemas: &mut Schemas) -> Value {
        let mut operation = json!({
            "operationId": self.id_of_its_own(),
            "summary": self.summary,
            "responses": self.responses(schemas),
        });
        if let Some(action) = self.action {
            let says = self.says.iter().cloned();
            let paragraphs: Vec<String> = [for_whom(action)].into_iter().chain(says).collect();
            operation["description"] = paragraphs.join("\n\n").into();
        }
        if !self.parameters.is_empty() {
            let parameters = self.parameters.iter();
            operation["parameters"] = parameters
                .map(|parameter| {
                    json!({
                        "in": parameter.place,
                        "name": parameter.name,
                        "description": parameter.says,
                        "required": parameter.required,
                        "schema": (parameter.schema)(schemas),
                    })
                })
                .collect();
        }
        if let Some(body) = self.body {
            let content = json!({ "application/json": { "schema": body(schemas) } });
            operation["requestBody"] = json!({ "required": true, "content": content });
        }
        if self.open {
            operation["security"] = json!([]);
        }
        operation
    }

    /// The route's key in one word: `get-doctors-id`.
    fn id_of_its_own(&self) -> String {
        let (method, path) = self.route;
        let path = path.trim_start_matches("/api");
        let words = path
            .split(['/', '.', '{', '}'])
            .filter(|word| !word.is_empty());
        let mut id = method.to_lowercase();
        for word in words {
            id = format!("{id}-{word}");
        }
        id
    }

    fn responses(&self, schemas: &mut Schemas) -> BTreeMap<String, Value> {
        let mut responses = BTreeMap::new();
        for shown in &self.shown {
            responses.insert(shown.status.as_str().to_owned(), shown.describe(schemas));
        }
        let mut refused: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
        for kind in &self.problems {
            let status = kind.status().as_u16();
            refused.entry(status).or_default().push(*kind);
        }
        for (status, kinds) in refused {
            responses.insert(status.to_string(), problem(status, &kinds, schemas));
        }
        let authorizer = (!self.open).then_some(OF_THE_AUTHORIZER);
        let router = self.path().contains('{').then_some(OF_ITS_ROUTER);
        let of_the_gateway = OF_THE_GATEWAY.into_iter().chain(authorizer).chain(router);
        for (status, says) in of_the_gateway {
            let schema = schemas.shown::<GatewayMessage>();
            let response = responses
                .entry(status.to_string())
                .or_insert_with(|| json!({ "description": "", "content": {} }));
            let before = response["description"].as_str().unwrap_or_default();
            response["description"] = format!("{before}\n- {says}").trim().into();
            response["content"]["application/json"] = json!({ "schema": schema });
        }
        responses
    }
}

impl Shown {
    fn describe(&self, schemas: &mut Schemas) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|name| ((*name).to_owned(), header(name)))
            .collect();
        let mut response = json!({ "description": self.says, "headers": headers });
        if let Some(schema) = self.schema {
            let mut schema = schema(schemas);
            if let Some(most) = self.most {
                schema["properties"]["data"]["maxItems"] = most.into();
            }
            response["content"] = json!({ "application/json": { "schema": schema } });
        }
        response
    }
}

/// A response that is a problem of one of these kinds.
fn problem(status: u16, kinds: &[Problem], schemas: &mut Schemas) -> Value {
    let says: Vec<String> = kinds
        .iter()
        .map(|kind| format!("- `{}`: {}", kind.name(), kind.title()))
        .collect();
    let schema = problems::schema(schemas.shown::<ProblemDocument>(), kinds);
    let mut response = json!({
        "description": says.join("\n"),
        "content": { "application/problem+json": { "schema": schema } },
    });
    let headers: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        503 | 504 => &["Retry-After"],
        _ => &[],
    };
    for name in headers {
        response["headers"][name] = header(name);
    }
    response
}

fn header(name: &str) -> Value {
    let (says, schema) = match name {
        "ETag" => (
            "Names this answer: for If-None-Match and, where it is strong, If-Match.",
            json!({ "type": "string" }),
        ),
        "Location" => (
            "Where the thing that was made is.",
            json!({ "type": "string", "format": "uri-reference" }),
        ),
        "Idempotency-Replayed" => (
            "That this is the first answer to the same Idempotency-Key, again.",
            json!({ "const": "true" }),
        ),
        "Retry-After" => (
            "Seconds after which to try again, where the function answered.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        "WWW-Authenticate" => (
            "What kind of token is wanted, and what was wrong with the one that was sent.",
            json!({ "type": "string" }),
        ),
        _ => panic!("nothing is said about the header {name}"),
    };
    json!({ "description": says, "schema": schema })
}

/// A character that can be searched for, as a pattern.
const SEARCHED: &str = r"[^\u0000-\u001f\u007f-\u009f]";

/// One that may be a letter or a digit: the dialects of patterns have no common word for it beyond ASCII.
const WORD: &str = r"[^\u0000-/:-@\[-`{-\u00a9]";

/// The schema of a text to search for.
fn search() -> Value {
    json!({
        "type": "string",
        "minLength": 0,
        "maxLength": MAX_SEARCH_TEXT,
        "pattern": format!("^{SEARCHED}*$"),
    })
}

/// Who may, in words.
fn for_whom(action: Action) -> String {
    let roles = Role::ALL.into_iter().filter_map(|role| {
        let name = role.name();
        match scope(role, action) {
            Scope::All => Some(format!("{name} (everything)")),
            Scope::Own => Some(format!("{name} (their own)")),
            Scope::Nothing => None,
        }
    });
    format!("For {}.", roles.collect::<Vec<_>>().join(", "))
}
