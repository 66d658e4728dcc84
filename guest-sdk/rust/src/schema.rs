//! JSON Schemas of parameters and results.

use std::marker::PhantomData;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema of an entry without parameters.
pub fn no_parameters() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// The schema of the parameters: an object, with the definitions it needs in `$defs`.
pub fn input_schema<T: JsonSchema>() -> Value {
    plain::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

fn plain<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    // The title would be the name of a type, which says nothing to a user.
    schema.remove("$schema");
    schema.remove("title");
    schema.to_value()
}

/// Finds out whether a result's type has a schema: `(&Probe::<T>::new()).schema()` takes [`WithSchema`] if `T` is
/// [`JsonSchema`], and [`NoSchema`] otherwise, since methods of `Probe` come before those of `&Probe`.
pub struct Probe<T>(PhantomData<T>);

impl<T> Probe<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

pub trait WithSchema {
    fn schema(&self) -> Option<Value>;
}

impl<T: JsonSchema> WithSchema for Probe<T> {
    fn schema(&self) -> Option<Value> {
        Some(plain::<T>(SchemaSettings::draft2020_12().for_serialize()))
    }
}

pub trait NoSchema {
    fn schema(&self) -> Option<Value>;
}

impl<T> NoSchema for &Probe<T> {
    fn schema(&self) -> Option<Value> {
        None
    }
}
