//! An example of each successful response. A test validates them against the schemas.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::lists::List;

/// An object for each type by the name of its schema; by an operation's id, what differs there.
static EXAMPLES: LazyLock<Map<String, Value>> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).expect("JSON objects"));

/// The example of a type as this operation answers it.
///
/// # Panics
/// If the type has no example.
pub(super) fn of<T: JsonSchema>(operation: &str) -> Value {
    let name = T::schema_name();
    let mut example = EXAMPLES.get(&*name).expect(&name).clone();
    let differences = EXAMPLES.get(operation).and_then(Value::as_object);
    for (field, value) in differences.into_iter().flatten() {
        example[field] = value.clone();
    }
    example
}

/// A page with one item, which is the last.
pub(super) fn page<L: List>(operation: &str) -> Value {
    let page = json!({ "limit": L::MAX, "hasMore": false, "nextCursor": null });
    json!({ "data": [of::<L::Item>(operation)], "page": page })
}
