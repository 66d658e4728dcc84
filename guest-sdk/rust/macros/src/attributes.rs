//! What stands in the parentheses of `#[task(…)]` and `#[flow(…)]`.

use proc_macro2::{Span, TokenStream};
use syn::meta::ParseNestedMeta;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, ExprArray, Lit, LitBool, LitFloat, LitInt, LitStr, Result, Token};

use crate::literals::{duration_ms, json_string, not_one_of, size_bytes};

const KNOWN: &[&str] = &[
    "title",
    "description",
    "retries",
    "retry_delay",
    "backoff",
    "max_delay",
    "jitter",
    "timeout",
    "run_name",
    "tags",
    "limits",
    "durable",
    "cache",
    "cache_key",
    "cache_scope",
];
const KNOWN_LIMITS: &[&str] = &["fuel", "memory", "timeout", "output", "log", "children"];
const MAX_RETRIES: u64 = 1_000;

/// The attributes, checked; each value is JSON text as `wit/schemas/describe.json` wants it.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) run_name: Option<LitStr>,
    pub(crate) tags: Option<String>,
    pub(crate) retries: Vec<(&'static str, String)>,
    pub(crate) limits: Vec<(&'static str, String)>,
    pub(crate) durable: Option<LitBool>,
    pub(crate) cache: Vec<(&'static str, String)>,
    pub(crate) cache_key: Option<LitStr>,
    /// Where the first attribute of the cache stands.
    pub(crate) cache_at: Option<Span>,
    seen: Vec<String>,
}

impl Attributes {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut attributes = Self::default();
        syn::meta::parser(|meta| attributes.take(&meta)).parse2(tokens)?;
        let has = |key: &str| attributes.retries.iter().find(|(name, _)| *name == key);
        if let (Some((_, delay)), Some((_, backoff))) = (has("delay_ms"), has("backoff"))
            && delay.starts_with('[')
            && backoff.contains("exponential")
        {
            let message = "`backoff = \"exponential\"` doubles a single `retry_delay`; a list says every delay itself";
            return Err(Error::new(proc_macro2::Span::call_site(), message));
        }
        if let Some(at) = attributes.cache_at
            && !attributes.seen.iter().any(|name| name == "cache")
        {
            return Err(Error::new(at, "this says more of `cache = \"1h\"`, which is missing"));
        }
        Ok(attributes)
    }

    fn take(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        if self.seen.contains(&name) {
            return Err(meta.error(format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "title" => self.title = Some(json_string(&text(meta, 200)?.value())),
            "description" => self.description = Some(json_string(&text(meta, 10_000)?.value())),
            "run_name" => self.run_name = Some(text(meta, 200)?),
            "tags" => self.tags = Some(tags(meta)?),
            "retries" => self.retries.push(("max", retries(meta)?)),
            "retry_delay" => self.retries.push(("delay_ms", delays(meta)?)),
            "backoff" => self.retries.push(("backoff", one_of(meta, "backoff", &["fixed", "exponential"])?)),
            "max_delay" => self.retries.push(("max_delay_ms", duration(meta)?)),
            "jitter" => self.retries.push(("jitter", jitter(meta)?)),
            "timeout" => self.limit("timeout_ms", meta, duration)?,
            "cache" | "cache_key" | "cache_scope" => self.take_cache(&name, meta)?,
            "durable" => self.durable = Some(meta.value()?.parse()?),
            "limits" => meta.parse_nested_meta(|limit| self.take_limit(&limit))?,
            _ => return Err(not_one_of(span_of(meta), "attribute", &name, KNOWN)),
        }
        self.seen.push(name);
        Ok(())
    }

    fn take_cache(&mut self, name: &str, meta: &ParseNestedMeta) -> Result<()> {
        self.cache_at.get_or_insert(span_of(meta));
        match name {
            "cache" => self.cache.push(("max_age_ms", max_age(meta)?)),
            "cache_scope" => self.cache.push(("scope", one_of(meta, "scope", &["deployment", "global"])?)),
            _ => {
                let template = text(meta, 200)?;
                self.cache.push(("key", json_string(&template.value())));
                self.cache_key = Some(template);
            }
        }
        Ok(())
    }

    fn take_limit(&mut self, meta: &ParseNestedMeta) -> Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match name.as_str() {
            "fuel" => self.limit("fuel", meta, count),
            "memory" => self.limit("memory_bytes", meta, size),
            "timeout" => self.limit("timeout_ms", meta, duration),
            "output" => self.limit("output_bytes", meta, size),
            "log" => self.limit("log_bytes", meta, size),
            "children" => self.limit("children", meta, count),
            _ => Err(not_one_of(span_of(meta), "limit", &name, KNOWN_LIMITS)),
        }
    }

    fn limit(
        &mut self,
        key: &'static str,
        meta: &ParseNestedMeta,
        value: fn(&ParseNestedMeta) -> Result<String>,
    ) -> Result<()> {
        if self.limits.iter().any(|(known, _)| *known == key) {
            return Err(meta.error(format!("`{key}` is given twice")));
        }
        self.limits.push((key, value(meta)?));
        Ok(())
    }
}

fn span_of(meta: &ParseNestedMeta) -> proc_macro2::Span {
    syn::spanned::Spanned::span(&meta.path)
}

fn text(meta: &ParseNestedMeta, max_chars: usize) -> Result<LitStr> {
    let literal: LitStr = meta.value()?.parse()?;
    let length = literal.value().chars().count();
    if length == 0 || length > max_chars {
        return Err(Error::new(literal.span(), format!("expected 1 to {max_chars} characters, found {length}")));
    }
    Ok(literal)
}

fn count(meta: &ParseNestedMeta) -> Result<String> {
    Ok(meta.value()?.parse::<LitInt>()?.base10_parse::<u64>()?.to_string())
}

fn size(meta: &ParseNestedMeta) -> Result<String> {
    Ok(size_bytes(&meta.value()?.parse::<Lit>()?)?.to_string())
}

fn duration(meta: &ParseNestedMeta) -> Result<String> {
    Ok(duration_ms(&duration_literal(meta.value()?)?)?.to_string())
}

fn max_age(meta: &ParseNestedMeta) -> Result<String> {
    let literal = duration_literal(meta.value()?)?;
    match duration_ms(&literal)? {
        0 => Err(Error::new(literal.span(), "a result is kept for 1 ms at least; leave `cache` out to keep none")),
        ms => Ok(ms.to_string()),
    }
}

fn duration_literal(input: ParseStream) -> Result<LitStr> {
    let help = "expected a duration in quotes, such as \"2s\" or \"500ms\"";
    input.parse().map_err(|error: Error| Error::new(error.span(), help))
}

fn retries(meta: &ParseNestedMeta) -> Result<String> {
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse::<u64>()? {
        n if n <= MAX_RETRIES => Ok(n.to_string()),
        n => Err(Error::new(literal.span(), format!("at most {MAX_RETRIES} retries, found {n}"))),
    }
}

/// One delay, or a list with one for each retry.
fn delays(meta: &ParseNestedMeta) -> Result<String> {
    let value = meta.value()?;
    if !value.peek(syn::token::Bracket) {
        return Ok(duration_ms(&duration_literal(value)?)?.to_string());
    }
    let content;
    let bracket = syn::bracketed!(content in value);
    let list = content.parse_terminated(duration_literal, Token![,])?;
    if list.is_empty() {
        return Err(Error::new(bracket.span.join(), "expected at least one delay, such as [\"1s\", \"5s\"]"));
    }
    let list = list.iter().map(|literal| Ok(duration_ms(literal)?.to_string())).collect::<Result<Vec<_>>>()?;
    Ok(format!("[{}]", list.join(",")))
}

fn one_of(meta: &ParseNestedMeta, what: &str, words: &[&str]) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    let word = literal.value();
    match words.contains(&word.as_str()) {
        true => Ok(json_string(&word)),
        false => Err(not_one_of(literal.span(), what, &word, words)),
    }
}

fn jitter(meta: &ParseNestedMeta) -> Result<String> {
    let literal: Lit = meta.value()?.parse()?;
    let value: f64 = match &literal {
        Lit::Float(float) => LitFloat::base10_parse(float)?,
        Lit::Int(integer) => LitInt::base10_parse(integer)?,
        other => return Err(Error::new(other.span(), "expected a number from 0 to 1, such as 0.2")),
    };
    if !(0.0..=1.0).contains(&value) {
        return Err(Error::new(literal.span(), format!("the jitter is a share from 0 to 1, found {value}")));
    }
    Ok(value.to_string())
}

fn tags(meta: &ParseNestedMeta) -> Result<String> {
    let array: ExprArray = meta.value()?.parse()?;
    let mut tags = Punctuated::<String, Token![,]>::new();
    for element in &array.elems {
        match element {
            syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(tag), .. }) if !tag.value().is_empty() => {
                tags.push(json_string(&tag.value()));
            }
            other => return Err(Error::new_spanned(other, "a tag is text of 1 to 64 characters")),
        }
    }
    Ok(format!("[{}]", tags.into_iter().collect::<Vec<_>>().join(",")))
}
