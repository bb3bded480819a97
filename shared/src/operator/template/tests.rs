mod document;
mod merge;
mod resolve;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::{Parameters, Route, Template, Variable, parse, read};

const HEAD: &str = "
Parameters:
  Secret: { Type: String }
  Most: { Type: Number, Default: 7 }
Globals:
  Function:
    Timeout: 29
    Environment:
      Variables: { SHARED: global, OWN: global, LINK: !Ref Secret }
Resources:
  Api: { Type: AWS::Serverless::HttpApi }
";

/// A template with one function: `properties` is a flow mapping.
fn template(properties: &str) -> String {
    format!(
        "{HEAD}  Visits:\n    Type: AWS::Serverless::Function\n    \
         Metadata: {{ BuildProperties: {{ Binary: visits }} }}\n    Properties: {properties}\n"
    )
}

fn function(properties: &str) -> super::Function {
    let Template { mut functions, .. } =
        parse(&template(properties), &Parameters::new()).expect("a template");
    assert_eq!(functions.len(), 1);
    functions.remove(0)
}

fn variable(function: &super::Function, name: &str) -> Variable {
    function.variables.as_ref().expect("variables")[name].clone()
}

/// The one error among what was read of the function.
fn error(properties: &str) -> String {
    first_error(function(properties))
}

fn first_error(function: super::Function) -> String {
    let errors = [
        function.binary.err(),
        function.reserved_concurrency.err(),
        function.timeout.err(),
        function.memory_mb.err(),
        function.routes.err(),
    ];
    errors
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .next()
        .expect("an error")
}

#[test]
fn globals_give_scalars_and_merge_variables() {
    let visits = function("{ Environment: { Variables: { OWN: 5, FLAG: true } } }");
    assert_eq!(visits.timeout, Ok(Duration::from_secs(29)));
    let literal = |text: &str| Variable::Literal(text.to_owned());
    let expected = BTreeMap::from([
        ("FLAG".to_owned(), literal("true")),
        (
            "LINK".to_owned(),
            Variable::Unresolved("!Ref Secret".to_owned()),
        ),
        ("OWN".to_owned(), literal("5")),
        ("SHARED".to_owned(), literal("global")),
    ]);
    assert_eq!(visits.variables, Ok(expected));
    assert_eq!(
        function("{ Timeout: 5 }").timeout,
        Ok(Duration::from_secs(5)),
        "the function's own scalar wins"
    );
}

#[test]
fn a_resource_may_take_nothing_from_globals() {
    let ignoring = |what: &str| {
        let text = template("{ Environment: { Variables: { OWN: 5 } } }").replace(
            "Type: AWS::Serverless::Function",
            &format!("Type: AWS::Serverless::Function\n    IgnoreGlobals: {what}"),
        );
        let template = parse(&text, &Parameters::new()).expect("a template");
        let function = &template.functions[0];
        let variables = function.variables.as_ref().expect("variables");
        let names: Vec<String> = variables.keys().cloned().collect();
        (names.join(" "), function.timeout.clone())
    };
    let second = |seconds| Ok(Duration::from_secs(seconds));
    assert_eq!(
        ignoring("[Timeout]"),
        ("LINK OWN SHARED".to_owned(), second(3))
    );
    assert_eq!(
        ignoring("[Environment, VpcConfig]"),
        ("OWN".to_owned(), second(29))
    );
    assert_eq!(ignoring("\"*\""), ("OWN".to_owned(), second(3)));
}

#[test]
fn silence_means_lambdas_defaults() {
    let text = template("{}").replace("Timeout: 29", "MemorySize: 256");
    let template = parse(&text, &Parameters::new()).expect("a template");
    assert_eq!(template.functions[0].timeout, Ok(Duration::from_secs(3)));
    assert_eq!(template.functions[0].memory_mb, Ok(256));
    assert_eq!(template.functions[0].reserved_concurrency, Ok(None));
    assert_eq!(function("{}").memory_mb, Ok(128));
}

#[test]
fn references_resolve_to_defaults_and_to_given_parameters() {
    for reference in ["!Ref Most", "{ Ref: Most }", "\"7\""] {
        let properties = format!("{{ ReservedConcurrentExecutions: {reference} }}");
        assert_eq!(function(&properties).reserved_concurrency, Ok(Some(7)));
    }
    let given = Parameters::from([
        ("Most".to_owned(), "9".to_owned()),
        ("Secret".to_owned(), "postgresql://".to_owned()),
    ]);
    let text = template("{ ReservedConcurrentExecutions: !Ref Most }");
    let template = parse(&text, &given).expect("a template");
    assert_eq!(template.functions[0].reserved_concurrency, Ok(Some(9)));
    assert_eq!(
        variable(&template.functions[0], "LINK"),
        Variable::Literal("postgresql://".to_owned())
    );
}

#[test]
fn routes_come_from_http_api_events_alone() {
    let visits = function(
        "{ Events: {
            One: { Type: HttpApi, Properties: { Method: get, Path: '/visits/{id}' } },
            Any: { Type: HttpApi, Properties: { Path: '/{proxy+}' } },
            All: { Type: HttpApi },
            Clock: { Type: Schedule, Properties: { Schedule: rate(1 minute) } } } }",
    );
    let keys: Vec<String> = visits.routes.unwrap().iter().map(Route::key).collect();
    assert_eq!(keys, ["GET /visits/{id}", "ANY /{proxy+}", "$default"]);
}

#[test]
fn errors_name_resource_property_finding_and_choice() {
    assert_eq!(
        error("{ ReservedConcurrentExecutions: !Ref Secret }"),
        "Visits: ReservedConcurrentExecutions is !Ref Secret; \
         accepted is a whole number, or !Ref of a parameter that has one"
    );
    assert_eq!(
        error("{ Timeout: 901 }"),
        "Visits: Timeout is `901`; accepted is seconds from 1 to 900"
    );
    assert_eq!(
        error("{ Timeout: !If [A, 3, 5] }"),
        "Visits: Timeout is the condition A, which does not exist; accepted is seconds from 1 to 900"
    );
    assert_eq!(
        error("{ ReservedConcurrentExecutions: -1 }"),
        "Visits: ReservedConcurrentExecutions is `-1`; \
         accepted is a whole number, or !Ref of a parameter that has one"
    );
    assert_eq!(
        error("{ Events: { Get: { Type: HttpApi, Properties: { Method: GET, Path: visits } } } }"),
        "Visits: Events.Get.Path is `visits`; \
         accepted is a path that begins with a slash, or $default"
    );
    assert_eq!(
        variable(
            &function("{ Environment: { Variables: { RATIO: 1.10 } } }"),
            "RATIO"
        ),
        Variable::Unresolved("the fraction `1.1`, which must be quoted".to_owned())
    );
    let nameless = template("{}").replace("Binary", "Nothing");
    let mut nameless = parse(&nameless, &Parameters::new()).expect("a template");
    assert_eq!(
        first_error(nameless.functions.remove(0)),
        "Visits: Metadata.BuildProperties.Binary is missing; \
         accepted is the name of the function's executable"
    );
}

#[test]
fn what_is_no_template_is_refused() {
    for text in [
        "",
        "just text",
        "Resources: []",
        "a: 1\n---\nb: 2",
        "a: [",
        "a: 1\na: 2",
    ] {
        assert!(parse(text, &Parameters::new()).is_err(), "{text:?}");
    }
}

#[test]
fn the_deployed_template_is_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = read(&path, &Parameters::new()).expect("the project's own template");
    for function in &template.functions {
        assert!(
            matches!(function.reserved_concurrency, Ok(Some(_))),
            "{}: without reserved concurrency there is no budget",
            function.logical_id
        );
    }
}

#[test]
fn a_schedule_is_an_event_and_no_route() {
    let visits = function(
        "{ Events: {
             Hourly: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(1 hour) } },
             Daily: { Type: Schedule, Properties: { Schedule: rate(1 day), Input: '{}' } },
             Get: { Type: HttpApi, Properties: { Method: get, Path: /visits } } } }",
    );
    let routes = visits.routes.expect("routes");
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0].key(), "GET /visits");
}
