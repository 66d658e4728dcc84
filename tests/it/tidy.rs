//! Who may know whom: the table of ARCHITECTURE.md, held by reading the code. And what else a reader must be able to rely on.

use std::fs;
use std::path::{Path, PathBuf};

use crate::app::repository;

/// The parts of the host and the parts that each may name; `a::b` allows only what is below `b`.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("error", &[]),
    ("clock", &[]),
    ("datadir", &["error"]),
    ("events", &["domain"]),
    ("metrics", &["domain"]),
    ("store", &["domain", "error"]),
    ("wasm", &["domain", "clock", "error"]),
    ("app", &["store", "events", "wasm", "domain", "clock", "error", "metrics"]),
    ("worker", &["app", "store", "wasm", "events", "domain", "clock", "metrics"]),
    ("api", &["app", "domain", "store", "wasm::Level", "wasm::level_name", "error", "metrics", "pages"]),
    ("scheduler", &["app"]),
    ("pages", &["api", "app", "domain", "store", "error"]),
    ("tls", &[]),
    ("traces", &["api::shapes", "api::summary", "app", "domain", "error", "tls"]),
    ("client", &["api::shapes", "domain", "error", "tls"]),
    (
        "server",
        &[
            "api",
            "app",
            "clock",
            "datadir",
            "domain",
            "error",
            "events",
            "scheduler",
            "store",
            "traces",
            "wasm",
            "worker",
        ],
    ),
    ("cli", &["api::shapes", "app::AllowedDir", "client", "server", "datadir", "domain", "error"]),
    ("main", &["cli", "wasm::compile"]),
    ("lib", &[]),
];

/// Crates and calls that only some files may name.
const OWNERS: &[(&str, &[&str])] = &[
    ("wasmtime", &["wasm.rs", "wasm/"]),
    ("wasmtime_wasi", &["wasm.rs", "wasm/"]),
    ("wasmtime_wasi_http", &["wasm/host/"]),
    ("hyper", &["wasm/host/"]),
    ("opentelemetry", &["traces.rs"]),
    ("opentelemetry_otlp", &["traces.rs"]),
    ("opentelemetry_sdk", &["traces.rs"]),
    ("rusqlite", &["store/sqlite.rs", "store/sqlite/"]),
    ("rusqlite_migration", &["store/sqlite.rs", "store/sqlite/"]),
    ("axum", &["api.rs", "api/", "pages.rs", "pages/", "server.rs"]),
    ("minijinja", &["pages.rs", "pages/"]),
    ("prometheus_client", &["metrics.rs"]),
    ("reqwest", &["client.rs", "notifier/", "tls.rs"]),
    ("rustls", &["tls.rs"]),
    ("tar", &["app/backup.rs"]),
    ("clap", &["cli.rs", "cli/"]),
    ("comfy_table", &["cli.rs", "cli/"]),
    ("crossterm", &["cli/"]),
    ("dotenvy", &["cli/settings.rs"]),
    ("process::exit", &["main.rs"]),
];

/// Longer files are two things.
const MAX_LINES: usize = 400;

struct Source {
    /// Below `host/src`, or below the repository.
    path: String,
    text: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let root = repository().join(folder);
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("reads").map(|entry| entry.expect("reads").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    assert!(!files.is_empty(), "`{folder}` has no code");
    files
        .iter()
        .map(|path| Source { path: below(path, &root), text: fs::read_to_string(path).expect("reads") })
        .collect()
}

fn below(path: &Path, root: &PathBuf) -> String {
    path.strip_prefix(root).expect("it was found there").to_str().expect("UTF-8").to_owned()
}

/// The code without comments, strings and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        // What is in quotes is no path. An escaped quote ends a string too early, and begins the next as early.
        code.extend(line.split('"').step_by(2));
        code.push('\n');
    }
    code
}

/// The paths that `code` names below `prefix`, with the groups of a `use` taken apart: two segments at most.
fn paths(code: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_alphanumeric() || before == '_' || before == ':' {
            continue;
        }
        found.extend(heads(&code[at + prefix.len()..]));
    }
    found
}

fn heads(rest: &str) -> Vec<String> {
    if let Some(group) = rest.strip_prefix('{') {
        return split_group(group).into_iter().flat_map(|item| heads(item.trim())).collect();
    }
    let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let first = word(rest);
    let Some(rest) = rest[first.len()..].strip_prefix("::") else { return vec![first] };
    match rest.strip_prefix('{') {
        Some(group) => split_group(group).iter().map(|item| format!("{first}::{}", word(item.trim()))).collect(),
        None => vec![format!("{first}::{}", word(rest))],
    }
}

/// The items of a group up to its closing brace, groups within it whole.
fn split_group(group: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        items.last_mut().expect("it begins with one").push(c);
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

fn part(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or_default()
}

/// Whether `path`, such as `store::Store`, is within what is allowed.
fn allows(allowed: &[&str], path: &str) -> bool {
    allowed
        .iter()
        .any(|allowed| path == *allowed || path.strip_prefix(allowed).is_some_and(|rest| rest.starts_with("::")))
}

#[test]
fn every_part_of_the_host_names_only_those_that_it_may() {
    let mut wrong = Vec::new();
    for source in sources("host/src") {
        let own = part(&source.path);
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == own)
            .unwrap_or_else(|| panic!("`{}` is no part that the table knows: add its arrows", source.path));
        let code = code(&source.text);
        let ours = ["crate::", "tarefa::"].iter().flat_map(|prefix| paths(&code, prefix));
        for path in ours {
            if path.split("::").next() != Some(own) && !path.starts_with("guest") && !allows(allowed, &path) {
                wrong.push(format!("`{}` names `{path}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_crate_is_named_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for source in sources("host/src") {
        let code = code(&source.text);
        for (name, owners) in OWNERS {
            let owned = owners
                .iter()
                .any(|owner| source.path == *owner || owner.ends_with('/') && source.path.starts_with(owner));
            if !owned && names(&code, name) {
                wrong.push(format!("`{}` names `{name}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `name` stands in the code as a path, not as a part of another word.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let after = &code[at + name.len()..];
        !part_of_word(before) && (after.starts_with("::") || !after.starts_with(part_of_word) && name.contains("::"))
    })
}

#[test]
fn no_file_is_longer_than_four_hundred_lines() {
    for folder in ["host", "guest-sdk", "examples", "tests"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            assert!(lines <= MAX_LINES, "`{folder}/{}` has {lines} lines; the most is {MAX_LINES}", source.path);
        }
    }
}

#[test]
fn the_reader_of_the_table_sees_what_is_there() {
    let code =
        code("use crate::store::{Claim, Store}; // crate::no\nlet x = \"crate::no\" + crate::{api::{self, b}, error};");
    assert_eq!(paths(&code, "crate::"), ["store::Claim", "store::Store", "api::self", "api::b", "error"]);
    assert!(allows(&["api::shapes"], "api::shapes") && !allows(&["api::shapes"], "api::view"));
    assert!(names("use axum::Json;", "axum") && !names("let axum_like = 1;", "axum") && !names("maxum::x", "axum"));
}
