//! JSON Schemas of WIT types. How a value looks in JSON stands in `value.rs`; the two say the same.

use serde_json::{Map, Value, json};
use wasmtime::component::types::Type;

/// Parts that the types of one component may have together: a type may name others many times over, so that a small
/// component can describe an endless schema.
const MAX_PARTS: u32 = 10_000;

/// Counts the parts of the types of one component.
#[derive(Default)]
pub(super) struct Budget(u32);

/// Names of what JSON has no numbers for.
pub(super) const NOT_FINITE: [(&str, f64); 3] =
    [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)];

/// The schema of a type.
///
/// # Errors
///
/// Says what of the type cannot be JSON.
pub(super) fn schema(ty: &Type, budget: &mut Budget) -> Result<Value, String> {
    budget.0 += 1;
    if budget.0 > MAX_PARTS {
        return Err(format!("makes more than {MAX_PARTS} parts of all types together"));
    }
    let integer =
        |least: i128, most: i128| json!({"type": "integer", "minimum": number(least), "maximum": number(most)});
    Ok(match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 => integer(i8::MIN.into(), i8::MAX.into()),
        Type::U8 => integer(0, u8::MAX.into()),
        Type::S16 => integer(i16::MIN.into(), i16::MAX.into()),
        Type::U16 => integer(0, u16::MAX.into()),
        Type::S32 => integer(i32::MIN.into(), i32::MAX.into()),
        Type::U32 => integer(0, u32::MAX.into()),
        Type::S64 => integer(i64::MIN.into(), i64::MAX.into()),
        Type::U64 => integer(0, u64::MAX.into()),
        Type::Float32 | Type::Float64 => {
            json!({"anyOf": [{"type": "number"}, {"enum": NOT_FINITE.map(|(name, _)| name)}]})
        }
        Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Type::String => json!({"type": "string"}),
        Type::List(list) => json!({"type": "array", "items": schema(&list.ty(), budget)?}),
        Type::FixedLengthList(list) => {
            json!({"type": "array", "items": schema(&list.ty(), budget)?, "minItems": list.len(), "maxItems": list.len()})
        }
        Type::Tuple(tuple) => {
            let items = tuple.types().map(|ty| schema(&ty, budget)).collect::<Result<Vec<_>, _>>()?;
            json!({"type": "array", "prefixItems": items, "minItems": items.len(), "maxItems": items.len()})
        }
        Type::Record(record) => {
            let mut properties = Map::new();
            let mut required = Vec::new();
            for field in record.fields() {
                properties.insert(field.name.to_owned(), schema(&field.ty, budget)?);
                if !matches!(field.ty, Type::Option(_)) {
                    required.push(field.name);
                }
            }
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        }
        Type::Variant(variant) => {
            let case = |name: &str, ty: Option<Type>, budget: &mut Budget| match ty {
                Some(ty) => schema(&ty, budget).map(|schema| one_member(name, schema)),
                None => Ok(json!({"const": name})),
            };
            let cases = variant.cases().map(|each| case(each.name, each.ty, budget)).collect::<Result<Vec<_>, _>>()?;
            json!({"oneOf": cases})
        }
        Type::Enum(words) => json!({"enum": words.names().collect::<Vec<_>>()}),
        Type::Option(option) => {
            let inner = schema(&option.ty(), budget)?;
            let some = if may_be_null(&option.ty()) { one_member("some", inner) } else { inner };
            json!({"anyOf": [some, {"type": "null"}]})
        }
        Type::Result(result) => {
            let part = |name: &str, ty: Option<Type>, budget: &mut Budget| match ty {
                Some(ty) => schema(&ty, budget).map(|schema| one_member(name, schema)),
                None => Ok(one_member(name, json!({"type": "null"}))),
            };
            json!({"oneOf": [part("ok", result.ok(), budget)?, part("err", result.err(), budget)?]})
        }
        Type::Flags(flags) => {
            json!({"type": "array", "items": {"enum": flags.names().collect::<Vec<_>>()}, "uniqueItems": true})
        }
        Type::Map(map) => {
            let pair = [schema(&map.key(), budget)?, schema(&map.value(), budget)?];
            json!({"type": "array", "items": {"type": "array", "prefixItems": pair, "minItems": 2, "maxItems": 2}})
        }
        Type::Own(_) | Type::Borrow(_) => return Err("is or holds a resource, which JSON cannot carry".to_owned()),
        Type::Future(_) => return Err("is or holds a future, which JSON cannot carry".to_owned()),
        Type::Stream(_) => return Err("is or holds a stream, which JSON cannot carry".to_owned()),
        Type::ErrorContext => return Err("is or holds an error context, which JSON cannot carry".to_owned()),
    })
}

/// Whether a value of the type may be `null` by itself, so that an option of it needs more words.
pub(super) fn may_be_null(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

fn one_member(name: &str, schema: Value) -> Value {
    json!({"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": false})
}

/// A bound of an integer: each fits in one of JSON's two kinds.
fn number(value: i128) -> Value {
    match u64::try_from(value) {
        Ok(value) => value.into(),
        Err(_) => (value as i64).into(),
    }
}
