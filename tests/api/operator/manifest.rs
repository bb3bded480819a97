//! What the manifests promise.

use std::{collections::BTreeMap, path::Path};

use cargo_metadata::MetadataCommand;
use shared::{
    database::deadline::FUNCTION_TIMEOUT,
    http::telemetry::metrics::{SERVICE, VERSION},
    operator::template::{self, Route, Variable},
};

fn metadata() -> cargo_metadata::Metadata {
    MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

#[test]
fn cargo_lambda_watch_has_the_templates_routes() {
    let watch = &metadata().workspace_metadata["lambda"]["watch"]["router"];
    let watch: BTreeMap<String, String> = watch
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, targets)| {
            targets.as_array().unwrap().iter().map(move |target| {
                let text = |name: &str| target[name].as_str().unwrap().to_owned();
                (format!("{} {path}", text("method")), text("function"))
            })
        })
        .collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = template::read(&file, &Default::default()).expect("the template");
    let described: BTreeMap<String, String> = template
        .functions
        .iter()
        .flat_map(|function| {
            let binary = function.binary.as_ref().unwrap();
            let routes = function.routes.as_ref().unwrap().iter();
            routes.map(|route: &Route| (route.key(), binary.clone()))
        })
        .collect();
    assert!(!described.is_empty());
    assert_eq!(watch, described);
}

#[test]
fn the_template_sets_what_a_budget_is_computed_from() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = template::read(&file, &Default::default()).expect("the template");
    for function in &template.functions {
        let variables = function.variables.as_ref().expect("variables");
        // The description of the API asks no database, and is given nothing to ask it with.
        let limit = (function.binary.as_deref() != Ok("openapi"))
            .then(|| Variable::Literal("1".to_owned()));
        assert_eq!(
            variables.get("DATABASE_CONNECTION_LIMIT"),
            limit.as_ref(),
            "{function:?}"
        );
        assert_eq!(
            variables.contains_key("DATABASE_URL"),
            limit.is_some(),
            "{function:?}"
        );
        assert!(
            matches!(function.reserved_concurrency, Ok(Some(_))),
            "{function:?}"
        );
        // Below API Gateway's limit, and what a function takes for its own where nobody says.
        if function.behind_gateway == Ok(true) {
            assert_eq!(function.timeout, Ok(FUNCTION_TIMEOUT), "{function:?}");
        }
    }
}

#[test]
fn every_binary_is_in_the_template_and_the_other_way_round() {
    let metadata = metadata();
    let functions = metadata
        .packages
        .iter()
        .find(|package| package.name == "functions");
    let mut binaries: Vec<&str> = functions
        .expect("the package functions")
        .targets
        .iter()
        .filter(|target| target.is_bin())
        .map(|target| target.name.as_str())
        .collect();
    binaries.sort_unstable();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    // Given what the monitor needs, and not what would serve a route a second time.
    let monitor = "postgresql://monitor@localhost/clinic".to_owned();
    let given = BTreeMap::from([("DatabaseMonitorUrl".to_owned(), monitor)]);
    let template = template::read(&file, &given).expect("the template");
    let mut described: Vec<&str> = template
        .functions
        .iter()
        .map(|function| function.binary.as_deref().unwrap())
        .collect();
    described.sort_unstable();
    assert_eq!(binaries, described);
}

/// What only the fleet and the tools need must not be in what is deployed.
#[test]
fn no_function_links_what_belongs_to_the_fleet() {
    let tree = fleet::cargo()
        .args([
            "tree",
            "--package",
            "functions",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{tree:?}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let links = |name: &str| {
        tree.lines()
            .any(|line| line.split(' ').next() == Some(name))
    };
    assert!(links("sqlx-postgres") && links("lambda_http"), "{tree}");
    for foreign in [
        "saphyr",
        "schemars",
        "axum",
        "anstream",
        "anstyle",
        "aws-sdk-cloudwatch",
        "clap",
        "comfy-table",
        "crossterm",
        "shell-words",
        "toml",
        "fleet",
        "aws-lc-rs",
        "openssl",
        "sqlx-mysql",
        "sqlx-sqlite",
    ] {
        assert!(!links(foreign), "functions link {foreign}");
    }
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(path).unwrap()
}

/// The dashboard's text in the template, with its placeholders, and what takes the place of those that depend on the
/// stage.
fn dashboard(template: &str) -> (&str, &str) {
    let (_, body) = template
        .split_once("DashboardBody: !Sub\n        - |\n")
        .unwrap();
    let (body, rest) = body.split_once("\n        - #").unwrap();
    let (placeholders, _) = rest.split_once("\nOutputs:").unwrap();
    (body, placeholders)
}

#[test]
fn alarms_and_dashboard_name_metrics_that_there_are() {
    let template = file("template.yaml");
    let own = file("shared/src/http/telemetry/metrics/invocation.rs")
        + &file("shared/src/http/telemetry/metrics/sessions.rs");
    let (body, _) = dashboard(&template);
    let service = format!(r#""{}", "${{AWS::StackName}}""#, SERVICE[0]);
    let shown = body.split(r#"["Headroom", ""#).skip(1);
    let shown = shown.map(|rest| {
        let (name, dimensions) = rest.split_once("\", ").unwrap();
        assert!(dimensions.starts_with(&service), "{name}: {dimensions:.80}");
        name
    });
    let alarms = template.split("    Type: AWS::CloudWatch::Alarm\n").skip(1);
    let alarms = alarms.map(|rest| rest.split("\n\n").next().unwrap());
    let alarms = alarms.filter(|alarm| alarm.contains("Namespace: Headroom\n"));
    let dimension = format!(
        "Name: {}\n          Value: !Ref AWS::StackName\n",
        SERVICE[0]
    );
    let alarms = alarms.map(|alarm| {
        let (_, rest) = alarm.split_once("MetricName: ").unwrap();
        let (name, rest) = rest.split_once('\n').unwrap();
        let (_, dimensions) = rest.split_once("Dimensions:\n        - ").unwrap();
        assert!(dimensions.starts_with(&dimension), "{alarm}");
        assert_eq!(rest.matches("- Name: ").count(), 1, "{alarm}");
        name
    });
    let names: Vec<&str> = shown.chain(alarms).collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(own.contains(&format!("\"{name}\"")), "{name} is no metric");
    }
    let searched = format!("SEARCH('{{Headroom,{}}} ", VERSION.join(","));
    assert_eq!(body.matches("SEARCH(").count(), 1);
    assert!(body.contains(&searched), "no {searched}");
}

#[test]
fn the_dashboard_is_json_and_shows_every_functions_throttles() {
    let template = file("template.yaml");
    let (body, placeholders) = dashboard(&template);
    let ceiling = r#""annotations": { "horizontal": [{ "label": "ceiling", "value": 90 }] },"#;
    let lines = placeholders.lines().map(str::trim_start);
    let conditional: String = lines.filter(|line| line.starts_with('[')).collect();
    for (ceiling, conditional) in [(ceiling, conditional.as_str()), ("", "")] {
        let body = body
            .replace("${Ceiling}", ceiling)
            .replace("${Conditional}", conditional);
        serde_json::from_str::<serde_json::Value>(&body).expect("a dashboard in JSON");
    }
    let functions = template
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.strip_suffix("Function:"))
        .filter(|name| name.starts_with(char::is_alphabetic));
    let functions: Vec<&str> = functions.collect();
    assert!(functions.len() > 14, "{functions:?}");
    for function in functions {
        for metric in ["Throttles", "ConcurrentExecutions"] {
            let shown =
                format!(r#"["AWS/Lambda", "{metric}", "FunctionName", "${{{function}Function}}""#);
            let both = [body, conditional.as_str()];
            assert!(both.iter().any(|text| text.contains(&shown)), "no {shown}");
        }
    }
}

/// What `make deploy` replaces stands in each function's variables: without it, a changed parameter would make no new
/// version of that function.
#[test]
fn each_function_has_a_place_for_the_release() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let given = [
        (
            "DatabaseMonitorUrl",
            "postgresql://monitor@localhost/clinic",
        ),
        ("ManagedInstances", "on"),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let template = template::read(&path, &given.into()).expect("the template");
    assert!(template.functions.len() > 14);
    for function in template.functions {
        let release = Variable::Literal("unstamped".to_owned());
        assert_eq!(
            function.variables.as_ref().unwrap().get("RELEASE"),
            Some(&release),
            "{}",
            function.logical_id
        );
    }
}
