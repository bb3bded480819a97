//! A check answers whatever the template holds.

use proptest::prelude::*;

use crate::config::database_url::DatabaseUrl;

use super::*;

/// Lines of templates, odd ones among them.
const LINES: [&str; 36] = [
    "Resources:",
    "Globals:",
    "Parameters:",
    "Conditions:",
    "Mappings:",
    "Function:",
    "Properties:",
    "Environment:",
    "Variables:",
    "Events:",
    "A:",
    "A: &a",
    "B: *a",
    "Type: AWS::Serverless::Function",
    "Type: AWS::Lambda::Function",
    "Condition: A",
    "A: !Condition A",
    "A: !If [A, !Ref A, 5]",
    "A: !Sub ['${A}${', {A: !Split ['', a]}]",
    "DATABASE_URL: postgresql://u:p@h/d?pool_timeout=5",
    "DATABASE_URL: !GetAtt A.B",
    "DATABASE_CONNECTION_LIMIT: !Select [-1, []]",
    "DATABASE_CEILING: 4294967295",
    "ReservedConcurrentExecutions: 4294967295",
    "ReservedConcurrentExecutions: !FindInMap [A, A, A]",
    "Timeout: 900",
    "CapacityProviderConfig: {PerExecutionEnvironmentMaxConcurrency: 1600}",
    "FunctionScalingConfig: {MaxExecutionEnvironments: 4294967295}",
    "Get: {Type: HttpApi, Properties: {Path: [5]}}",
    "- [1.5, ~, {}]",
    "<<: {A: 5, Timeout: 7}",
    "<<: [*a]",
    "Fn::Transform: {Name: A}",
    "Transform: [A, {Name: AWS::Include}]",
    "FunctionName: !Sub '${A}'",
    "Events: !If [A, {}, !Ref AWS::NoValue]",
];

fn answered(text: &str, ceiling: u32) -> Option<Verdict> {
    let template = crate::operator::template::parse(text, &Default::default()).ok()?;
    let settings = DatabaseUrl::parse("postgresql://user@localhost/").unwrap();
    let slots = Slots {
        max_connections: ceiling,
        source: String::new(),
        superuser_reserved: 0,
        reserved: 0,
        other_clients: 0,
        role_limit: None,
    };
    let report = check(&Question {
        template: &template,
        slots,
        url: Url {
            settings,
            known: false,
        },
        account_concurrency: 1_000,
        overlap_fails: true,
        ignore_nested_stacks: false,
        server_version: None,
        pooler: false,
    });
    Some(report.verdict)
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}", ceiling: u32) {
        answered(&text, ceiling);
    }

    #[test]
    fn any_lines_are_answered(
        lines in proptest::collection::vec((0_usize..8, 0_usize..LINES.len()), 0..40),
        ceiling: u32,
    ) {
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(depth, line)| format!("{}{}", "  ".repeat(depth), LINES[line]))
            .collect();
        answered(&lines.join("\n"), ceiling);
    }

    /// Under a function's properties, where most lines mean something.
    #[test]
    fn any_properties_are_answered(
        lines in proptest::collection::vec(0_usize..LINES.len(), 0..12),
        ceiling: u32,
    ) {
        let mut text = "Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties:\n      \
                        Environment: {Variables: {DATABASE_URL: 'postgresql://u@h/d'}}\n"
            .to_owned();
        let mut lines = lines;
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            // A key alone opens a mapping that nothing would fill.
            if !LINES[line].ends_with(':') && LINES[line].contains(": ") {
                text.push_str("      ");
                text.push_str(LINES[line]);
                text.push('\n');
            }
        }
        answered(&text, ceiling);
    }
}
