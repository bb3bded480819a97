use super::super::{Parameters, Route, parse};
use super::{Cors, HttpApi, Protection};

/// A template with an API (a flow mapping of its properties) and a function's events.
fn read(api: &str, events: &str) -> Result<HttpApi, String> {
    let text = format!(
        "
Parameters:
  Origin: {{ Type: String, Default: https://a.example }}
  Issuer: {{ Type: String }}
Resources:
  Api: {{ Type: AWS::Serverless::HttpApi, Properties: {api} }}
  Visits:
    Type: AWS::Serverless::Function
    Metadata: {{ BuildProperties: {{ Binary: visits }} }}
    Properties: {{ Events: {events} }}
"
    );
    let template = parse(&text, &Parameters::new()).map_err(|error| error.to_string())?;
    template.http_api.map_err(|error| error.to_string())
}

/// An event on the API with this `Auth`.
fn event(path: &str, auth: &str) -> String {
    format!(
        "{{ Type: HttpApi, Properties: {{ ApiId: !Ref Api, Method: GET, Path: {path}{auth} }} }}"
    )
}

const GUARDED: &str = "{ Auth: { DefaultAuthorizer: Jwt, Authorizers: { Jwt: {
    IdentitySource: $request.header.Authorization, AuthorizationScopes: [visit],
    JwtConfiguration: { issuer: !Ref Issuer, audience: [clinic] } } } } }";

#[test]
fn the_default_guards_every_route_that_does_not_say_otherwise() {
    let events = format!(
        "{{ One: {}, Two: {}, Three: {} }}",
        event("/one", ""),
        event("/two", ", Auth: { Authorizer: NONE }"),
        event("/three", ", Auth: { AuthorizationScopes: [read, write] }"),
    );
    let api = read(GUARDED, &events).expect("a template");
    let key = |(route, protection): (Route, Protection)| (route.key(), protection.scopes);
    let protected: Vec<(String, Vec<String>)> = api.protected.into_iter().map(key).collect();
    let scopes = |scopes: &[&str]| scopes.iter().map(ToString::to_string).collect();
    assert_eq!(
        protected,
        [
            ("GET /one".to_owned(), scopes(&["visit"])),
            ("GET /three".to_owned(), scopes(&["read", "write"])),
        ]
    );
    assert_eq!(api.cors, None);
}

#[test]
fn without_authorizers_everything_is_open() {
    let events = format!("{{ One: {} }}", event("/one", ""));
    assert_eq!(read("{ StageName: x }", &events), Ok(HttpApi::default()));
}

#[test]
fn cors_lists_are_written_out_with_parameters_in_them() {
    let api = "{ CorsConfiguration: { AllowOrigins: [!Ref Origin, 'https://b.example'], AllowMethods: [GET],
        AllowHeaders: [authorization], MaxAge: 600, AllowCredentials: true } }";
    let expected = Cors {
        allow_origins: vec![
            "https://a.example".to_owned(),
            "https://b.example".to_owned(),
        ],
        allow_methods: vec!["GET".to_owned()],
        allow_headers: vec!["authorization".to_owned()],
        expose_headers: Vec::new(),
        allow_credentials: true,
        max_age: Some(600),
    };
    assert_eq!(read(api, "{}").map(|api| api.cors), Ok(Some(expected)));
    let said = read("{ CorsConfiguration: { AllowOrigins: !Ref Origin } }", "{}");
    assert_eq!(
        said,
        Err(
            "Api: CorsConfiguration.AllowOrigins is !Ref Origin; accepted is a list of texts"
                .to_owned()
        )
    );
}

#[test]
fn what_would_leave_a_route_unguarded_is_refused() {
    let refused =
        |api: &str, event: &str| read(api, &format!("{{ One: {event} }}")).expect_err("refused");
    for (auth, says) in [
        (
            ", Auth: { Authorizer: Other }",
            "Api: Auth.Authorizers.Other is missing",
        ),
        (
            ", Auth: { Authorizer: AWS_IAM }",
            "Api: Auth.Authorizers.AWS_IAM is missing",
        ),
        (
            ", Auth: { AuthorizationScopes: { a: b } }",
            "Visits: Events.One.Auth.AuthorizationScopes is a mapping",
        ),
    ] {
        let said = refused(GUARDED, &event("/one", auth));
        assert!(said.starts_with(says), "{said}");
    }
    let said = refused(
        GUARDED,
        "{ Type: HttpApi, Properties: { Method: GET, Path: /one } }",
    );
    assert_eq!(
        said,
        "Visits: Events.One.ApiId is missing; accepted is !Ref of the template's HTTP API"
    );
    for (from, to, says) in [
        (
            "$request.header.Authorization",
            "$request.querystring.t",
            "IdentitySource",
        ),
        (
            "audience: [clinic]",
            "other: 1",
            "JwtConfiguration.audience",
        ),
        ("issuer: !Ref Issuer, ", "", "JwtConfiguration.issuer"),
    ] {
        let said = refused(&GUARDED.replace(from, to), &event("/one", ""));
        let says = format!("Api: Auth.Authorizers.Jwt.{says} is ");
        assert!(said.starts_with(&says), "{said}");
    }
    let elsewhere = "Globals: { HttpApi: { Auth: { DefaultAuthorizer: Jwt } } }\nResources: {}";
    let template = parse(elsewhere, &Parameters::new()).expect("a template");
    let said = template.http_api.expect_err("refused");
    assert!(
        said.to_string().starts_with("Globals: HttpApi.Auth is "),
        "{said}"
    );
}
