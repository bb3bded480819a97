//! Events that no well-meaning client causes.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::clinic::{Clinic, run_test};

/// An event as API Gateway sends it, with this path, query and host.
fn event(path: &str, query: &str, host: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "GET /api/doctors",
        "rawPath": path,
        "rawQueryString": query,
        "headers": { "host": host, "x-forwarded-proto": "https" },
        "requestContext": {
            "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "" },
            "requestId": "1", "routeKey": "GET /api/doctors", "stage": "$default", "time": "", "timeEpoch": 0,
            "authorizer": { "jwt": { "claims": { "sub": "s", "cognito:groups": "[staff]" }, "scopes": null } },
        },
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn no_path_query_or_host_is_more_than_a_bad_request() {
    run_test(Clinic::open(), async |clinic| {
        let paths = [
            "/api/doctors",
            "",
            "/",
            "//",
            "//evil.example/x",
            "/api/../..",
            "/a b",
            "/ü/日本",
            "/%",
            "/%zz",
            "/?#",
            "/\u{0}",
            "/\n",
            "/\\",
            "/[::]",
            "/{id}",
            "/'\"<>|^`",
            "no-slash",
            "http://other/",
        ];
        let queries = [
            "",
            "&",
            "=",
            "%",
            "%zz",
            "limit=%FF",
            "limit=1&&&",
            "a b",
            "<>\"`{}|\\^[]",
            "ü=日本",
            "\u{0}",
            "\n",
            "#",
            "?",
            "limit=%00",
            "%00=1",
        ];
        let hosts = ["api.example", "", "a b", "[::1", "::", "a:99999", "ü"];
        let long = "x".repeat(8000);
        let events = paths
            .iter()
            .map(|path| event(path, "", "api.example"))
            .chain(
                queries
                    .iter()
                    .map(|query| event("/api/doctors", query, "api.example")),
            )
            .chain(hosts.iter().map(|host| event("/api/doctors", "", host)))
            .chain([event(&format!("/{long}"), "", "h"), event("/", &long, "h")]);
        for event in events {
            let answer = clinic.fleet.invoke("doctors", event.clone()).await;
            let answer = answer.unwrap_or_else(|error| panic!("{event}: {error}"));
            let status = answer["statusCode"].as_u64().unwrap();
            assert!(status == 200 || status == 400, "{event}: {answer}");
        }
        assert_eq!(clinic.fleet.environments("doctors").len(), 1);
        assert_eq!(clinic.get("/api/doctors").await.status, StatusCode::OK);
    })
    .await;
}
