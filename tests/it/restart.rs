//! What was acknowledged survives: a stop, a kill, and whatever ran at that moment.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use tarefa::api::shapes::RunShape;
use tarefa::domain::State;

use crate::app::TestApp;
use crate::process::{Process, data_dir, output};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const GIVEN_BACK: &str = "given back while the server stopped";
const RESUMED: &str = "resumed after worker loss";
const AFTER_LOSS: &str = "given back after the loss of its worker";

fn reasons(run: &Value) -> Vec<String> {
    let history = run["history"].as_array().unwrap();
    history.iter().filter_map(|item| item["reason"].as_str()).map(str::to_owned).collect()
}

fn reasons_of(run: &RunShape) -> Vec<&str> {
    run.history.iter().filter_map(|item| item.reason.as_deref()).collect()
}

#[tokio::test]
async fn a_stop_gives_back_what_runs_without_counting_the_attempt() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("sleeper").await;
    let task = app.submit("sleeper", "nap", json!({"ms": 50_000})).await;
    let flow = app.submit("sleeper", "naps", json!({"n": 2, "ms": 50_000})).await;
    app.until_asleep(3, MINUTE).await;
    app.restart(Duration::ZERO).await;

    app.until_asleep(3, MINUTE).await;
    for id in [&task, &flow] {
        let run = app.show(id).await;
        assert_eq!((&run["state"], &run["n_attempts"]), (&json!("running"), &json!(1)), "{run}");
        assert_eq!(reasons(&run), [GIVEN_BACK]);
    }
    app.advance_to_next_wake(MINUTE).await;
    for (id, result) in [(&task, 50_000), (&flow, 100_000)] {
        let run = app.until_final(id).await;
        assert_eq!((&run["state"], &run["result"]), (&json!("completed"), &json!(result)), "{run}");
        assert_eq!(run["attempts"].as_array().unwrap().len(), 1);
    }
    assert_eq!(app.show(&flow).await["children"], json!({"completed": 2}));
}

#[tokio::test]
async fn a_stop_waits_for_what_ends_within_its_grace() {
    let mut app = TestApp::new().slots(1).start().await;
    app.register("sleeper").await;
    let id = app.submit("sleeper", "nap", json!({"ms": 300})).await;
    app.until(&id, |run| run["state"] == "running").await;
    app.restart(Duration::from_secs(60)).await;
    let run = app.show(&id).await;
    assert_eq!((&run["state"], &run["n_attempts"]), (&json!("completed"), &json!(1)), "{run}");
    assert_eq!(reasons(&run), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_awaited_its_retry_when_the_server_stopped_keeps_its_time() {
    let mut app = TestApp::new().manual_clock().start().await;
    app.register("flaky").await;
    let id = app.submit("flaky", "fixed", json!({"succeeds_at": 2})).await;
    let before = app.until(&id, |run| run["waiting_for"] == "retry").await;
    app.restart(Duration::ZERO).await;
    let after = app.show(&id).await;
    assert_eq!(after, before);
    let run = app.advance_until_final(&id, MINUTE).await;
    assert_eq!((&run["result"], &run["n_attempts"]), (&json!(2), &json!(2)), "{run}");
}

#[tokio::test]
async fn no_acknowledged_run_is_lost_by_a_stop_in_the_middle() {
    let mut app = TestApp::new().slots(2).start().await;
    app.register("noop").await;
    let mut ids = Vec::new();
    for n in 0..100 {
        let (entry, parameters) = if n % 4 == 0 { ("sequential", json!({"n": 20})) } else { ("noop", json!({})) };
        ids.push(app.submit("noop", entry, parameters).await);
    }
    app.restart(Duration::ZERO).await;
    for id in &ids {
        let run = app.until_final(id).await;
        assert_eq!((&run["state"], &run["n_attempts"]), (&json!("completed"), &json!(1)), "{run}");
    }
}

#[tokio::test]
async fn what_a_killed_server_left_runs_again_and_says_so() {
    let data = data_dir();
    let server = Process::serve(data.path(), &["--slots", "1"]);
    for module in ["sleeper", "by_name", "noop"] {
        server.register(module).await;
    }
    let done = server.submit("noop", "echo", json!({"text": "done"})).await;
    server.until_final(done).await;
    let task = server.submit("sleeper", "nap", json!({"ms": 1500})).await;
    server.until(task, |run| run.summary.state == State::Running).await;
    // The only slot is taken: the flow waits for its child, and the last run for its turn.
    let nap = json!({"entry": "sleeper/nap", "parameters": {"ms": 10}});
    let flow = server.submit("by_name", "run", nap).await;
    server.until(flow, |run| run.summary.state == State::Running).await;
    let waiting = server.submit("noop", "echo", json!({"text": "later"})).await;
    server.kill();

    let server = Process::serve(data.path(), &["--slots", "1"]);
    let run = server.until_final(task).await;
    assert_eq!((run.summary.state, run.result.as_ref().unwrap().get()), (State::Completed, "1500"), "{run:?}");
    let attempts: Vec<_> = run.attempts.iter().map(|attempt| attempt.state).collect();
    assert_eq!(attempts, [State::Crashed, State::Completed]);
    assert_eq!(run.attempts[0].failure.as_ref().unwrap().kind.name(), "worker_lost");
    assert_eq!(reasons_of(&run), [AFTER_LOSS]);
    // A flow goes on with the same attempt.
    let run = server.until_final(flow).await;
    assert_eq!((run.summary.state, run.result.as_ref().unwrap().get()), (State::Completed, "10"), "{run:?}");
    assert_eq!((run.summary.n_attempts, reasons_of(&run)), (1, vec![RESUMED]));
    let run = server.until_final(waiting).await;
    assert_eq!((run.summary.state, run.summary.n_attempts), (State::Completed, 1), "{run:?}");
    assert_eq!(reasons_of(&run), Vec::<&str>::new());
    let run = server.client.run(done).await.unwrap();
    assert_eq!((run.result.as_ref().unwrap().get(), run.summary.n_attempts), ("\"done\"", 1));
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test]
async fn a_lost_attempt_uses_up_no_retry() {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    server.register("sleeper").await;
    let id = server.submit("sleeper", "nap", json!({"ms": 1000})).await;
    server.until(id, |run| run.summary.state == State::Running).await;
    server.kill();
    let server = Process::serve(data.path(), &[]);
    let run = server.until_final(id).await;
    assert_eq!(run.retries.max, 0);
    assert_eq!((run.summary.state, run.summary.n_attempts), (State::Completed, 2), "{run:?}");
}

#[tokio::test]
async fn a_run_that_its_server_dies_with_again_and_again_is_crashed() {
    let data = data_dir();
    let mut server = Process::serve(data.path(), &[]);
    server.register("sleeper").await;
    let id = server.submit("sleeper", "nap", json!({"ms": 500_000})).await;
    for attempt in 1..=3 {
        server.until(id, |run| run.summary.state == State::Running && run.summary.n_attempts == attempt).await;
        server.kill();
        server = Process::serve(data.path(), &[]);
    }
    let run = server.until_final(id).await;
    assert_eq!(run.summary.state, State::Crashed, "{run:?}");
    assert_eq!(run.summary.failure.as_ref().unwrap().kind.name(), "worker_lost");
    assert_eq!(reasons_of(&run), [AFTER_LOSS, AFTER_LOSS, "its worker died again and again"]);
}

#[tokio::test]
async fn a_flow_that_its_server_dies_with_after_its_last_sleep_is_crashed() {
    let data = data_dir();
    let mut server = Process::serve(data.path(), &[]);
    server.register("sleeper").await;
    let submit = json!({
        "module": "sleeper", "entry": "computes_after_a_sleep", "parameters": {"ms": 1},
        "limits": {"fuel": i64::MAX},
    });
    let submit = serde_json::from_value(submit).unwrap();
    let id = server.client.submit(&submit, None).await.unwrap().summary.id;
    while server.client.logs(id, None, None, 1).await.unwrap().items.is_empty() {}
    for _ in 1..=3 {
        while !server.metrics().await.contains("tarefa_flows_in_memory 1\n") {}
        server.kill();
        server = Process::serve(data.path(), &[]);
    }
    let run = server.until_final(id).await;
    assert_eq!(run.summary.state, State::Crashed, "{run:?}");
    assert_eq!(reasons_of(&run), [RESUMED, RESUMED, "its worker died again and again"]);
}

#[tokio::test]
async fn sigterm_ends_the_process_and_gives_its_runs_back() {
    let data = data_dir();
    let server = Process::serve(data.path(), &["--grace", "0"]);
    server.register("sleeper").await;
    let id = server.submit("sleeper", "nap", json!({"ms": 1000})).await;
    server.until(id, |run| run.summary.state == State::Running).await;
    assert_eq!(server.terminate(), Some(0));
    let server = Process::serve(data.path(), &[]);
    let run = server.until_final(id).await;
    assert_eq!((run.summary.state, run.summary.n_attempts), (State::Completed, 1), "{run:?}");
    assert_eq!(reasons_of(&run), [GIVEN_BACK]);
}

#[tokio::test]
async fn a_second_serve_is_refused_and_other_verbs_go_through_the_first() {
    let data = data_dir();
    let server = Process::serve(data.path(), &[]);
    server.register("noop").await;
    let second = output(data.path(), &["serve", "--listen", "127.0.0.1:0"]);
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains(&format!("is held by process {}, which serves {}", server.pid(), server.client.url())),
        "{stderr}"
    );

    let run = output(data.path(), &["run", "noop", "echo", "--param", "text=olá"]);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&run.stdout).trim(), "\"olá\"");
    assert!(stderr.contains(server.client.url()), "{stderr}");
    let runs = server.client.runs(&tarefa::client::RunsFilter::default()).await.unwrap();
    assert_eq!(runs.items.len(), 1);
    let listed = output(data.path(), &["modules", "--json"]);
    let modules: Value = serde_json::from_slice(&listed.stdout).expect("JSON alone on stdout");
    assert_eq!(modules["items"][0]["name"], "noop");
    assert!(String::from_utf8_lossy(&listed.stderr).contains(server.client.url()));
}

#[tokio::test]
async fn one_that_kills_its_worker_does_not_take_its_neighbours_along() {
    let data = data_dir();
    let mut server = Process::serve(data.path(), &[]);
    server.register("sleeper").await;
    // Naps in no flow and in one: the server dies twice with all of them.
    let nap = json!({"ms": 500_000});
    let mut alone =
        vec![server.submit("sleeper", "nap", nap.clone()).await, server.submit("sleeper", "nap", nap).await];
    let flow = server.submit("sleeper", "naps", json!({"n": 1, "ms": 500_000})).await;
    for attempt in 1..=2 {
        for &id in &alone {
            server.until(id, |run| run.summary.state == State::Running && run.summary.n_attempts == attempt).await;
        }
        server.until(flow, |run| run.summary.children.get(&State::Running) == Some(&1)).await;
        server.kill();
        server = Process::serve(data.path(), &[]);
    }
    alone.extend(server.client.children(flow, 10, None).await.unwrap().items.iter().map(|child| child.id));
    // From now on each runs by itself: one at a time dies with its server, and no other does.
    for round in 1..=alone.len() {
        let running = async |server: &Process| {
            let mut running = Vec::new();
            for &id in &alone {
                let run = server.client.run(id).await.unwrap().summary;
                running.extend((run.state == State::Running).then_some(id));
            }
            running
        };
        let started = std::time::Instant::now();
        let mut now = running(&server).await;
        while now.is_empty() {
            assert!(started.elapsed() < Duration::from_secs(60), "none of them runs");
            now = running(&server).await;
        }
        assert_eq!(now.len(), 1, "more than one of them runs: {now:?}");
        server.kill();
        server = Process::serve(data.path(), &[]);
        let mut crashed = 0;
        for &id in &alone {
            crashed += usize::from(server.client.run(id).await.unwrap().summary.state == State::Crashed);
        }
        assert_eq!(crashed, round, "exactly the one that ran is taken for what killed the server");
    }
    let run = server.until_final(flow).await;
    assert_eq!((run.summary.state, run.summary.n_attempts), (State::Failed, 1), "{run:?}");
    assert_eq!(run.summary.failure.unwrap().message, "the worker died while it ran", "what its child ended with");
}
