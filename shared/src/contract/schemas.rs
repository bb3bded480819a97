//! The schemas of types.

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    transform::RecursiveTransform,
};
use serde_json::{Map, Value};

/// The schemas of what is accepted, and of what is shown: they differ if a field has a default, or is
/// omitted when empty.
pub(super) struct Schemas {
    accepted: SchemaGenerator,
    shown: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let generator = |contract| {
            let mut settings = SchemaSettings::draft2020_12();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = contract;
            // To a client, absent is not the same as null: a patch removes what is null.
            settings
                .transforms
                .push(Box::new(RecursiveTransform(forget_null)));
            settings.into_generator()
        };
        Self {
            accepted: generator(Contract::Deserialize),
            shown: generator(Contract::Serialize),
        }
    }

    pub(super) fn accepted<T: JsonSchema>(&mut self) -> Value {
        self.accepted.subschema_for::<T>().to_value()
    }

    pub(super) fn shown<T: JsonSchema>(&mut self) -> Value {
        self.shown.subschema_for::<T>().to_value()
    }

    /// The definitions that the schemas refer to, by name.
    ///
    /// # Panics
    /// If two types have the same name.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.accepted.take_definitions(true);
        for (name, shown) in self.shown.take_definitions(true) {
            if let Some(accepted) = definitions.get(&name) {
                assert_eq!(*accepted, shown, "two types are called `{name}`");
            }
            definitions.insert(name, shown);
        }
        definitions
    }
}

/// Removes a default of null, which says nothing about an optional field.
fn forget_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}
