//! The query part of the URL: known names, misspelt names, and values with their bounds.

use std::{collections::BTreeMap, time::Duration};

use strsim::damerau_levenshtein;
use url::Url;

use super::error::{UrlError, Warning};

/// Every parameter that means something here.
const KNOWN: [&str; 22] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "connection_limit",
    "host",
    "max_connection_lifetime",
    "max_idle_connection_lifetime",
    "options",
    "pgbouncer",
    "pool_timeout",
    "schema",
    "single_use_connections",
    "socket_timeout",
    "sslaccept",
    "sslcert",
    "sslclientcert",
    "sslclientkey",
    "sslidentity",
    "sslmode",
    "sslpassword",
    "sslrootcert",
    "statement_cache_size",
];

/// The longest time a parameter may name: a year. Longer is a mistake of units.
const MAX_SECONDS: u32 = 365 * 24 * 60 * 60;

/// The parameters of one URL, each taken once.
pub(super) struct Parameters {
    values: BTreeMap<&'static str, String>,
    warnings: Vec<Warning>,
    password: String,
}

impl Parameters {
    /// Sorts the query into known names, warnings and errors.
    pub(super) fn read(url: &Url, password: &str) -> Result<Self, UrlError> {
        let mut parameters = Self {
            values: BTreeMap::new(),
            warnings: Vec::new(),
            password: password.to_owned(),
        };
        for (name, value) in url.query_pairs() {
            match KNOWN.into_iter().find(|known| *known == name) {
                Some(known) => {
                    if parameters
                        .values
                        .insert(known, value.into_owned())
                        .is_some()
                    {
                        return Err(UrlError::Repeated { name: known });
                    }
                }
                None => {
                    let shown = parameters.show(&name);
                    if let Some(nearest) = nearest(&name) {
                        return Err(UrlError::Misspelt {
                            name: shown,
                            nearest,
                        });
                    }
                    let warning = Warning::Unknown(shown);
                    if !parameters.warnings.contains(&warning) {
                        parameters.warnings.push(warning);
                    }
                }
            }
        }
        Ok(parameters)
    }

    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }

    /// Any text but the empty one and control characters, which PostgreSQL's protocol cannot hold.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, UrlError> {
        let Some(value) = self.values.remove(name) else {
            return Ok(None);
        };
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(self.refuse(
                name,
                &value,
                "text of at least one character, without control characters".to_owned(),
            ));
        }
        Ok(Some(value))
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, UrlError> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, UrlError> {
        let Some(value) = self.values.remove(name) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                Err(self.refuse(name, &value, words.join(", ")))
            }
        }
    }

    /// A whole number within bounds, digits only.
    pub(super) fn integer(
        &mut self,
        name: &'static str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, UrlError> {
        let Some(value) = self.values.remove(name) else {
            return Ok(None);
        };
        // `parse` alone would accept a leading plus, which no other tool writes.
        let digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match value.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(self.refuse(
                name,
                &value,
                format!("a whole number from {least} to {most}"),
            )),
        }
    }

    /// A time in seconds, where 0 switches the limit off, as in Prisma.
    pub(super) fn seconds(
        &mut self,
        name: &'static str,
        default: Option<Duration>,
    ) -> Result<Option<Duration>, UrlError> {
        Ok(match self.integer(name, 0, MAX_SECONDS)? {
            None => default,
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds.into())),
        })
    }

    /// A time in seconds, where 0 means nothing: in Prisma it would fail every query.
    pub(super) fn positive_seconds(
        &mut self,
        name: &'static str,
    ) -> Result<Option<Duration>, UrlError> {
        let seconds = self.integer(name, 1, MAX_SECONDS)?;
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.into())))
    }

    /// `options` as libpq reads it: `-c name=value` or `--name=value`, a backslash escaping a
    /// space or a backslash.
    pub(super) fn options(&mut self) -> Result<Vec<(String, String)>, UrlError> {
        let Some(text) = self.text("options")? else {
            return Ok(Vec::new());
        };
        let mut settings = Vec::new();
        let mut words = words(&text).into_iter();
        while let Some(word) = words.next() {
            let setting = if word == "-c" {
                words.next()
            } else {
                word.strip_prefix("--")
                    .or_else(|| word.strip_prefix("-c"))
                    .map(str::to_owned)
            };
            match setting
                .as_deref()
                .and_then(|setting| setting.split_once('='))
            {
                Some((name, value)) if !name.is_empty() => {
                    settings.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    return Err(self.refuse(
                        "options",
                        &text,
                        "-c name=value or --name=value, as often as needed".to_owned(),
                    ));
                }
            }
        }
        Ok(settings)
    }

    fn refuse(&self, name: &'static str, value: &str, accepted: String) -> UrlError {
        UrlError::Value {
            name,
            value: self.show(value),
            accepted,
        }
    }

    /// What of a name or a value may be shown. A password with an unescaped `?` ends up in the
    /// query, so only short and plain words are repeated, and none that tells of the password.
    fn show(&self, text: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
        // Three characters in common are chance: `connection_limit=0` may be shown beside any
        // password with a 0 in it.
        let tells = |whole: &str, part: &str| part.len() > 3 && whole.contains(part);
        let secret =
            text == self.password || tells(text, &self.password) || tells(&self.password, text);
        if text.is_empty() {
            "(nothing)".to_owned()
        } else if text.len() <= 40 && text.chars().all(plain) && !secret {
            text.to_owned()
        } else {
            "(not shown)".to_owned()
        }
    }
}

/// Splits at white space that no backslash escapes, and removes the escapes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => words
                .last_mut()
                .expect("there is always a word")
                .extend(characters.next()),
            white if white.is_whitespace() => words.push(String::new()),
            other => words
                .last_mut()
                .expect("there is always a word")
                .push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The known name that an unknown one was probably meant to be: the same but for case and
/// separators, or within one typing error for every five characters.
fn nearest(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', '.', ' '], "");
    // No misspelling is this long, and the comparison is quadratic.
    if name.len() > 64 {
        return None;
    }
    let name = plain(name);
    KNOWN
        .into_iter()
        .map(|known| {
            let plain = plain(known);
            let allowed = (plain.chars().count().max(name.chars().count()) / 5).max(1);
            (damerau_levenshtein(&plain, &name), allowed, known)
        })
        .filter(|(distance, allowed, _)| distance <= allowed)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, known)| known)
}
