//! What does not fit is refused with the name of the problem, at its place.

use crate::data;
use crate::expand::{Kind, entry};

/// Expands `#[task(attributes)] function` and returns the error's text and the source text it points at.
fn refusal(attributes: &str, function: &str) -> (String, String) {
    let parse = |text: &str| text.parse().unwrap();
    let error = entry(Kind::Task, parse(attributes), parse(function)).expect_err("expected a refusal");
    (error.to_string(), error.span().source_text().unwrap_or_default())
}

#[track_caller]
fn refused(attributes: &str, function: &str, message: &str, place: &str) {
    let (text, at) = refusal(attributes, function);
    assert!(text.contains(message), "`{text}` does not contain `{message}`");
    assert_eq!(at, place, "{text}");
}

const PLAIN: &str = "fn f(id: u32) {}";

#[test]
fn attributes_are_refused_at_their_place() {
    refused("tittle = \"x\"", PLAIN, "unknown attribute `tittle`; there are `title`", "tittle");
    refused("retries = 1, retries = 2", PLAIN, "`retries` is given twice", "retries");
    refused("retries = 2000", PLAIN, "at most 1000 retries", "2000");
    refused("retry_delay = \"2 parsecs\"", PLAIN, "`2 parsecs` is not a duration", "\"2 parsecs\"");
    refused("retry_delay = 2", PLAIN, "expected a duration in quotes", "2");
    refused("retry_delay = [\"1s\", \"x\"]", PLAIN, "`x` is not a duration", "\"x\"");
    refused("retry_delay = []", PLAIN, "at least one delay", "[]");
    refused("timeout = \"30\"", PLAIN, "`30` is not a duration", "\"30\"");
    refused("backoff = \"linear\"", PLAIN, "unknown backoff `linear`", "\"linear\"");
    refused("jitter = 1.5", PLAIN, "from 0 to 1", "1.5");
    refused("limits(memory = \"64 M\")", PLAIN, "`64 M` is not a size", "\"64 M\"");
    refused("limits(ram = 1)", PLAIN, "unknown limit `ram`; there are `fuel`", "ram");
    refused("tags = [1]", PLAIN, "a tag is text", "1");
    refused("durable = false", PLAIN, "`durable` is of flows", "false");
    refused("title = \"\"", PLAIN, "1 to 200 characters", "\"\"");
}

#[test]
fn a_run_name_shows_arguments_only() {
    refused("run_name = \"f({n})\"", PLAIN, "no argument `n` to show; there are `id`", "\"f({n})\"");
    refused("run_name = \"f({id.x})\"", PLAIN, "no argument `id.x`", "\"f({id.x})\"");
    refused("run_name = \"f({n})\"", "fn f() {}", "there are none", "\"f({n})\"");
    refused("run_name = \"f({id\"", PLAIN, "no matching `}`", "\"f({id\"");
}

#[test]
fn a_cache_is_of_tasks_and_has_a_time() {
    refused("cache = \"1 parsec\"", PLAIN, "is not a duration", "\"1 parsec\"");
    refused("cache = \"0s\"", PLAIN, "1 ms at least", "\"0s\"");
    refused("cache_key = \"{id}\"", PLAIN, "`cache = \"1h\"`, which is missing", "cache_key");
    refused("cache = \"1h\", cache_key = \"{n}\"", PLAIN, "the cache key has no argument `n`", "\"{n}\"");
    refused("cache = \"1h\", cache_key = \"{id\"", PLAIN, "in the cache key has no matching `}`", "\"{id\"");
    refused("cache = \"1h\", cache_scope = \"world\"", PLAIN, "unknown scope `world`", "\"world\"");
    let flow = entry(Kind::Flow, "cache = \"1h\"".parse().unwrap(), PLAIN.parse().unwrap());
    assert!(flow.unwrap_err().to_string().contains("a cache is of tasks"));
}

#[test]
fn functions_that_cannot_be_entries_are_refused() {
    refused("", "async fn f() {}", "cannot be `async`", "async");
    refused("", "unsafe fn f() {}", "cannot be `unsafe`", "unsafe");
    refused("", "fn f<T>(x: T) {}", "cannot be generic", "T");
    refused("", "fn f(&self) {}", "`self` cannot be an argument", "&self");
    refused("", "fn f((a, b): (u32, u32)) {}", "needs a plain name", "(a, b)");
    refused("", "fn f(name: &str) {}", "use `String`", "&str");
    refused("", "fn f(list: &[u32]) {}", "use `Vec<u32>`", "&[u32]");
    refused("", "fn f(list: Vec<&str>) {}", "use `String`", "&str");
    refused("", "fn f(x: impl Clone) {}", "named type", "impl Clone");
    refused("", "fn f() -> &'static str { \"\" }", "the result is an owned value", "&'static str");
    refused("", "fn f() -> Result<&'static str> { Ok(\"\") }", "use `String`", "&'static str");
    refused("", "fn F() {}", "1 to 64 of a-z", "F");
    refused("", "fn f(#[env] x: u32) {}", "unknown attribute of an argument", "#[env]");
    refused("", "struct F;", "goes on a function", "struct");
}

#[test]
fn an_error_type_may_be_static_text() {
    let tokens = "fn f() -> Result<u32, &'static str> { Ok(1) }".parse().unwrap();
    assert!(entry(Kind::Task, proc_macro2::TokenStream::new(), tokens).is_ok());
}

#[test]
fn a_list_of_delays_and_exponential_backoff_exclude_each_other() {
    let (text, _) = refusal("backoff = \"exponential\", retry_delay = [\"1s\", \"2s\"]", PLAIN);
    assert!(text.contains("a list says every delay itself"), "{text}");
}

#[test]
fn data_goes_on_types() {
    let error = data::expand("".parse().unwrap(), "fn f() {}".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "`#[data]` goes on a struct or an enum");
}
