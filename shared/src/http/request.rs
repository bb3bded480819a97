//! One invocation's request: path and query, read and checked, and the way to the database.

use std::{collections::BTreeMap, sync::Arc};

use headers::{ContentType, HeaderMapExt, IfMatch};
use lambda_http::{
    RequestExt,
    aws_lambda_events::apigw::ApiGatewayV2httpRequestContext,
    http::header::{CACHE_CONTROL, HeaderValue},
    request::RequestContext,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use unicode_normalization::UnicodeNormalization;
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    config::Claims,
    database::{pool::Statistics, reader::Reader, transaction::Change},
    http::{
        auth::Caller,
        idempotency::{Key, MAX_KEY, Once, Repeatable},
        invocation::Invocation,
        problem::Error,
        refusal::Refusal,
        response::{self, Answer, Document, Response},
        telemetry::access_log,
    },
};

/// A request, and what its handler may use.
#[derive(Debug)]
pub struct Request {
    http: lambda_http::Request,
    invocation: Invocation,
    claims: Arc<Claims>,
}

impl Request {
    pub(crate) fn new(
        http: lambda_http::Request,
        invocation: Invocation,
        claims: Arc<Claims>,
    ) -> Self {
        Self {
            http,
            invocation,
            claims,
        }
    }

    /// Who calls, by the claims that API Gateway verified.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] where it verified none.
    pub fn caller(&self) -> Result<Caller, Error> {
        let claims = self.context().and_then(|context| {
            let jwt = context.authorizer.as_ref()?.jwt.as_ref()?;
            Some(&jwt.claims)
        });
        Caller::read(claims, &self.claims)
    }

    /// The key of the route that API Gateway chose, such as `GET /api/doctors/{id}`: how a function of
    /// several routes tells them apart.
    pub fn route(&self) -> &str {
        self.context()
            .and_then(|context| context.route_key.as_deref())
            .unwrap_or_default()
    }

    fn context(&self) -> Option<&ApiGatewayV2httpRequestContext> {
        match self.http.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        }
    }

    /// One line in the log for whose data is shown: who saw it, by which route, and all patients'
    /// ids. No clinical text, and no query string, which holds names and phone numbers.
    pub fn log_access(&self, caller: &Caller, patients: impl IntoIterator<Item = Uuid>) {
        let mut patients: Vec<Uuid> = patients.into_iter().collect();
        patients.sort_unstable();
        patients.dedup();
        if !patients.is_empty() {
            access_log::shown(caller, self.route(), &patients);
        }
    }

    /// A UUID in the path, such as the `id` of `/api/doctors/{id}`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is none.
    pub fn path_id(&self, name: &str) -> Result<Uuid, Error> {
        let parameters = self.http.path_parameters_ref();
        parameters
            .and_then(|parameters| parameters.first(name))
            // The other spellings that a parser would take are not what the API hands out.
            .filter(|text| text.len() == 36)
            .and_then(|text| Uuid::try_parse(text).ok())
            .ok_or_else(|| {
                Error::BadRequest(format!(
                    "{name} in the path must be a UUID such as 00000000-0000-4000-8000-000000000001"
                ))
            })
    }

    /// The query string, read into the route's own type. That type denies unknown fields, so that
    /// a misspelt parameter is an error instead of a silently different answer. A parameter
    /// without a value counts as absent.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the parameter and what is accepted.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let refuse = |what: String| Error::BadRequest(format!("in the query string: {what}"));
        let query = self.http.uri().query().unwrap_or_default();
        let mut given = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !value.is_empty() && given.insert(name.clone(), value).is_some() {
                return Err(refuse(format!("`{name}` is given more than once")));
            }
        }
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(given)
            .finish();
        serde_html_form::from_str(&query).map_err(|error| refuse(error.to_string()))
    }

    /// For routes that take no parameter: refuses any.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names it.
    pub fn no_query(&self) -> Result<(), Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        self.query().map(|Nothing {}| ())
    }

    /// The body, read into the route's own type, which denies unknown fields.
    ///
    /// # Errors
    /// [`Error::UnsupportedMediaType`] where it is not said to be JSON; [`Error::BadRequest`], which
    /// names the field and what is accepted.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let content_type = self.http.headers().typed_get::<ContentType>();
        let is_json = content_type.is_some_and(|content_type| {
            let mime: mime::Mime = content_type.into();
            mime.essence_str() == mime::APPLICATION_JSON.essence_str()
        });
        if !is_json {
            return Err(Error::UnsupportedMediaType);
        }
        let refuse = |what: String| Error::BadRequest(format!("in the body: {what}"));
        let text: &[u8] = self.http.body().as_ref();
        // Serde would also take a list of a type's fields, in their order.
        if text.trim_ascii_start().first() != Some(&b'{') {
            return Err(refuse("it must be a JSON object".to_owned()));
        }
        let body = &mut serde_json::Deserializer::from_slice(text);
        // The path to the field: what is wrong with a text says nothing about which one it is.
        let value = serde_path_to_error::deserialize(&mut *body);
        let value = value.map_err(|error| refuse(error.to_string()))?;
        body.end()
            .map_err(|error| refuse(format!("one JSON value and nothing after it: {error}")))?;
        Ok(value)
    }

    /// What the client has seen of the thing that it changes.
    ///
    /// # Errors
    /// [`Refusal::PreconditionRequired`] where it does not say; [`Error::BadRequest`] where what it
    /// says is no entity tag.
    pub fn if_match(&self) -> Result<IfMatch, Error> {
        let given = self.http.headers().typed_try_get::<IfMatch>();
        given
            .map_err(|_| Error::BadRequest("If-Match must hold an ETag".to_owned()))?
            .ok_or_else(|| Refusal::PreconditionRequired.into())
    }

    /// The client's Idempotency-Key, if it sent one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is empty, too long or not ASCII.
    pub fn idempotency_key(&self, caller: &Caller) -> Result<Option<Key>, Error> {
        let Some(key) = self.http.headers().get("idempotency-key") else {
            return Ok(None);
        };
        let key = key.to_str().ok();
        let key = key.filter(|key| (1..=MAX_KEY).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Error::BadRequest(format!(
                "Idempotency-Key must be 1 to {MAX_KEY} printable ASCII characters"
            ))
        })?;
        Ok(Some(Key {
            key: key.to_owned(),
            subject: caller.subject().to_owned(),
            route: self.route().to_owned(),
            path: self
                .context()
                .and_then(|context| context.http.path.clone())
                .unwrap_or_default(),
            body: self.http.body().as_ref().to_vec(),
        }))
    }

    /// Where reads run: the environment's pool, within the invocation's deadline.
    ///
    /// # Errors
    /// [`Error::InvalidConfiguration`] where the pool cannot be made, and
    /// [`Error::CredentialsUnavailable`] where what it logs in with cannot be fetched.
    pub async fn reader(&self) -> Result<Reader<'_>, Error> {
        self.invocation.reader().await
    }

    /// Makes a change in one transaction, within the invocation's deadline.
    ///
    /// # Errors
    /// The change's own, and any of [`Error`]'s database classes.
    pub async fn write<C: Change<Error = Error>>(&self, change: &C) -> Result<C::Outcome, Error> {
        self.invocation.write(change).await
    }

    /// Makes a change, or, where the caller made it before with the same Idempotency-Key, gives the
    /// same answer again.
    ///
    /// # Errors
    /// As for [`Request::write`], and those of [`Request::idempotency_key`].
    pub async fn write_once<C>(&self, caller: &Caller, change: &C) -> Result<Answer, Error>
    where
        C: Repeatable,
    {
        let key = self.idempotency_key(caller)?;
        let key = key.as_ref();
        self.write(&Once { change, key }).await
    }

    /// The answer to a change; logs whose data it shows.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where a header is none, which is a defect.
    pub fn answer(&self, caller: &Caller, answer: Answer) -> Result<Response, Error> {
        self.log_access(caller, answer.patients.iter().copied());
        answer.response()
    }

    /// The answer that shows one thing that can be changed: with a strong entity tag for If-Match, 304
    /// if the client has it already.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the value has no JSON form, which is a defect.
    pub fn resource(&self, value: &impl Serialize) -> Result<Response, Error> {
        let body = response::json(value)?;
        let tag = response::strong_tag(&body);
        response::shown(self.http.headers(), body, &tag)
    }

    /// The answer that shows a list or figures: with a weak entity tag, because it may be compressed,
    /// and 304 if the client has it already.
    ///
    /// # Errors
    /// As for [`Request::resource`].
    pub fn json(&self, value: &impl Serialize) -> Result<Response, Error> {
        let body = response::json(value)?;
        let tag = response::weak_tag(&body);
        response::shown(self.http.headers(), body, &tag)
    }

    /// The answer that shows a document of the API's own: the same for every caller, it holds nothing of
    /// anybody's. It may be kept for some minutes, and is asked for again by its tag.
    ///
    /// # Errors
    /// As for [`Request::resource`].
    pub fn document(&self, document: &Document) -> Result<Response, Error> {
        let mut response = response::shown(self.http.headers(), document.text, &document.tag)?;
        let kept = HeaderValue::from_static("public, max-age=300");
        response.headers_mut().insert(CACHE_CONTROL, kept);
        Ok(response)
    }

    /// What the environment's pool holds.
    ///
    /// # Errors
    /// Those of [`Request::reader`].
    pub async fn pool_statistics(&self) -> Result<Statistics, Error> {
        self.invocation.pool_statistics().await
    }
}

/// The longest text that a list can be searched for, in characters; names are no longer.
pub(crate) const MAX_SEARCH_TEXT: usize = 200;

/// A text to search for, composed as texts are stored; an empty one searches for nothing.
///
/// # Errors
/// [`Error::BadRequest`] where it is longer than any name, or holds control characters, which the
/// database could not store either.
pub fn search_text(name: &str, text: Option<&str>) -> Result<Option<String>, Error> {
    let Some(text) = text else {
        return Ok(None);
    };
    if text.chars().count() > MAX_SEARCH_TEXT || text.chars().any(char::is_control) {
        return Err(Error::BadRequest(format!(
            "{name} must be at most {MAX_SEARCH_TEXT} characters, none of them a control character"
        )));
    }
    let text: String = text.trim().nfc().collect();
    Ok(Some(text).filter(|text| !text.is_empty()))
}
