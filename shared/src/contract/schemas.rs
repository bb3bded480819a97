//! The schemas of types.

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::{Contract, SchemaSettings},
    transform::RecursiveTransform,
};
use serde_json::{Map, Value};

/// How a schema is had, before there is a place to put what it refers to.
pub(super) type SchemaOf = fn(&mut Schemas) -> Value;

/// What is accepted of a type, and what is shown: they differ where a field has a default, or is left
/// out when there is nothing to show.
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

    /// What the schemas refer to, by name.
    ///
    /// # Panics
    /// Where two types have one name.
    pub(super) fn into_definitions(mut self) -> Map<String, Value> {
        let mut definitions = self.accepted.take_definitions(true);
        for (name, shown) in self.shown.take_definitions(true) {
            if let Some(accepted) = definitions.get(&name) {
                assert_eq!(*accepted, shown, "`{name}` is two types");
            }
            definitions.insert(name, shown);
        }
        definitions
    }
}

/// Takes out the default of a field that is optional: that it is none says nothing.
fn forget_null(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
}
