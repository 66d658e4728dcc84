//! Registration: what is taken, what is refused and why, and which version a run has.

use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{Running, TestApp, answer, guest, text};
use crate::wat::{TextGuest, text_guest, whole_text_guest};

/// The honest guest, with a title that makes it another version.
fn version(title: &str) -> Vec<u8> {
    TextGuest::new("honest").entry(json!({"title": title})).build()
}

async fn register(app: &Running, name: &str, wasm: Vec<u8>) -> (u16, String) {
    let (status, body) = app.try_register(name, wasm).await;
    assert!(status.is_success(), "{body}");
    (status.as_u16(), text(&body["digest"]))
}

/// The reason of a refusal, after which nothing is there.
async fn refusal(app: &Running, wasm: Vec<u8>) -> String {
    let (status, body) = app.try_register("refused", wasm).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(body["error"]["kind"], "invalid", "{body}");
    let (status, there) = app.try_get("/api/modules/refused").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{there}");
    let mut kept = std::fs::read_dir(app.data_dir().join("modules")).unwrap();
    assert!(kept.next().is_none(), "its bytes are not kept");
    text(&body["error"]["message"])
}

#[tokio::test]
async fn a_new_digest_is_a_new_version_and_the_newest_digest_is_none() {
    let app = TestApp::new().start().await;
    let (status, first) = register(&app, "honest", version("first")).await;
    assert_eq!(status, 201);
    assert_eq!(register(&app, "honest", version("first")).await, (200, first.clone()));
    let (status, second) = register(&app, "honest", version("second")).await;
    assert_eq!(status, 201);
    assert_ne!(first, second);
    let digests = async || {
        let module = app.get("/api/modules/honest").await;
        let versions = module["versions"].as_array().unwrap().iter();
        (text(&module["digest"]), versions.map(|version| text(&version["digest"])).collect::<Vec<_>>())
    };
    assert_eq!(digests().await, (second.clone(), vec![second.clone(), first.clone()]));
    assert_eq!(register(&app, "honest", version("first")).await, (201, first.clone()), "the newest again");
    assert_eq!(digests().await, (first.clone(), vec![first.clone(), second.clone()]));
    assert_eq!(register(&app, "honest", version("first")).await, (200, first.clone()));
    assert_eq!(register(&app, "other", version("first")).await, (201, first), "each name has its own versions");
}

#[tokio::test]
async fn a_run_has_the_newest_version_or_the_one_it_names() {
    let app = TestApp::new().start().await;
    let (_, first) = register(&app, "honest", version("first")).await;
    let (_, second) = register(&app, "honest", version("second")).await;
    let run = app.run("honest", "run", json!({})).await;
    assert_eq!((text(&run["digest"]), text(&run["title"])), (second.clone(), "second".to_owned()));
    let run = app.run_with(json!({"module": "honest", "digest": first})).await;
    assert_eq!((text(&run["digest"]), text(&run["title"])), (first.clone(), "first".to_owned()));

    register(&app, "honest", version("first")).await;
    assert_eq!(app.run("honest", "run", json!({})).await["digest"], *first);
    let unknown = "0".repeat(64);
    let (status, body) = app.post("/api/runs", json!({"module": "honest", "digest": unknown})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
    assert_eq!(body["error"]["message"], format!("module `honest` has no version `{unknown}`"));
}

#[tokio::test]
async fn a_run_keeps_its_version_while_a_newer_one_is_registered() {
    let app = TestApp::new().manual_clock().start().await;
    let (_, old) = register(&app, "sleeper", guest("sleeper")).await;
    let waiting =
        json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 7}, "scheduled_at": "2026-01-02T04:04:05Z"});
    let waiting = app.submit_with(waiting).await;
    // The flow has begun, and its children and those that it is still to submit are of its own version.
    let flow = app.submit("sleeper", "naps", json!({"n": 3, "ms": 1000})).await;
    app.until(&flow, |run| run["state"] == "running").await;
    let (status, new) = register(&app, "sleeper", guest("noop")).await;
    assert_eq!(status, 201);
    assert_ne!(old, new);

    // Minutes first: the clock must not pass the time limit of a task that has not begun to sleep.
    let flow_run = app.advance_until_final(&flow, SignedDuration::from_mins(1)).await;
    app.advance(SignedDuration::from_hours(1));
    let waiting_run = app.advance_until_final(&waiting, SignedDuration::from_mins(1)).await;
    for run in [flow_run, waiting_run] {
        assert_eq!(run["state"], "completed", "{run}");
        assert_eq!(run["digest"], *old);
    }
    for child in app.children(&flow).await {
        assert_eq!((&child["digest"], &child["state"]), (&json!(old), &json!("completed")), "{child}");
    }
    let (status, body) =
        app.post("/api/runs", json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1}})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "the newest version has no such entry: {body}");
}

#[tokio::test]
async fn twenty_registrations_at_once_make_one_version() {
    let app = TestApp::new().start().await;
    // Nobody has compiled it yet: its title is this run's own.
    let wasm = version(&format!("compiled for {}", app.data_dir().display()));
    let requests = (0..20).map(|_| app.try_register("honest", wasm.clone()));
    let answers = futures_util::future::join_all(requests).await;
    let created = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
    let unchanged = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
    assert_eq!((created, unchanged), (1, 19), "{answers:?}");
    assert!(answers.iter().all(|(_, body)| body == &answers[0].1), "all are told the same: {answers:?}");
    assert_eq!(app.get("/api/modules/honest").await["versions"].as_array().unwrap().len(), 1);
    assert_eq!(app.run("honest", "run", json!({})).await["result"], 1);
}

#[tokio::test]
async fn modules_are_listed_by_name_and_shown_with_entries_and_versions() {
    let app = TestApp::new().start().await;
    assert_eq!(app.get("/api/modules").await, json!({"items": [], "next_cursor": null}));
    for name in ["zebra", "ant", "mole"] {
        register(&app, name, version(name)).await;
    }
    register(&app, "mole", version("newer")).await;
    let list = app.get("/api/modules").await;
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|module| text(&module["name"])).collect();
    assert_eq!(names, ["ant", "mole", "zebra"]);
    assert_eq!(list["items"][1]["entries"][0]["title"], "newer", "a list shows the newest version");

    let page = app.get("/api/modules?limit=2").await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (2, &json!("mole")));
    let page = app.get("/api/modules?limit=2&cursor=mole").await;
    assert_eq!((&page["items"][0]["name"], &page["next_cursor"]), (&json!("zebra"), &Value::Null));

    let module = app.get("/api/modules/mole").await;
    assert_eq!((&module["entries"][0]["name"], &module["entries"][0]["kind"]), (&json!("run"), &json!("task")));
    assert_eq!(module["size_bytes"], version("newer").len());
    assert_eq!(module["versions"].as_array().unwrap().len(), 2);
    assert_eq!(app.get("/api/health").await["modules"], 3);
    let (status, body) = app.try_get("/api/modules/mol").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(body["error"]["message"], "module `mol` does not exist; did you mean `mole`?");
}

#[tokio::test]
async fn what_is_no_component_of_ours_is_refused_with_the_reason() {
    let app = TestApp::new().start().await;
    let wat = |text: &str| ::wat::parse_str(text).unwrap();
    let mut broken = text_guest("honest");
    broken.truncate(200);
    let cases = [
        (Vec::new(), "the body is empty; it takes the bytes of a WebAssembly component"),
        (b"\x7fELF".to_vec(), "this is not WebAssembly: a component starts with the bytes `\\0asm`"),
        (b"(component)".to_vec(), "this is not WebAssembly: a component starts with the bytes `\\0asm`"),
        (wat("(module)"), "this is a core WebAssembly module, not a component: build it with"),
        (
            wat("(component)"),
            "the component exports nothing that could be run: neither `tarefa:guest/module@0.1.0` nor `wasi:cli/run@0.2.0` nor a function",
        ),
        (broken, "is out of bounds (bound = 200)"),
        (
            TextGuest::new("honest").contract("tarefa:guest/module@0.2.0").build(),
            "the component exports what is not of this version of the contract, `tarefa:guest/module@0.1.0`",
        ),
        (
            wat("(component (import \"acme:door/lock@1.0.0\" (instance (export \"open\" (func)))))"),
            "the component imports `acme:door/lock@1.0.0`, which this server does not offer; the contract is",
        ),
        (
            wat("(component (import \"wasi:sockets/tcp@0.2.0\" (instance (export \"teleport\" (func)))))"),
            "the component imports `wasi:sockets/tcp@0.2.0`, which this server does not offer; the contract is",
        ),
    ];
    for (wasm, why) in cases {
        let message = refusal(&app, wasm).await;
        assert!(message.contains(why), "{message}");
    }
}

#[tokio::test]
async fn a_description_that_does_not_come_is_a_refusal() {
    let app = TestApp::new().start().await;
    let before = |instructions: &str| TextGuest::new("honest").before_describe(instructions).build();
    let cases = [
        ("(loop $again (br $again))", "`describe` failed: out of fuel: the limit is 100000000"),
        ("unreachable", "`describe` failed: trapped: wasm trap: wasm `unreachable` instruction executed"),
        (
            "(drop (memory.grow (i32.const 1024)))",
            "`describe` failed: out of memory: 67174400 bytes were asked for and the limit is 67108864",
        ),
        ("(return (i32.const -4))", "`describe` failed: the guest broke its contract: "),
    ];
    for (instructions, why) in cases {
        let message = refusal(&app, before(instructions)).await;
        assert!(message.contains(why), "{message}");
    }
    // It needs no fuel to sleep.
    assert_eq!(refusal(&app, whole_text_guest("sleeps")).await, "`describe` failed: no answer after 2 s");
}

#[tokio::test]
async fn a_description_that_says_nonsense_is_a_refusal() {
    let app = TestApp::new().start().await;
    let entry = |name: &str| json!({"name": name, "kind": "task"});
    let long = "a".repeat(65);
    let many: Vec<_> = (0..1001).map(|n| entry(&format!("e{n}"))).collect();
    let cases = [
        (json!("hello"), "`describe` returned what is no description: "),
        (json!({}), "`describe` returned what is no description: missing field `entries`"),
        (json!({"entries": []}), "`describe` named 0 entries; a module has 1 to 1000"),
        (json!({"entries": many}), "`describe` named 1001 entries; a module has 1 to 1000"),
        (json!({"entries": [{"name": "run", "kind": "job"}]}), "unknown variant `job`, expected `flow` or `task`"),
        (
            json!({"entries": [entry("run"), entry("other"), entry("run")]}),
            "`describe` named an entry `run` that cannot be: there are two of that name",
        ),
        (json!({"entries": [entry("Run")]}), "`describe` invalid entry name `Run`: it starts with a lower-case letter"),
        (json!({"entries": [entry("a/b")]}), "`describe` invalid entry name `a/b`: it starts with"),
        (json!({"entries": [entry("")]}), "`describe` invalid entry name ``: it starts with"),
        (json!({"entries": [entry(&long)]}), "the entry name has 65 characters; the most is 64"),
        (
            json!({"entries": [{"name": "run", "kind": "task", "input": {"type": "nonsense"}}]}),
            "`describe` named an entry `run` that cannot be: ",
        ),
        (
            json!({"entries": [{"name": "run", "kind": "task", "retries": {"max": 5000}}]}),
            "`retries.max` is 5000; the most is 1000",
        ),
        (
            json!({"entries": [{"name": "run", "kind": "task", "limits": {"fuel": 0}}]}),
            "`limits.fuel` is 0; the least is 1",
        ),
    ];
    for (description, why) in cases {
        let message = refusal(&app, TextGuest::new("honest").describing(description).build()).await;
        assert!(message.contains(why), "{message}");
    }
    let message = refusal(&app, TextGuest::new("honest").saying("{'entries': []}").build()).await;
    assert!(message.starts_with("`describe` returned what is no description: key must be a string"), "{message}");
}

#[tokio::test]
async fn a_component_with_other_types_than_the_contract_has_is_refused() {
    let app = TestApp::new().start().await;
    let text = "(component
        (core module $m (func (export \"f\") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i \"f\")))
        (instance $module (export \"describe\" (func $f)) (export \"call\" (func $f)))
        (export \"tarefa:guest/module@0.1.0\" (instance $module)))";
    let message = refusal(&app, ::wat::parse_str(text).unwrap()).await;
    assert_eq!(message, "`describe` failed: the guest broke its contract: expected `string` found `u32`");
}

#[tokio::test]
async fn a_module_over_its_size_is_refused() {
    let app = TestApp::new().start().await;
    const LIMIT: usize = 64 << 20;
    let mut wasm = text_guest("honest");
    wasm.resize(LIMIT + 1, 0);
    let (status, body) = app.try_register("large", wasm).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{body}");
    assert_eq!(body["error"]["kind"], "too_large");
    assert!(text(&body["error"]["message"]).contains("64 MiB"), "{body}");
    assert_eq!(app.get("/api/modules").await["items"], json!([]));
}

#[tokio::test]
async fn bad_module_names_are_refused() {
    let app = TestApp::new().start().await;
    let wasm = text_guest("honest");
    let long = "a".repeat(65);
    for name in ["Honest", "1st", "_x", "a.b", "a%2Fb", "a%20b", "%C3%A1", "a%0Ab", "", &long] {
        let (status, body) = app.try_register(name, wasm.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {body}");
        assert!(text(&body["error"]["message"]).contains("module name"), "{name}: {body}");
    }
    assert_eq!(register(&app, &"a".repeat(64), wasm.clone()).await.0, 201, "the longest");
    assert_eq!(register(&app, "a1_b-c", wasm.clone()).await.0, 201);
    let without = app.raw(Method::POST, "/api/modules").header("content-type", "application/wasm").body(wasm);
    let (status, body) = answer(without).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(text(&body["error"]["message"]).contains("name"), "{body}");
}

#[tokio::test]
async fn a_module_comes_as_application_wasm() {
    let app = TestApp::new().start().await;
    let wasm = text_guest("honest");
    let types = [
        None,
        Some("application/json"),
        Some("application/octet-stream"),
        Some("text/plain; charset=application/wasm"),
    ];
    for given in types {
        let mut request = app.raw(Method::POST, "/api/modules?name=honest").body(wasm.clone());
        if let Some(given) = given {
            request = request.header("content-type", given);
        }
        let (status, body) = answer(request).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{body}");
        let shown = given.unwrap_or_default();
        let message = format!("the content type is `{shown}`; this call takes `application/wasm`");
        assert_eq!(body["error"], json!({"kind": "unsupported_media_type", "message": message}));
    }
    assert_eq!(app.get("/api/modules").await["items"], json!([]));
}
