//! The services of AWS that keep credentials. Nothing here runs where `DATABASE_URL` says it all.

use std::{error::Error as StdError, time::Duration};

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_http_client::tls;
use secrecy::SecretString;
use url::Url;

use crate::{
    clock,
    config::{ConfigError, Store, Stored, database_url::DatabaseUrl},
    database::error::DatabaseError,
};

/// How long RDS accepts a token, and the longest that it may be signed for.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html>
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What a service answers when asking again would not help, until an operator acts. By code, from
/// the API references of both services.
const PERMANENT: [&str; 14] = [
    "AccessDeniedException",
    "DecryptionFailure",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidKeyId",
    "InvalidParameterException",
    "InvalidRequestException",
    "ParameterNotFound",
    "ParameterVersionNotFound",
    "ResourceNotFoundException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
];

/// Why there are no credentials. Holds no secret, and can be told to every invocation that waited.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct FetchError {
    text: String,
    permanent: bool,
}

impl FetchError {
    fn permanent(text: String) -> Self {
        Self {
            text,
            permanent: true,
        }
    }

    fn passing(text: String) -> Self {
        Self {
            text,
            permanent: false,
        }
    }

    /// The service did not answer in time.
    pub(super) fn late(variable: &str) -> Self {
        Self::passing(format!("{variable}: no answer in time"))
    }

    /// What was fetched is of no use.
    pub(super) fn unusable(error: ConfigError) -> Self {
        Self::permanent(error.to_string())
    }

    /// What the function answers.
    pub(super) fn of(self, variable: &'static str) -> DatabaseError {
        if self.permanent {
            let what = self.text;
            ConfigError::Stored { variable, what }.into()
        } else {
            DatabaseError::CredentialsUnavailable(self.into())
        }
    }
}

/// The stored text. With a client of its own: fetches are rare, and a connection that was kept
/// would be dead after a freeze.
pub(super) async fn fetch(
    stored: &Stored,
    time_limit: Duration,
) -> Result<SecretString, FetchError> {
    let config = sdk(time_limit).await;
    let text = match stored.store {
        Store::SecretsManager => {
            aws_sdk_secretsmanager::Client::new(&config)
                .get_secret_value()
                .secret_id(&stored.id)
                .send()
                .await
                .map_err(refusal)?
                .secret_string
        }
        Store::ParameterStore => aws_sdk_ssm::Client::new(&config)
            .get_parameter()
            .name(&stored.id)
            .with_decryption(true)
            .send()
            .await
            .map_err(refusal)?
            .parameter
            .and_then(|parameter| parameter.value),
    };
    text.map(SecretString::from)
        .ok_or_else(|| FetchError::permanent("it holds no text".to_owned()))
}

/// Signs tokens with the function's own role.
#[derive(Debug)]
pub(super) struct Signer(SdkConfig);

impl Signer {
    pub(super) async fn new(time_limit: Duration) -> Self {
        Self(sdk(time_limit).await)
    }

    /// A token for one login: a signed URL without its scheme, in place of a password.
    /// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html>
    pub(super) async fn token(&self, database: &DatabaseUrl) -> Result<SecretString, FetchError> {
        let missing = |what: &str| FetchError::permanent(format!("a token needs {what}"));
        let region = self.0.region().ok_or_else(|| missing("AWS_REGION"))?;
        let provider = self.0.credentials_provider();
        let provider = provider.ok_or_else(|| missing("the role's credentials"))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials
            .map_err(|error| FetchError::passing(chain(&error)))?
            .into();

        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(TOKEN_LIFETIME);
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region.as_ref())
            .name("rds-db")
            .time(clock::now())
            .settings(settings)
            .build()
            .map_err(|error| FetchError::permanent(error.to_string()))?
            .into();
        let (host, port) = (&database.host, database.port);
        let mut url = Url::parse(&format!("https://{host}:{port}/"))
            .map_err(|error| FetchError::permanent(error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("Action", "connect")
            .append_pair("DBUser", &database.user);
        let request = SignableRequest::new(
            "GET",
            url.as_str(),
            std::iter::empty(),
            SignableBody::Bytes(&[]),
        );
        let signed = request
            .and_then(|request| sign(request, &parameters))
            .map_err(|error| FetchError::permanent(chain(&error)))?;
        let (instructions, _) = signed.into_parts();
        for (name, value) in instructions.params() {
            url.query_pairs_mut().append_pair(name, value);
        }
        let url = String::from(url);
        Ok(url.trim_start_matches("https://").into())
    }
}

/// The SDK's configuration. Half of the time for one attempt: what is lost is asked for once more.
pub(crate) async fn sdk(time_limit: Duration) -> SdkConfig {
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(
            tls::rustls_provider::CryptoMode::Ring,
        ))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(time_limit / 2)
        .build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .timeout_config(timeouts)
        .load()
        .await
}

/// What the service said, or why it said nothing. Never the response itself: it may hold the secret.
fn refusal<E, R>(error: SdkError<E, R>) -> FetchError
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: std::fmt::Debug,
{
    match &error {
        SdkError::ServiceError(said) => {
            let code = said.err().code().unwrap_or("an error without a code");
            let text = match said.err().message() {
                Some(message) => format!("{code}: {message}"),
                None => code.to_owned(),
            };
            if PERMANENT.contains(&code) {
                FetchError::permanent(text)
            } else {
                FetchError::passing(text)
            }
        }
        SdkError::ConstructionFailure(_) => FetchError::permanent(chain(&error)),
        _ => FetchError::passing(chain(&error)),
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        parts.push(cause.to_string());
        source = cause.source();
    }
    parts.join(": ")
}
