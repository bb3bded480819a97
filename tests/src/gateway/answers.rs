//! What API Gateway says on its own account, in one place, each with where that is written or
//! was seen.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};

/// An answer of the gateway itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: &'static str,
    /// `www-authenticate`.
    pub(crate) challenge: Option<String>,
}

/// No route matches. There is no 405: a known path with another method ends here too.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>
pub(crate) const NOT_FOUND: Answer = Answer {
    status: StatusCode::NOT_FOUND,
    body: r#"{"message":"Not Found"}"#,
    challenge: None,
};

/// Lambda refuses the invocation because the reserved concurrency is in use.
///
/// Lambda's own API answers 429 `TooManyRequestsException`
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>). How an HTTP API passes that
/// on is not documented; for REST APIs it is "a 500 error code"
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway-errors.html>), and 503 has
/// been reported. The fleet keeps Lambda's status, so that a throttle can be told from a failure.
pub(crate) const THROTTLED: Answer = Answer {
    status: StatusCode::TOO_MANY_REQUESTS,
    body: r#"{"message":"Too Many Requests"}"#,
    challenge: None,
};

/// The function failed or ran out of its own time, or what it answered is no response.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html>
pub(crate) const FUNCTION_FAILED: Answer = Answer {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    body: r#"{"message":"Internal Server Error"}"#,
    challenge: None,
};

/// The function took longer than the 30 s that an integration may take.
///
/// Not documented for HTTP APIs; seen with the header `apigw-requestid`, which only they send, at
/// <https://github.com/cortexlabs/cortex/issues/1225>. The 504 `Endpoint request timed out` that
/// is found more often is the REST API's.
pub(crate) const TIMED_OUT: Answer = Answer {
    status: StatusCode::SERVICE_UNAVAILABLE,
    body: r#"{"message":"Service Unavailable"}"#,
    challenge: None,
};

/// The request's body is above 10 MB, or the event made of it above Lambda's 6 MB.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub(crate) const TOO_LARGE: Answer = Answer {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    body: r#"{"message":"Request Entity Too Large"}"#,
    challenge: None,
};

/// The route asks for a token, and there is no good one. The challenge says why, where there is a
/// token at all, in the form and with the text of
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-jwt.html>;
/// for other reasons AWS documents no texts, and for no token `Bearer` alone was seen.
pub(crate) fn unauthorized(why: Option<&str>) -> Answer {
    let challenge = why.map_or_else(
        || "Bearer".to_owned(),
        |why| format!(r#"Bearer scope="" error="invalid_token" error_description="{why}""#),
    );
    Answer {
        status: StatusCode::UNAUTHORIZED,
        body: r#"{"message":"Unauthorized"}"#,
        challenge: Some(challenge),
    }
}

/// The token is good and has none of the scopes that the route asks for. The challenge is RFC
/// 6750's in the form of the other one; AWS documents none.
pub(crate) fn forbidden(scopes: &[String]) -> Answer {
    let scopes = scopes.join(" ");
    Answer {
        status: StatusCode::FORBIDDEN,
        body: r#"{"message":"Forbidden"}"#,
        challenge: Some(format!(
            r#"Bearer scope="{scopes}" error="insufficient_scope""#
        )),
    }
}

impl Answer {
    pub(crate) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        if let Some(challenge) = self
            .challenge
            .and_then(|text| HeaderValue::try_from(text).ok())
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
