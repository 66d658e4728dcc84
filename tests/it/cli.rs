//! The command line as its users type it: the real binary, its two streams and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::app::repository;
use crate::process::{Process, data_dir, output, tarefa};

fn wasm(name: &str) -> String {
    repository().join(format!("target/wasm32-wasip2/release/examples/{name}.wasm")).display().to_string()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// JSON must stand alone on stdout.
fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(output)))
}

/// Runs a verb that is to end with `code`.
#[track_caller]
fn ends(data: &Path, arguments: &[&str], code: i32) -> Output {
    let output = output(data, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    output
}

/// Submits a run, and returns its id.
fn submit(server: &Process, module: &str, entry: &str, parameters: Value) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(server.submit(module, entry, parameters)).to_string()
}

/// The binary without a data directory on its command line, in a folder that may have a `.env`.
fn here(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tarefa"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("TAREFA_DATA_DIR")
        .env_remove("TAREFA_API_URL")
        .env("XDG_DATA_HOME", folder.join("xdg"))
        .env("NO_COLOR", "1")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

#[test]
fn a_run_that_failed_is_retried_and_both_say_so() {
    let data = data_dir();
    let divide = [&wasm("functions"), "divide", "--param", "a=1", "--param", "b=0", "--tag", "nightly"];
    ends(data.path(), &[&["run"], &divide[..]].concat(), 1);
    let first = json_of(&ends(data.path(), &["runs", "--json"], 0))["items"][0].clone();
    assert_eq!((&first["trigger"], &first["tags"]), (&json!("cli"), &json!(["nightly"])));

    let retried = ends(data.path(), &["runs", "retry", "latest"], 1);
    assert!(stderr(&retried).contains("retrying run `divide` ("), "{}", stderr(&retried));
    assert!(stderr(&retried).contains("), attempt 2\n"), "{}", stderr(&retried));
    assert_eq!(
        stderr(&retried).matches("dividing 1 by 0").count(),
        1,
        "only the new attempt is told: {}",
        stderr(&retried)
    );
    assert!(stderr(&retried).contains("error: task_error: division by zero"), "{}", stderr(&retried));
    assert_eq!(stdout(&retried), "", "there is no result");
    let shown = stdout(&ends(data.path(), &["runs", "show", "latest"], 0));
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{shown}"));
    assert!(line("id:").ends_with(first["id"].as_str().unwrap()), "it is the same run: {shown}");
    assert!(shown.contains("2 attempts (1 retry)"), "{shown}");
    assert!(line("tags:").ends_with("nightly") && line("created:").ends_with("(cli)"), "{shown}");

    let echo = [&wasm("noop"), "echo", "--param", "text=olá"];
    ends(data.path(), &[&["run"], &echo[..]].concat(), 0);
    let refused = ends(data.path(), &["runs", "retry", "echo"], 4);
    assert!(stderr(&refused).contains("completed"), "{}", stderr(&refused));
}

#[test]
fn a_run_is_watched_to_its_end_with_the_exit_code_of_its_outcome() {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    ends(data.path(), &["register", &wasm("sleeper")], 0);
    ends(data.path(), &["register", &wasm("fails")], 0);
    let naps = submit(&server, "sleeper", "naps", json!({"n": 2, "ms": 300}));
    let watched = ends(data.path(), &["runs", "watch", &naps], 0);
    assert_eq!(stdout(&watched).trim(), "600");
    assert!(stderr(&watched).contains("completed in"), "{}", stderr(&watched));
    let again = json_of(&ends(data.path(), &["runs", "watch", &naps, "--json", "--quiet"], 0));
    assert_eq!((&again["state"], &again["result"]), (&json!("completed"), &json!(600)));

    let failing = submit(&server, "fails", "give_up", json!({}));
    let watched = ends(data.path(), &["runs", "watch", &failing[failing.len() - 8..]], 1);
    assert!(stderr(&watched).contains("error: task_error: no retry can help"), "{}", stderr(&watched));
}

#[test]
fn nobody_waits_for_a_run_that_no_server_carries_out() {
    let data = data_dir();
    let server = Process::serve(data.path(), &["--grace", "0"]);
    ends(data.path(), &["register", &wasm("sleeper")], 0);
    submit(&server, "sleeper", "nap", json!({"ms": 500_000}));
    assert_eq!(server.terminate(), Some(0));
    for verb in [&["runs", "watch"][..], &["logs", "-f"]] {
        let refused = stderr(&ends(data.path(), &[verb, &["latest"]].concat(), 6));
        assert!(refused.contains("is scheduled, and there is no server to carry it out"), "{refused}");
    }
    ends(data.path(), &["runs", "cancel", "latest"], 0);
    ends(data.path(), &["runs", "watch", "latest"], 1);
}

#[test]
fn a_retry_without_a_server_has_the_grants_of_the_first_run() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let dir = format!("{}=/d", folder.path().display());
    ends(data.path(), &["run", &wasm("files"), "read", "--param", "path=/d/x.txt", "--dir", &dir], 1);
    fs::write(folder.path().join("x.txt"), "now it is there").expect("writes");
    let retried = ends(data.path(), &["runs", "retry", "latest"], 0);
    assert_eq!(stdout(&retried).trim(), "\"now it is there\"");
}

#[test]
fn a_watch_that_is_interrupted_leaves_the_run_alone() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader};

    let data = data_dir();
    let server = Process::serve(data.path(), &["--grace", "0"]);
    ends(data.path(), &["register", &wasm("sleeper")], 0);
    let id = &submit(&server, "sleeper", "naps", json!({"n": 1, "ms": 500_000}));
    let mut watch = tarefa(data.path(), &["runs", "watch", id]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(watch.stderr.take().expect("it is piped")).lines();
    let mut until =
        |words: &str| lines.by_ref().map(|line| line.expect("reads")).find(|line| line.contains(words)).expect(words);
    until("| running");
    kill_process(Pid::from_child(&watch), Signal::INT).expect("it runs");
    assert!(until("detached").contains("the run goes on: `tarefa runs watch "));
    assert_eq!(watch.wait().expect("it ends").code(), Some(130));
    let shown = json_of(&ends(data.path(), &["runs", "show", id, "--json"], 0));
    assert_eq!(shown["state"], "running");
    ends(data.path(), &["runs", "cancel", id], 0);
}

#[test]
fn runs_are_filtered_and_found_by_suffix_name_or_latest() {
    let data = data_dir();
    let run =
        |arguments: &[&str], code| ends(data.path(), &[&["run", &wasm("labels"), "--quiet"], arguments].concat(), code);
    run(&["labelled", "--param", "label=pulado", "--name", "first", "--tag", "a"], 0);
    run(&["labelled", "--param", "label=processado", "--name", "twin"], 0);
    run(&["labelled", "--param", "label=processado", "--name", "twin"], 0);
    run(&["label_and_failure", "--name", "bad"], 1);
    let names = |arguments: &[&str]| {
        let listed = json_of(&ends(data.path(), &[&["runs", "--json"], arguments].concat(), 0));
        listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["bad", "twin", "twin", "first"]);
    assert_eq!(names(&["--label", "pulado"]), ["first"]);
    assert_eq!(names(&["--tag", "a"]), ["first"]);
    assert_eq!(names(&["--state", "failed,late"]), ["bad"]);
    assert_eq!(names(&["--search", "twi", "--limit", "1"]), ["twin"]);
    assert_eq!(names(&["--trigger", "cli", "--since", "1h"]).len(), 4);
    assert_eq!(names(&["--until", "1h"]), Vec::<String>::new());
    assert_eq!(names(&["--since", "2026-01-02T03:04:05Z"]).len(), 4);
    for (bad, why) in [("--since", "is no time"), ("--state", "unknown state"), ("--trigger", "it is one of")] {
        let refused = ends(data.path(), &["runs", bad, "nonsense"], 2);
        assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    }

    let show = |run: &str, code| ends(data.path(), &["runs", "show", run, "--json"], code);
    let first = json_of(&show("first", 0));
    let id = first["id"].as_str().unwrap();
    assert_eq!(json_of(&show(&id[id.len() - 8..], 0))["id"], *id);
    assert_eq!(json_of(&show("latest", 0))["name"], "bad");
    let twin = show("twin", 0);
    assert!(stderr(&twin).contains("several runs are named `twin`: taking the newest"), "{}", stderr(&twin));
    let newest = json_of(&ends(data.path(), &["runs", "--json"], 0))["items"][1]["id"].clone();
    assert_eq!(json_of(&twin)["id"], newest);
    // Children's ids end in their place, so that of two flows the first ones end alike.
    ends(data.path(), &["run", &wasm("fails"), "catches", "--quiet"], 0);
    ends(data.path(), &["run", "fails", "catches", "--quiet"], 0);
    let listed = json_of(&ends(data.path(), &["runs", "--all", "--entry", "give_up", "--json"], 0));
    let ids = [0, 1].map(|n| listed["items"][n]["id"].as_str().unwrap());
    let end = &ids[0][ids[0].len() - 5..];
    let doubtful = stderr(&show(end, 2));
    assert!(doubtful.contains(&format!("`{end}` may be several runs: ")), "{doubtful}");
    assert!(ids.iter().all(|id| doubtful.contains(id)), "{doubtful}");
    let unknown = show("nobody", 3);
    assert!(stderr(&unknown).contains("no recent run is named `nobody`"), "{}", stderr(&unknown));
}

#[test]
fn nothing_is_a_result_too() {
    let data = data_dir();
    assert_eq!(stdout(&ends(data.path(), &["run", &wasm("noop"), "noop"], 0)), "null\n");
    assert!(stdout(&ends(data.path(), &["runs", "show", "latest"], 0)).contains("result:\nnull"));
}

#[test]
fn runs_and_modules_are_deleted() {
    let data = data_dir();
    ends(data.path(), &["run", &wasm("noop"), "echo", "--param", "text=x", "--quiet"], 0);
    let used = ends(data.path(), &["modules", "delete", "noop"], 4);
    assert!(stderr(&used).contains("1 run"), "{}", stderr(&used));
    let deleted = json_of(&ends(data.path(), &["runs", "delete", "latest", "--json"], 0));
    assert!(deleted["deleted"].is_string(), "{deleted}");
    assert!(stderr(&ends(data.path(), &["runs", "show", "latest"], 3)).contains("there is no run yet"));
    assert!(stdout(&ends(data.path(), &["modules", "delete", "noop"], 0)).contains("deleted the module `noop`"));
    ends(data.path(), &["modules", "delete", "noop"], 3);
}

#[test]
fn the_server_is_named_by_flag_environment_or_file_in_this_order() {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    let url = server.client.url().to_owned();
    let folder = tempfile::tempdir().expect("a directory");
    let nowhere = "http://127.0.0.1:1";
    let says = |output: Output| (output.status.code(), stderr(&output));

    for suffix in ["", "/", "/api", "/api/"] {
        let (code, said) = says(here(folder.path(), &[("TAREFA_API_URL", &format!("{url}{suffix}"))], &["modules"]));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("using the server at {url}, as `TAREFA_API_URL` says")), "{said}");
    }
    fs::write(
        folder.path().join(".env"),
        format!("PREFECT_API_URL=http://127.0.0.1:4200/api\nTAREFA_API_URL={url}/api\n"),
    )
    .expect("writes");
    let (code, said) = says(here(folder.path(), &[], &["modules"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("`TAREFA_API_URL` in `.env`"), "{said}");
    // The environment comes before the file, and a server that is not there is an error.
    let (code, said) = says(here(folder.path(), &[("TAREFA_API_URL", nowhere)], &["modules"]));
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("cannot reach the server at http://127.0.0.1:1"), "{said}");
    let (code, said) = says(here(folder.path(), &[("TAREFA_API_URL", nowhere)], &["modules", "--api-url", &url]));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = says(here(folder.path(), &[], &["modules", "--api-url", "https://127.0.0.1:4200"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("https"), "{said}");

    fs::write(folder.path().join(".env"), format!("TAREFA_DATA_DIR={}\n", folder.path().join("own").display()))
        .expect("writes");
    let (code, said) = says(here(folder.path(), &[], &["modules"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(folder.path().join("own/tarefa.db").is_file() && !folder.path().join("xdg").exists(), "{said}");
}

#[test]
fn clean_asks_before_it_deletes_all_and_leaves_what_is_not_ours() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    ends(&data, &["run", &wasm("noop"), "echo", "--param", "text=x", "--quiet"], 0);
    fs::write(data.join("notes.txt"), "mine").expect("writes");
    let compiled = || fs::read_dir(data.join("cache")).expect("reads").count();
    assert_eq!(compiled(), 1);
    let cleaned = json_of(&ends(&data, &["clean", "--json"], 0));
    assert_eq!(cleaned["files"], 1);
    assert_eq!(compiled(), 0);
    ends(&data, &["run", "noop", "echo", "--param", "text=y", "--quiet"], 0);
    assert_eq!(compiled(), 1, "it is made anew");

    let refused = ends(&data, &["clean", "--data"], 2);
    assert!(stderr(&refused).contains("there is nobody to ask: give `--yes`"), "{}", stderr(&refused));
    let named = format!("deletes 1 module, 0 deployments and 2 runs with their logs in `{}` (", data.display());
    assert!(stderr(&refused).contains(&named), "{}", stderr(&refused));
    assert!(data.join("tarefa.db").is_file());
    let server = Process::serve(&data, &[]);
    let held = ends(&data, &["clean", "--data", "--yes"], 4);
    assert!(stderr(&held).contains("is held by process"), "{}", stderr(&held));
    assert_eq!(server.terminate(), Some(0));
    ends(&data, &["clean", "--data", "--yes"], 0);
    assert!(!data.join("tarefa.db").exists() && !data.join("key").exists());
    assert_eq!(fs::read_to_string(data.join("notes.txt")).expect("it is still there"), "mine");
    ends(&folder.path().join("none"), &["clean", "--data", "--yes"], 0);

    let others = folder.path().join("others");
    fs::create_dir_all(others.join("cache")).expect("makes a folder");
    fs::write(others.join("cache/theirs"), "kept").expect("writes");
    for arguments in [&["clean"][..], &["clean", "--data", "--yes"]] {
        assert!(stderr(&ends(&others, arguments, 0)).contains("there is no data in"));
    }
    assert_eq!(fs::read_to_string(others.join("cache/theirs")).expect("it is still there"), "kept");
}

#[test]
fn shells_and_man_are_told_of_every_verb() {
    let data = data_dir();
    let script = stdout(&ends(data.path(), &["completions", "bash"], 0));
    let checked = Command::new("bash").args(["-n", "-c", &script]).output().expect("bash starts");
    assert!(checked.status.success(), "{}", stderr(&checked));
    for shell in ["zsh", "fish"] {
        assert!(stdout(&ends(data.path(), &["completions", shell], 0)).contains("watch"), "{shell}");
    }
    assert!(stdout(&ends(data.path(), &["man"], 0)).starts_with(".ie"));
    let pages = data.path().join("man");
    ends(data.path(), &["man", "--dir", pages.to_str().expect("UTF-8")], 0);
    for page in ["tarefa.1", "tarefa-run.1", "tarefa-runs-watch.1", "tarefa-modules-delete.1"] {
        let text = fs::read_to_string(pages.join(page)).expect(page);
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
}
