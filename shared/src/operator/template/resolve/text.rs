//! The functions that make texts and lists of others: `!Sub`, `!Join`, `!Select`, `!Split`.

use saphyr::Yaml;

use super::{Scope, Value};

impl Scope<'_, '_> {
    /// `!Sub text`, or `!Sub [text, {Name: value}]`: `${Name}` stands for a value, `${!Name}` for
    /// itself without the mark. None where a name has no value here.
    pub(super) fn substitute(&self, argument: &Yaml<'_>) -> Option<Value> {
        let (text, own) = match argument.as_vec().map(Vec::as_slice) {
            None => (argument.as_str()?, None),
            Some([text, own]) => (text.as_str()?, Some(self.value(own))),
            Some(_) => return None,
        };
        if text.contains("{{resolve:") {
            return None;
        }
        let mut result = String::new();
        let mut hidden = false;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}')?;
            result.push_str(before);
            rest = after;
            if let Some(literal) = name.strip_prefix('!') {
                result.push_str("${");
                result.push_str(literal);
                result.push('}');
                continue;
            }
            let name = name.trim();
            let own = own.as_ref().and_then(|own| own.get(name));
            let Value::Text { text, secret } = own.cloned().or_else(|| self.reference(name))?
            else {
                return None;
            };
            result.push_str(&text);
            hidden |= secret;
        }
        result.push_str(rest);
        Some(Value::Text {
            text: result,
            secret: hidden,
        })
    }

    /// `!Join [delimiter, list]`.
    pub(super) fn join(&self, argument: &Yaml<'_>) -> Option<Value> {
        let [delimiter, list] = argument.as_vec()?.as_slice() else {
            return None;
        };
        let Value::List(items) = self.value(list) else {
            return None;
        };
        let mut texts = Vec::new();
        let mut hidden = false;
        for item in items {
            let Value::Text { text, secret } = item else {
                return None;
            };
            texts.push(text);
            hidden |= secret;
        }
        Some(Value::Text {
            text: texts.join(delimiter.as_str()?),
            secret: hidden,
        })
    }

    /// `!Select [index, list]`. The other items need not be known.
    pub(super) fn select(&self, argument: &Yaml<'_>) -> Option<Value> {
        let [index, list] = argument.as_vec()?.as_slice() else {
            return None;
        };
        let index: usize = self.value(index).text()?.parse().ok()?;
        let Value::List(mut items) = self.value(list) else {
            return None;
        };
        (index < items.len()).then(|| items.swap_remove(index))
    }

    /// `!Split [delimiter, text]`.
    pub(super) fn split(&self, argument: &Yaml<'_>) -> Option<Value> {
        let [delimiter, text] = argument.as_vec()?.as_slice() else {
            return None;
        };
        let Value::Text { text, secret } = self.value(text) else {
            return None;
        };
        let parts = text.split(delimiter.as_str()?).map(|part| Value::Text {
            text: part.to_owned(),
            secret,
        });
        Some(Value::List(parts.collect()))
    }
}
