//! An HTTP API of API Gateway, as a client and a function see it.

mod answers;
mod authorizer;
mod cors;
mod event;
mod reply;
pub(crate) mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderValue, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use shared::operator::template::{Cors, Protection};
use tokio::net::TcpListener;
use uuid::Uuid;

use self::answers::{Answer, FUNCTION_FAILED, NOT_FOUND, THROTTLED, TIMED_OUT, TOO_LARGE};
use self::routes::Routes;
use crate::clock::now;
use crate::function::Function;
use crate::invocation::InvokeError;
use crate::issuer::{Issuer, SubjectOf, endpoint};
use crate::runtime_api::MOST_PAYLOAD_BYTES;

/// Largest body of a request, in bytes.
const MOST_BODY_BYTES: usize = 10 * 1024 * 1024;

/// How long API Gateway waits for a function.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
pub(crate) const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// An API in front of functions.
pub(crate) struct Gateway {
    /// Where clients reach it, `host:port`.
    pub(crate) authority: String,
    pub(crate) routes: Routes<Target>,
    pub(crate) cors: Option<Cors>,
    pub(crate) issuer: Arc<Issuer>,
    /// Whose token the issuer gives to local processes.
    pub(crate) subject_of: Option<SubjectOf>,
    pub(crate) integration_timeout: Duration,
}

/// Where a route leads.
pub(crate) struct Target {
    pub(crate) function: Arc<Function>,
    /// None where the route is open.
    pub(crate) protection: Option<Protection>,
}

/// Answers requests until the shutdown completes, then those that had begun.
pub(crate) async fn run(
    listener: TcpListener,
    gateway: Gateway,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let service = Router::new()
        .fallback(handle)
        .with_state(Arc::new(gateway))
        .into_make_service_with_connect_info::<SocketAddr>();
    // Accepting goes on after every failed connection, so this has no error to report.
    let _ = axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await;
}

async fn handle(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    if endpoint::is_local(request.uri().path()) {
        let subject_of = gateway.subject_of.as_ref();
        return endpoint::respond(&gateway.issuer, subject_of, &gateway.authority, request).await;
    }
    let request_id = request_id();
    let mut response = gateway
        .respond(client, &request_id, request)
        .await
        .unwrap_or_else(Answer::response);
    if let Ok(request_id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("apigw-requestid", request_id);
    }
    response
}

impl Gateway {
    /// The function's response, or the gateway's own answer in its place. The order is API
    /// Gateway's: a route, else a preflight; the authorizer; the integration.
    async fn respond(
        &self,
        client: SocketAddr,
        request_id: &str,
        request: Request,
    ) -> Result<Response<Body>, Answer> {
        let (parts, body) = request.into_parts();
        let Some(found) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            let cors = self.cors.as_ref();
            let preflight =
                cors.and_then(|cors| cors::preflight(cors, &parts.method, &parts.headers));
            return preflight.ok_or(NOT_FOUND);
        };
        let authorizer = match &found.target.protection {
            Some(protection) => {
                let authorized = authorizer::authorize(&parts.headers, protection, &self.issuer);
                Some(authorized?)
            }
            None => None,
        };
        let body = to_bytes(body, MOST_BODY_BYTES)
            .await
            .map_err(|_| TOO_LARGE)?;
        let context = event::Context {
            authority: &self.authority,
            source_ip: client.ip(),
            request_id,
            route_key: &found.route_key,
            path_parameters: &found.path_parameters,
            authorizer,
            received: now(),
        };
        let event = Bytes::from(event::event(&parts, &body, &context).to_string());
        if event.len() > MOST_PAYLOAD_BYTES {
            return Err(TOO_LARGE);
        }
        let invocation = found.target.function.invoke(event);
        let mut response = match tokio::time::timeout(self.integration_timeout, invocation).await {
            Ok(Ok(answer)) => reply::response(&answer).ok_or(FUNCTION_FAILED),
            Ok(Err(InvokeError::Throttled)) => Err(THROTTLED),
            // A timeout of its own is a failure of the function like any other.
            Ok(Err(InvokeError::Function(_) | InvokeError::TimedOut(_))) => Err(FUNCTION_FAILED),
            Err(_) => Err(TIMED_OUT),
        }?;
        if let Some(cors) = &self.cors {
            cors::apply(cors, parts.headers.get(ORIGIN), &mut response);
        }
        Ok(response)
    }
}

/// Sixteen characters of base64 with the sign at the end, as API Gateway forms them.
fn request_id() -> String {
    BASE64_STANDARD.encode(&Uuid::new_v4().into_bytes()[..11])
}
