//! The gateway makes events and responses as API Gateway does.

use std::time::Duration;

use fleet::Fleet;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::probe::{Reply, get, live, probe, reply_with, send};

/// The event that the probe got for a path.
async fn event(fleet: &Fleet, path: &str) -> Value {
    let reply = get(fleet, path).await;
    assert_eq!(reply.status, 200, "{path}");
    reply.json()["event"].take()
}

#[tokio::test]
async fn a_rich_request_arrives_field_by_field() {
    let fleet = probe().start().await.unwrap();
    let authority = fleet.address().to_string();
    let path = "/doctors/J%C3%B6rg%20M/visits/a%2Fb?from=2024-01-01T00%3A00%3A00%2B01%3A00\
                &tag=one&tag=two&empty=&flag&plus=a+b";
    let request = Request::get(format!("{}{path}", fleet.url()))
        .header("User-Agent", "test/1")
        .header("X-Many", "one")
        .header("x-many", "two")
        .header("Cookie", "a=1; b=2")
        .header("cookie", "c=3")
        .header("X-Forwarded-For", "203.0.113.7")
        .header("X-Forwarded-Proto", "gopher")
        .header("X-Amzn-Trace-Id", "Root=1-claimed")
        .header("Host", "attacker.example")
        .header("Connection", "close");
    let reply = send(request.body(Full::default()).unwrap()).await;
    let event = reply.json()["event"].take();
    let context = &event["requestContext"];

    let trace_id = event["headers"]["x-amzn-trace-id"].as_str().unwrap();
    assert!(
        trace_id.starts_with("Root=1-") && trace_id.len() == 40,
        "{trace_id}"
    );
    let (time, epoch) = (
        context["time"].as_str().unwrap(),
        context["timeEpoch"].as_i64().unwrap(),
    );
    let parsed = chrono::DateTime::parse_from_str(time, "%d/%b/%Y:%H:%M:%S %z").unwrap();
    assert_eq!(parsed.timestamp(), epoch / 1_000);
    assert_eq!(
        reply.headers["apigw-requestid"],
        context["requestId"].as_str().unwrap()
    );

    let expected = json!({
        "version": "2.0",
        "routeKey": "GET /doctors/{id}/visits/{visit}",
        "rawPath": "/doctors/Jörg M/visits/a/b",
        "rawQueryString":
            "from=2024-01-01T00%3A00%3A00%2B01%3A00&tag=one&tag=two&empty=&flag&plus=a+b",
        "cookies": ["a=1", "b=2", "c=3"],
        "headers": {
            "content-length": "0",
            "host": authority,
            "user-agent": "test/1",
            "x-amzn-trace-id": trace_id,
            "x-forwarded-for": "203.0.113.7, 127.0.0.1",
            "x-forwarded-port": fleet.address().port().to_string(),
            "x-forwarded-proto": "http",
            "x-many": "one,two",
        },
        "queryStringParameters": {
            "from": "2024-01-01T00:00:00+01:00",
            "tag": "one,two",
            "empty": "",
            "flag": "",
            "plus": "a b",
        },
        "pathParameters": { "id": "Jörg M", "visit": "a/b" },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "headroom",
            "domainName": authority,
            "domainPrefix": "127",
            "http": {
                "method": "GET",
                "path": "/doctors/Jörg M/visits/a/b",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test/1",
            },
            "requestId": context["requestId"],
            "routeKey": "GET /doctors/{id}/visits/{visit}",
            "stage": "$default",
            "time": time,
            "timeEpoch": epoch,
        },
        "isBase64Encoded": false,
    });
    assert_eq!(event, expected);
    fleet.shutdown().await;
}

#[tokio::test]
async fn what_a_request_does_not_have_is_absent() {
    let fleet = probe().start().await.unwrap();
    let event = event(&fleet, "/probe?").await;
    for absent in ["cookies", "queryStringParameters", "pathParameters", "body"] {
        assert!(event.get(absent).is_none(), "{absent}: {event}");
    }
    assert_eq!(event["rawQueryString"], "");
    fleet.shutdown().await;
}

#[tokio::test]
async fn bodies_are_text_or_base64_by_content_type() {
    let fleet = probe().start().await.unwrap();
    let json_type = "application/json; charset=utf-8";
    let cases: [(&str, &[u8], &str, bool); 6] = [
        (json_type, b"{\"a\":1}", "{\"a\":1}", false),
        ("application/problem+json", b"{}", "{}", false),
        ("text/plain", "Grüße".as_bytes(), "Grüße", false),
        ("text/plain", b"\xff", "/w==", true),
        ("application/octet-stream", b"ab", "YWI=", true),
        ("application/x-www-form-urlencoded", b"a=1", "YT0x", true),
    ];
    for (content_type, body, expected, base64) in cases {
        let request =
            Request::post(format!("{}/probe", fleet.url())).header("content-type", content_type);
        let reply = send(request.body(Full::from(body.to_vec())).unwrap()).await;
        let event = reply.json()["event"].take();
        assert_eq!(event["body"], expected, "{content_type}");
        assert_eq!(event["isBase64Encoded"], base64, "{content_type}");
        assert_eq!(event["headers"]["content-length"], body.len().to_string());
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn greedy_and_any_routes_take_the_rest() {
    let fleet = probe().start().await.unwrap();
    let request = Request::patch(format!("{}/files/a%20b/c", fleet.url()));
    let event = send(request.body(Full::default()).unwrap()).await.json()["event"].take();
    assert_eq!(event["routeKey"], "ANY /files/{proxy+}");
    assert_eq!(event["pathParameters"], json!({ "proxy": "a b/c" }));
    assert_eq!(event["requestContext"]["http"]["method"], "PATCH");
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_gateway_answers_what_no_function_does() {
    let limit = Duration::from_millis(300);
    let fleet = probe().integration_timeout(limit).start().await.unwrap();
    let delete = Request::delete(format!("{}/probe", fleet.url()));
    let large = Request::post(format!("{}/probe", fleet.url()));
    let large = large
        .body(Full::from(vec![b'a'; 10 * 1024 * 1024 + 1]))
        .unwrap();
    let above_lambdas = Request::post(format!("{}/probe", fleet.url()));
    let above_lambdas = above_lambdas
        .body(Full::from(vec![b'a'; 7 * 1024 * 1024]))
        .unwrap();
    let cases = [
        (get(&fleet, "/nothing").await, 404, "Not Found"),
        (get(&fleet, "/probe/").await, 404, "Not Found"),
        (
            send(delete.body(Full::default()).unwrap()).await,
            404,
            "Not Found",
        ),
        (send(large).await, 413, "Request Entity Too Large"),
        (send(above_lambdas).await, 413, "Request Entity Too Large"),
    ];
    for (reply, status, message) in &cases {
        assert_own_answer(reply, *status, message);
    }
    assert_eq!(fleet.counters("probe").started, 0, "no function was asked");

    let late = get(&fleet, "/probe?sleep_ms=5000").await;
    assert_own_answer(&late, 503, "Service Unavailable");
    assert_eq!(
        live(&fleet)[0].served,
        0,
        "Lambda does not learn that the client is gone"
    );
    fleet.shutdown().await;
}

fn assert_own_answer(reply: &Reply, status: u16, message: &str) {
    assert_eq!(reply.status.as_u16(), status, "{reply:?}");
    assert_eq!(reply.json(), json!({ "message": message }));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert!(reply.headers.contains_key("apigw-requestid"));
}

#[tokio::test]
async fn answers_become_responses() {
    let fleet = probe().start().await.unwrap();
    let answer = json!({
        "statusCode": 201,
        "headers": { "X-One": "1", "X-Number": 2, "Content-Length": "9999" },
        "multiValueHeaders": { "x-two": ["a", "b"] },
        "cookies": ["a=1; Path=/", "b=2"],
        "body": "aGVsbG8=",
        "isBase64Encoded": true,
    });
    let reply = reply_with(&fleet, &answer.to_string()).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.headers["x-one"], "1");
    assert_eq!(reply.headers["x-number"], "2");
    let all = |name| reply.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("x-two"), ["a", "b"]);
    assert_eq!(all("set-cookie"), ["a=1; Path=/", "b=2"]);
    assert!(reply.headers.contains_key("apigw-requestid"));

    let inferred = reply_with(&fleet, r#"{"no":"status"}"#).await;
    assert_eq!(
        (inferred.status.as_u16(), inferred.text()),
        (200, r#"{"no":"status"}"#)
    );
    assert_eq!(inferred.headers["content-type"], "application/json");

    let malformed = reply_with(&fleet, r#"{"statusCode":"fine"}"#).await;
    assert_own_answer(&malformed, 500, "Internal Server Error");
    fleet.shutdown().await;
}

#[tokio::test]
async fn hostile_requests_are_answered_and_harm_nothing() {
    let fleet = probe().start().await.unwrap();
    let long = format!("/files/{}", "a".repeat(50_000));
    let targets: [&[u8]; 14] = [
        b"/doctors/%00/visits/1",
        b"/doctors/%2F%2f/visits/%2e%2e",
        b"/doctors/../visits/..",
        b"//doctors//1/visits/1",
        b"/doctors/%ff%fe/visits/%C3",
        b"/doctors/%/visits/%zz",
        b"/files/%0d%0aX-Injected:%20yes?a=%0d%0a",
        b"/probe?%00=%ff&&&=&=a&%",
        b"/probe?a=%f0%9f%92%a9&b[]=1&c='\"",
        b"http://elsewhere.example/probe",
        b"*",
        b"/probe#fragment",
        b"/files/\xc3\xb6",
        long.as_bytes(),
    ];
    for target in targets {
        let shown = String::from_utf8_lossy(target).into_owned();
        let answer = raw(&fleet, target).await;
        let status: u16 = answer
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        assert!(
            matches!(status, 200 | 400 | 404 | 414 | 431),
            "{shown}: {answer:?}"
        );
        assert!(
            !answer.to_ascii_lowercase().contains("\r\nx-injected"),
            "{shown}"
        );
    }
    assert_eq!(
        event(&fleet, "/doctors/%ff/visits/1").await["pathParameters"]["id"],
        "\u{fffd}"
    );
    assert_eq!(event(&fleet, "/files/%00").await["rawPath"], "/files/\0");
    assert_eq!(
        fleet.counters("probe").started,
        1,
        "the same process throughout"
    );
    fleet.shutdown().await;
}

/// The head of the answer to a request whose target no client would send.
async fn raw(fleet: &Fleet, target: &[u8]) -> String {
    let mut stream = TcpStream::connect(fleet.address())
        .await
        .expect("the gateway listens");
    let request = [
        b"GET ",
        target,
        b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    .concat();
    // The server may answer and hang up before it has read everything.
    let _ = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer
        .split("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_owned()
}
