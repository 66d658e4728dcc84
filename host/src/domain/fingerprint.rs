//! Tells whether two JSON values are equal, whatever their spaces and the order of their members.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use twox_hash::XxHash3_64;

/// Shorter strings are equal by chance, so that their equality says nothing.
const MIN_STRING_BYTES: usize = 8;

/// A hash of a JSON value, equal for equal values. None for what is not JSON, and for values that many others equal by
/// chance: numbers, words, short strings, empty arrays and objects.
pub fn fingerprint(json: &str) -> Option<u64> {
    let first = json.bytes().find(|byte| !byte.is_ascii_whitespace())?;
    if !matches!(first, b'[' | b'{' | b'"') {
        return None;
    }
    let value: Hashed = serde_json::from_str(json).ok()?;
    value.tells.then_some(value.hash)
}

/// The checksum that a text is stored with.
pub fn checksum(text: &str) -> i64 {
    XxHash3_64::oneshot(text.as_bytes()) as i64
}

/// A checksum of several texts, from that of those before and the next one.
pub fn checksum_with(before: i64, next: &[u8]) -> i64 {
    XxHash3_64::oneshot_with_seed(before as u64, next) as i64
}

struct Hashed {
    hash: u64,
    /// Whether the value is more than a number or a word.
    tells: bool,
}

impl Hashed {
    fn scalar(kind: u64, bytes: &[u8]) -> Hashed {
        Hashed { hash: XxHash3_64::oneshot_with_seed(kind, bytes), tells: false }
    }
}

fn mix(seed: u64, hash: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, &hash.to_le_bytes())
}

impl<'de> Deserialize<'de> for Hashed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hashed, D::Error> {
        deserializer.deserialize_any(Hasher)
    }
}

struct Hasher;

impl<'de> Visitor<'de> for Hasher {
    type Value = Hashed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Hashed, E> {
        Ok(Hashed::scalar(0, &[]))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Hashed, E> {
        Ok(Hashed::scalar(1, &[value.into()]))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Hashed, E> {
        Ok(Hashed::scalar(2, &i128::from(value).to_le_bytes()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Hashed, E> {
        Ok(Hashed::scalar(2, &i128::from(value).to_le_bytes()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Hashed, E> {
        // Languages differ on whether 1.0 is written with a fraction.
        let whole = value as i128;
        if whole as f64 == value {
            return Ok(Hashed::scalar(2, &whole.to_le_bytes()));
        }
        Ok(Hashed::scalar(3, &value.to_bits().to_le_bytes()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Hashed, E> {
        Ok(Hashed { tells: text.len() >= MIN_STRING_BYTES, ..Hashed::scalar(4, text.as_bytes()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Hashed, A::Error> {
        let (mut hash, mut tells) = (5, false);
        while let Some(item) = items.next_element::<Hashed>()? {
            hash = mix(hash, item.hash);
            tells = true;
        }
        Ok(Hashed { hash, tells })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Hashed, A::Error> {
        let (mut sum, mut tells) = (0_u64, false);
        while let Some((name, value)) = members.next_entry::<Hashed, Hashed>()? {
            // A sum, since members have no order.
            sum = sum.wrapping_add(mix(name.hash, value.hash));
            tells = true;
        }
        Ok(Hashed { hash: mix(6, sum), tells })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_however_they_are_written() {
        let same = [
            (r#"{"a":1,"b":[1.0,null,"\u00e1"]}"#, r#" { "b": [1, null, "á"], "a": 1.0 } "#),
            (r#""Olá mundo""#, r#" "Ol\u00e1 mundo""#),
            ("[18446744073709551615]", "[18446744073709551615]"),
        ];
        for (left, right) in same {
            assert!(fingerprint(left).is_some(), "{left}");
            assert_eq!(fingerprint(left), fingerprint(right), "{left} {right}");
        }
    }

    #[test]
    fn other_values_are_other() {
        let values = [
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[1,[2]]",
            "[\"1\",2]",
            "[1.5]",
            "[true]",
            "[null]",
            "[false]",
            "[-1]",
            "[1]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":{"b":1}}"#,
            r#"["a",1]"#,
            r#""12345678""#,
            "[12345678]",
        ];
        let mut prints: Vec<_> = values.iter().map(|value| fingerprint(value).expect(value)).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(prints.len(), values.len());
    }

    #[test]
    fn what_is_equal_by_chance_does_not_count() {
        for json in ["1", "true", "null", "1.5", "[]", "{}", "\"1234567\"", " [ ] ", "", "[1", "nonsense"] {
            assert_eq!(fingerprint(json), None, "{json}");
        }
    }
}
