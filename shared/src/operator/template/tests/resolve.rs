//! What parameters, conditions and functions over them come to.

use super::*;

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
