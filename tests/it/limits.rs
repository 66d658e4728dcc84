//! Every limit ends the attempt that goes over it in its own way, and names itself with its value.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, text};
use crate::wat::{TextGuest, text_guest, whole_text_guest};

const MIB: u64 = 1 << 20;

/// A server with one text guest, and an honest one beside it.
async fn with_guest(name: &str) -> Running {
    let app = TestApp::new().slots(2).start().await;
    for guest in [name, "honest"] {
        register(&app, guest, text_guest(guest)).await;
    }
    app
}

async fn register(app: &Running, name: &str, wasm: Vec<u8>) {
    let (status, body) = app.try_register(name, wasm).await;
    assert!(status.is_success(), "{body}");
}

/// Runs a guest that has to fail, and returns the failed run. All that a limit ends is ended for good: with the same
/// limit it could not succeed, so the retries that every run here has are left alone.
async fn fails(app: &Running, module: &str, entry: &str, more: Value) -> Value {
    let mut body = json!({"module": module, "entry": entry, "retries": {"max": 2}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let run = app.run_with(body).await;
    assert_eq!(run["state"], "failed", "{run}");
    assert_eq!(run["result"], Value::Null, "{run}");
    assert_eq!(run["n_attempts"], 1, "{run}");
    assert_eq!(run["attempts"][0]["failure"], run["failure"], "{run}");
    run
}

fn assert_failure(run: &Value, kind: &str, message: &str) {
    assert_eq!(run["failure"]["kind"], kind, "{run}");
    assert_eq!(text(&run["failure"]["message"]), message, "{run}");
}

async fn honest_guests_go_on(app: &Running) {
    let run = app.run("honest", "run", json!({})).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(1)), "{run}");
}

#[tokio::test]
async fn an_endless_loop_runs_out_of_fuel_and_is_not_tried_again() {
    let app = with_guest("spin").await;
    let run = fails(&app, "spin", "run", json!({"limits": {"fuel": 5_000_000}})).await;
    assert_failure(&run, "out_of_fuel", "out of fuel: the limit is 5000000; raise `limits.fuel` or split the task");
    assert_eq!(run["usage"]["fuel"], 5_000_000);
    assert_eq!(app.messages(&text(&run["id"])).await, [""; 0], "no retry was announced");
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn an_endless_loop_is_timed_out() {
    let app = with_guest("spin").await;
    for metering in ["time", "fuel"] {
        let body = json!({
            "module": "spin", "metering": metering, "limits": {"timeout_ms": 100, "fuel": i64::MAX}, "retries": {"max": 1},
        });
        let run = app.run_with(body).await;
        let message = "timed out: the limit is 100 ms; raise `limits.timeout_ms` or do less at a time";
        assert_failure(&run, "timed_out", message);
        assert_eq!(run["n_attempts"], 2, "the next attempt may be faster");
        assert_eq!(run["usage"]["fuel"] == 0, metering == "time", "fuel is counted where it is what meters: {run}");
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn one_instruction_that_writes_megabytes_cannot_put_a_timeout_off() {
    let app = with_guest("fill").await;
    for metering in ["time", "fuel"] {
        let limits = json!({"timeout_ms": 100, "fuel": i64::MAX});
        let run = app.run_with(json!({"module": "fill", "metering": metering, "limits": limits})).await;
        assert_eq!(run["failure"]["kind"], "timed_out", "{run}");
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn a_memory_bomb_runs_out_of_memory() {
    let app = with_guest("memory").await;
    let run = fails(&app, "memory", "run", json!({})).await;
    let asked = 256 * MIB + 65536;
    let advice = "raise `limits.memory_bytes` or process less at a time";
    let message = format!("out of memory: {asked} bytes were asked for and the limit is {}; {advice}", 256 * MIB);
    assert_failure(&run, "out_of_memory", &message);
    assert_eq!(run["usage"]["memory_peak_bytes"], 256 * MIB);

    // More than a place of the pool has.
    let run = fails(&app, "memory", "run", json!({"limits": {"memory_bytes": 300 * MIB}})).await;
    let asked = 300 * MIB + 65536;
    let message = format!("out of memory: {asked} bytes were asked for and the limit is {}; {advice}", 300 * MIB);
    assert_failure(&run, "out_of_memory", &message);
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn memory_is_summed_over_all_memories_of_a_component() {
    let app = with_guest("two_memories").await;
    // Each of its memories has less than the limit; the second one's 20 MiB come on top of the first one's and a page.
    let run = fails(&app, "two_memories", "run", json!({"limits": {"memory_bytes": 32 * MIB}})).await;
    let asked = 40 * MIB + 65536;
    let message = text(&run["failure"]["message"]);
    assert!(
        message.starts_with(&format!("out of memory: {asked} bytes were asked for and the limit is 33554432; ")),
        "{message}"
    );

    let run = app.run_with(json!({"module": "two_memories", "limits": {"memory_bytes": asked}})).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["usage"]["memory_peak_bytes"], asked);
}

#[tokio::test]
async fn requests_beyond_all_measure_do_not_confuse_the_sum() {
    let app = with_guest("memory64").await;
    // The request for nearly 2^64 bytes is over any limit, however much the component may have.
    let run = fails(&app, "memory64", "run", json!({"limits": {"memory_bytes": 32 * MIB}})).await;
    assert_eq!(run["failure"]["kind"], "out_of_memory", "{run}");
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn memory_that_was_asked_for_and_not_given_does_not_count() {
    let app = with_guest("refused_growth").await;
    // A hundred requests of 6.25 MiB each, all over the memory's own maximum of two pages.
    let run = app.run_with(json!({"module": "refused_growth", "limits": {"memory_bytes": 32 * MIB}})).await;
    assert_eq!(run["state"], "completed", "{run}");
    assert_eq!(run["usage"]["memory_peak_bytes"], 2 * 65536, "{run}");
}

#[tokio::test]
async fn a_component_that_begins_with_too_much_memory_does_not_begin() {
    let app = with_guest("memory").await;
    let run = fails(&app, "memory", "run", json!({"limits": {"memory_bytes": 1000}})).await;
    let message = text(&run["failure"]["message"]);
    assert!(message.starts_with("out of memory: 65536 bytes were asked for and the limit is 1000; "), "{message}");
}

#[tokio::test]
async fn a_table_bomb_runs_out_of_memory() {
    let app = with_guest("table").await;
    for more in [json!({}), json!({"limits": {"memory_bytes": 300 * MIB}})] {
        let run = fails(&app, "table", "run", more).await;
        let message = "out of memory: 100001 table elements were asked for and the limit is 100000";
        assert_failure(&run, "out_of_memory", message);
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn deep_recursion_overflows_the_stack() {
    let app = with_guest("recurse").await;
    for metering in ["fuel", "time"] {
        let run = fails(&app, "recurse", "run", json!({"metering": metering})).await;
        assert_failure(&run, "stack_overflow", "stack overflow: the guest calls itself too deeply");
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn a_trap_is_told_by_its_name() {
    let app = with_guest("unreachable").await;
    register(&app, "divide", text_guest("divide")).await;
    let traps = [
        ("unreachable", "trapped: wasm trap: wasm `unreachable` instruction executed"),
        ("divide", "trapped: wasm trap: integer divide by zero"),
    ];
    for (module, message) in traps {
        let run = app.run(module, "run", json!({})).await;
        assert_eq!(run["state"], "failed", "{run}");
        assert_failure(&run, "trapped", message);
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn an_output_over_its_limit_is_refused() {
    let app = with_guest("output").await;
    let run = fails(&app, "output", "run", json!({})).await;
    let advice = "raise `limits.output_bytes` or write a file";
    let message = format!("output too large: 2097152 bytes and the limit is 1048576; {advice}");
    assert_failure(&run, "output_too_large", &message);

    let run = app.run_with(json!({"module": "output", "limits": {"output_bytes": 2 * MIB}})).await;
    assert_eq!(run["state"], "completed", "the limit itself is allowed");
    assert_eq!(text(&run["result"]).len() as u64, 2 * MIB - 2);
    let run = fails(&app, "output", "run", json!({"limits": {"output_bytes": 2 * MIB - 1}})).await;
    let message = format!("output too large: 2097152 bytes and the limit is 2097151; {advice}");
    assert_failure(&run, "output_too_large", &message);
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn too_much_log_ends_the_attempt_and_keeps_what_came_before() {
    let app = with_guest("honest").await;
    app.register("big").await;
    app.register("logs").await;
    // Each line counts for 16 bytes more than it has.
    let run = fails(&app, "big", "log", json!({"parameters": {"bytes": 2 * MIB}})).await;
    let advice = "raise `limits.log_bytes` or log less";
    assert_failure(&run, "log_too_large", &format!("too much log: 1048640 bytes and the limit is 1048576; {advice}"));
    assert_eq!(app.messages(&text(&run["id"])).await.len(), 9039);

    let empty_lines = json!({"parameters": {"n": 1000, "bytes": 0}, "limits": {"log_bytes": 1600}});
    let run = fails(&app, "logs", "many", empty_lines).await;
    assert_failure(&run, "log_too_large", &format!("too much log: 1616 bytes and the limit is 1600; {advice}"));
    assert_eq!(app.messages(&text(&run["id"])).await, [""; 100]);

    let run = fails(&app, "big", "print", json!({"parameters": {"bytes": 2 * MIB}})).await;
    assert_eq!(run["failure"]["kind"], "log_too_large", "stdout is log too: {run}");
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn a_flow_with_too_many_children_fails_at_the_first_that_is_too_many() {
    let app = TestApp::new().slots(2).start().await;
    app.register("big").await;
    let run = fails(&app, "big", "children", json!({"parameters": {"n": 11}})).await;
    let message = "too many children: the limit is 10; raise `limits.children` or submit fewer";
    assert_failure(&run, "too_many_children", message);
    assert_eq!(app.children(&text(&run["id"])).await.len(), 10);

    let run = app.run("big", "children", json!({"n": 10})).await;
    assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(10)), "the limit itself is allowed");
    let body = json!({"module": "big", "entry": "children", "parameters": {"n": 11}, "limits": {"children": 11}});
    assert_eq!(app.run_with(body).await["result"], 11);
}

#[tokio::test]
async fn an_output_that_is_not_json_is_invalid() {
    let app = with_guest("not_json").await;
    let run = fails(&app, "not_json", "run", json!({})).await;
    assert_failure(
        &run,
        "invalid_output",
        "the guest returned what is not JSON: key must be a string at line 1 column 2",
    );
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn an_output_that_is_not_utf8_or_not_in_memory_breaks_the_contract() {
    let app = with_guest("not_utf8").await;
    register(&app, "out_of_bounds", text_guest("out_of_bounds")).await;
    let outputs = [
        ("not_utf8", "the guest broke its contract: invalid utf-8 sequence of 1 bytes from index 3"),
        ("out_of_bounds", "the guest broke its contract: string pointer/length out of bounds of memory"),
    ];
    for (module, message) in outputs {
        let run = app.run(module, "run", json!({})).await;
        assert_failure(&run, "trapped", message);
    }
    honest_guests_go_on(&app).await;
}

#[tokio::test]
async fn limits_are_set_by_the_entry_and_changed_by_the_submit() {
    let app = TestApp::new().start().await;
    let guest = TextGuest::new("spin").entry(json!({"limits": {"fuel": 2_000_000, "memory_bytes": 70_000}}));
    register(&app, "spin", guest.build()).await;
    let run = fails(&app, "spin", "run", json!({})).await;
    assert!(text(&run["failure"]["message"]).contains("the limit is 2000000;"), "{run}");
    assert_eq!(run["limits"]["fuel"], 2_000_000);

    let run = fails(&app, "spin", "run", json!({"limits": {"fuel": 3_000_000}})).await;
    assert!(text(&run["failure"]["message"]).contains("the limit is 3000000;"), "{run}");
    assert_eq!(run["limits"]["memory_bytes"], 70_000, "what the submit does not name stays the entry's: {run}");
}

#[tokio::test]
async fn a_limit_of_nothing_or_over_its_cap_is_refused() {
    let app = with_guest("honest").await;
    let caps = [
        ("fuel", i64::MAX as u64),
        ("memory_bytes", 4 << 30),
        ("timeout_ms", 315_360_000_000),
        ("output_bytes", 64 * MIB),
        ("log_bytes", 64 * MIB),
        ("children", 1_000_000),
    ];
    for (name, cap) in caps {
        let over = format!("`limits.{name}` is {}, over the server's maximum of {cap}", cap + 1);
        let nothing = format!("`limits.{name}` is 0; the least is 1");
        // A task may well log nothing, or a flow have no children.
        let refused = if ["log_bytes", "children"].contains(&name) {
            vec![(cap + 1, over)]
        } else {
            vec![(0, nothing), (cap + 1, over)]
        };
        for (value, message) in refused {
            let (status, body) = app.post("/api/runs", json!({"module": "honest", "limits": {name: value}})).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert_eq!(body, json!({"error": {"kind": "invalid", "message": message}}));

            let guest = TextGuest::new("honest").entry(json!({"limits": {name: value}}));
            let (status, body) = app.try_register("greedy", guest.build()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            let message = format!("`describe` named an entry `run` that cannot be: {message}");
            assert_eq!(body["error"]["message"], message);
        }
        let run = app.run_with(json!({"module": "honest", "limits": {name: cap}})).await;
        assert_eq!(run["state"], "completed", "the cap itself is allowed: {run}");
    }
    let (status, body) = app.post("/api/runs", json!({"module": "honest", "limits": {"cpu": 1}})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert!(text(&body["error"]["message"]).contains("unknown field `cpu`, expected one of `fuel`"), "{body}");
}

#[tokio::test]
async fn the_same_work_costs_the_same_fuel() {
    let app = with_guest("leftovers").await;
    let mut costs = Vec::new();
    for _ in 0..3 {
        costs.push(app.run("leftovers", "run", json!({})).await["usage"]["fuel"].as_u64().unwrap());
    }
    assert!(costs[0] > 1_000_000 && costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
}

#[tokio::test]
async fn a_guest_that_only_keeps_the_host_busy_is_timed_out_and_gives_its_neighbours_their_turn() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let (status, body) = app.try_register("random", whole_text_guest("random")).await;
    assert!(status.is_success(), "{body}");
    let bomb = || app.submit_with(json!({"module": "random", "limits": {"timeout_ms": 300}}));
    // More of them than there are threads for guests.
    let bombs = [bomb().await, bomb().await, bomb().await, bomb().await];
    let honest = app.run("noop", "sequential", json!({"n": 20})).await;
    assert_eq!(honest["state"], "completed", "{honest}");
    for id in bombs {
        let run = app.until_final(&id).await;
        assert_eq!(run["failure"]["kind"], "timed_out", "{run}");
    }
}
