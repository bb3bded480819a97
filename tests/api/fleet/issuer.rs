//! The fleet's own issuer, as an OpenID Connect client and a local process meet it.

use fleet::{Fleet, StartError, issuer};
use http::{Method, Request};
use http_body_util::Full;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use crate::support::{
    clinic::{Clinic, run_test},
    probe::{get, probe, send},
};

#[tokio::test]
async fn discovery_leads_to_keys_that_verify_a_token() {
    let fleet = probe().start().await.unwrap();
    let issuer = fleet.issuer().url();
    let discovery = issuer.strip_prefix(&fleet.url()).unwrap();
    let discovery = format!("{discovery}/.well-known/openid-configuration");
    let found = get(&fleet, &discovery).await.json();
    assert_eq!(found["issuer"], issuer);
    let keys = found["jwks_uri"].as_str().unwrap();
    let keys = get(&fleet, keys.strip_prefix(&fleet.url()).unwrap()).await;
    assert!(
        !keys.text().contains("\"d\""),
        "nothing private in {keys:?}"
    );
    let keys: JwkSet = serde_json::from_slice(&keys.body).unwrap();

    let token = fleet.token("doctor", "doctor-1");
    let key_id = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = DecodingKey::from_jwk(keys.find(&key_id).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[fleet.issuer().audience()]);
    let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
    assert_eq!(claims.claims["sub"], "doctor-1");
    assert_eq!(claims.claims["cognito:groups"], json!(["doctor"]));
    fleet.shutdown().await;
}

#[tokio::test]
async fn tokens_are_for_those_who_ask_this_machine_by_its_address() {
    let fleet = probe().start().await.unwrap();
    let ask = async |host: &str, method: Method| {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/@fleet/token", fleet.url()))
            .header("host", host);
        send(request.body(Full::from("role=staff")).unwrap()).await
    };
    let authority = fleet.address().to_string();
    let port = fleet.address().port();
    assert_eq!(ask(&authority, Method::POST).await.status, 200);
    let localhost = format!("localhost:{port}");
    assert_eq!(ask(&localhost, Method::POST).await.status, 200);
    // What a browser sends for a page whose name was pointed at this machine.
    let rebound = ask(&format!("attacker.example:{port}"), Method::POST).await;
    assert_eq!(rebound.status, 421);
    assert!(!rebound.text().contains("eyJ"), "{rebound:?}");
    // An address that is merely opened gives nothing away.
    assert_eq!(ask(&authority, Method::GET).await.status, 404);

    let known = issuer::ask(port, "staff", "").await.unwrap();
    assert_eq!(known.split('.').count(), 3);
    let refused = issuer::ask(port, "doctor", "00000000-0000-4000-8000-000000000001").await;
    let said = refused.unwrap_err().to_string();
    assert_eq!(
        said,
        "this fleet knows no rows: ask for a token with role=staff"
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_issuers_paths_are_not_the_apis() {
    let taken = "
Resources:
  Probe:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: probe } }
    Properties:
      Events: { One: { Type: HttpApi, Properties: { Method: GET, Path: '/@fleet/{proxy+}' } } }
";
    let refused = probe().template_text(taken).start().await.err().unwrap();
    assert!(
        matches!(refused, StartError::ReservedPath { .. }),
        "{refused}"
    );
    assert_eq!(
        refused.to_string(),
        "Probe: GET /@fleet/{proxy+} begins with /@fleet, which is the fleet's own"
    );

    // A route that would match everything gets everything else.
    let greedy = taken.replace("/@fleet/{proxy+}", "/{proxy+}");
    let fleet: Fleet = probe().template_text(greedy).start().await.unwrap();
    let keys = get(&fleet, "/@fleet/jwks.json").await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    let beside = get(&fleet, "/@fleets").await.json();
    assert_eq!(beside["event"]["rawPath"], "/@fleets");
    fleet.shutdown().await;
}

#[tokio::test]
async fn every_route_that_shows_anything_asks_for_a_token() {
    run_test(Clinic::open(), async |clinic| {
        let doctor = clinic.doctor("Dr. Okafor", "UTC").await;
        let patient = clinic.patient("Mrs. Lindqvist").await;
        let tokens = [
            clinic.doctor_token(doctor).await,
            clinic.patient_token(patient).await,
        ];
        for route in clinic.fleet.routes() {
            let (method, path) = route.split_once(' ').unwrap();
            let path = path.replace("{id}", &doctor.to_string());
            let method: Method = method.parse().unwrap();
            let reply = clinic.send(method, &path, None, &[], None).await;
            if path == "/api/live" || path == "/api/openapi.json" {
                assert_eq!(reply.status, 200, "{route}");
            } else {
                assert_eq!(reply.status, 401, "{route}");
                assert_eq!(reply.json(), json!({ "message": "Unauthorized" }));
            }
        }
        // What its bearer may do is the functions' to say; the gateway lets both in.
        for token in tokens {
            let reply = clinic.get_as(&token, "/api/doctors").await;
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    })
    .await;
}
