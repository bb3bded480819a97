//! What stands in a template once everything that is known is put in: parameters, mappings,
//! conditions and the functions over them, in their short and their long form.
//!
//! CloudFormation's reference:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>.
//! What is known only once deployed (`!GetAtt`, `!ImportValue`, `{{resolve:…}}`, a parameter
//! without a value) stays [`Value::Unknown`] and says what it is.

mod condition;
mod text;

use std::{cell::RefCell, collections::BTreeMap};

use saphyr::{Scalar, Yaml};

use super::{Parameter, Parameters, lookup};

/// What a node means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A scalar, as the text that Lambda would get.
    Text {
        /// The text itself.
        text: String,
        /// Whether a parameter with `NoEcho` is in it, so that no message may repeat it.
        secret: bool,
    },
    /// A fraction without quotes: 1.10 would silently become 1.1.
    Fraction(String),
    /// Nothing between the key and the end of the line.
    Empty,
    /// `AWS::NoValue`: as if the key did not stand there.
    Removed,
    /// A list.
    List(Vec<Value>),
    /// A mapping, in its own order.
    Map(Vec<(String, Value)>),
    /// Not known here; the expression, for messages.
    Unknown(String),
}

impl Value {
    fn plain(text: impl Into<String>) -> Self {
        Self::Text {
            text: text.into(),
            secret: false,
        }
    }

    /// A key of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find_map(|(name, value)| (name == key).then_some(value)),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// In a few words, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text { secret: true, .. } => "a value that NoEcho hides".to_owned(),
            Self::Text { text, .. } => format!("`{text}`"),
            Self::Fraction(number) => format!("the fraction `{number}`"),
            Self::Empty => "empty".to_owned(),
            Self::Removed => "missing".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(entries) => match entries.first() {
                Some((key, _)) => format!("a mapping that begins with `{key}`"),
                None => "a mapping".to_owned(),
            },
            Self::Unknown(expression) => expression.clone(),
        }
    }
}

/// What names in a template stand for.
pub(super) struct Scope<'a, 'input> {
    document: &'a Yaml<'input>,
    parameters: BTreeMap<String, Value>,
    /// Conditions that were evaluated, and those under way, which have no answer yet.
    conditions: RefCell<BTreeMap<String, Option<Result<bool, String>>>>,
}

impl<'a, 'input> Scope<'a, 'input> {
    /// The names of a template. Given parameters win over defaults; pseudo parameters such as
    /// `AWS::Region` are given like others.
    pub(super) fn new(document: &'a Yaml<'input>, given: &Parameters) -> Self {
        let mut parameters: BTreeMap<String, Value> = given
            .iter()
            .map(|(name, text)| (name.clone(), Value::plain(text)))
            .collect();
        let declared = lookup(document, &["Parameters"]).and_then(Yaml::as_mapping);
        for (name, parameter) in declared.into_iter().flatten() {
            if let Some(name) = name.as_str()
                && let Some(value) = parameter_value(name, parameter, given)
            {
                parameters.insert(name.to_owned(), value);
            }
        }
        Self {
            document,
            parameters,
            conditions: RefCell::default(),
        }
    }

    /// What a node means.
    pub(super) fn value(&self, node: &Yaml<'_>) -> Value {
        if let Some((function, argument)) = call(node) {
            return self.apply(function, argument);
        }
        if let Some(expression) = expanded(node) {
            return Value::Unknown(expression);
        }
        match node {
            Yaml::Value(Scalar::String(text)) if text.contains("{{resolve:") => {
                Value::Unknown(format!("the dynamic reference `{text}`"))
            }
            Yaml::Value(Scalar::String(text)) => Value::plain(text.clone()),
            Yaml::Value(Scalar::Integer(number)) => Value::plain(number.to_string()),
            Yaml::Value(Scalar::Boolean(value)) => Value::plain(value.to_string()),
            Yaml::Value(Scalar::FloatingPoint(number)) => Value::Fraction(number.to_string()),
            Yaml::Value(Scalar::Null) => Value::Empty,
            Yaml::Sequence(items) => Value::List(
                items
                    .iter()
                    .map(|item| self.value(item))
                    .filter(|item| *item != Value::Removed)
                    .collect(),
            ),
            Yaml::Mapping(entries) => Value::Map(
                entries
                    .iter()
                    .filter_map(|(key, item)| Some((key.as_str()?.to_owned(), self.value(item))))
                    .filter(|(_, item)| *item != Value::Removed)
                    .collect(),
            ),
            _ => Value::Unknown("not understood".to_owned()),
        }
    }

    /// A node in a few words, for messages: a function itself, not what it comes to.
    pub(super) fn describe(&self, node: &Yaml<'_>) -> String {
        match call(node) {
            Some((function, argument)) => expression(function, argument),
            None => self.value(node).describe(),
        }
    }

    fn apply(&self, function: &str, argument: &Yaml<'_>) -> Value {
        let value = match function {
            "Ref" => argument.as_str().and_then(|name| self.reference(name)),
            "If" => self.choose(argument),
            "FindInMap" => self.find_in_map(argument),
            "Sub" => self.substitute(argument),
            "Join" => self.join(argument),
            "Select" => self.select(argument),
            "Split" => self.split(argument),
            _ => None,
        };
        value.unwrap_or_else(|| Value::Unknown(expression(function, argument)))
    }

    /// What a name stands for: a parameter, a pseudo parameter. A resource is known once deployed.
    fn reference(&self, name: &str) -> Option<Value> {
        match name {
            "AWS::NoValue" => Some(Value::Removed),
            _ => self.parameters.get(name).cloned(),
        }
    }

    fn choose(&self, argument: &Yaml<'_>) -> Option<Value> {
        let [condition, yes, no] = argument.as_vec()?.as_slice() else {
            return None;
        };
        match self.condition(condition.as_str()?) {
            Ok(true) => Some(self.value(yes)),
            Ok(false) => Some(self.value(no)),
            Err(why) => {
                let (yes, no) = (self.value(yes), self.value(no));
                // The same either way: it does not matter which.
                Some(if yes == no { yes } else { Value::Unknown(why) })
            }
        }
    }

    fn find_in_map(&self, argument: &Yaml<'_>) -> Option<Value> {
        let arguments = argument.as_vec()?;
        let mut node = lookup(self.document, &["Mappings"]);
        for key in arguments.get(..3)? {
            let Value::Text { text: key, .. } = self.value(key) else {
                return None;
            };
            node = node.and_then(|node| node.as_mapping_get(&key));
        }
        // The language extensions' fourth argument.
        let default = || lookup(arguments.get(3)?, &["DefaultValue"]);
        node.or_else(default).map(|node| self.value(node))
    }
}

/// A parameter as it is declared, with its value: given, else its default.
pub(super) fn parameter(name: &str, declared: &Yaml<'_>, given: &Parameters) -> Parameter {
    let default = || match lookup(declared, &["Default"])? {
        Yaml::Value(Scalar::String(text)) => Some(text.clone().into_owned()),
        Yaml::Value(Scalar::Integer(number)) => Some(number.to_string()),
        Yaml::Value(Scalar::Boolean(value)) => Some(value.to_string()),
        Yaml::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
        _ => None,
    };
    Parameter {
        name: name.to_owned(),
        value: given.get(name).cloned().or_else(default),
        secret: match lookup(declared, &["NoEcho"]) {
            Some(Yaml::Value(Scalar::Boolean(hidden))) => *hidden,
            Some(Yaml::Value(Scalar::String(hidden))) => hidden.eq_ignore_ascii_case("true"),
            _ => false,
        },
    }
}

/// What a parameter stands for; none if it has neither a value nor a default.
fn parameter_value(name: &str, declared: &Yaml<'_>, given: &Parameters) -> Option<Value> {
    let Parameter { value, secret, .. } = parameter(name, declared, given);
    let text = value?;
    if let Some(Yaml::Value(Scalar::FloatingPoint(_))) = lookup(declared, &["Default"])
        && !given.contains_key(name)
    {
        return Some(Value::Fraction(text));
    }
    let kind = lookup(declared, &["Type"]).and_then(Yaml::as_str);
    let kind = kind.unwrap_or_default();
    let scalar = |text: &str| Value::Text {
        text: text.to_owned(),
        secret,
    };
    Some(if kind.starts_with("AWS::SSM::") {
        // What stands here is the name under which the value is looked up at deployment.
        Value::Unknown(format!("!Ref {name}, which Systems Manager holds"))
    } else if kind.starts_with("List<") || kind == "CommaDelimitedList" {
        Value::List(text.split(',').map(str::trim).map(scalar).collect())
    } else {
        scalar(&text)
    })
}

/// A function of CloudFormation and its argument: `!Name argument`, or a mapping whose only key is
/// `Ref`, `Condition` or `Fn::Name`.
pub(super) fn call<'a, 'input>(node: &'a Yaml<'input>) -> Option<(&'a str, &'a Yaml<'input>)> {
    match node {
        Yaml::Tagged(tag, argument) => Some((tag.suffix.as_str(), argument)),
        Yaml::Mapping(mapping) if mapping.len() == 1 => {
            let (key, argument) = mapping.iter().next()?;
            match key.as_str()? {
                key @ ("Ref" | "Condition") => Some((key, argument)),
                key => Some((key.strip_prefix("Fn::")?, argument)),
            }
        }
        _ => None,
    }
}

/// A macro or a loop among the keys of a mapping, in a few words: what it makes of the others is
/// known only to CloudFormation.
pub(super) fn expanded(node: &Yaml<'_>) -> Option<String> {
    let mut entries = node.as_mapping()?.iter();
    entries.find_map(|(key, argument)| {
        let function = key.as_str()?.strip_prefix("Fn::")?;
        let expands = function == "Transform" || function.starts_with("ForEach::");
        expands.then(|| expression(function, argument))
    })
}

/// A call in a few words, for messages.
fn expression(function: &str, argument: &Yaml<'_>) -> String {
    match argument {
        Yaml::Value(Scalar::String(text)) => format!("!{function} {text}"),
        Yaml::Sequence(items) => match items.first().and_then(Yaml::as_str) {
            Some(first) => format!("!{function} [{first}, …]"),
            None => format!("!{function} of a collection"),
        },
        _ => format!("!{function} of a collection"),
    }
}
