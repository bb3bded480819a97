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

/// The path, query and host of those that are bad requests. The others are answered.
const REFUSED: [(&str, &str, &str); 0] = [];

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
        let long_path = format!("/{long}");
        let paths = paths.iter().map(|path| (*path, "", "api.example"));
        let queries = queries
            .iter()
            .map(|query| ("/api/doctors", *query, "api.example"));
        let hosts = hosts.iter().map(|host| ("/api/doctors", "", *host));
        let long_ones = [(long_path.as_str(), "", "h"), ("/", long.as_str(), "h")];
        let mut refused = Vec::new();
        for (path, query, host) in paths.chain(queries).chain(hosts).chain(long_ones) {
            let answer = clinic
                .fleet
                .invoke("doctors", event(path, query, host))
                .await;
            let answer = answer.unwrap_or_else(|error| panic!("{path} {query} {host}: {error}"));
            match answer["statusCode"].as_u64() {
                Some(200) => {}
                Some(400) => refused.push((path, query, host)),
                _ => panic!("{path} {query} {host}: {answer}"),
            }
        }
        assert_eq!(refused, REFUSED);
        assert_eq!(clinic.fleet.environments("doctors").len(), 1);
        assert_eq!(clinic.get("/api/doctors").await.status, StatusCode::OK);
    })
    .await;
}
