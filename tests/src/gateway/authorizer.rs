//! The JWT authorizer: whose token is good for a route, and how its claims reach the function.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html>

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde_json::{Map, Value, json};
use shared::operator::template::Protection;

use super::answers::{Answer, forbidden, unauthorized};
use super::event::joined;
use crate::clock::now;
use crate::issuer::Issuer;

/// "Currently, only RSA-based algorithms are supported": RSASSA-PKCS1-v1_5, which RFC 7518 gives
/// these names.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

/// Verifies the request's token; `requestContext.authorizer` of the event.
///
/// # Errors
/// The gateway's answer: 401 without a good token, 403 where a good one has none of the scopes.
pub(super) fn authorize(
    headers: &HeaderMap,
    protection: &Protection,
    issuer: &Issuer,
) -> Result<Value, Answer> {
    let token = token(headers).ok_or_else(|| unauthorized(None))?;
    let claims = verify(&token, issuer).map_err(|why| unauthorized(Some(why)))?;
    let granted = scopes(&claims);
    let wanted = &protection.scopes;
    if !wanted.is_empty() && !granted.iter().any(|scope| wanted.contains(scope)) {
        return Err(forbidden(wanted));
    }
    let texts: Map<String, Value> = claims
        .into_iter()
        .filter_map(|(name, value)| Some((name, Value::String(text(value)?))))
        .collect();
    // Null where the route asks for none, as in the event of
    // https://github.com/DefinitelyTyped/DefinitelyTyped/pull/75458.
    let scopes = (!wanted.is_empty()).then_some(granted);
    Ok(json!({ "jwt": { "claims": texts, "scopes": scopes } }))
}

/// The identity source `$request.header.Authorization`: "only the token, or the token prefixed
/// with `Bearer`".
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers
        .contains_key(AUTHORIZATION)
        .then(|| joined(headers, &AUTHORIZATION))?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") => token.trim(),
        _ => value.trim(),
    };
    (!token.is_empty()).then(|| token.to_owned())
}

/// The claims of a token that everything documented holds for. `exp`, `nbf` and `iat` are compared
/// without leeway: the documentation grants none.
fn verify(token: &str, issuer: &Issuer) -> Result<Map<String, Value>, &'static str> {
    if token.split('.').count() != 3 {
        // Word for word, as seen.
        return Err("token contains an invalid number of segments");
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| "the token cannot be decoded")?;
    let key_id = header.kid.ok_or("the token does not name its key")?;
    let key = issuer.key(&key_id).ok_or("the token's key is not known")?;

    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = ALGORITHMS.to_vec();
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss"]);
    validation.set_issuer(&[issuer.url()]);
    // The rule about `client_id` is not the library's.
    validation.validate_aud = false;
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, key, &validation)
        .map_err(|error| described(error.kind()))?
        .claims;

    // "API Gateway validates client_id only if aud is not present."
    let audience = claims.get("aud").or_else(|| claims.get("client_id"));
    let is_ours = match audience {
        Some(Value::String(audience)) => audience == issuer.audience(),
        Some(Value::Array(audiences)) => audiences.iter().any(|one| one == issuer.audience()),
        _ => false,
    };
    if !is_ours {
        // Word for word, as documented.
        return Err("the token does not have a valid audience");
    }
    let issued = claims.get("iat").map(Value::as_f64);
    if issued.is_some_and(|at| at.is_none_or(|at| at > now().timestamp() as f64)) {
        return Err("the token was issued in the future");
    }
    Ok(claims)
}

/// A reason in the words of the two that are known: AWS documents one text and shows another.
fn described(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token does not have a valid issuer",
        ErrorKind::InvalidAlgorithm => "the token's algorithm is not supported",
        ErrorKind::InvalidSignature => "the token's signature is invalid",
        _ => "the token is invalid",
    }
}

/// `scope` is a text with spaces between (RFC 8693), `scp` what some issuers send in its place, often as
/// a list.
fn scopes(claims: &Map<String, Value>) -> Vec<String> {
    match claims.get("scp").or_else(|| claims.get("scope")) {
        Some(Value::String(scopes)) => scopes.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(scopes)) => scopes
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

/// A claim as the function gets it: always a text, a list as `[doctor staff]`, and nothing for
/// null. AWS shows texts alone; the rest was measured at
/// <https://github.com/floci-io/floci/pull/2011>.
fn text(claim: Value) -> Option<String> {
    match claim {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Array(values) => {
            let texts: Vec<String> = values.into_iter().filter_map(text).collect();
            Some(format!("[{}]", texts.join(" ")))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => Some(claim.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::text;

    #[test]
    fn claims_are_texts() {
        for (claim, expected) in [
            (json!("a b"), Some("a b")),
            (json!(1_787_992_402), Some("1787992402")),
            (json!(true), Some("true")),
            (json!(["doctor", "staff"]), Some("[doctor staff]")),
            (json!([]), Some("[]")),
            // Which no function can tell from two elements.
            (json!(["ex staff"]), Some("[ex staff]")),
            (json!([1, null, "x"]), Some("[1 x]")),
            (json!({ "a": [1] }), Some(r#"{"a":[1]}"#)),
            (json!(null), None),
        ] {
            assert_eq!(text(claim.clone()).as_deref(), expected, "{claim}");
        }
    }
}
