//! Lists: what their filters leave, and pages that neither repeat nor lose an item.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, child_id, text};
use crate::wat::TextGuest;

async fn ids(app: &Running, query: &str) -> Vec<String> {
    let page = app.get(&format!("/api/runs?{query}")).await;
    page["items"].as_array().unwrap().iter().map(|run| text(&run["id"])).collect()
}

/// Reads a list page by page, and checks that every page but the last is full.
async fn paged(app: &Running, path: &str, limit: usize) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{path}limit={limit}{cursor}")).await;
        let found = page["items"].as_array().unwrap();
        items.extend(found.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(found.len(), limit, "{page}");
                cursor = format!("&cursor={next}");
            }
            None => return items,
        }
    }
}

#[tokio::test]
async fn filters_leave_what_they_name() {
    let app = TestApp::new().manual_clock().start().await;
    for module in ["noop", "nested", "fails"] {
        app.register(module).await;
    }
    let later = || app.advance(SignedDuration::from_secs(1));
    let echo = app
        .run_with(json!({
            "module": "noop", "entry": "echo", "parameters": {"text": "x"}, "name": "Relatório diário",
        }))
        .await;
    later();
    let failed = app.run("fails", "says_no", json!({})).await;
    later();
    let flow = app.run("nested", "children", json!({"m": 2})).await;
    later();
    let waiting = app
        .submit_with(json!({
            "module": "noop", "entry": "noop", "scheduled_at": "2026-02-01T00:00:00Z",
        }))
        .await;
    let [echo, failed, flow_id] = [&echo, &failed, &flow].map(|run| text(&run["id"]));
    let children: Vec<_> = app.children(&flow_id).await.iter().rev().map(|child| text(&child["id"])).collect();

    let mut everything = vec![waiting.clone()];
    everything.extend(children.clone());
    everything.extend([flow_id.clone(), failed.clone(), echo.clone()]);
    assert_eq!(ids(&app, "").await.iter().collect::<BTreeSet<_>>(), everything.iter().collect::<BTreeSet<_>>());
    let top = [&waiting, &flow_id, &failed, &echo].map(String::clone);
    assert_eq!(ids(&app, "root=true").await, top, "newest first");
    assert_eq!(ids(&app, "state=failed").await, [failed.as_str()]);
    assert_eq!(ids(&app, "state=failed,scheduled").await, [waiting.as_str(), failed.as_str()]);
    assert_eq!(ids(&app, "kind=flow").await, [flow_id.as_str()]);
    assert_eq!(ids(&app, "kind=task&root=true").await, [waiting.as_str(), failed.as_str(), echo.as_str()]);
    assert_eq!(ids(&app, "module=noop").await, [waiting.as_str(), echo.as_str()]);
    assert_eq!(ids(&app, "module=noop&entry=echo").await, [echo.as_str()]);
    assert_eq!(ids(&app, "entry=leaf").await.iter().collect::<BTreeSet<_>>(), children.iter().collect());
    assert_eq!(ids(&app, "root=true&since=2026-01-02T03:04:07Z").await, [waiting.as_str(), flow_id.as_str()]);
    assert_eq!(ids(&app, "root=true&until=2026-01-02T03:04:07Z").await, [failed.as_str(), echo.as_str()]);
    for query in ["q=relat%C3%B3rio", "q=says_no", &format!("q={failed}")] {
        let expected = if query == "q=relat%C3%B3rio" { &echo } else { &failed };
        assert_eq!(ids(&app, query).await, [expected.as_str()], "{query}");
    }
    assert_eq!(ids(&app, "q=nothing+of+the+kind").await, Vec::<String>::new());
}

#[tokio::test]
async fn runs_are_found_by_parent_label_tag_and_trigger() {
    let app = TestApp::new().manual_clock().start().await;
    for module in ["fails", "labels", "nested"] {
        app.register(module).await;
    }
    let tagged = TextGuest::new("honest").entry(json!({"tags": ["nightly", "small"]})).build();
    assert_eq!(app.try_register("tagged", tagged).await.0, 201);
    let labelled = app.run("labels", "labelled", json!({"label": "pulado"})).await;
    let of_entry = app.run("tagged", "run", json!({})).await;
    let of_cli = app.run_with(json!({"module": "tagged", "entry": "run", "tags": ["large"], "trigger": "cli"})).await;
    let wide = app.run("nested", "wide", json!({"n": 2, "m": 3})).await;
    let [labelled, of_entry, of_cli, wide] = [&labelled, &of_entry, &of_cli, &wide].map(|run| text(&run["id"]));
    assert_eq!(ids(&app, "label=pulado").await, [labelled.as_str()]);
    assert_eq!(ids(&app, "tag=nightly").await, [of_entry.as_str()]);
    assert_eq!(ids(&app, "tag=large").await, [of_cli.as_str()]);
    assert_eq!(ids(&app, "tag=larg").await, Vec::<String>::new());
    assert_eq!(ids(&app, "trigger=cli").await, [of_cli.as_str()]);
    assert_eq!(ids(&app, "trigger=api").await, [wide.as_str(), of_entry.as_str(), labelled.as_str()]);
    assert_eq!(ids(&app, "trigger=flow").await.len(), 2 + 2 * 3);
    assert_eq!(ids(&app, "deployment=daily").await, Vec::<String>::new(), "there are none yet");
    let flows = ids(&app, &format!("parent={wide}")).await;
    assert_eq!(flows.iter().collect::<BTreeSet<_>>(), [child_id(&wide, 0), child_id(&wide, 1)].iter().collect());
    let mut leaves = ids(&app, &format!("parent={}", flows[0])).await;
    leaves.reverse();
    assert_eq!(leaves, [0, 1, 2].map(|seq| child_id(&flows[0], seq)));
    assert_eq!(ids(&app, &format!("parent={of_cli}")).await, Vec::<String>::new());

    // Of each execution of a flow, not of the newest alone.
    let again = app.run("fails", "flow_with_retries", json!({})).await;
    assert_eq!(ids(&app, &format!("parent={}", text(&again["id"]))).await.len(), 3);
}

#[tokio::test]
async fn what_is_late_and_what_awaits_a_retry_is_found_as_such() {
    let app = TestApp::new().slots(1).manual_clock().start().await;
    app.register("sleeper").await;
    app.register("flaky").await;
    let failed = app.submit("flaky", "jittered", json!({"succeeds_at": 2})).await;
    app.until(&failed, |run| run["waiting_for"] == "retry").await;
    let running = app.submit("sleeper", "nap", json!({"ms": 500_000})).await;
    app.until(&running, |run| run["state"] == "running").await;
    // It would be in time if there were another slot.
    let waiting = app.submit("sleeper", "nap", json!({"ms": 1})).await;
    let body =
        json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1}, "scheduled_at": "2026-01-02T03:05:00Z"});
    let planned = app.submit_with(body).await;
    assert_eq!(ids(&app, "state=late").await, Vec::<String>::new());
    assert_eq!(ids(&app, "state=awaiting_retry").await, [failed.as_str()]);

    app.advance(SignedDuration::from_secs(10));
    assert_eq!(ids(&app, "state=late").await, Vec::<String>::new(), "ten seconds are not late");
    app.advance(SignedDuration::from_millis(1));
    assert_eq!(ids(&app, "state=late").await, [waiting.as_str()]);
    assert_eq!(ids(&app, "state=late,running").await, [waiting.as_str(), running.as_str()]);
    assert_eq!(ids(&app, "state=scheduled").await, [planned.as_str(), waiting.as_str(), failed.as_str()]);
    assert_eq!(ids(&app, "state=late,completed,awaiting_retry").await, [waiting.as_str(), failed.as_str()]);
    for id in [&planned, &waiting, &running, &failed] {
        app.post(&format!("/api/runs/{id}/cancel"), json!({})).await;
        app.until_final(id).await;
    }
    assert_eq!(ids(&app, "state=late,awaiting_retry").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_list_shows_what_a_run_is_for_and_what_came_of_it() {
    let app = TestApp::new().manual_clock().start().await;
    for module in ["big", "nested", "fails"] {
        app.register(module).await;
    }
    let only = async |filter: &str| app.get(&format!("/api/runs?{filter}")).await["items"][0].take();
    app.run("big", "output", json!({"bytes": 198})).await;
    assert_eq!(only("module=big").await["result_preview"], format!("\"{}\"", "x".repeat(198)));
    app.run("big", "output", json!({"bytes": 1000})).await;
    let preview = format!("\"{}", "x".repeat(199));
    let run = only("module=big").await;
    assert_eq!((&run["result_preview"], &run["children"]), (&json!(preview), &json!({})));
    assert_eq!(app.show(&text(&run["id"])).await["result_preview"], preview, "in detail too");

    let wide = text(&app.run("nested", "wide", json!({"n": 2, "m": 3})).await["id"]);
    let run = only("root=true&module=nested").await;
    assert_eq!((&run["children"], &run["result_preview"]), (&json!({"completed": 2}), &json!("6")));
    assert_eq!(app.children(&wide).await[0]["children"], json!({"completed": 3}));
    assert_eq!(app.children(&wide).await[0]["trigger"], "flow");

    app.run("fails", "kinds", json!({"n": 0, "ms": 1})).await;
    assert_eq!(only("root=true&module=fails").await["children"], json!({}));
    let mixed = app.submit("fails", "kinds", json!({"n": 3, "ms": 50_000})).await;
    app.until_asleep(3, SignedDuration::from_mins(1)).await;
    // On record within moments.
    app.until(&mixed, |run| run["children"] == json!({"running": 3})).await;
    assert_eq!(only("root=true&module=fails").await["children"], json!({"running": 3}));
    app.post(&format!("/api/runs/{}/cancel", child_id(&mixed, 1)), json!({})).await;
    app.until(&child_id(&mixed, 1), |run| run["state"] == "cancelled").await;
    app.advance_until_final(&mixed, SignedDuration::from_mins(1)).await;
    let ended = json!({"completed": 2, "cancelled": 1});
    assert_eq!(only("root=true&module=fails").await["children"], ended);
    let counts = app.server().app.store.count_children(mixed.parse().unwrap(), 1).expect("counts");
    assert_eq!(json!(counts), ended, "the books are right");
}

#[tokio::test]
async fn filters_that_cannot_be_are_refused() {
    let app = TestApp::new().start().await;
    let table = [
        (
            "state=done",
            "unknown state `done`; states are scheduled, running, cancelling, completed, failed, crashed, cancelled, late, \
             awaiting_retry",
        ),
        ("cursor=x", "`x` is not a cursor of this list"),
        ("kind=job", "invalid query: "),
        ("trigger=me", "invalid query: "),
        ("parent=me", "invalid query: "),
        ("root=yes", "invalid query: "),
        ("since=yesterday", "invalid query: "),
        ("limit=many", "invalid query: "),
        ("limit=0", "`limit` is 0; it goes from 1 to 500"),
        ("limit=501", "`limit` is 501; it goes from 1 to 500"),
        ("modul=noop", "invalid query: "),
    ];
    for (query, expected) in table {
        let (status, error) = app.try_get(&format!("/api/runs?{query}")).await;
        assert_eq!(status, 400, "{query}: {error}");
        assert!(text(&error["error"]["message"]).starts_with(expected), "{query}: {error}");
    }
}

#[tokio::test]
async fn runs_are_paged_newest_first_also_while_new_ones_come() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let mut submitted = Vec::new();
    for _ in 0..23 {
        submitted.push(app.submit("noop", "noop", json!({})).await);
    }
    submitted.reverse();
    for limit in [1, 5, 22, 23, 24] {
        let runs = paged(&app, "/api/runs?", limit).await;
        assert_eq!(runs.iter().map(|run| text(&run["id"])).collect::<Vec<_>>(), submitted, "limit {limit}");
    }
    let first = app.get("/api/runs?limit=10").await;
    app.run("noop", "noop", json!({})).await;
    let second = app.get(&format!("/api/runs?limit=10&cursor={}", text(&first["next_cursor"]))).await;
    assert_eq!(second["items"][0]["id"], submitted[10]);
    for id in submitted {
        app.until_final(&id).await;
    }
}

#[tokio::test]
async fn children_are_paged_in_the_order_of_their_submits() {
    let app = TestApp::new().start().await;
    app.register("noop").await;
    let run = app.run("noop", "submitted", json!({"n": 1100})).await;
    let path = format!("/api/runs/{}/children?", text(&run["id"]));
    for limit in [7, 550, 1000] {
        let seqs: Vec<_> = paged(&app, &path, limit).await.iter().map(|run| run["seq"].as_u64().unwrap()).collect();
        assert_eq!(seqs, (0..1100).collect::<Vec<u64>>(), "limit {limit}");
    }
    assert_eq!(app.try_get(&format!("{path}limit=1001")).await.0, 400, "a thousand is the longest page");
    assert_eq!(app.get(&format!("{path}generation=2")).await["items"], json!([]));
}

#[tokio::test]
async fn lines_of_a_log_are_paged_oldest_first_and_read_on_from_any_of_them() {
    let app = TestApp::new().start().await;
    app.register("logs").await;
    let run = app.run("logs", "many", json!({"n": 57})).await;
    let path = format!("/api/runs/{}/logs?", text(&run["id"]));
    let whole = paged(&app, &path, 1000).await;
    assert_eq!(whole.len(), 57);
    assert!(whole.windows(2).all(|pair| pair[0]["no"].as_i64() < pair[1]["no"].as_i64()));
    for limit in [1, 10, 56, 58] {
        assert_eq!(paged(&app, &path, limit).await, whole, "limit {limit}");
    }
    let rest = app.get(&format!("{path}after={}", whole[49]["no"])).await;
    assert_eq!(rest["items"].as_array().unwrap(), &whole[50..]);
}

#[tokio::test]
async fn a_log_is_that_of_the_run_and_all_below_it_from_a_level_on() {
    let app = TestApp::new().start().await;
    app.register("logs").await;
    app.register("by_name").await;
    let flow = app.run("by_name", "run", json!({"entry": "logs/flow_logs"})).await;
    let expected = ["before the task", "trace 1", "debug 2", "info 3", "warn 4", "error 5", "after the task"];
    let middle = app.children(&text(&flow["id"])).await[0]["id"].clone();
    for id in [&flow["id"], &middle] {
        assert_eq!(app.messages(&text(id)).await, expected);
    }
    let task = text(&app.children(&text(&middle)).await[0]["id"]);
    assert_eq!(app.messages(&task).await, expected[1..6]);
    for id in [text(&flow["id"]), task] {
        let page = app.get(&format!("/api/runs/{id}/logs?level=warn")).await;
        let lines: Vec<_> = page["items"].as_array().unwrap().iter().map(|line| text(&line["message"])).collect();
        assert_eq!(lines, ["warn 4", "error 5"]);
        let (status, error) = app.try_get(&format!("/api/runs/{id}/logs?level=loud")).await;
        let message = "unknown level `loud`; levels are trace, debug, info, warn, error";
        assert_eq!((status.as_u16(), &error["error"]["message"]), (400, &json!(message)));
    }
}

#[tokio::test]
async fn modules_are_paged_by_name() {
    let app = TestApp::new().start().await;
    let names = ["big", "context", "counter", "fails", "noop"];
    for name in ["noop", "big", "fails", "context", "counter"] {
        app.register(name).await;
    }
    for limit in [1, 2, 5, 6] {
        let modules = paged(&app, "/api/modules?", limit).await;
        assert_eq!(modules.iter().map(|module| text(&module["name"])).collect::<Vec<_>>(), names, "limit {limit}");
    }
}
