//! Durations, sizes and templates written as literals, and text as JSON.

use proc_macro2::Span;
use syn::{Error, Lit, LitStr, Result};

/// Ten years, the contract's largest duration.
const MAX_MILLISECONDS: u64 = 315_360_000_000;

const DURATION_UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Milliseconds of a duration such as `"500ms"`, `"2s"` or `"1m 30s"`.
pub(crate) fn duration_ms(literal: &LitStr) -> Result<u64> {
    let text = literal.value();
    sum_of_parts(&text, DURATION_UNITS).filter(|ms| *ms <= MAX_MILLISECONDS).ok_or_else(|| {
        let help = "write a number with one of the units ms, s, m, h, d, such as \"500ms\", \"2s\" or \"1m 30s\"; at most ten years";
        Error::new(literal.span(), format!("`{text}` is not a duration: {help}"))
    })
}

/// Bytes of a size such as `"64MiB"`, or of a plain number of bytes.
pub(crate) fn size_bytes(literal: &Lit) -> Result<u64> {
    let help = "write a number of bytes, or text with a unit, such as \"64MiB\" or \"10kB\"";
    match literal {
        Lit::Int(number) => number.base10_parse(),
        Lit::Str(text) => sum_of_parts(&text.value(), SIZE_UNITS)
            .ok_or_else(|| Error::new(text.span(), format!("`{}` is not a size: {help}", text.value()))),
        other => Err(Error::new(other.span(), format!("expected a size: {help}"))),
    }
}

/// The sum of parts of a number and a unit each; `None` where the text is anything else.
fn sum_of_parts(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, factor) = units.iter().find(|(unit, _)| *unit == &rest[..letters])?;
        sum = sum.checked_add(number.checked_mul(*factor)?)?;
        rest = rest[letters..].trim_start();
    }
    Some(sum)
}

/// The arguments that a template names: the run name `process(id={id})` names `id`.
pub(crate) fn placeholders(what: &str, template: &LitStr) -> Result<Vec<String>> {
    let text = template.value();
    let unclosed = || Error::new(template.span(), format!("a `{{` in the {what} has no matching `}}`"));
    let mut names = Vec::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('{') {
        let after = &rest[start + 1..];
        let end = after.find('}').ok_or_else(unclosed)?;
        names.push(after[..end].to_owned());
        rest = &after[end + 1..];
    }
    Ok(names)
}

/// `text` as a JSON string, quotes included.
pub(crate) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            '\n' => json.push_str("\\n"),
            c if c < ' ' => json.push_str(&format!("\\u{:04x}", c as u32)),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

/// The error of a value that is not among those which `what` may have.
pub(crate) fn not_one_of(span: Span, what: &str, given: &str, known: &[&str]) -> Error {
    let known = known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    Error::new(span, format!("unknown {what} `{given}`; there are {known}"))
}
