//! What a function sees of the platform, and what becomes of its failures.

use std::time::{Duration, Instant};

use fleet::{Binaries, EnvironmentState, InvokeError, Source};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::probe::{
    eventually, get, impatient_probe, kernel_state, lines, live, pid, probe, send,
};

#[tokio::test]
async fn a_time_out_kills_the_environment_and_the_next_request_works() {
    let fleet = impatient_probe().start().await.unwrap();
    let first = pid(&get(&fleet, "/probe").await);
    let late = get(&fleet, "/probe?sleep_ms=60000").await;
    assert_eq!(late.status, 500);
    assert_eq!(late.text(), r#"{"message":"Internal Server Error"}"#);
    let next = get(&fleet, "/probe").await;
    assert_eq!(next.status, 200);
    assert_ne!(pid(&next), first);
    eventually(
        "the process to be gone",
        async || kernel_state(first),
        Option::is_none,
    )
    .await;
    let timed_out = |line: &String| line.contains("Task timed out after 1.00 seconds");
    assert!(lines(&fleet, Source::Platform).iter().any(timed_out));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_environment_survives() {
    let fleet = probe().start().await.unwrap();
    let first = pid(&get(&fleet, "/probe").await);
    let failed = get(&fleet, "/probe?panic=1").await;
    assert_eq!(failed.status, 500);
    assert_eq!(failed.text(), r#"{"message":"Internal Server Error"}"#);
    assert_eq!(pid(&get(&fleet, "/probe").await), first);
    let invoked = fleet
        .invoke(
            "probe",
            json!({ "queryStringParameters": { "panic": "1" } }),
        )
        .await;
    let Err(InvokeError::Function(error)) = invoked else {
        panic!("a function error, not {invoked:?}");
    };
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("told to panic"),
        "{error}"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_exit_amid_an_invocation_is_a_500_and_the_environment_is_replaced() {
    let fleet = probe().start().await.unwrap();
    let first = pid(&get(&fleet, "/probe").await);
    let failed = get(&fleet, "/probe?exit=7&print=last%20words").await;
    assert_eq!(failed.status, 500);
    assert!(
        lines(&fleet, Source::Stdout).contains(&"last words".to_owned()),
        "the caller can read the reason"
    );
    assert_ne!(pid(&get(&fleet, "/probe").await), first);
    let states: Vec<_> = fleet
        .environments("probe")
        .into_iter()
        .map(|e| e.state)
        .collect();
    assert_eq!(states[0], EnvironmentState::Gone);
    assert_eq!(states.len(), 2);
    assert!(lines(&fleet, Source::Platform).contains(&"Runtime exited: exit status 7".to_owned()));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_process_that_ends_before_it_polls_fails_its_invocation() {
    let fleet = probe()
        .variable("PROBE_EXIT_AT_START", "1")
        .start()
        .await
        .unwrap();
    let invoked = fleet.invoke("probe", json!({})).await;
    let Err(InvokeError::Function(error)) = invoked else {
        panic!("a function error, not {invoked:?}");
    };
    assert_eq!(error["errorType"], "Runtime.ExitError");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .ends_with("exit status 3"),
        "{error}"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_init_error_fails_its_invocation_as_reported() {
    let fleet = probe()
        .variable("PROBE_INIT_ERROR", "1")
        .start()
        .await
        .unwrap();
    let invoked = fleet.invoke("probe", json!({})).await;
    let Err(InvokeError::Function(error)) = invoked else {
        panic!("a function error, not {invoked:?}");
    };
    assert_eq!(error["errorType"], "Probe.Init");
    eventually("the process to end", async || live(&fleet), Vec::is_empty).await;
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_process_that_does_not_poll_within_ten_seconds_is_ended() {
    assert_init_times_out("PROBE_HANG_AT_START").await;
}

#[tokio::test]
async fn an_extension_that_does_not_poll_holds_initialisation_up() {
    assert_init_times_out("PROBE_MUTE_EXTENSION").await;
}

async fn assert_init_times_out(variable: &str) {
    let fleet = probe()
        .variable(variable, "1")
        .start()
        .await
        .expect("a fleet");
    let start = Instant::now();
    let invoked = fleet.invoke("probe", json!({})).await;
    let Err(InvokeError::Function(error)) = invoked else {
        panic!("a function error, not {invoked:?}");
    };
    assert_eq!(error["errorMessage"], "Init timed out after 10s");
    assert!(start.elapsed() >= Duration::from_secs(10));
    eventually("the process to end", async || live(&fleet), Vec::is_empty).await;
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_runtime_api_refuses_what_lambdas_would() {
    let fleet = probe().freeze(false).start().await.unwrap();
    let api = get(&fleet, "/probe").await.json()["variables"]["AWS_LAMBDA_RUNTIME_API"].take();
    let post = |path: &str, body: &'static str| {
        let request = Request::post(format!("http://{}{path}", api.as_str().unwrap()))
            .header("content-type", "application/json")
            .header("lambda-extension-name", "late");
        send(request.body(Full::from(body)).unwrap())
    };
    let unknown = post("/2018-06-01/runtime/invocation/none/response", "{}").await;
    assert_eq!(unknown.status, 400);
    let register = "/2020-01-01/extension/register";
    let late = post(register, r#"{"events":[]}"#).await;
    assert_eq!(late.status, 403, "initialisation is over");
    let eventful = post(register, r#"{"events":["INVOKE"]}"#).await;
    assert_eq!(eventful.status, 400, "the fleet delivers none");
    post("/2018-06-01/runtime/init/error", "{}").await;
    assert_eq!(
        get(&fleet, "/probe").await.status,
        200,
        "too late for an init error"
    );
    assert_eq!(fleet.counters("probe").started, 1);
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_executable_that_is_none_fails_its_invocation() {
    let binaries = Binaries::none().with("probe", file!());
    let fleet = probe().binaries(binaries).start().await.unwrap();
    assert_eq!(get(&fleet, "/probe").await.status, 500);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_function_sees_lambdas_variables_and_nothing_of_the_shell() {
    let fleet = probe()
        .variable("REPLACED", "fleet")
        .function_variable("probe", "OWN", "function")
        .version("7")
        .start()
        .await
        .unwrap();
    let seen = get(&fleet, "/probe").await.json();
    let variables = &seen["variables"];
    let expected = [
        ("AWS_LAMBDA_FUNCTION_NAME", "probe"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/probe"),
        ("FROM_TEMPLATE", "template"),
        ("REPLACED", "fleet"),
        ("OWN", "function"),
    ];
    for (name, value) in expected {
        assert_eq!(variables[name], value, "{name}");
    }
    assert!(std::env::vars().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    assert_eq!(
        variables["CARGO_MANIFEST_DIR"],
        Value::Null,
        "the shell's own"
    );
    assert_eq!(variables["HOME"], Value::Null, "the shell's own");
    assert_eq!(
        seen["arn"],
        "arn:aws:lambda:us-east-1:123456789012:function:probe:7"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_deadline_is_the_time_out_from_the_hand_over() {
    let fleet = impatient_probe().start().await.unwrap();
    get(&fleet, "/probe").await;
    let seen = fleet.invoke("probe", json!({})).await.unwrap();
    let seen: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
    let event = get(&fleet, "/probe").await.json();
    let received = event["event"]["requestContext"]["timeEpoch"]
        .as_i64()
        .unwrap();
    let deadline = event["deadline_ms"].as_i64().unwrap();
    assert!(
        (1_000..2_000).contains(&(deadline - received)),
        "{}",
        deadline - received
    );
    assert_ne!(seen["request_id"], event["request_id"]);
    fleet.shutdown().await;
}

#[tokio::test]
async fn misspelt_settings_do_not_start() {
    let unknown = probe()
        .reserved_concurrency("prob", 1)
        .start()
        .await
        .err()
        .unwrap();
    assert_eq!(
        unknown.to_string(),
        "the template has no function with the binary `prob`"
    );
    let missing = probe()
        .binaries(Binaries::none().with("health", "x"))
        .start()
        .await;
    assert_eq!(
        missing.err().unwrap().to_string(),
        "Probe: there is no executable `probe` (Metadata.BuildProperties.Binary); there are: health"
    );
}
