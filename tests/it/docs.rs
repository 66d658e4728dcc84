//! Every command that the documents show works, and what they show of its output is there.
//!
//! A fenced block whose language is `sh` holds commands, one a line. In a `console` block those are the lines that begin
//! with `$ `, and go on after a backslash; the others are what one sees: each must be among the lines of the output,
//! numbers, ids, durations and spaces aside, where `…` stands for anything. A command fails exactly where a line
//! `error: …` is shown. Other blocks are not run. A document is one session of bash in a folder of its own that has the
//! `examples`; its `/tmp` and its `/home/ana` are folders therein, and `tarefa serve` goes on in the background.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::app::{repository, share_cache};

/// Where the data directory is, as the documents show it.
const DATA: &str = "home/ana/.local/share/tarefa";
const SESSION: &str = include_str!("docs/session.sh");
/// Begins the line that the session writes after each command; its exit code follows.
const MARK: &str = "\u{1}exit ";

struct Shown {
    line: usize,
    command: String,
    output: Vec<String>,
}

/// The commands of a document with what is shown of their output.
fn commands(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let (mut language, mut goes_on) = (None, false);
    for (line, number) in text.lines().zip(1..) {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            language = language.is_none().then(|| fence.trim());
            goes_on = false;
            continue;
        }
        let command = match language {
            _ if goes_on => Some(line),
            Some("sh") => (!line.trim().is_empty()).then_some(line),
            Some("console") => line.strip_prefix("$ "),
            _ => continue,
        };
        match command {
            Some(command) if goes_on => commands.last_mut().expect("it began").command += &format!("\n{command}"),
            Some(command) => commands.push(Shown { line: number, command: command.to_owned(), output: Vec::new() }),
            None if line.trim().is_empty() => {}
            None => commands.last_mut().expect("a command comes first").output.push(line.to_owned()),
        }
        goes_on = command.is_some_and(|command| command.ends_with('\\'));
    }
    commands
}

/// Runs a document in a folder of its own, and says what is not as it shows.
fn check(document: &Path, text: &str, scratch: &Path) -> Vec<String> {
    let folder = scratch.to_str().expect("UTF-8");
    let shown = commands(text);
    let mut script = SESSION.to_owned();
    for Shown { command, .. } in &shown {
        let command = command.replace("/tmp", &format!("{folder}/tmp"));
        script += &format!("{command}\nprintf '\\n{MARK}%s\\n' $?\n");
    }
    let output = bash(&script, scratch).replace(folder, "");
    let mut outputs = output.split(MARK);
    let mut seen = outputs.next().unwrap_or_default();
    let mut wrong = Vec::new();
    for Shown { line, command, output } in shown {
        let what = format!("{}:{line}: `{command}`", document.display());
        let Some((code, rest)) = outputs.next().and_then(|rest| rest.split_once('\n')) else {
            wrong.push(format!("{what} ended the session:\n{seen}"));
            break;
        };
        let missing = missing(&output, seen);
        if !missing.is_empty() {
            wrong.push(format!("{what} does not show\n{}\nbut\n{seen}", missing.join("\n")));
        }
        let fails = output.iter().any(|line| line.starts_with("error: "));
        if fails == (code == "0") {
            wrong.push(format!("{what} ended with {code}:\n{seen}"));
        }
        seen = rest;
    }
    wrong
}

fn bash(script: &str, scratch: &Path) -> String {
    let path = format!("{}:{}", scratch.join("bin").display(), std::env::var("PATH").expect("a PATH"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(scratch)
        .env("PATH", path)
        .env("SCRATCH", scratch)
        .env("TAREFA_DATA_DIR", scratch.join(DATA))
        // What is built there already is not built again.
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env("NO_COLOR", "1")
        .env_remove("TAREFA_API_URL")
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The lines of `expected` that `seen` does not have; each of its lines counts once.
fn missing<'a>(expected: &'a [String], seen: &str) -> Vec<&'a str> {
    let mut seen: Vec<String> = seen.lines().map(loosely).collect();
    let mut missing = Vec::new();
    for line in expected.iter().filter(|line| line.trim() != "…") {
        let pattern = loosely(line);
        match seen.iter().position(|seen| matches(&pattern, seen)) {
            Some(at) => _ = seen.swap_remove(at),
            None => missing.push(line.as_str()),
        }
    }
    missing
}

/// Whether a line is as a pattern has it, in which `…` is any text.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('…');
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A line with `#` for each number with its unit and each id, and one space for each gap.
fn loosely(line: &str) -> String {
    const UNITS: [&str; 10] = ["µs", "ms", "s", "k", "M", "B", "kB", "MB", "KiB", "MiB"];
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let follows_number = words.last().is_some_and(|last| last.ends_with('#'));
        let unit = word.trim_end_matches([';', ',', ')']);
        match follows_number && UNITS.contains(&unit) {
            true => *words.last_mut().expect("it ends in a number") += &word[unit.len()..],
            false => words.push(without_numbers(word)),
        }
    }
    words.join(" ")
}

/// A word with `#` for its numbers, times and ids.
fn without_numbers(word: &str) -> String {
    const SHORT_ID: usize = 8;
    const UUID: usize = 36;
    let mut text = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        if rest.get(..UUID).is_some_and(|id| id.chars().all(is_hex)) {
            text.push('#');
            rest = &rest[UUID..];
        } else if end >= SHORT_ID && rest[..end].chars().all(is_hex) {
            text.push('#');
            rest = &rest[end..];
        } else if first.is_ascii_digit() {
            text.push('#');
            let part_of = |c: char| c.is_ascii_digit() || ".,:".contains(c);
            let end = rest.find(|c| !part_of(c)).unwrap_or(rest.len());
            rest = &rest[end..];
        } else {
            text.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    text
}

/// A folder that has what the documents speak of.
fn scratch() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().expect("a directory");
    let path = scratch.path();
    for folder in ["bin", "tmp"] {
        fs::create_dir(path.join(folder)).expect("makes a folder");
    }
    symlink(env!("CARGO_BIN_EXE_tarefa"), path.join("bin/tarefa")).expect("links the binary");
    symlink(repository().join("examples"), path.join("examples")).expect("links the examples");
    share_cache(&path.join(DATA));
    scratch
}

/// The README of `tarefa new` is read in a project that it made.
fn check_template() -> Vec<String> {
    let scratch = scratch();
    let made = bash("tarefa new from-template 2>&1", scratch.path());
    let text = fs::read_to_string(scratch.path().join("from-template/README.md")).expect(&made);
    let text = format!("```sh\ncd from-template\n```\n{text}");
    check(Path::new("host/template/README.md"), &text, scratch.path())
}

/// The READMEs and the pages of `docs`, below the repository.
fn documents() -> Vec<PathBuf> {
    let within = |folder: &'static str| {
        let entries = fs::read_dir(repository().join(folder)).expect("reads");
        entries.map(move |entry| Path::new(folder).join(entry.expect("reads").file_name()))
    };
    let examples = within("examples").map(|example| example.join("README.md"));
    let pages = within("docs").filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    std::iter::once("README.md".into()).chain(examples).chain(pages).collect()
}

#[test]
fn what_the_documents_show_is_what_one_sees() {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let run = |path: PathBuf| {
            let text = fs::read_to_string(repository().join(&path)).expect("reads");
            check(&path, &text, scratch().path())
        };
        let mut sessions: Vec<_> = documents().into_iter().map(|path| scope.spawn(move || run(path))).collect();
        sessions.push(scope.spawn(check_template));
        sessions.into_iter().flat_map(|session| session.join().expect("ends")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_shown_line_is_compared_without_what_varies() {
    let same = [
        ("completed in 1.53 s; 2 task runs", "completed in 212 µs; 2 task runs"),
        ("11:35:07.552 info  greet(Ada) | greeting Ada", "09:00:00.001 info greet(Ada) | greeting Ada"),
        (
            "id  {\"id\":\"01a20830-3852-7183-9808-bfe9beb4a009\",…}",
            "id {\"id\":\"01a20cd2-1be9-7680-86d5-2ab3362ec683\",1}",
        ),
        ("f5f18a50  Greetings  …", "beb4a009  Greetings  completed  1"),
    ];
    for (shown, seen) in same {
        assert!(missing(&[shown.to_owned()], seen).is_empty(), "{} / {}", loosely(shown), loosely(seen));
    }
    let shown = ["greeting Ada".to_owned(), "greeting Ada".to_owned(), "completed".to_owned()];
    assert_eq!(missing(&shown, "greeting Ada\nfailed\n"), ["greeting Ada", "completed"]);
}

#[test]
fn commands_are_found_in_sh_and_console_blocks_alone() {
    let text = "```sh\na\n\nb\n```\n```text\nc\n```\n```console\n$ d \\\n    e\nout\n$ f\n```\n";
    let found: Vec<_> = commands(text).into_iter().map(|shown| (shown.line, shown.command, shown.output)).collect();
    let expected = [
        (2, "a".to_owned(), vec![]),
        (4, "b".to_owned(), vec![]),
        (10, "d \\\n    e".to_owned(), vec!["out".to_owned()]),
        (13, "f".to_owned(), vec![]),
    ];
    assert_eq!(found, expected);
}
