//! One invocation's request: path and query, read and checked, and the way to the database.

use std::{collections::BTreeMap, sync::Arc};

use lambda_http::{RequestExt, http::StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    config::Function,
    deadline::Deadline,
    error::Error,
    pool::{LazyPool, Pool, Statistics},
    reader::Reader,
    transaction::Change,
};

/// What a handler answers.
pub type Response = lambda_http::Response<lambda_http::Body>;

/// A request, and what its handler may use.
#[derive(Debug)]
pub struct Request {
    http: lambda_http::Request,
    deadline: Deadline,
    function: Arc<Function>,
    pool: &'static LazyPool,
}

impl Request {
    pub(crate) fn new(
        http: lambda_http::Request,
        deadline: Deadline,
        function: Arc<Function>,
        pool: &'static LazyPool,
    ) -> Self {
        Self {
            http,
            deadline,
            function,
            pool,
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

    /// Where reads run: the environment's pool, within the invocation's deadline.
    ///
    /// # Errors
    /// [`Error::InvalidConfiguration`] where the pool cannot be made.
    pub fn reader(&self) -> Result<Reader, Error> {
        Ok(Reader::new(self.pool()?, self.deadline))
    }

    /// Makes a change in one transaction, within the invocation's deadline.
    ///
    /// # Errors
    /// The change's own, and any of [`Error`]'s database classes.
    pub async fn write<C: Change>(&self, change: &C) -> Result<C::Outcome, Error> {
        self.pool()?.write(self.deadline, change).await
    }

    /// What the environment's pool holds.
    ///
    /// # Errors
    /// [`Error::InvalidConfiguration`] where it cannot be made.
    pub fn pool_statistics(&self) -> Result<Statistics, Error> {
        Ok(self.pool()?.statistics())
    }

    fn pool(&self) -> Result<&'static Pool, Error> {
        self.pool.get(&self.function)
    }
}

/// The longest text that a list can be searched for, in characters; names are no longer.
const MAX_SEARCH_TEXT: usize = 200;

/// A text to search for; an empty one searches for nothing.
///
/// # Errors
/// [`Error::BadRequest`] where it is longer than any name, or holds control characters, which the
/// database could not store either.
pub fn search_text<'a>(name: &str, text: Option<&'a str>) -> Result<Option<&'a str>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.chars().count() > MAX_SEARCH_TEXT || text.chars().any(char::is_control) {
        return Err(Error::BadRequest(format!(
            "{name} must be at most {MAX_SEARCH_TEXT} characters, none of them a control character"
        )));
    }
    Ok(Some(text))
}

/// An answer in JSON, which no cache keeps: what is shown here is about patients.
///
/// # Errors
/// [`Error::Unexpected`] where the value has no JSON form, which is a defect.
pub fn json(value: &impl Serialize) -> Result<Response, Error> {
    let body = serde_json::to_string(value).map_err(|error| Error::Unexpected(error.into()))?;
    lambda_http::Response::builder()
        .status(StatusCode::OK)
        .header("content-type", "application/json")
        .header("cache-control", "no-store")
        .body(body.into())
        .map_err(|error| Error::Unexpected(error.into()))
}
