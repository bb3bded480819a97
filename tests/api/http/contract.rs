//! The description of the API, the template, the fleet and the functions say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use fleet::{Binaries, Builder, Fleet};
use serde_json::Value;
use shared::{
    clinic::appointments::UPCOMING_PAGE,
    contract,
    http::idempotency::MAX_KEY,
    operator::template::{self, Template},
};
use uuid::Uuid;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::{Reply, get_as, probe, send_as, staff},
};

const CHECKED_IN: &str = include_str!("../../../shared/openapi.json");

fn document() -> Value {
    serde_json::from_str(CHECKED_IN).expect("JSON")
}

/// Every operation of the document by its route's key, such as `GET /api/doctors`.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = BTreeMap::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("methods") {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation);
        }
    }
    operations
}

/// The functions, whose database does not answer.
async fn without_a_database(adapt: impl FnOnce(Builder) -> Builder) -> Fleet {
    let binaries = Binaries::shared().await.expect("the functions").clone();
    let nowhere = "postgresql://application@127.0.0.1:1/clinic";
    let fleet = Fleet::builder()
        .binaries(binaries)
        .variable("DATABASE_URL", nowhere);
    adapt(fleet).start().await.expect("a fleet")
}

/// The names of an operation's parameters in this place.
fn parameters<'a>(operation: &'a Value, place: &str) -> BTreeMap<&'a str, &'a Value> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    all.filter(|parameter| parameter["in"] == place)
        .map(|parameter| {
            (
                parameter["name"].as_str().expect("a name"),
                &parameter["schema"],
            )
        })
        .collect()
}

#[test]
fn the_document_that_is_checked_in_is_what_the_code_says() {
    assert!(
        contract::document() == CHECKED_IN,
        "shared/openapi.json is stale; run `make contract`"
    );
}

/// What a stage with `ManagedInstances=on` has besides; the published document leaves it out.
const MANAGED: &str = "GET /api/managed/doctors/{id}/appointments/upcoming";

/// The template with this parameter.
fn template(managed_instances: &str) -> Template {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let parameters = [("ManagedInstances", managed_instances)];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    template::read(&file, &parameters.into()).expect("the template")
}

/// The template's routes, and of each whether it asks for no token.
fn routes(template: Template) -> BTreeMap<String, bool> {
    let protected = template.http_api.expect("an API").protected;
    let functions = template.functions.iter();
    functions
        .flat_map(|function| function.routes.as_ref().expect("routes"))
        .map(|route| (route.key(), !protected.contains_key(route)))
        .collect()
}

#[tokio::test]
async fn template_fleet_and_document_have_the_same_routes() {
    let document = document();
    let operations = operations(&document);
    let described: BTreeMap<String, bool> = operations
        .iter()
        .map(|(route, operation)| {
            let no_token = operation.get("security") == Some(&Value::Array(Vec::new()));
            (route.clone(), no_token)
        })
        .collect();
    assert_eq!(routes(template("off")), described);
    let fleet = without_a_database(|fleet| fleet).await;
    let of_the_fleet: BTreeSet<&str> = fleet.routes().collect();
    assert!(of_the_fleet.into_iter().eq(described.keys()));
    fleet.shutdown().await;
}

#[tokio::test]
async fn managed_instances_bring_one_more_route_that_asks_for_a_token() {
    let mut expected = routes(template("off"));
    expected.insert(MANAGED.to_owned(), false);
    assert_eq!(routes(template("on")), expected);

    let fleet = without_a_database(|fleet| fleet.parameter("ManagedInstances", "on")).await;
    let of_the_fleet: BTreeSet<&str> = fleet.routes().collect();
    assert!(of_the_fleet.into_iter().eq(expected.keys()));
    // The same function as on the other path, and the same caller: decided before the database is asked.
    let stranger = fleet.token("admins", "stranger");
    for (token, status) in [
        (None, 401),
        (Some("nonsense"), 401),
        (Some(&*stranger), 403),
    ] {
        let reply = send_as(&fleet, http::Method::GET, &path(MANAGED), token, &[], None).await;
        assert_eq!(reply.status, status, "{token:?}: {reply:?}");
    }
    fleet.shutdown().await;
}

#[test]
fn pages_may_use_every_method_send_every_header_and_read_those_that_are_described() {
    let cors = template("off")
        .http_api
        .expect("an API")
        .cors
        .expect("CORS");
    let document = document();
    let operations = operations(&document);
    let texts = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    let methods = operations
        .keys()
        .filter_map(|route| route.split(' ').next().map(str::to_owned));
    assert_eq!(texts(&cors.allow_methods), methods.collect());
    let described = operations
        .values()
        .flat_map(|operation| parameters(operation, "header").into_keys());
    // OpenAPI describes these two otherwise: by the security scheme, and by the body's type.
    let sent = described.chain(["Authorization", "Content-Type"]);
    assert_eq!(
        texts(&cors.allow_headers),
        sent.map(str::to_owned).collect()
    );

    let refusals = &document["components"]["responses"];
    let shown = operations.values().map(|operation| &operation["responses"]);
    let read = shown
        .chain([refusals])
        .flat_map(|responses| responses.as_object().expect("responses").values())
        .filter_map(|response| response["headers"].as_object())
        .flat_map(|headers| headers.keys().cloned())
        // The gateway's word, to which it adds no CORS headers.
        .filter(|name| *name != "WWW-Authenticate");
    assert_eq!(texts(&cors.expose_headers), read.collect());
}

#[test]
fn every_problem_is_described_with_its_status() {
    let document = document();
    for kind in contract::kinds() {
        let somewhere = operations(&document).into_values().any(|operation| {
            let problem = "/content/application~1problem+json/schema/allOf/1/properties/type/enum";
            let response = &operation["responses"][kind.status.to_string()]["$ref"];
            let response = response
                .as_str()
                .unwrap_or("#/none")
                .trim_start_matches('#');
            let response = document.pointer(response).unwrap_or(&Value::Null);
            let types = response.pointer(problem).and_then(Value::as_array);
            types.is_some_and(|types| types.contains(&kind.urn().into()))
        });
        assert!(somewhere, "no route answers {kind:?}");
    }
}

#[test]
fn bounds_are_the_codes() {
    let document = document();
    let operations = operations(&document);
    let upcoming = operations["GET /api/doctors/{id}/appointments/upcoming"];
    let limit = parameters(upcoming, "query")["limit"];
    assert_eq!(
        (&limit["minimum"], &limit["maximum"]),
        (&1.into(), &UPCOMING_PAGE.into())
    );
    let shown = "/responses/200/content/application~1json/schema/properties/data/maxItems";
    assert_eq!(upcoming.pointer(shown), Some(&UPCOMING_PAGE.into()));
    let booking = operations["POST /api/appointments"];
    let key = parameters(booking, "header")["Idempotency-Key"];
    assert_eq!(key["maxLength"], MAX_KEY);
}

/// The path of an operation, with an unknown id for each variable.
fn path(route: &str) -> String {
    let (_, path) = route.split_once(' ').expect("a method and a path");
    let nobody = Uuid::nil().to_string();
    let segments = path
        .split('/')
        .map(|segment| match segment.starts_with('{') {
            true => nobody.as_str(),
            false => segment,
        });
    segments.collect::<Vec<_>>().join("/")
}

/// What a function names when it meets a parameter or a field that it does not know: "unknown field
/// `x`, expected one of `a`, `b`"; or "there are no fields".
fn expected(reply: &Reply) -> BTreeSet<String> {
    let said = problem(reply, 400, "bad-request");
    let detail = said["detail"].as_str().expect("a text");
    if detail.contains("unknown field") && detail.ends_with("there are no fields") {
        return BTreeSet::new();
    }
    let (_, expected) = detail.split_once("expected ").expect(detail);
    // Names stand between backquotes: every second piece.
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn functions_know_the_parameters_that_are_described_and_no_others() {
    run_test(Clinic::open(), async |clinic| {
        let document = document();
        let token = staff(&clinic.fleet);
        for (route, operation) in operations(&document) {
            let described = parameters(operation, "query");
            let (method, _) = route.split_once(' ').expect("a method and a path");
            let method = method.parse().expect("a method");
            let unknown = format!("{}?no-such-parameter=1", path(&route));
            let known = expected(&clinic.send(method, &unknown, Some(&token), &[], None).await);
            let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
            assert_eq!(known, described.keys().copied().collect(), "{route}");
            if let Some(limit) = described.get("limit") {
                let most = limit["maximum"].as_u64().expect("a maximum");
                let above = format!("{}?limit={}", path(&route), most + 1);
                let said = problem(&clinic.get(&above).await, 400, "bad-request");
                let bounds = format!("from 1 to {most}");
                assert!(
                    said["detail"].as_str().unwrap().contains(&bounds),
                    "{route}: {said}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn functions_know_the_fields_that_are_described_and_no_others() {
    run_test(Clinic::open(), async |clinic| {
        let document = document();
        let token = staff(&clinic.fleet);
        let mut seen = 0;
        for (route, operation) in operations(&document) {
            let Some(body) = operation.pointer("/requestBody/content/application~1json/schema")
            else {
                continue;
            };
            let name = body["$ref"].as_str().expect("a named type");
            let described = document.pointer(name.trim_start_matches('#')).expect(name);
            let described = described["properties"].as_object().expect("properties");
            let (method, _) = route.split_once(' ').expect("a method and a path");
            let unknown = serde_json::json!({ "noSuchField": 1 });
            let headers = [("if-match", "\"any\"")];
            let method: http::Method = method.parse().expect("a method");
            let send = async |body: &Value| {
                let (method, path) = (method.clone(), path(&route));
                clinic
                    .send(method, &path, Some(&token), &headers, Some(body))
                    .await
            };
            let known = expected(&send(&unknown).await);
            assert_eq!(known, described.keys().cloned().collect(), "{route}");
            // Not the fields' values in a list either.
            let said = problem(&send(&Value::Array(Vec::new())).await, 400, "bad-request");
            let detail = said["detail"].as_str().expect("a text");
            assert!(detail.contains("JSON object"), "{route}: {detail}");
            seen += 1;
        }
        assert_eq!(seen, 7, "routes with a body");
    })
    .await;
}

#[tokio::test]
async fn every_client_may_read_the_document_and_ask_whether_it_is_still_right() {
    let fleet = without_a_database(|fleet| fleet).await;
    let get = async |headers: &[(&str, &str)]| {
        let path = "/api/openapi.json";
        send_as(&fleet, http::Method::GET, path, None, headers, None).await
    };
    let reply = get(&[]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "public, max-age=300");
    assert_eq!(reply.text(), CHECKED_IN);
    let tag = reply.headers["etag"].to_str().unwrap();
    let again = get(&[("if-none-match", tag)]).await;
    assert_eq!((again.status.as_u16(), again.text()), (304, ""));
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_fleet_shows_the_document_on_a_page_of_its_own() {
    let fleet = probe().start().await.unwrap();
    let get = async |path: &str| get_as(&fleet, "", path).await;
    let page = get("/@fleet/docs/").await;
    assert_eq!(page.headers["content-type"], "text/html");
    assert_eq!(fleet.docs(), format!("{}/@fleet/docs/", fleet.url()));
    // Everything that the page asks for is here, and nothing elsewhere.
    assert!(!page.text().contains("//"), "{}", page.text());
    let files = page.text().split("./").skip(1);
    let mut files: BTreeSet<&str> = files.filter_map(|rest| rest.split('"').next()).collect();
    assert!(files.contains("swagger-initializer.js"), "{files:?}");
    files.insert("index.css");
    for file in files {
        assert_eq!(
            get(&format!("/@fleet/docs/{file}")).await.status,
            200,
            "{file}"
        );
    }
    let script = get("/@fleet/docs/swagger-initializer.js").await;
    assert!(
        script.text().contains("\"/api/openapi.json\""),
        "{}",
        script.text()
    );
    assert_eq!(
        get("/@fleet/docs").await.headers["location"],
        "/@fleet/docs/"
    );
    assert_eq!(get("/@fleet/docs/nothing").await.status, 404);
    fleet.shutdown().await;
}
