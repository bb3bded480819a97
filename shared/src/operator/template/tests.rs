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

/// What `Value` of the function's variables is, with further sections before the resources.
fn value(sections: &str, expression: &str) -> Variable {
    let text = template(&format!(
        "{{ Environment: {{ Variables: {{ VALUE: {expression} }} }} }}"
    ));
    let text = text.replace("Globals:", &format!("{sections}\nGlobals:"));
    let template = parse(&text, &Parameters::new()).expect("a template");
    variable(&template.functions[0], "VALUE")
}

#[test]
fn texts_are_put_together() {
    let literal = |text: &str| Variable::Literal(text.to_owned());
    for (expression, expected) in [
        ("!Sub '${Most} of ${!Most}'", "7 of ${Most}"),
        (
            "!Sub ['${Most}-${Own}', { Own: !Ref Most, Most: 8 }]",
            "8-7",
        ),
        ("{ 'Fn::Sub': '${Most}' }", "7"),
        ("!Join ['/', [a, !Ref Most, !Ref 'AWS::NoValue']]", "a/7"),
        ("!Select [1, !Split ['.', 'a.b.c']]", "b"),
        ("!Select [0, [a, !GetAtt A.B]]", "a"),
        ("!Join ['', !Split ['.', 'a.b.c']]", "abc"),
        ("!If [Never, a, b]", "b"),
        ("!FindInMap [Map, One, !If [Never, x, Two]]", "2"),
        ("!FindInMap [Map, None, Two, { DefaultValue: 5 }]", "5"),
    ] {
        let sections =
            "Conditions: { Never: !Equals [a, b] }\nMappings: { Map: { One: { Two: 2 } } }";
        assert_eq!(
            value(sections, expression),
            literal(expected),
            "{expression}"
        );
    }
}

#[test]
fn what_is_known_once_deployed_says_what_it_is() {
    for (expression, expected) in [
        ("!GetAtt Api.Id", "!GetAtt Api.Id"),
        ("!Ref Api", "!Ref Api"),
        ("!Ref 'AWS::Region'", "!Ref AWS::Region"),
        ("!Sub '${Api.Id}'", "!Sub ${Api.Id}"),
        ("!Sub '${Most'", "!Sub ${Most"),
        ("!ImportValue Name", "!ImportValue Name"),
        ("!FindInMap [Map, One, Three]", "!FindInMap [Map, …]"),
        ("!Select [5, [a]]", "!Select of a collection"),
        ("!If [Open, a, b]", "!Ref Secret"),
        (
            "'{{resolve:ssm:name}}'",
            "the dynamic reference `{{resolve:ssm:name}}`",
        ),
        (
            "{ 'Fn::Transform': { Name: 'AWS::Include' } }",
            "!Transform of a collection",
        ),
    ] {
        let sections = "Conditions: { Open: !Equals [!Ref Secret, b] }\nMappings: { Map: { One: { Two: 2 } } }";
        assert_eq!(
            value(sections, expression),
            Variable::Unresolved(expected.to_owned()),
            "{expression}"
        );
    }
    // The same either way.
    let sections = "Conditions: { Open: !Equals [!Ref Secret, b] }";
    assert_eq!(
        value(sections, "!If [Open, a, a]"),
        Variable::Literal("a".to_owned())
    );
}

#[test]
fn conditions_decide_who_is_deployed() {
    let deployed = |condition: &str| {
        let text = template("{}").replace(
            "Globals:",
            &format!(
                "Conditions:
  Yes: !Equals [a, a]
  Open: !Equals [!Ref Secret, a]
  Round: !Not [!Condition Round]
  Asked: {condition}
Globals:"
            ),
        );
        let text = text.replace("    Metadata:", "    Condition: Asked\n    Metadata:");
        let functions = parse(&text, &Parameters::new())
            .expect("a template")
            .functions;
        functions.first().map(|function| function.deployed.is_ok())
    };
    for (condition, expected) in [
        ("!Condition Yes", Some(true)),
        ("!Not [!Condition Yes]", None),
        ("!And [!Condition Yes, !Equals [a, b]]", None),
        ("!Or [!Condition Open, !Condition Yes]", Some(true)),
        ("!And [!Condition Open, !Not [!Condition Yes]]", None),
        (
            "{ 'Fn::And': [{ Condition: Yes }, { 'Fn::Equals': [1, '1'] }] }",
            Some(true),
        ),
        // Not known, and so neither there for certain nor left out.
        ("!And [!Condition Open, !Condition Yes]", Some(false)),
        ("!Condition Round", Some(false)),
        ("!Condition Missing", Some(false)),
        ("!Equals [a]", Some(false)),
        ("text", Some(false)),
    ] {
        assert_eq!(deployed(condition), expected, "{condition}");
    }
}

#[test]
fn a_secret_parameter_is_in_no_message() {
    let text = template("{ Timeout: !Sub '${Hidden}s' }").replace(
        "Parameters:",
        "Parameters:\n  Hidden: { Type: String, NoEcho: true, Default: hush }",
    );
    let template = parse(&text, &Parameters::new()).expect("a template");
    let said = template.functions[0]
        .timeout
        .clone()
        .unwrap_err()
        .to_string();
    assert!(
        said.contains("NoEcho hides") && !said.contains("hush"),
        "{said}"
    );
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

/// Whatever is not known on the way to a property makes it unknown, and not absent.
#[test]
fn what_is_not_known_as_a_whole_hides_nothing() {
    let unknown = "!If [Open, { Variables: { A: 1 } }, !Ref 'AWS::NoValue']";
    for environment in [
        unknown,
        "{ Variables: !If [Open, { A: 1 }, { A: 2 }] }",
        "{ Variables: { A: 1, 'Fn::Transform': { Name: Mine } } }",
        "{ Variables: { A: 1, 'Fn::ForEach::Names': [Name, [B], { '${Name}': 1 }] } }",
        "{ 'Fn::Transform': { Name: 'AWS::Include' } }",
    ] {
        let visits = function(&format!("{{ Environment: {environment} }}"));
        let error = visits.variables.expect_err(environment);
        assert_eq!(error.property, "Environment.Variables", "{environment}");
    }
    let globals = |environment: &str| {
        let text = template("{}").replace(
            "      Variables: { SHARED",
            &format!("      Fn::If: [Open, {environment}]\n    Tags: {{ SHARED"),
        );
        parse(&text, &Parameters::new())
            .expect(&text)
            .functions
            .remove(0)
    };
    assert!(globals("{ Variables: { A: 1 } }, {}").variables.is_err());
    // A macro beside the properties, or among them, may change each.
    let macros = [
        template("{ Timeout: 5, 'Fn::Transform': { Name: Mine } }"),
        template("{ Timeout: 5 }")
            .replace("    Metadata:", "    Fn::Transform: Mine\n    Metadata:"),
    ];
    for text in macros {
        let visits = parse(&text, &Parameters::new())
            .expect(&text)
            .functions
            .remove(0);
        assert!(
            visits.timeout.is_err() && visits.variables.is_err(),
            "{text}"
        );
        assert!(visits.reserved_concurrency.is_err() && visits.behind_gateway.is_err());
        assert!(visits.name.is_err() && visits.managed.is_some(), "{text}");
    }
    let managed = |properties: &str| function(properties).managed.expect("managed");
    let scaling =
        managed("{ CapacityProviderConfig: {}, FunctionScalingConfig: !If [Open, {}, {}] }");
    assert_eq!(scaling.max_environments, Ok(None), "the same either way");
    let scaling = managed(
        "{ CapacityProviderConfig: {}, FunctionScalingConfig: !If [Open, { A: 1 }, { A: 2 }] }",
    );
    assert!(scaling.max_environments.is_err());
    let events = "{ Events: { Get: !If [Open, { Type: Api }, !Ref 'AWS::NoValue'] } }";
    assert!(function(events).behind_gateway.is_err() && function(events).routes.is_err());
    let known = "{ Events: { Put: { Type: Api }, Get: !If [Open, { Type: Api }, { Type: SQS }] } }";
    assert_eq!(function(known).behind_gateway, Ok(true));
}

#[test]
fn globals_are_merged_before_anything_is_resolved() {
    let names = |properties: &str| {
        let variables = function(properties).variables.expect("variables");
        let names: Vec<String> = variables.into_keys().collect();
        names.join(" ")
    };
    // What is removed takes the inherited one with it.
    assert_eq!(
        names("{ Environment: { Variables: { OWN: !Ref 'AWS::NoValue' } } }"),
        "LINK SHARED"
    );
    assert_eq!(
        names("{ Environment: { Variables: !Ref 'AWS::NoValue' } }"),
        ""
    );
    assert_eq!(
        names("{ Environment: !If [Open, { Variables: { A: 1 } }, { Variables: { A: 1 } }] }"),
        "A"
    );
    // A function of CloudFormation is inherited as a whole, or not at all.
    let inherited = |properties: &str| {
        let text = template(properties).replace(
            "Timeout: 29",
            "Timeout: 29\n    FunctionScalingConfig: !If [Open, 1, 2]",
        );
        parse(&text, &Parameters::new())
            .expect(&text)
            .functions
            .remove(0)
            .managed
            .expect("managed")
            .max_environments
    };
    assert!(inherited("{ CapacityProviderConfig: {} }").is_err());
    assert_eq!(
        inherited(
            "{ CapacityProviderConfig: {}, FunctionScalingConfig: { MaxExecutionEnvironments: 4 } }"
        ),
        Ok(Some(4))
    );
}

#[test]
fn merge_keys_are_flattened_and_keys_of_their_own_win() {
    let text = "
Base: &base { Timeout: 7, MemorySize: 512 }
Other: &other { MemorySize: 1024, ReservedConcurrentExecutions: 3 }
Resources:
  Visits:
    Type: AWS::Serverless::Function
    Properties:
      <<: [*base, *other]
      Timeout: 9
      Environment:
        Variables: { <<: { A: 1, B: !Ref Secret }, B: 2 }
";
    let visits = parse(text, &Parameters::new())
        .expect("a template")
        .functions
        .remove(0);
    assert_eq!(visits.timeout, Ok(Duration::from_secs(9)));
    assert_eq!(visits.memory_mb, Ok(512));
    assert_eq!(visits.reserved_concurrency, Ok(Some(3)));
    let literal = |text: &str| Variable::Literal(text.to_owned());
    assert_eq!(variable(&visits, "A"), literal("1"));
    assert_eq!(variable(&visits, "B"), literal("2"));
    for wrong in ["5", "[5]", "!Ref Base"] {
        let error = parse(&text.replace("[*base, *other]", wrong), &Parameters::new());
        assert!(error.unwrap_err().to_string().contains("<<"), "{wrong}");
    }
}

#[test]
fn what_may_make_functions_is_named() {
    let unread = |text: &str| {
        let template = parse(text, &Parameters::new()).expect(text);
        let unread = template.unread.iter().map(|unread| match unread {
            super::Unread::Generated(name) => name.as_str(),
            super::Unread::Nested(name) => name.as_str(),
        });
        unread.collect::<Vec<&str>>().join(", ")
    };
    for (text, expected) in [
        ("Resources: {}", ""),
        ("Transform: AWS::Serverless-2016-10-31\nResources: {}", ""),
        (
            "Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]\nResources: {}",
            "",
        ),
        (
            "Transform: [AWS::Serverless-2016-10-31, Mine]\nResources: {}",
            "Transform Mine",
        ),
        (
            "Transform: { Name: AWS::Include, Parameters: {} }\nResources: {}",
            "Transform AWS::Include",
        ),
        (
            "Transform: [[]]\nResources: {}",
            "Transform which is no name",
        ),
        (
            "Fn::Transform: { Name: Mine }\nResources: {}",
            "Fn::Transform",
        ),
        (
            "Globals: { Function: { Timeout: 5, 'Fn::Transform': Mine } }\nResources: {}",
            "Globals.Function.Fn::Transform",
        ),
        ("Resources: { 'Fn::Transform': Mine }", "Fn::Transform"),
        (
            "Resources: { 'Fn::ForEach::Names': [Name, [A], {}] }",
            "Fn::ForEach::Names",
        ),
        (
            "Resources: { A: { 'Fn::Transform': Mine }, B: { Type: My::Own::Kind::MODULE } }",
            "A, B",
        ),
        (
            "Resources: { A: { Type: AWS::CloudFormation::Stack }, B: { Type: AWS::Serverless::Application } }",
            "A, B",
        ),
        (
            "Conditions: { No: !Equals [a, b] }\nResources: { A: { Type: AWS::CloudFormation::Stack, Condition: No } }",
            "",
        ),
        ("Resources: { A: { Type: AWS::SQS::Queue } }", ""),
    ] {
        assert_eq!(unread(text), expected, "{text}");
    }
}

/// As other tools write it: on one line, or with tabs.
#[test]
fn json_is_read_as_it_is_written() {
    let json = serde_json::json!({ "Resources": { "Visits": {
        "Type": "AWS::Serverless::Function",
        "Properties": { "Timeout": 7, "Environment": { "Variables": { "A": { "Fn::Sub": "b/${!c}" } } } }
    } } });
    let pretty = serde_json::to_string_pretty(&json).unwrap();
    let tabs = pretty.replace("  ", "\t");
    for text in [json.to_string(), pretty, tabs] {
        let visits = parse(&text, &Parameters::new())
            .expect(&text)
            .functions
            .remove(0);
        assert_eq!(visits.timeout, Ok(Duration::from_secs(7)), "{text}");
        assert_eq!(
            variable(&visits, "A"),
            Variable::Literal("b/${c}".to_owned())
        );
    }
}

#[test]
fn no_depth_ends_the_process() {
    for open in ["[", "{a: ", "- ", "? ", "!If [", "a: &a ["] {
        for depth in [200, 5_000, 200_000] {
            // Whatever it answers.
            let _ = parse(&open.repeat(depth), &Parameters::new());
            let lines: String = (0..depth.min(2_000))
                .map(|at| format!("{}a:\n", " ".repeat(at)))
                .collect();
            let _ = parse(&lines, &Parameters::new());
        }
    }
}
