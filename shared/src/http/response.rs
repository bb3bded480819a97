//! Answers: JSON with an entity tag, kept by no cache where what is shown is about patients.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};
use lambda_http::http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::http::{problem::Error, refusal::Refusal};

/// What a handler answers.
pub type Response = lambda_http::Response<lambda_http::Body>;

/// Says that an answer is the first one to the same Idempotency-Key, again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// An answer to a change, in a form that can be stored and given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers beyond the ones of every answer: ETag, Location.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: String,
    /// Whose data it shows.
    pub patients: Vec<Uuid>,
    /// Whether it was given before, to the same Idempotency-Key.
    pub replayed: bool,
    /// Whether its entity tag is that of another thing than what it shows.
    tags_another: bool,
}

/// Marks a response whose strong entity tag does not name its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagsAnother;

impl Answer {
    /// The answer that shows one thing, with a strong entity tag.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where the value has no JSON form, which is a defect.
    pub fn showing(
        status: StatusCode,
        value: &impl Serialize,
        patients: Vec<Uuid>,
    ) -> Result<Self, Error> {
        let body = json(value)?;
        Ok(Self {
            headers: vec![(header::ETAG.to_string(), strong_tag(&body))],
            body,
            patients,
            ..Self::empty(status)
        })
    }

    /// The answer to something created at `location`.
    ///
    /// # Errors
    /// As for [`Answer::showing`].
    pub fn created(
        location: String,
        value: &impl Serialize,
        patients: Vec<Uuid>,
    ) -> Result<Self, Error> {
        let mut answer = Self::showing(StatusCode::CREATED, value, patients)?;
        answer
            .headers
            .push((header::LOCATION.to_string(), location));
        Ok(answer)
    }

    /// The answer that shows nothing.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            headers: Vec::new(),
            body: String::new(),
            patients: Vec::new(),
            replayed: false,
            tags_another: false,
        }
    }

    /// An answer as it was given before.
    pub(crate) fn again(
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
        patients: Vec<Uuid>,
    ) -> Self {
        Self {
            status,
            headers,
            body,
            patients,
            replayed: true,
            tags_another: false,
        }
    }

    /// The same without an entity tag: what is shown cannot be changed or read again as it is.
    pub fn untagged(mut self) -> Self {
        self.headers
            .retain(|(name, _)| name != header::ETAG.as_str());
        self
    }

    /// The same with another thing's entity tag: that of what was changed, where more is shown.
    ///
    /// # Errors
    /// As for [`Answer::showing`].
    pub fn tagged_as(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let tag = strong_tag(&json(value)?);
        self = self.untagged();
        self.headers.push((header::ETAG.to_string(), tag));
        self.tags_another = true;
        Ok(self)
    }

    /// The answer on the wire.
    ///
    /// # Errors
    /// [`Error::Unexpected`] where a header is none, which is a defect.
    pub(crate) fn response(self) -> Result<Response, Error> {
        let mut response = lambda_http::Response::builder()
            .status(self.status)
            .header(header::CACHE_CONTROL, "no-store");
        if !self.body.is_empty() {
            response = response.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        if self.replayed {
            response = response.header(REPLAYED, "true");
        }
        if self.tags_another {
            response = response.extension(TagsAnother);
        }
        response
            .body(self.body.into())
            .map_err(|error| Error::Unexpected(error.into()))
    }
}

/// A text that every environment shows as it is. Its tag is made once, and not with each request.
#[derive(Debug)]
pub struct Document {
    pub(crate) text: &'static str,
    pub(crate) tag: String,
}

impl Document {
    /// JSON already.
    pub fn new(text: &'static str) -> Self {
        let tag = weak_tag(text);
        Self { text, tag }
    }
}

/// The answer that shows a body with this entity tag: 304 if the client has it already.
///
/// # Errors
/// [`Error::Unexpected`] where the tag is none, which is a defect.
pub(crate) fn shown(
    request: &HeaderMap,
    body: impl Into<String>,
    tag: &str,
) -> Result<Response, Error> {
    let etag: ETag = tag.parse().map_err(|_| Error::Unexpected(tag.into()))?;
    let has_it = request
        .typed_get::<IfNoneMatch>()
        .is_some_and(|known| !known.precondition_passes(&etag));
    let (status, body) = if has_it {
        (StatusCode::NOT_MODIFIED, String::new())
    } else {
        (StatusCode::OK, body.into())
    };
    let answer = Answer {
        headers: vec![(header::ETAG.to_string(), tag.to_owned())],
        body,
        ..Answer::empty(status)
    };
    answer.response()
}

/// Whether a change may go on: the client has seen what it changes.
///
/// # Errors
/// [`Refusal::PreconditionFailed`] where it has seen something else.
pub fn check_precondition(if_match: &IfMatch, current: &impl Serialize) -> Result<(), Error> {
    let tag = strong_tag(&json(current)?);
    let etag: ETag = tag.parse().map_err(|_| Error::Unexpected(tag.into()))?;
    if if_match.precondition_passes(&etag) {
        Ok(())
    } else {
        Err(Refusal::PreconditionFailed.into())
    }
}

pub(crate) fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Unexpected(error.into()))
}

/// Names these very bytes.
pub(crate) fn strong_tag(body: &str) -> String {
    format!("\"{}\"", digest(body))
}

/// Names what they say, in whichever form.
pub(crate) fn weak_tag(body: &str) -> String {
    format!("W/\"{}\"", digest(body))
}

/// 128 bits of SHA-256: no two bodies have the same by chance or on purpose.
fn digest(body: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16])
}
