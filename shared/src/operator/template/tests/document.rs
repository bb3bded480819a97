//! What a whole document may hold: macros, nested stacks, JSON, depth.

use super::*;
use crate::operator::template::Unread;

#[test]
fn what_may_make_functions_is_named() {
    let unread = |text: &str| {
        let template = parse(text, &Parameters::new()).expect(text);
        let unread = template.unread.iter().map(|unread| match unread {
            Unread::Generated(name) => name.as_str(),
            Unread::Nested(name) => name.as_str(),
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
