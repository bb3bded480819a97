//! Scalars of a template: literal ones, and what CloudFormation's functions stand for.

use saphyr::{Scalar as YamlScalar, Yaml};

use super::Parameters;

/// What a node means where one value is expected.
pub(super) enum Scalar {
    /// The value as the text that Lambda would get.
    Known(String),
    /// A function of CloudFormation whose value is not known here, as text for messages.
    Unresolved(String),
    /// No single value at all.
    Collection,
}

/// Resolves a node, putting in the parameters for `!Ref` in its short and its long form.
pub(super) fn scalar(node: &Yaml<'_>, parameters: &Parameters) -> Scalar {
    match node {
        Yaml::Value(YamlScalar::String(text)) => Scalar::Known(text.clone().into_owned()),
        Yaml::Value(YamlScalar::Integer(number)) => Scalar::Known(number.to_string()),
        Yaml::Value(YamlScalar::Boolean(value)) => Scalar::Known(value.to_string()),
        Yaml::Tagged(tag, inner) if tag.suffix == "Ref" => reference(inner, parameters),
        Yaml::Tagged(_, _) => Scalar::Unresolved(describe(node)),
        Yaml::Mapping(mapping) => {
            let mut entries = mapping.iter();
            match (entries.next(), entries.next()) {
                (Some((key, inner)), None) if key.as_str() == Some("Ref") => {
                    reference(inner, parameters)
                }
                (Some((key, _)), None)
                    if key.as_str().is_some_and(|key| key.starts_with("Fn::")) =>
                {
                    Scalar::Unresolved(describe(node))
                }
                _ => Scalar::Collection,
            }
        }
        // A float among them: 1.10 would silently become 1.1, so it has to be quoted.
        _ => Scalar::Collection,
    }
}

fn reference(name: &Yaml<'_>, parameters: &Parameters) -> Scalar {
    let name = name.as_str().unwrap_or_default();
    match parameters.get(name) {
        Some(value) => Scalar::Known(value.clone()),
        None => Scalar::Unresolved(format!("!Ref {name}")),
    }
}

/// A node in a few words, for messages.
pub(super) fn describe(node: &Yaml<'_>) -> String {
    match node {
        Yaml::Value(YamlScalar::String(text)) => format!("`{text}`"),
        Yaml::Value(YamlScalar::Integer(number)) => format!("`{number}`"),
        Yaml::Value(YamlScalar::Boolean(value)) => format!("`{value}`"),
        Yaml::Value(YamlScalar::FloatingPoint(number)) => format!("the fraction `{number}`"),
        Yaml::Value(YamlScalar::Null) => "empty".to_owned(),
        Yaml::Tagged(tag, inner) => match inner.as_str() {
            Some(text) => format!("!{} {text}", tag.suffix),
            None => format!("!{} of a collection", tag.suffix),
        },
        Yaml::Mapping(mapping) => match mapping.keys().next().and_then(Yaml::as_str) {
            Some(key) => format!("a mapping that begins with `{key}`"),
            None => "a mapping".to_owned(),
        },
        Yaml::Sequence(_) => "a list".to_owned(),
        _ => "not understood".to_owned(),
    }
}
