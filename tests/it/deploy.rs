//! Deployments from the command line and from files: what is said, compared, changed, and left alone.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::app::{repository, text};
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

/// Runs a verb that is to end with `code`.
#[track_caller]
fn ends(data: &Path, arguments: &[&str], code: i32) -> Output {
    let output = output(data, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}{}", stdout(&output), stderr(&output));
    output
}

/// What a verb prints as JSON.
#[track_caller]
fn json_of(data: &Path, arguments: &[&str]) -> Value {
    let output = ends(data, &[arguments, &["--json"]].concat(), 0);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stdout(&output)))
}

fn names(data: &Path, of: &str) -> Vec<String> {
    json_of(data, &[of])["items"].as_array().unwrap().iter().map(|item| text(&item["name"])).collect()
}

#[test]
fn a_deployment_is_made_and_told_and_a_second_deploy_of_the_same_changes_nothing() {
    let data = data_dir();
    let params = &wasm("params");
    let deploy = ["deploy", params, "defaults", "--every", "1h", "--cron", "0 9 * * 1-5", "--param", "n=3"];
    let made = ends(data.path(), &deploy, 0);
    let said = stdout(&made);
    assert!(said.starts_with("created `defaults`, which runs `params/defaults`\n"), "{said}");
    for part in ["\n  schedule  ", "\n  policies  catchup = last, overlap = skip\n", "\n  next      20"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(said.matches(", in ").count(), 3, "the next three times: {said}");
    assert!(stderr(&made).contains("registered `params` as version"), "{}", stderr(&made));
    assert!(stderr(&made).contains("their schedules fire while `tarefa serve` runs"), "{}", stderr(&made));

    let before = json_of(data.path(), &["deployments", "show", "defaults"]);
    assert_eq!(before["parameters"], json!({"n": 3}));
    let again = ends(data.path(), &deploy, 0);
    assert!(stdout(&again).starts_with("`defaults` is as it was: nothing has changed\n"), "{}", stdout(&again));
    assert_eq!(json_of(data.path(), &["deployments", "show", "defaults"]), before);

    let other = ["deploy", "params", "defaults", "--every", "1h", "--param", "n=4", "--tag", "a", "--timeout", "5s"];
    let updated = stdout(&ends(data.path(), &other, 0));
    for part in
        ["updated `defaults`", "\n  ~ parameters.n: 3 → 4", "\n  - schedule: ", "\n  + limits.timeout_ms: 5000\n"]
    {
        assert!(updated.contains(part), "{updated}");
    }
    let shown = stdout(&ends(data.path(), &["deployments", "show", "defaults"], 0));
    assert!(shown.contains("limits:      {\"timeout_ms\":5000}") && shown.contains("tags:        [\"a\"]"), "{shown}");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_registered() {
    let data = data_dir();
    let (params, noop) = (&wasm("params"), &wasm("noop"));
    let table: [(&[&str], i32, &str); 8] = [
        (&[params, "defaults", "--every", "1h", "--param", "m=3"], 2, "deployment `defaults`: unknown parameter `m`"),
        (&[params, "--cron", "* * * *"], 2, "`* * * *`"),
        (&[params, "--every", "1ms", "--param", "order=1"], 2, "deployment `passes`: "),
        (&[noop, "--every", "1h"], 2, "the module `noop` has several entries"),
        (&[noop, "ecko", "--every", "1h"], 3, "did you mean `echo`?"),
        (&[noop, "noop", "--name", "No"], 2, "invalid deployment name `No`"),
        (&[noop, "noop", "--timezone", "Mars", "--every", "1h"], 2, "`Mars`"),
        (&["nowhere", "--every", "1h"], 3, "module `nowhere` does not exist"),
    ];
    for (arguments, code, why) in table {
        let refused = stderr(&ends(data.path(), &[&["deploy"], arguments].concat(), code));
        assert!(refused.contains(why), "{arguments:?}: {refused}");
    }
    for (arguments, why) in [
        (&["--every", "1h"][..], "<PATH>"),
        (&[noop, "--overlap", "skipp"], "expected one of `allow`"),
        (&[noop, "--prune"], "cannot be used with"),
        (&[noop, "--every", "often"], "is no duration"),
    ] {
        let refused = stderr(&ends(data.path(), &[&["deploy"], arguments].concat(), 2));
        assert!(refused.contains(why), "{arguments:?}: {refused}");
    }
    assert_eq!(names(data.path(), "modules"), [] as [&str; 0]);
    assert_eq!(names(data.path(), "deployments"), [] as [&str; 0]);
}

#[test]
fn a_file_is_compared_first_and_then_applied_as_a_whole() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let file = folder.path().join("tarefa.toml");
    let file = file.to_str().unwrap();
    let write = |more: &str| fs::write(file, format!("project = \"vendas\"\n{more}")).expect("writes");
    let table = |name: &str, more: &str| {
        format!("[deployments.{name}]\npath = \"{}\"\nentry = \"echo\"\n{more}\n", wasm("noop"))
    };
    let (first, second) = (table("first", "parameters = { text = \"a\" }"), table("second", "description = \"b\""));
    write(&(first.clone() + &second));
    let shown = stdout(&ends(data.path(), &["deploy", "-f", file, "--dry-run"], 0));
    assert!(shown.starts_with("+ module `noop`, version "), "{shown}");
    assert!(
        shown.contains("\n+ first would be created\n") && shown.contains("\n    + parameters.text: \"a\"\n"),
        "{shown}"
    );
    assert!(shown.ends_with("\n2 deployments: 2 to create; nothing was changed\n"), "{shown}");
    assert_eq!(names(data.path(), "modules"), [] as [&str; 0], "nothing was registered");
    ends(data.path(), &["deploy", "-f", file], 0);
    assert_eq!(names(data.path(), "deployments"), ["first", "second"]);
    let others = ["deploy", "noop", "echo", "--name", "by-hand"];
    ends(data.path(), &others, 0);

    write(&table("first", "parameters = { text = \"c\" }"));
    let compared = json_of(data.path(), &["deploy", "-f", file, "--prune", "--dry-run"]);
    let changes: Vec<_> = compared["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (text(&change["deployment"]), text(&change["action"])))
        .collect();
    assert_eq!(changes, [("first".into(), "update".into()), ("second".into(), "delete".into())], "{compared}");
    let field = &compared["changes"][0]["fields"];
    assert_eq!(*field, json!([{"field": "parameters.text", "from": "a", "to": "c"}]));
    assert_eq!(compared["modules"], json!([]), "it is registered already");
    ends(data.path(), &["deploy", "-f", file], 0);
    assert_eq!(names(data.path(), "deployments"), ["by-hand", "first", "second"], "nothing is deleted unasked");
    let pruned = stdout(&ends(data.path(), &["deploy", "-f", file, "--prune"], 0));
    assert!(pruned.contains("deleted `second`, which is no longer in the file; its runs stay"), "{pruned}");
    assert_eq!(names(data.path(), "deployments"), ["by-hand", "first"]);

    // From the command line it stays the file's.
    ends(data.path(), &["deploy", "noop", "echo", "--name", "first"], 0);
    fs::write(file, "project = \"other\"\n".to_owned() + &first).expect("writes");
    let refused = stderr(&ends(data.path(), &["deploy", "-f", file], 4));
    assert!(refused.contains("the deployment `first` is of the project `vendas`, not of `other`"), "{refused}");
    fs::write(file, &first).expect("writes");
    let refused = stderr(&ends(data.path(), &["deploy", "-f", file, "--prune"], 2));
    assert!(refused.contains("`--prune` needs a line `project = \"NAME\"`"), "{refused}");
    fs::write(file, first + "evry = \"30s\"").expect("writes");
    let refused = stderr(&ends(data.path(), &["deploy", "-f", file], 2));
    assert!(refused.contains("tarefa.toml:5: unknown key `evry`; did you mean `every`?"), "{refused}");
}

#[test]
fn the_file_of_the_folder_is_taken_where_nothing_is_named() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let here = || tarefa(data.path(), &["deploy"]).current_dir(folder.path()).output().expect("it starts");
    let refused = here();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("there is no `tarefa.toml` here"), "{}", stderr(&refused));
    fs::copy(wasm("noop"), folder.path().join("noop.wasm")).expect("copies");
    let text = "[deployments.here]\npath = \"noop.wasm\"\nentry = \"noop\"\n";
    fs::write(folder.path().join("tarefa.toml"), text).expect("writes");
    let made = here();
    assert!(stdout(&made).starts_with("created `here`"), "{}{}", stdout(&made), stderr(&made));
    assert!(stdout(&made).contains("only by request: `tarefa trigger here`"), "{}", stdout(&made));
}

#[test]
fn what_somebody_paused_stays_paused_until_the_file_says_otherwise() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let file = folder.path().join("tarefa.toml");
    let deploy = |more: &str| {
        let path = wasm("noop");
        let text = format!("[deployments.a]\npath = \"{path}\"\nentry = \"noop\"\nevery = \"1h\"\n{more}");
        fs::write(&file, text).expect("writes");
        stdout(&ends(data.path(), &["deploy", "-f", file.to_str().unwrap()], 0))
    };
    let paused = || json_of(data.path(), &["deployments", "show", "a"])["paused"].clone();
    deploy("");
    assert_eq!(paused(), false);
    ends(data.path(), &["deployments", "pause", "a"], 0);
    let said = deploy("description = \"b\"");
    assert!(said.contains("never: it is paused; `tarefa deployments resume a` has it go on"), "{said}");
    assert_eq!(paused(), true);
    deploy("paused = false");
    assert_eq!(paused(), false);
    deploy("paused = true");
    assert_eq!(paused(), true);
}

#[test]
fn a_deployment_is_run_by_hand_with_other_parameters() {
    let data = data_dir();
    ends(data.path(), &["deploy", &wasm("params"), "defaults", "--name", "by-hand", "--param", "n=3"], 0);
    let run = ends(data.path(), &["trigger", "by-h", "--param", "text=7"], 0);
    let result: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&result["n"], &result["text"]), (&json!(3), &json!("7")));
    assert!(stderr(&run).contains("submitted a run of `by-hand`: `defaults(3, 7)`"), "{}", stderr(&run));
    ends(data.path(), &["deployments", "run", "by-hand", "--quiet", "--name", "mine"], 0);
    ends(data.path(), &["run", "params", "defaults", "--quiet"], 0);
    let runs = json_of(data.path(), &["runs", "--deployment", "by-hand"]);
    let runs: Vec<_> =
        runs["items"].as_array().unwrap().iter().map(|run| (text(&run["name"]), text(&run["trigger"]))).collect();
    assert_eq!(runs, [("mine".into(), "cli".into()), ("defaults(3, 7)".into(), "cli".into())]);
    let refused = stderr(&ends(data.path(), &["trigger", "by-hand", "--detach"], 6));
    assert!(refused.contains("there is no server to leave the run to"), "{refused}");

    let server = Process::serve(data.path(), &[]);
    let id = stdout(&ends(data.path(), &["trigger", "by-hand", "--detach"], 0));
    ends(data.path(), &["runs", "watch", id.trim(), "--quiet"], 0);
    drop(server);
}

#[test]
fn a_deployment_is_named_by_the_beginning_of_its_name_where_no_other_begins_so() {
    let data = data_dir();
    for name in ["vendas-dia", "vendas-mes", "a"] {
        ends(data.path(), &["deploy", &wasm("noop"), "noop", "--every", "1h", "--name", name], 0);
    }
    let said = stdout(&ends(data.path(), &["deployments", "pause", "vendas-d"], 0));
    assert_eq!(said, "the deployment `vendas-dia` is paused\n");
    let listed = stdout(&ends(data.path(), &["deployments"], 0));
    let line = |name: &str| listed.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line("vendas-dia").contains("noop/noop") && line("vendas-dia").contains("paused"), "{listed}");
    assert!(line("vendas-mes").contains("in 59 min ") || line("vendas-mes").contains("in 1 h 0 min"), "{listed}");
    let said = stdout(&ends(data.path(), &["deployments", "resume", "vendas-d"], 0));
    assert!(said.starts_with("the deployment `vendas-dia` goes on, next in "), "{said}");
    let doubtful = stderr(&ends(data.path(), &["deployments", "show", "vendas"], 2));
    assert!(doubtful.contains("`vendas` may be several deployments: `vendas-dia`, `vendas-mes`"), "{doubtful}");
    let unknown = stderr(&ends(data.path(), &["deployments", "show", "vndas-dia"], 3));
    assert!(unknown.contains("did you mean `vendas-dia`?"), "{unknown}");

    let refused = stderr(&ends(data.path(), &["deployments", "delete", "vendas-dia"], 2));
    assert!(refused.contains("this deletes the deployment `vendas-dia`, and there is nobody to ask: give `--yes`"));
    let deleted = stdout(&ends(data.path(), &["deployments", "delete", "vendas-d", "--yes"], 0));
    assert_eq!(deleted, "deleted the deployment `vendas-dia`; its runs stay\n");
    assert_eq!(names(data.path(), "deployments"), ["a", "vendas-mes"]);
}

#[test]
fn what_comes_is_listed_in_the_time_zone_of_its_schedule() {
    let data = data_dir();
    let none = ends(data.path(), &["upcoming"], 0);
    assert!(stderr(&none).contains("nothing comes"), "{}", stderr(&none));
    let noop = &wasm("noop");
    let zone = ["--cron", "30 9 * * 1-5", "--timezone", "America/Sao_Paulo"];
    ends(data.path(), &[&["deploy", noop, "noop", "--name", "brasil"], &zone[..]].concat(), 0);
    ends(data.path(), &["deploy", noop, "noop", "--name", "utc", "--every", "1h"], 0);
    let upcoming = json_of(data.path(), &["upcoming", "brasil", "-n", "2"]);
    let items = upcoming["items"].as_array().unwrap();
    assert_eq!(items.len(), 2);
    assert!(items.iter().all(|next| text(&next["local"]).contains("T09:30:00-03:00")), "{upcoming}");
    let shown = stdout(&ends(data.path(), &["upcoming"], 0));
    assert!(shown.contains(" 09:30:00 America/Sao_Paulo  brasil ") && shown.contains(" UTC  "), "{shown}");
}

#[test]
fn a_past_range_is_run_on_demand() {
    let data = data_dir();
    ends(data.path(), &["deploy", &wasm("noop"), "noop", "--cron", "0 * * * *"], 0);
    let range = ["backfill", "noop", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T05:00:00Z"];
    let shown = stdout(&ends(data.path(), &[&range[..], &["--dry-run"]].concat(), 0));
    assert_eq!(shown, "`noop`: 5 occurrences, 5 runs would be submitted\n");
    let refused = stderr(&ends(data.path(), &range, 6));
    assert!(refused.contains("there is no server to carry the runs out"), "{refused}");
    let server = Process::serve(data.path(), &[]);
    let filled = stdout(&ends(data.path(), &[&range[..], &["--concurrency", "1"]].concat(), 0));
    assert_eq!(filled, "`noop`: 5 occurrences, 5 runs submitted\n");
    let again = stdout(&ends(data.path(), &range, 0));
    assert_eq!(again, "`noop`: 5 occurrences, 0 runs submitted; 5 had been run before\n");
    for run in json_of(data.path(), &["runs", "--deployment", "noop"])["items"].as_array().unwrap() {
        ends(data.path(), &["runs", "watch", run["id"].as_str().unwrap(), "--quiet"], 0);
    }
    drop(server);
}

#[test]
fn who_follows_sees_each_run_and_pauses_what_was_deployed_at_the_end() {
    let data = data_dir();
    let deploy = ["deploy", &wasm("noop"), "noop", "--every", "1s", "--name", "tick", "--follow"];
    // Without a server it is the server; with one it only looks.
    for served in [false, true] {
        let server = served.then(|| Process::serve(data.path(), &[]));
        let mut follow =
            tarefa(data.path(), &deploy).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut lines = BufReader::new(follow.stdout.take().expect("it is piped")).lines();
        let mut until = |words: &str| {
            lines.by_ref().map(|line| line.expect("reads")).find(|line| line.contains(words)).expect(words)
        };
        until("/deployments/tick");
        let line = until(" tick noop completed ");
        assert_eq!(line.split(' ').nth(1).map(str::len), Some(8), "a run's short id: {line}");
        kill_process(Pid::from_child(&follow), Signal::INT).expect("it runs");
        let ended = follow.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
        assert!(stderr(&ended).contains("paused `tick`; "), "{}", stderr(&ended));
        // The second time it is paused from before, and goes on.
        let shown = json_of(data.path(), &["deployments", "show", "tick"]);
        assert_eq!((&shown["paused"], &shown["next_at"]), (&json!(true), &Value::Null));
        drop(server);
    }
}

#[test]
fn a_version_that_breaks_deployments_says_so_when_it_is_registered_unless_they_are_changed_with_it() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let module = folder.path().join("module.wasm");
    let become_ = |name: &str| fs::copy(wasm(name), &module).expect("copies");
    let module = module.to_str().unwrap();
    become_("noop");
    for name in ["one", "two"] {
        ends(data.path(), &["deploy", module, "noop", "--name", name, "--every", "1h"], 0);
    }
    become_("params");
    let moved = stderr(&ends(data.path(), &["deploy", module, "defaults", "--name", "one", "--every", "1h"], 0));
    assert!(!moved.contains("breaks the deployment `one`"), "{moved}");
    assert!(moved.contains("this version breaks the deployment `two`: "), "{moved}");
    let listed = stdout(&ends(data.path(), &["deployments"], 0));
    assert!(listed.lines().any(|line| line.starts_with("two ") && line.contains(" broken")), "{listed}");
    let shown = stdout(&ends(data.path(), &["deployments", "show", "two"], 0));
    assert!(shown.contains("\nbroken:  "), "{shown}");
}

#[test]
fn a_secret_of_a_file_is_kept_changed_and_never_shown() {
    let (data, folder) = (data_dir(), tempfile::tempdir().expect("a directory"));
    let file = folder.path().join("tarefa.toml");
    let deploy = |secret: &str| {
        let path = wasm("noop");
        let rule = format!("{{ on = [\"failed\"], webhook = \"https://example.com/hook\", secret = \"{secret}\" }}");
        let text = format!("[deployments.a]\npath = \"{path}\"\nentry = \"noop\"\nnotify = [{rule}]\n");
        fs::write(&file, text).expect("writes");
        let arguments = ["deploy", "-f", file.to_str().unwrap()];
        let dry = stdout(&ends(data.path(), &[&arguments[..], &["--dry-run"]].concat(), 0));
        let said = stdout(&ends(data.path(), &arguments, 0));
        assert!(!dry.contains(secret) && !said.contains(secret), "{dry}{said}");
        said
    };
    assert!(deploy("one-secret-of-16-bytes").starts_with("created `a`"));
    assert!(deploy("one-secret-of-16-bytes").starts_with("`a` is as it was"));
    assert!(deploy("another-secret-of-16-bytes").starts_with("updated `a`"));
    assert!(!stdout(&ends(data.path(), &["deployments", "show", "a"], 0)).contains("another-secret"));
}
