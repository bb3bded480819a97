//! What the document says of its operations: ids, tags, examples, problems and bounds.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::{
    clinic::appointments::UPCOMING_PAGE,
    http::{idempotency::MAX_KEY, problem::Problem},
};

use super::{document, operations, parameters};

#[test]
fn every_problem_is_described_with_its_status() {
    let document = document();
    for kind in Problem::ALL {
        let described = operations(&document).into_values().any(|operation| {
            let problem = "/content/application~1problem+json/schema/allOf/1/properties/type/enum";
            let response = &operation["responses"][kind.status().as_str()]["$ref"];
            let response = response
                .as_str()
                .unwrap_or("#/none")
                .trim_start_matches('#');
            let response = document.pointer(response).unwrap_or(&Value::Null);
            let types = response.pointer(problem).and_then(Value::as_array);
            types.is_some_and(|types| types.contains(&kind.urn().into()))
        });
        assert!(described, "no route answers {kind:?}");
    }
}

#[test]
fn bounds_are_the_constants_of_the_code() {
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

/// Whether an operation's id is a verb and a noun in camel case.
fn is_camel_case(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.contains(|c: char| c.is_ascii_uppercase())
        && id.chars().all(|c| c.is_ascii_alphabetic())
}

#[test]
fn operations_have_an_id_of_their_own_and_one_of_the_tags() {
    let document = document();
    let tags = document["tags"].as_array().expect("tags");
    let tags: BTreeSet<_> = tags.iter().map(|tag| tag["name"].as_str()).collect();
    let (mut ids, mut used) = (BTreeSet::new(), BTreeSet::new());
    for (route, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(is_camel_case(id) && ids.insert(id), "{route}: {id}");
        let [tag] = operation["tags"].as_array().expect("tags").as_slice() else {
            panic!("{route}: {}", operation["tags"]);
        };
        used.insert(tag.as_str());
    }
    assert_eq!(used, tags);
}

#[test]
fn every_successful_response_has_an_example_that_fits_its_schema() {
    let document = document();
    for (route, operation) in operations(&document) {
        let responses = operation["responses"].as_object().expect("responses");
        let successes = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2'));
        let successes: Vec<_> = successes.collect();
        let [(status, response)] = successes.as_slice() else {
            panic!("{route}: {successes:?}");
        };
        if *status == "204" {
            assert_eq!(response.get("content"), None, "{route}");
            continue;
        }
        let content = &response["content"]["application/json"];
        let mut schema = content["schema"].clone();
        schema["components"] = document["components"].clone();
        // A field that the schema does not describe is a mistake of the example.
        schema["unevaluatedProperties"] = false.into();
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .expect("a schema");
        let errors = validator.iter_errors(&content["example"]);
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{route}: {errors:?}");
    }
}
