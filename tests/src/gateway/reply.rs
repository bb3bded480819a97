//! What a function answered, as an HTTP response.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html#http-api-develop-integrations-lambda.response>

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Payload format 2.0's response, as far as a function may leave things out.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status_code: u16,
    headers: Option<Map<String, Value>>,
    /// Format 1.0's, which the gateway honours here too.
    multi_value_headers: Option<Map<String, Value>>,
    cookies: Option<Vec<String>>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

/// The response for an answer. None when the answer is malformed.
pub(super) fn response(answer: &[u8]) -> Option<Response<Body>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.get("statusCode").is_none() {
        return Some(inferred(&answer));
    }
    let reply: Reply = serde_json::from_value(answer).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in reply.headers.into_iter().flatten() {
        append(&mut headers, &name, &value)?;
    }
    for (name, values) in reply.multi_value_headers.into_iter().flatten() {
        for value in values.as_array()? {
            append(&mut headers, &name, value)?;
        }
    }
    for cookie in reply.cookies.into_iter().flatten() {
        headers.append(SET_COOKIE, HeaderValue::from_str(&cookie).ok()?);
    }
    // The gateway frames the response itself; a length that the function got wrong would break it.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    let body = reply.body.unwrap_or_default();
    let body = if reply.is_base64_encoded.unwrap_or_default() {
        BASE64_STANDARD.decode(body).ok()?
    } else {
        body.into_bytes()
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(reply.status_code)?;
    *response.headers_mut() = headers;
    Some(response)
}

/// Without a status code the whole answer is the body; a string as its text.
fn inferred(answer: &Value) -> Response<Body> {
    let body = match answer {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A status that ends a response: an informational one would leave the client waiting.
fn status(code: u16) -> Option<StatusCode> {
    let code = StatusCode::from_u16(code).ok()?;
    (!code.is_informational()).then_some(code)
}

fn append(headers: &mut HeaderMap, name: &str, value: &Value) -> Option<()> {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    headers.append(name, HeaderValue::from_str(&value).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::response;

    #[test]
    fn malformed_answers_are_none() {
        for answer in [
            "",
            "not json",
            r#"{"statusCode":"ok"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":101}"#,
            r#"{"statusCode":200,"headers":{"bad name":"x"}}"#,
            r#"{"statusCode":200,"headers":{"x":"a\nb"}}"#,
            r#"{"statusCode":200,"headers":{"x":[1]}}"#,
            r#"{"statusCode":200,"body":{"not":"text"}}"#,
            r#"{"statusCode":200,"body":"%","isBase64Encoded":true}"#,
        ] {
            assert!(response(answer.as_bytes()).is_none(), "{answer}");
        }
    }

    #[test]
    fn without_a_status_code_the_answer_is_the_body() {
        for answer in [r#""hello""#, r#"{"a":1}"#, "[1]", "null"] {
            let response = response(answer.as_bytes()).expect("a response");
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()["content-type"], "application/json");
        }
    }
}
