//! Who vouches for the fleet's users: an OpenID Connect issuer with a key of its own.
//!
//! On AWS that is Cognito or whichever provider the template's parameters name. Here the fleet
//! makes a key when it starts and takes it along when it ends: no token outlives its fleet, none is
//! good at another one, and there is no secret to keep.

mod client;
pub(crate) mod endpoint;

use std::io;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use chrono::TimeDelta;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use pem::Pem;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::now;

pub use self::client::{NoToken, ask};
pub use self::endpoint::{NoSubject, SubjectOf};

/// Whom the tokens are for: what would be the id of the app client in Cognito.
const AUDIENCE: &str = "headroom-local";

/// How long a token is good for: an hour, as Cognito's unless configured otherwise.
/// <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html>
const LIFETIME: TimeDelta = TimeDelta::hours(1);

/// An issuer of tokens. See [`Fleet::issuer`](crate::Fleet::issuer).
pub struct Issuer {
    url: String,
    key_id: String,
    private: EncodingKey,
    jwk: Jwk,
    public: DecodingKey,
}

impl Issuer {
    /// An issuer at this URL, with a new key. Making one takes about a tenth of a second, and is
    /// done where it holds up nobody.
    ///
    /// # Errors
    /// When no random numbers are to be had, or no thread.
    pub async fn new(url: String) -> io::Result<Self> {
        let made = tokio::task::spawn_blocking(|| Self::with_new_key(url));
        made.await.map_err(io::Error::other)?
    }

    fn with_new_key(url: String) -> io::Result<Self> {
        // RSA, because API Gateway's JWT authorizers know no other keys, and of Cognito's size.
        // https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(io::Error::other)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(io::Error::other)?;
        let pem = pem::encode(&Pem::new("PRIVATE KEY", der.as_ref()));
        let private = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(io::Error::other)?;
        let key_id = Uuid::new_v4().to_string();
        let mut jwk =
            Jwk::from_encoding_key(&private, Algorithm::RS256).map_err(io::Error::other)?;
        jwk.common.key_id = Some(key_id.clone());
        let public = DecodingKey::from_jwk(&jwk).map_err(io::Error::other)?;
        Ok(Self {
            url,
            key_id,
            private,
            jwk,
            public,
        })
    }

    /// The claim `iss`: where discovery begins.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whom the tokens are for: the claim `aud`.
    pub fn audience(&self) -> &'static str {
        AUDIENCE
    }

    /// The header of an ordinary token: RS256 and the key's id.
    pub fn header(&self) -> Header {
        Header {
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::RS256)
        }
    }

    /// The claims of an ordinary token, named as in a Cognito ID token: issued now, good for an
    /// hour.
    /// <https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-id-token.html>
    pub fn claims(&self, role: &str, subject: &str) -> Value {
        let now = now();
        json!({
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "cognito:groups": [role],
            "token_use": "id",
            "iat": now.timestamp(),
            "exp": (now + LIFETIME).timestamp(),
        })
    }

    /// A token with exactly this header and these claims, in the header's algorithm, which has to
    /// be one of RSA's: any other is a mistake in the caller and panics.
    pub fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private)
            .unwrap_or_else(|error| panic!("{:?}: {error}", header.alg))
    }

    /// An ordinary token.
    pub fn token(&self, role: &str, subject: &str) -> String {
        self.sign(&self.header(), &self.claims(role, subject))
    }

    /// The public key with this id.
    pub(crate) fn key(&self, id: &str) -> Option<&DecodingKey> {
        (id == self.key_id).then_some(&self.public)
    }

    /// The public keys, as they are served.
    fn keys(&self) -> JwkSet {
        JwkSet {
            keys: vec![self.jwk.clone()],
        }
    }
}
