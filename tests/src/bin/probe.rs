//! A function for the fleet's own tests: it shows what it was given, and does what it is told.
//!
//! Told by the query string (of an event, or of a payload made for it): `sleep_ms`, `panic`,
//! `exit` with a code, `print` a line, `reply` with the event's body as the whole answer. Told by
//! variables: `PROBE_GRACEFUL` registers a shutdown hook; `PROBE_EXIT_AT_START`,
//! `PROBE_HANG_AT_START`, `PROBE_INIT_ERROR` and `PROBE_MUTE_EXTENSION` (one that registers and
//! never polls) are ways not to get through initialisation.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    if variables.contains_key("PROBE_EXIT_AT_START") {
        eprintln!("probe: ending before the first poll");
        std::process::exit(3);
    }
    if variables.contains_key("PROBE_HANG_AT_START") {
        std::future::pending::<()>().await;
    }
    let api = &variables["AWS_LAMBDA_RUNTIME_API"];
    if variables.contains_key("PROBE_INIT_ERROR") {
        let error = r#"{"errorType":"Probe.Init","errorMessage":"told to fail"}"#;
        post(api, "/2018-06-01/runtime/init/error", error)?;
        std::future::pending::<()>().await;
    }
    if variables.contains_key("PROBE_MUTE_EXTENSION") {
        post(api, "/2020-01-01/extension/register", r#"{"events":[]}"#)?;
    }
    if variables.contains_key("PROBE_GRACEFUL") {
        lambda_runtime::spawn_graceful_shutdown_handler(|| async {
            println!("probe: hook ran");
        })
        .await;
    }
    lambda_runtime::run_concurrent(service_fn(handle)).await
}

/// Says something to the platform that its client library would not.
fn post(api: &str, path: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let mut stream = TcpStream::connect(api)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {api}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Lambda-Extension-Name: mute\r\n\r\n{body}"
    )?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (payload, context) = event.into_parts();
    let told = |name: &str| payload["queryStringParameters"][name].as_str();
    if let Some(line) = told("print") {
        println!("{line}");
    }
    if let Some(milliseconds) = told("sleep_ms") {
        tokio::time::sleep(Duration::from_millis(milliseconds.parse()?)).await;
    }
    if told("panic").is_some() {
        panic!("probe: told to panic");
    }
    if let Some(code) = told("exit") {
        std::process::exit(code.parse()?);
    }
    if told("reply").is_some() {
        return Ok(serde_json::from_str(
            payload["body"].as_str().unwrap_or("null"),
        )?);
    }
    let shown = json!({
        "event": payload,
        "pid": std::process::id(),
        "deadline_ms": context.deadline,
        "request_id": context.request_id,
        "arn": context.invoked_function_arn,
        "trace_id": context.xray_trace_id,
        "variables": std::env::vars().collect::<BTreeMap<String, String>>(),
    });
    Ok(json!({
        "statusCode": 200,
        "headers": { "content-type": "application/json" },
        "body": shown.to_string(),
    }))
}
