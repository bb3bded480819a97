//! Asks a running fleet for a token.

use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::form_urlencoded;

use super::endpoint::TOKEN_PATH;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum NoToken {
    /// Nothing listens there.
    #[error(
        "no fleet answers on port {port} of 127.0.0.1 ({source}); \
         start one with `make run`, or name its port with PORT"
    )]
    NoFleet {
        /// The port asked.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something listens, but does not speak as a fleet does.
    #[error("what answers on port {port} of 127.0.0.1 is no fleet: {says}")]
    NotAFleet {
        /// The port asked.
        port: u16,
        /// What it did.
        says: String,
    },
    /// The fleet refuses; what it says names what is accepted.
    #[error("{0}")]
    Refused(String),
}

/// A token from the fleet on this port of 127.0.0.1. Without an id, `id` is empty.
///
/// # Errors
/// [`NoToken`].
pub async fn ask(port: u16, role: &str, id: &str) -> Result<String, NoToken> {
    let stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .map_err(|source| NoToken::NoFleet { port, source })?;
    let not_a_fleet = |says: String| NoToken::NotAFleet { port, says };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_a_fleet(error.to_string()))?;
    // It ends with the sender; how is seen there.
    tokio::spawn(connection);
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("role", role)
        .append_pair("id", id)
        .finish();
    let request = Request::post(TOKEN_PATH)
        .header(HOST, format!("127.0.0.1:{port}"))
        .body(Full::<Bytes>::from(form))
        .map_err(|error| not_a_fleet(error.to_string()))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| not_a_fleet(error.to_string()))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| not_a_fleet(error.to_string()))?
        .to_bytes();
    let says = String::from_utf8_lossy(&body).trim().to_owned();
    match status.as_u16() {
        200 => Ok(says),
        400 => Err(NoToken::Refused(says)),
        _ => Err(not_a_fleet(format!("it answers {status}"))),
    }
}
