//! The gateway lets browsers in as an HTTP API with a `CorsConfiguration` does.

use fleet::{Binaries, Builder, Fleet};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::support::probe::{Reply, send_as};

const TEMPLATE: &str = "
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers:
          Jwt:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: { issuer: 'https://issuer.example', audience: [clinic] }
      CorsConfiguration:
        AllowOrigins: [ORIGINS]
        AllowMethods: [GET, POST]
        AllowHeaders: [authorization, if-match]
        ExposeHeaders: [etag]
        MaxAge: 600
  Probe:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: probe } }
    Properties:
      Events:
        Get: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /probe } }
        Send: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: POST, Path: /probe } }
        Own: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: OPTIONS, Path: /own } }
";

async fn fleet(origins: &str) -> Fleet {
    let binaries = Binaries::none().with("probe", env!("CARGO_BIN_EXE_probe"));
    let template = TEMPLATE.replace("ORIGINS", origins);
    let builder: Builder = Fleet::builder().template_text(template).binaries(binaries);
    builder.start().await.unwrap()
}

/// The headers about origins, sorted.
fn cors(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-"))
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    found.sort_unstable();
    found
}

async fn preflight(fleet: &Fleet, path: &str, origin: &str) -> Reply {
    let headers = [("origin", origin), ("access-control-request-method", "GET")];
    send_as(fleet, Method::OPTIONS, path, None, &headers, None).await
}

#[tokio::test]
async fn preflights_are_answered_without_a_token_or_a_function() {
    let fleet = fleet("'https://app.example'").await;
    let reply = preflight(&fleet, "/probe", "https://app.example").await;
    assert_eq!(reply.status, 204);
    assert!(reply.body.is_empty());
    assert_eq!(
        cors(&reply.headers),
        [
            ("access-control-allow-headers", "authorization,if-match"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-max-age", "600"),
        ]
    );
    for origin in [
        "https://other.example",
        "http://app.example",
        "https://app.example.evil.example",
        "null",
    ] {
        let reply = preflight(&fleet, "/probe", origin).await;
        assert_eq!(reply.status, 204, "{origin}");
        assert_eq!(cors(&reply.headers), [], "{origin}");
    }
    // Not a preflight: no method is asked about.
    let headers = [("origin", "https://app.example")];
    let reply = send_as(&fleet, Method::OPTIONS, "/probe", None, &headers, None).await;
    assert_eq!(reply.status, 404);
    // A route for OPTIONS is a route like any other, and asks for a token.
    let reply = preflight(&fleet, "/own", "https://app.example").await;
    assert_eq!(reply.status, 401);
    assert_eq!(fleet.counters("probe").started, 0, "no function was asked");
    fleet.shutdown().await;
}

#[tokio::test]
async fn answers_of_functions_get_the_configured_headers_and_keep_none_of_their_own() {
    let fleet = fleet("'https://app.example'").await;
    let token = fleet.token("staff", "staff");
    let answer = json!({
        "statusCode": 200,
        "headers": { "Access-Control-Allow-Origin": "*", "access-control-max-age": "1", "etag": "x" },
    });
    let send = async |origin: &[(&str, &str)], body: &Value| {
        let path = "/probe?reply=1";
        send_as(&fleet, Method::POST, path, Some(&token), origin, Some(body)).await
    };
    let reply = send(&[("origin", "https://app.example")], &answer).await;
    assert_eq!(
        cors(&reply.headers),
        [
            ("access-control-allow-origin", "https://app.example"),
            ("access-control-expose-headers", "etag"),
        ]
    );
    assert_eq!(reply.headers["etag"], "x");
    for origin in [&[][..], &[("origin", "https://other.example")]] {
        let reply = send(origin, &answer).await;
        assert_eq!(reply.status, 200, "the browser refuses it, not the gateway");
        assert_eq!(cors(&reply.headers), [], "{origin:?}");
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn anybody_and_anybody_of_a_scheme_can_be_let_in() {
    for (origins, let_in, told) in [
        ("'*'", "https://app.example", "*"),
        ("'https://*'", "https://app.example", "https://app.example"),
        (
            "'http://*'",
            "http://localhost:5173",
            "http://localhost:5173",
        ),
    ] {
        let fleet = fleet(origins).await;
        let reply = preflight(&fleet, "/probe", let_in).await;
        let allowed = &reply.headers["access-control-allow-origin"];
        assert_eq!(allowed, told, "{origins}");
        fleet.shutdown().await;
    }
    let fleet = fleet("'http://*'").await;
    let reply = preflight(&fleet, "/probe", "https://app.example").await;
    assert_eq!(cors(&reply.headers), []);
    fleet.shutdown().await;
}
