//! Answers: JSON with an entity tag, kept by no cache where what is shown is about patients.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use headers::{ETag, HeaderMapExt, IfMatch, IfNoneMatch};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{error::Error, refusal::Refusal};

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
}

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
            status: status.as_u16(),
            headers: vec![(header::ETAG.to_string(), format!("\"{}\"", digest(&body)))],
            body,
            patients,
            replayed: false,
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
        }
    }

    /// The same with another thing's entity tag: that of what was changed, where more is shown.
    ///
    /// # Errors
    /// As for [`Answer::showing`].
    pub fn tagged_as(mut self, value: &impl Serialize) -> Result<Self, Error> {
        let tag = strong_tag(value)?;
        self.headers
            .retain(|(name, _)| name != header::ETAG.as_str());
        self.headers.push((header::ETAG.to_string(), tag));
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
        response
            .body(self.body.into())
            .map_err(|error| Error::Unexpected(error.into()))
    }
}

/// An answer that shows one thing that can be changed: with a strong entity tag, 304 for whoever
/// has it already.
///
/// # Errors
/// As for [`Answer::showing`].
pub(crate) fn one(request: &HeaderMap, value: &impl Serialize) -> Result<Response, Error> {
    let body = json(value)?;
    let tag = format!("\"{}\"", digest(&body));
    shown(request, body, &tag)
}

/// An answer that shows a list or figures: with a weak entity tag, because it may be compressed,
/// and 304 for whoever has it already.
///
/// # Errors
/// As for [`Answer::showing`].
pub(crate) fn many(request: &HeaderMap, value: &impl Serialize) -> Result<Response, Error> {
    let body = json(value)?;
    let tag = format!("W/\"{}\"", digest(&body));
    shown(request, body, &tag)
}

/// An answer that is the same for everybody and holds nothing of anybody's: it may be kept for some
/// minutes, and is asked for again by its tag.
///
/// # Errors
/// As for [`Answer::showing`].
pub(crate) fn document(request: &HeaderMap, text: &str) -> Result<Response, Error> {
    let tag = format!("W/\"{}\"", digest(text));
    let mut response = shown(request, text.to_owned(), &tag)?;
    let kept = HeaderValue::from_static("public, max-age=300");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    Ok(response)
}

fn shown(request: &HeaderMap, body: String, tag: &str) -> Result<Response, Error> {
    let etag: ETag = tag.parse().map_err(|_| Error::Unexpected(tag.into()))?;
    let has_it = request
        .typed_get::<IfNoneMatch>()
        .is_some_and(|known| !known.precondition_passes(&etag));
    let (status, body) = if has_it {
        (StatusCode::NOT_MODIFIED, String::new())
    } else {
        (StatusCode::OK, body)
    };
    let headers = vec![(header::ETAG.to_string(), tag.to_owned())];
    let answer = Answer {
        status: status.as_u16(),
        headers,
        body,
        patients: Vec::new(),
        replayed: false,
    };
    answer.response()
}

/// Whether a change may go on: the client has seen what it changes.
///
/// # Errors
/// [`Refusal::PreconditionFailed`] where it has seen something else.
pub fn check_precondition(if_match: &IfMatch, current: &impl Serialize) -> Result<(), Error> {
    let tag = strong_tag(current)?;
    let etag: ETag = tag.parse().map_err(|_| Error::Unexpected(tag.into()))?;
    if if_match.precondition_passes(&etag) {
        Ok(())
    } else {
        Err(Refusal::PreconditionFailed.into())
    }
}

fn strong_tag(value: &impl Serialize) -> Result<String, Error> {
    Ok(format!("\"{}\"", digest(&json(value)?)))
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Unexpected(error.into()))
}

/// 128 bits of SHA-256: nobody meets two bodies with the same by chance or on purpose.
fn digest(body: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16])
}
