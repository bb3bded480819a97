//! What is inherited and merged before anything is resolved.

use super::*;

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
