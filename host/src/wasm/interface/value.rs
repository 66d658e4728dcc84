//! Values between JSON and WIT.
//!
//! Numbers, strings, booleans, lists and records are what they are called; tuples are arrays. An enum is its word; a
//! variant its word, or `{"word": payload}`; an option its value or `null` (`{"some": value}` where the value may be
//! `null` itself); a result `{"ok": …}` or `{"err": …}`; flags a list of words; a map a list of pairs. `NaN` and the
//! infinities are strings of that name.

use serde::Serialize;
use serde_json::Value;
use wasmtime::component::Val;
use wasmtime::component::types::Type;

use super::schema::{NOT_FINITE, may_be_null};
use crate::domain::{Failure, Limits};
use crate::wasm::failure::check_output_size;

/// A value of the type `ty`.
///
/// # Errors
///
/// Says what was expected and what came. The schema has checked most already.
pub(super) fn read(json: Value, ty: &Type) -> Result<Val, String> {
    Ok(match (ty, json) {
        (Type::Bool, Value::Bool(value)) => Val::Bool(value),
        (Type::S8, json) => Val::S8(integer(&json)?),
        (Type::U8, json) => Val::U8(integer(&json)?),
        (Type::S16, json) => Val::S16(integer(&json)?),
        (Type::U16, json) => Val::U16(integer(&json)?),
        (Type::S32, json) => Val::S32(integer(&json)?),
        (Type::U32, json) => Val::U32(integer(&json)?),
        (Type::S64, json) => Val::S64(integer(&json)?),
        (Type::U64, json) => Val::U64(integer(&json)?),
        (Type::Float32, json) => match float(&json)? {
            wide if wide.is_finite() && !(wide as f32).is_finite() => {
                return Err(format!("{} is beyond the range of 32 bits", shown(&json)));
            }
            wide => Val::Float32(wide as f32),
        },
        (Type::Float64, json) => Val::Float64(float(&json)?),
        (Type::Char, Value::String(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(only), None) => Val::Char(only),
                _ => return Err(format!("{} is not one character", shown(&Value::String(text)))),
            }
        }
        (Type::String, Value::String(text)) => Val::String(text),
        (Type::List(list), Value::Array(items)) => Val::List(all(items, &list.ty())?),
        (Type::FixedLengthList(list), Value::Array(items)) if items.len() == list.len() as usize => {
            Val::FixedLengthList(all(items, &list.ty())?)
        }
        (Type::Tuple(tuple), Value::Array(items)) if items.len() == tuple.types().len() => {
            let items = items.into_iter().zip(tuple.types()).map(|(item, ty)| read(item, &ty));
            Val::Tuple(items.collect::<Result<_, _>>()?)
        }
        (Type::Record(record), Value::Object(mut members)) => {
            let mut field = |name: &str, ty: &Type| {
                let value = members.remove(name).unwrap_or(Value::Null);
                read(value, ty).map(|value| (name.to_owned(), value)).map_err(|why| format!("`{name}`: {why}"))
            };
            Val::Record(record.fields().map(|each| field(each.name, &each.ty)).collect::<Result<_, _>>()?)
        }
        (Type::Variant(variant), json) => {
            let (word, payload) = tagged(json)?;
            let case = variant.cases().find(|case| case.name == word);
            let case = case.ok_or_else(|| format!("`{word}` is none of its cases"))?;
            Val::Variant(word, payload_of(payload, case.ty.as_ref())?)
        }
        (Type::Enum(_), Value::String(word)) => Val::Enum(word),
        (Type::Option(_), Value::Null) => Val::Option(None),
        (Type::Option(option), json) => {
            let inner = option.ty();
            let json = if may_be_null(&inner) { member(json, "some")? } else { json };
            Val::Option(Some(Box::new(read(json, &inner)?)))
        }
        (Type::Result(result), json) => match tagged(json)? {
            (word, payload) if word == "ok" => Val::Result(Ok(payload_of(payload, result.ok().as_ref())?)),
            (word, payload) if word == "err" => Val::Result(Err(payload_of(payload, result.err().as_ref())?)),
            (word, _) => return Err(format!("`{word}` is neither `ok` nor `err`")),
        },
        (Type::Flags(_), Value::Array(words)) => Val::Flags(words.into_iter().map(word).collect::<Result<_, _>>()?),
        (Type::Map(map), Value::Array(pairs)) => {
            let pair = |pair| match pair {
                Value::Array(pair) if pair.len() == 2 => {
                    let mut pair = pair.into_iter();
                    let mut next = |ty: &Type| read(pair.next().unwrap_or_default(), ty);
                    Ok((next(&map.key())?, next(&map.value())?))
                }
                other => Err(format!("{} is no pair", shown(&other))),
            };
            Val::Map(pairs.into_iter().map(pair).collect::<Result<_, _>>()?)
        }
        (_, json) => return Err(format!("{} is not of its type", shown(&json))),
    })
}

fn all(items: Vec<Value>, ty: &Type) -> Result<Vec<Val>, String> {
    items.into_iter().map(|item| read(item, ty)).collect()
}

fn integer<T: TryFrom<i128>>(json: &Value) -> Result<T, String> {
    let value = match json {
        Value::Number(number) => {
            let whole = number.as_i128().or(number.as_f64().filter(|value| value.fract() == 0.0).map(|v| v as i128));
            whole.and_then(|value| value.try_into().ok())
        }
        _ => None,
    };
    value.ok_or_else(|| format!("{} is no whole number of its range", shown(json)))
}

fn float(json: &Value) -> Result<f64, String> {
    let named = |text: &str| NOT_FINITE.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    json.as_f64().or_else(|| json.as_str().and_then(named)).ok_or_else(|| format!("{} is no number", shown(json)))
}

fn word(json: Value) -> Result<String, String> {
    match json {
        Value::String(word) => Ok(word),
        other => Err(format!("{} is no word", shown(&other))),
    }
}

/// `"word"` or `{"word": payload}`.
fn tagged(json: Value) -> Result<(String, Option<Value>), String> {
    match json {
        Value::String(word) => Ok((word, None)),
        Value::Object(members) if members.len() == 1 => {
            members.into_iter().next().map(|(word, payload)| (word, Some(payload))).ok_or_else(String::new)
        }
        other => Err(format!("{} is neither a word nor an object with one member", shown(&other))),
    }
}

fn payload_of(payload: Option<Value>, ty: Option<&Type>) -> Result<Option<Box<Val>>, String> {
    match (payload, ty) {
        (payload, Some(ty)) => Ok(Some(Box::new(read(payload.unwrap_or(Value::Null), ty)?))),
        (None | Some(Value::Null), None) => Ok(None),
        (Some(payload), None) => Err(format!("{} comes with a case that has no payload", shown(&payload))),
    }
}

fn member(json: Value, name: &str) -> Result<Value, String> {
    let found = match &json {
        Value::Object(members) if members.len() == 1 => members.get(name).cloned(),
        _ => None,
    };
    found.ok_or_else(|| format!("{} is neither null nor `{{\"{name}\": …}}`", shown(&json)))
}

/// The beginning of a value, for messages.
fn shown(json: &Value) -> String {
    const MOST: usize = 100;
    let text = json.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// JSON text under construction, which stops growing at the output's limit.
pub(super) struct Writer<'a> {
    text: Vec<u8>,
    limits: &'a Limits,
    failure: Option<Failure>,
}

impl std::io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Err(failure) = check_output_size(self.text.len() + bytes.len(), self.limits) {
            self.failure = Some(failure);
            return Err(std::io::Error::other("over the limit"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Written = std::io::Result<()>;

impl<'a> Writer<'a> {
    /// A value of the type `ty` as JSON text.
    ///
    /// # Errors
    ///
    /// `output_too_large`, before more than the limit was written.
    pub(super) fn write(value: &Val, ty: &Type, limits: &'a Limits) -> Result<String, Failure> {
        let mut writer = Writer { text: Vec::new(), limits, failure: None };
        // Nothing but the limit can stop it.
        let written = writer.value(value, ty);
        match writer.failure {
            Some(failure) => Err(failure),
            None => {
                written.expect("only the limit stops a writer");
                Ok(String::from_utf8(writer.text).expect("serde_json writes UTF-8"))
            }
        }
    }

    fn value(&mut self, value: &Val, ty: &Type) -> Written {
        match (value, ty) {
            (Val::Bool(value), _) => self.json(value),
            (Val::S8(value), _) => self.json(value),
            (Val::U8(value), _) => self.json(value),
            (Val::S16(value), _) => self.json(value),
            (Val::U16(value), _) => self.json(value),
            (Val::S32(value), _) => self.json(value),
            (Val::U32(value), _) => self.json(value),
            (Val::S64(value), _) => self.json(value),
            (Val::U64(value), _) => self.json(value),
            (Val::Float32(value), _) if value.is_finite() => self.json(value),
            (Val::Float32(value), _) => self.not_finite(f64::from(*value)),
            (Val::Float64(value), _) if value.is_finite() => self.json(value),
            (Val::Float64(value), _) => self.not_finite(*value),
            (Val::Char(value), _) => self.json(value),
            (Val::String(text) | Val::Enum(text), _) => self.json(text),
            (Val::Flags(words), _) => self.json(words),
            (Val::List(items), Type::List(list)) => self.array(items, std::iter::repeat(list.ty())),
            (Val::FixedLengthList(items), Type::FixedLengthList(list)) => {
                self.array(items, std::iter::repeat(list.ty()))
            }
            (Val::Tuple(items), Type::Tuple(tuple)) => self.array(items, tuple.types()),
            (Val::Map(pairs), Type::Map(map)) => self.array_of(pairs, |writer, (key, value)| {
                writer.raw("[")?;
                writer.value(key, &map.key())?;
                writer.raw(",")?;
                writer.value(value, &map.value())?;
                writer.raw("]")
            }),
            (Val::Record(members), Type::Record(record)) => {
                self.raw("{")?;
                for (n, ((name, value), field)) in members.iter().zip(record.fields()).enumerate() {
                    self.raw(if n > 0 { "," } else { "" })?;
                    self.json(name)?;
                    self.raw(":")?;
                    self.value(value, &field.ty)?;
                }
                self.raw("}")
            }
            (Val::Variant(word, payload), Type::Variant(variant)) => {
                let ty = variant.cases().find(|case| case.name == word).and_then(|case| case.ty);
                match (payload, ty) {
                    (Some(payload), Some(ty)) => self.member(word, Some((payload, &ty))),
                    _ => self.json(word),
                }
            }
            (Val::Option(None), _) => self.raw("null"),
            (Val::Option(Some(value)), Type::Option(option)) => match option.ty() {
                ty if may_be_null(&ty) => self.member("some", Some((value, &ty))),
                ty => self.value(value, &ty),
            },
            (Val::Result(Ok(value)), Type::Result(result)) => {
                self.member("ok", value.as_deref().zip(result.ok().as_ref()))
            }
            (Val::Result(Err(value)), Type::Result(result)) => {
                self.member("err", value.as_deref().zip(result.err().as_ref()))
            }
            _ => unreachable!("a value has its type, and types that cannot be JSON were refused"),
        }
    }

    fn array(&mut self, items: &[Val], types: impl Iterator<Item = Type>) -> Written {
        let mut types = types;
        self.array_of(items, |writer, item| {
            let ty = types.next().expect("there is a type for each item");
            writer.value(item, &ty)
        })
    }

    fn array_of<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T) -> Written) -> Written {
        self.raw("[")?;
        for (n, each) in items.iter().enumerate() {
            self.raw(if n > 0 { "," } else { "" })?;
            item(self, each)?;
        }
        self.raw("]")
    }

    /// `{"name": value}`, with null in the place of no value.
    fn member(&mut self, name: &str, value: Option<(&Val, &Type)>) -> Written {
        self.raw("{")?;
        self.json(name)?;
        self.raw(":")?;
        match value {
            Some((value, ty)) => self.value(value, ty)?,
            None => self.raw("null")?,
        }
        self.raw("}")
    }

    fn not_finite(&mut self, value: f64) -> Written {
        let named = NOT_FINITE.iter().find(|(_, other)| value == *other || value.is_nan() && other.is_nan());
        self.json(named.map_or("NaN", |(name, _)| name))
    }

    fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        serde_json::to_writer(self, value).map_err(std::io::Error::from)
    }

    fn raw(&mut self, text: &str) -> Written {
        std::io::Write::write_all(self, text.as_bytes())
    }
}
