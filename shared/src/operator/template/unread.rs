//! What may make functions that the reader does not see: other templates, macros, loops.

use saphyr::Yaml;

use super::{
    lookup,
    resolve::{Scope, call, expanded},
};

/// Macros of AWS's own that make no function of what is not one: SAM, which is what this reads, and
/// the language extensions, whose loops stand in the template.
const READ: [&str; 2] = ["AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"];

/// What may make functions that this reader does not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A loop, a macro or a module, by its key or its name.
    Generated(String),
    /// Another stack with a template of its own, by its logical id.
    Nested(String),
}

/// What stands outside the resources: macros that get the whole template.
pub(super) fn of_document(document: &Yaml<'_>) -> Vec<Unread> {
    let mut unread = Vec::new();
    let transform = lookup(document, &["Transform"]);
    let names = match transform {
        Some(Yaml::Sequence(names)) => names.as_slice(),
        one => one.map_or(&[][..], std::slice::from_ref),
    };
    for name in names {
        let name = name.as_str().or_else(|| lookup(name, &["Name"])?.as_str());
        if !name.is_some_and(|name| READ.contains(&name)) {
            let name = name.unwrap_or("which is no name");
            unread.push(Unread::Generated(format!("Transform {name}")));
        }
    }
    for path in [&[][..], &["Globals"], &["Globals", "Function"]] {
        if lookup(document, path).is_some_and(expands) {
            unread.push(Unread::Generated(
                [path, &["Fn::Transform"]].concat().join("."),
            ));
        }
    }
    unread
}

/// A resource that is no function itself.
pub(super) fn of_resource(
    logical_id: &str,
    resource: &Yaml<'_>,
    scope: &Scope<'_, '_>,
) -> Option<Unread> {
    let generated = || Some(Unread::Generated(logical_id.to_owned()));
    if logical_id.starts_with("Fn::") {
        return generated();
    }
    let condition = lookup(resource, &["Condition"]).and_then(Yaml::as_str);
    if condition.map(|name| scope.condition(name)) == Some(Ok(false)) {
        return None;
    }
    match lookup(resource, &["Type"]).and_then(Yaml::as_str) {
        Some("AWS::Serverless::Application" | "AWS::CloudFormation::Stack") => {
            Some(Unread::Nested(logical_id.to_owned()))
        }
        Some(kind) if kind.ends_with("::MODULE") => generated(),
        Some(_) => None,
        None if expands(resource) => generated(),
        None => None,
    }
}

/// Whether it, or what stands beside its keys, is made by CloudFormation.
fn expands(node: &Yaml<'_>) -> bool {
    call(node).is_some() || expanded(node).is_some()
}
