//! The gateway lets in whom API Gateway's JWT authorizer lets in, and tells functions who it is.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use fleet::{Binaries, Builder, Fleet, issuer::Issuer};
use http::{Method, header::WWW_AUTHENTICATE};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::probe::{Reply, get, get_as, send_as};

/// The probe behind an authorizer, with one route open and one that asks for scopes.
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
  Probe:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: probe } }
    Properties:
      Events:
        Closed: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: /closed } }
        Open:
          Type: HttpApi
          Properties: { ApiId: !Ref Api, Method: GET, Path: /open, Auth: { Authorizer: NONE } }
        Scoped:
          Type: HttpApi
          Properties:
            { ApiId: !Ref Api, Method: GET, Path: /scoped, Auth: { AuthorizationScopes: [read, all] } }
";

fn guarded() -> Builder {
    let binaries = Binaries::none().with("probe", env!("CARGO_BIN_EXE_probe"));
    Fleet::builder().template_text(TEMPLATE).binaries(binaries)
}

/// A token of the fleet's with other claims or another header; otherwise a good one.
fn odd(fleet: &Fleet, change: impl FnOnce(&mut Header, &mut Value)) -> String {
    let issuer = fleet.issuer();
    let mut header = issuer.header();
    let mut claims = issuer.claims("doctor", "doctor-1");
    change(&mut header, &mut claims);
    issuer.sign(&header, &claims)
}

/// Seconds since 1970, so many from now.
fn in_seconds(seconds: i64) -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    i64::try_from(now).unwrap() + seconds
}

/// Asserts the gateway's own refusal; what its challenge says.
fn refused(reply: &Reply, what: &str) -> String {
    assert_eq!(reply.status, 401, "{what}: {reply:?}");
    assert_eq!(reply.json(), json!({ "message": "Unauthorized" }));
    assert!(reply.headers.contains_key("apigw-requestid"));
    let challenge = reply.headers[WWW_AUTHENTICATE].to_str().unwrap();
    challenge.to_owned()
}

#[tokio::test]
async fn claims_reach_the_function_as_texts() {
    let fleet = guarded().start().await.unwrap();
    let token = odd(&fleet, |_, claims| {
        claims["cognito:groups"] = json!(["doctor", "staff"]);
        claims["email_verified"] = json!(true);
        claims["address"] = json!({ "country": "FR" });
        claims["nickname"] = Value::Null;
    });
    let claims = fleet.issuer().claims("doctor", "doctor-1");
    let event = get_as(&fleet, &token, "/closed").await.json()["event"].take();
    let jwt = &event["requestContext"]["authorizer"]["jwt"];
    let expected = json!({
        "iss": fleet.issuer().url(),
        "aud": fleet.issuer().audience(),
        "sub": "doctor-1",
        "cognito:groups": "[doctor staff]",
        "token_use": "id",
        "email_verified": "true",
        "address": r#"{"country":"FR"}"#,
        "iat": jwt["claims"]["iat"],
        "exp": jwt["claims"]["exp"],
    });
    assert_eq!(jwt["claims"], expected);
    let issued: i64 = jwt["claims"]["iat"].as_str().unwrap().parse().unwrap();
    let expires: i64 = jwt["claims"]["exp"].as_str().unwrap().parse().unwrap();
    assert!(claims["iat"].as_i64().unwrap() - issued <= 5);
    assert_eq!(expires - issued, 3_600);
    assert_eq!(jwt["scopes"], Value::Null);
    assert_eq!(
        event["headers"]["authorization"],
        format!("Bearer {token}"),
        "the function sees the header too"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_token_is_taken_with_its_scheme_and_without() {
    let fleet = guarded().start().await.unwrap();
    let token = fleet.token("doctor", "doctor-1");
    for value in [
        token.clone(),
        format!("Bearer {token}"),
        format!("bearer {token}"),
    ] {
        let headers = [("authorization", value.as_str())];
        let reply = send_as(&fleet, Method::GET, "/closed", None, &headers, None).await;
        assert_eq!(reply.status, 200, "{value}");
    }
    for value in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b"] {
        let headers = [("authorization", value)];
        let reply = send_as(&fleet, Method::GET, "/closed", None, &headers, None).await;
        refused(&reply, value);
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_refuses_it() {
    let fleet = guarded().start().await.unwrap();
    let foreign = Issuer::new(fleet.issuer().url().to_owned()).await.unwrap();
    let good = fleet.token("doctor", "doctor-1");
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let claims = fleet.issuer().claims("staff", "staff");
    let keys = get(&fleet, "/@fleet/jwks.json").await.json();
    let modulus = BASE64_URL_SAFE_NO_PAD
        .decode(keys["keys"][0]["n"].as_str().unwrap())
        .unwrap();
    let unsigned = |header: &Value| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(header), part(&claims))
    };
    let key_id = fleet.issuer().header().kid;
    let none = json!({ "alg": "none", "typ": "JWT", "kid": key_id });
    let hs256 = Header {
        alg: Algorithm::HS256,
        ..fleet.issuer().header()
    };
    let by_public_key =
        |key: &[u8]| jsonwebtoken::encode(&hs256, &claims, &EncodingKey::from_secret(key)).unwrap();
    let other_claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let (header, _) = signed.split_once('.').unwrap();

    let cases = [
        (
            "not a token",
            "not-a-token".to_owned(),
            "token contains an invalid number of segments",
        ),
        (
            "no JSON in it",
            "a.b.c".to_owned(),
            "the token cannot be decoded",
        ),
        ("alg none", unsigned(&none), "the token cannot be decoded"),
        (
            "alg none with a signature",
            format!("{}{signature}", unsigned(&none)),
            "the token cannot be decoded",
        ),
        (
            "HS256 with the public key's modulus",
            by_public_key(&modulus),
            "the token's algorithm is not supported",
        ),
        (
            "HS256 with the public key as it is served",
            by_public_key(keys["keys"][0].to_string().as_bytes()),
            "the token's algorithm is not supported",
        ),
        (
            "other claims under the signature",
            format!("{header}.{other_claims}.{signature}"),
            "the token's signature is invalid",
        ),
        (
            "no signature",
            format!("{signed}."),
            "the token's signature is invalid",
        ),
        (
            "another key that says it is ours",
            foreign.sign(&fleet.issuer().header(), &claims),
            "the token's signature is invalid",
        ),
        (
            "another key",
            foreign.token("staff", "staff"),
            "the token's key is not known",
        ),
        (
            "no key named",
            odd(&fleet, |header, _| header.kid = None),
            "the token does not name its key",
        ),
        (
            "another issuer",
            odd(&fleet, |_, claims| {
                claims["iss"] = json!("https://issuer.example")
            }),
            "the token does not have a valid issuer",
        ),
        (
            "no issuer",
            odd(&fleet, |_, claims| claims["iss"] = Value::Null),
            "the token is invalid",
        ),
        (
            "another audience",
            odd(&fleet, |_, claims| claims["aud"] = json!("elsewhere")),
            "the token does not have a valid audience",
        ),
        (
            "no audience",
            odd(&fleet, |_, claims| {
                drop(claims.as_object_mut().unwrap().remove("aud"))
            }),
            "the token does not have a valid audience",
        ),
        (
            "another audience beside our client_id",
            odd(&fleet, |_, claims| {
                claims["client_id"] = claims["aud"].take();
                claims["aud"] = json!(["elsewhere"]);
            }),
            "the token does not have a valid audience",
        ),
        (
            "expired",
            odd(&fleet, |_, claims| claims["exp"] = json!(in_seconds(-1))),
            "the token has expired",
        ),
        (
            "no expiry",
            odd(&fleet, |_, claims| {
                drop(claims.as_object_mut().unwrap().remove("exp"))
            }),
            "the token is invalid",
        ),
        (
            "not valid yet",
            odd(&fleet, |_, claims| claims["nbf"] = json!(in_seconds(60))),
            "the token is not valid yet",
        ),
        (
            "issued in the future",
            odd(&fleet, |_, claims| claims["iat"] = json!(in_seconds(60))),
            "the token was issued in the future",
        ),
    ];
    for (what, token, why) in cases {
        let challenge = refused(&get_as(&fleet, &token, "/closed").await, what);
        let expected =
            format!(r#"Bearer scope="" error="invalid_token" error_description="{why}""#);
        assert_eq!(challenge, expected, "{what}");
    }
    let without = send_as(&fleet, Method::GET, "/closed", None, &[], None).await;
    assert_eq!(refused(&without, "no token"), "Bearer");
    assert_eq!(fleet.counters("probe").started, 0, "no function was asked");
    assert_eq!(get_as(&fleet, &good, "/closed").await.status, 200);
    fleet.shutdown().await;
}

#[tokio::test]
async fn what_is_documented_as_good_is_let_in() {
    let fleet = guarded().start().await.unwrap();
    let ours = fleet.issuer().audience();
    for (what, token) in [
        (
            "RS512",
            odd(&fleet, |header, _| header.alg = Algorithm::RS512),
        ),
        (
            "one of several audiences",
            odd(&fleet, |_, claims| claims["aud"] = json!(["x", ours])),
        ),
        (
            "client_id in place of the audience",
            odd(&fleet, |_, claims| {
                claims["client_id"] = json!(ours);
                claims.as_object_mut().unwrap().remove("aud");
            }),
        ),
        (
            "valid for a while",
            odd(&fleet, |_, claims| claims["nbf"] = json!(in_seconds(-60))),
        ),
        (
            "nothing that is not asked for",
            odd(&fleet, |_, claims| {
                claims
                    .as_object_mut()
                    .unwrap()
                    .retain(|name, _| ["iss", "aud", "exp"].contains(&name.as_str()));
            }),
        ),
    ] {
        assert_eq!(
            get_as(&fleet, &token, "/closed").await.status,
            200,
            "{what}"
        );
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_route_that_asks_for_scopes_wants_one_of_them() {
    let fleet = guarded().start().await.unwrap();
    for (claim, scopes) in [
        ("scope", json!("write read")),
        ("scp", json!(["write", "read"])),
        ("scp", json!("write read")),
    ] {
        let token = odd(&fleet, |_, claims| claims[claim] = scopes.clone());
        let event = get_as(&fleet, &token, "/scoped").await.json()["event"].take();
        let jwt = &event["requestContext"]["authorizer"]["jwt"];
        assert_eq!(jwt["scopes"], json!(["write", "read"]), "{claim} {scopes}");
    }
    for scopes in [Value::Null, json!("write"), json!("readonly"), json!("")] {
        let token = odd(&fleet, |_, claims| claims["scope"] = scopes.clone());
        let reply = get_as(&fleet, &token, "/scoped").await;
        assert_eq!(reply.status, 403, "{scopes}");
        assert_eq!(reply.json(), json!({ "message": "Forbidden" }));
        assert_eq!(
            reply.headers[WWW_AUTHENTICATE],
            r#"Bearer scope="read all" error="insufficient_scope""#
        );
    }
    let expired = odd(&fleet, |_, claims| {
        claims["scope"] = json!("read");
        claims["exp"] = json!(in_seconds(-1));
    });
    refused(&get_as(&fleet, &expired, "/scoped").await, "expired");
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_open_route_looks_at_no_token_and_an_unknown_one_is_not_found() {
    let fleet = guarded().start().await.unwrap();
    for token in [
        None,
        Some("nonsense"),
        Some(&*fleet.token("staff", "staff")),
    ] {
        let open = send_as(&fleet, Method::GET, "/open", token, &[], None).await;
        let event = open.json()["event"].take();
        assert!(event["requestContext"].get("authorizer").is_none());
        let unknown = send_as(&fleet, Method::GET, "/nothing", token, &[], None).await;
        assert_eq!(unknown.status, 404, "the route comes before the token");
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn tokens_of_one_fleet_are_nothing_to_another() {
    let (one, other) = (
        guarded().start().await.unwrap(),
        guarded().start().await.unwrap(),
    );
    let token = one.token("staff", "staff");
    assert_eq!(get_as(&one, &token, "/closed").await.status, 200);
    refused(&get_as(&other, &token, "/closed").await, "another fleet's");
    one.shutdown().await;
    other.shutdown().await;
}
