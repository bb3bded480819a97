//! A request as the event of an HTTP API, payload format 2.0.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::routes::decode;
use crate::invocation::trace_id;
use crate::version::ACCOUNT_ID;

/// The API's id in events.
const API_ID: &str = "headroom";

/// Between a client and the gateway only; never part of an event.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What the gateway knows of a request besides the request.
pub(super) struct Context<'a> {
    /// Where clients reach the gateway, `host:port`.
    pub(super) authority: &'a str,
    pub(super) source_ip: IpAddr,
    /// `apigw-requestid`, not Lambda's.
    pub(super) request_id: &'a str,
    pub(super) route_key: &'a str,
    pub(super) path_parameters: &'a BTreeMap<String, String>,
    /// `requestContext.authorizer`; none for an open route.
    pub(super) authorizer: Option<Value>,
    pub(super) received: DateTime<Utc>,
}

/// The event for a request.
pub(super) fn event(request: &Parts, body: &[u8], context: &Context<'_>) -> Value {
    let raw_path = decode(request.uri.path());
    let raw_query = request.uri.query().unwrap_or_default();
    let user_agent = request.headers.get(USER_AGENT);
    let mut event = json!({
        "version": "2.0",
        "routeKey": context.route_key,
        "rawPath": raw_path,
        "rawQueryString": raw_query,
        "headers": headers(&request.headers, body.len(), context),
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": API_ID,
            "domainName": context.authority,
            "domainPrefix": context.authority.split('.').next(),
            "http": {
                "method": request.method.as_str(),
                "path": raw_path,
                "protocol": protocol(request.version),
                "sourceIp": context.source_ip.to_string(),
                "userAgent": user_agent.map(|value| text(value.as_bytes())).unwrap_or_default(),
            },
            "requestId": context.request_id,
            "routeKey": context.route_key,
            "stage": "$default",
            "time": context.received.format("%d/%b/%Y:%H:%M:%S %z").to_string(),
            "timeEpoch": context.received.timestamp_millis(),
        },
        "isBase64Encoded": false,
    });
    if let Some(authorizer) = &context.authorizer {
        event["requestContext"]["authorizer"] = authorizer.clone();
    }
    let cookies = cookies(&request.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let query = query_parameters(raw_query);
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query);
    }
    if !context.path_parameters.is_empty() {
        event["pathParameters"] = json!(context.path_parameters);
    }
    if !body.is_empty() {
        match std::str::from_utf8(body) {
            Ok(body) if is_text(&request.headers) => event["body"] = json!(body),
            _ => {
                event["body"] = json!(BASE64_STANDARD.encode(body));
                event["isBase64Encoded"] = json!(true);
            }
        }
    }
    event
}

/// Lower-case names, repeated ones joined by commas, cookies taken out, and the gateway's own in
/// place of what a client may have claimed. Only `x-forwarded-for` is continued, as every proxy
/// does: the last address is the one that the gateway saw.
fn headers(
    sent: &HeaderMap,
    body_length: usize,
    context: &Context<'_>,
) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for name in sent.keys() {
        if *name != COOKIE && !HOP_BY_HOP.contains(name) {
            headers.insert(name.as_str().to_owned(), joined(sent, name));
        }
    }
    let forwarded_for = match headers.remove("x-forwarded-for") {
        Some(before) => format!("{before}, {}", context.source_ip),
        None => context.source_ip.to_string(),
    };
    let port = context.authority.rsplit(':').next().unwrap_or_default();
    headers.extend(
        [
            (HOST.as_str(), context.authority.to_owned()),
            (CONTENT_LENGTH.as_str(), body_length.to_string()),
            ("x-amzn-trace-id", trace_id()),
            ("x-forwarded-for", forwarded_for),
            ("x-forwarded-port", port.to_owned()),
            // The fleet speaks plain HTTP, and links built from the event have to work.
            ("x-forwarded-proto", "http".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    headers
}

pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values = headers.get_all(name).iter();
    let values: Vec<String> = values.map(|value| text(value.as_bytes())).collect();
    values.join(",")
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let split = |value: String| -> Vec<String> {
        let cookies = value.split(';').map(str::trim);
        cookies
            .filter(|cookie| !cookie.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let values = headers.get_all(COOKIE).iter();
    values
        .flat_map(|value| split(text(value.as_bytes())))
        .collect()
}

/// Decoded, repeated keys joined by commas.
fn query_parameters(raw: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in form_urlencoded::parse(raw.as_bytes()) {
        parameters
            .entry(key.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// Whether a body of this content type is passed on as it is. AWS documents no list: text, JSON,
/// XML and JavaScript arrive as text, forms and everything else as base64; so does whatever is
/// compressed.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let content_type = text(content_type.as_bytes()).to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || matches!(
            essence,
            "application/json" | "application/xml" | "application/javascript"
        )
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
