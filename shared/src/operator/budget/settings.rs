//! What a function's URL says about its sessions, as far as it is known before the deployment.

use url::Url as AnyUrl;

use super::{
    demand::{Url, variable},
    finding::{Finding, Rule},
};
use crate::{
    config::{APPLICATION, RENAMED, database_url::DatabaseUrl},
    operator::template::{Function, Variable},
};

/// The settings of a function's URL: its own where they are known, else those given for it.
///
/// # Errors
/// Where the function would refuse the URL.
pub fn url(function: &Function, otherwise: &Url) -> Result<Url, Finding> {
    let text = match variable(function, APPLICATION.url) {
        Some(Variable::Literal(text)) if !text.is_empty() => text,
        _ => return Ok(otherwise.clone()),
    };
    // Beside a place where the credentials are kept, the URL names no user.
    let places = [APPLICATION.secret, APPLICATION.parameter];
    let stored = places.into_iter().find(|name| is_set(function, name));
    let settings = match stored {
        None => parse(text),
        Some(name) => base(text, name),
    };
    settings
        .map(|settings| Url {
            settings,
            known: true,
        })
        .map_err(|what| Finding::fails(Rule::Configuration, what).of(&function.logical_id))
}

/// Variables that are set under the names of an earlier release, which the function would refuse.
pub(super) fn old_names(function: &Function) -> Vec<Finding> {
    let set = RENAMED.iter().filter(|(old, _)| is_set(function, old));
    set.map(|(old, new)| {
        Finding::fails(Rule::Configuration, format!("{old} is now called {new}"))
            .of(&function.logical_id)
            .change(format!("set {new} instead"))
    })
    .collect()
}

/// An empty variable counts as not set.
fn is_set(function: &Function, name: &str) -> bool {
    match variable(function, name) {
        None => false,
        Some(Variable::Literal(text)) => !text.is_empty(),
        Some(Variable::Unresolved(_)) => true,
    }
}

/// A URL that stored credentials complete. What is stored beside a URL is user, password and
/// address alone, so that its parameters are all there are.
fn base(text: &str, stored: &str) -> Result<DatabaseUrl, String> {
    let Ok(mut url) = AnyUrl::parse(text) else {
        // The reader's own words for it.
        return parse(text);
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "{} and {stored} both name who logs in; leave USER:PASSWORD@ out of the URL",
            APPLICATION.url
        ));
    }
    // Any user, on any host. A URL of another scheme takes neither, and is refused
    // for its scheme.
    if url.host_str().unwrap_or_default().is_empty() {
        let _ = url.set_host(Some("localhost"));
    }
    let _ = url.set_username("stored");
    parse(url.as_str())
}

fn parse(text: &str) -> Result<DatabaseUrl, String> {
    DatabaseUrl::parse(text).map_err(|error| format!("{}: {error}", APPLICATION.url))
}
