//! Schedules run their deployments: at each occurrence once, whatever happens; what is not run is on record.

use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{answer, text, time};
use crate::chance::{draws, seed};
use crate::deployments::{START, deploy, echo, finished, runs_of, seconds, settled, skips_of, step, with};
use crate::notifications::database;
use crate::process::{self, Process};

#[tokio::test]
async fn a_deployment_does_not_run_when_it_is_made_and_then_once_each_interval() {
    let app = with(&["noop"]).await;
    deploy(&app, "each", echo(json!([{"interval_ms": 30_000}]))).await;
    step(&app, seconds(29)).await;
    assert_eq!(runs_of(&app, "each").await.len(), 0);
    for n in 1..=4 {
        step(&app, seconds(if n == 1 { 1 } else { 30 })).await;
        finished(&app, "each").await;
        assert_eq!(runs_of(&app, "each").await.len(), n);
    }
    let start: Timestamp = START.parse().unwrap();
    for (n, run) in (1..).zip(runs_of(&app, "each").await) {
        let at = start + seconds(30 * n);
        assert_eq!((time(&run["occurrence"]["at"]), time(&run["scheduled_at"])), (at, at));
        assert_eq!((&run["state"], &run["trigger"]), (&json!("completed"), &json!("schedule")), "{run}");
        assert_eq!((&run["deployment"], &run["result_preview"]), (&json!("each"), &json!("\"olá\"")));
    }
    let shown = app.get("/api/deployments/each").await;
    assert_eq!(shown["last_run"]["occurrence"]["schedule_id"], shown["schedules"][0]["id"]);
}

#[tokio::test]
async fn two_deployments_of_one_flow_run_side_by_side() {
    let app = with(&["noop"]).await;
    deploy(&app, "rapid", echo(json!([{"interval_ms": 45_000}]))).await;
    deploy(&app, "slow", echo(json!([{"cron": "*/3 * * * *"}]))).await;
    for _ in 0..60 {
        step(&app, seconds(10)).await;
        finished(&app, "rapid").await;
        finished(&app, "slow").await;
    }
    assert_eq!((runs_of(&app, "rapid").await.len(), runs_of(&app, "slow").await.len()), (13, 3));
}

#[tokio::test]
async fn a_paused_deployment_fires_nothing_and_what_came_meanwhile_is_on_record() {
    let app = with(&["noop"]).await;
    let made = deploy(&app, "each", echo(json!([{"interval_ms": 60_000}]))).await;
    let (status, paused) = app.post("/api/deployments/each/pause", json!({})).await;
    assert_eq!((status, &paused["paused"], &paused["next_at"]), (StatusCode::OK, &json!(true), &Value::Null));
    step(&app, seconds(600)).await;
    let upcoming = app.get("/api/deployments/each/upcoming?limit=2").await;
    assert_eq!(upcoming["items"][0]["paused"], true);
    assert_eq!(time(&upcoming["items"][0]["at"]), START.parse::<Timestamp>().unwrap() + seconds(660));
    assert_eq!(app.get("/api/upcoming").await["items"], json!([]), "nothing that will not come");
    let (_, run) = app.post("/api/deployments/each/runs?wait=60", json!({})).await;
    assert_eq!(run["state"], "completed", "by hand it can be run");

    let (_, resumed) = app.post("/api/deployments/each/resume", json!({})).await;
    assert_eq!(time(&resumed["next_at"]), START.parse::<Timestamp>().unwrap() + seconds(660));
    assert_eq!(resumed["n_skipped"], 10);
    let skips = skips_of(&app, "each").await;
    assert_eq!((skips.len(), &skips[0]["n"], &skips[0]["why"]), (1, &json!(10), &json!("paused")));
    assert_eq!(time(&skips[0]["first_at"]), time(&made["next_at"]));
    step(&app, seconds(60)).await;
    finished(&app, "each").await;
    assert_eq!(runs_of(&app, "each").await.len(), 2);
}

#[tokio::test]
async fn one_of_several_schedules_can_be_paused_and_a_put_keeps_where_the_others_are() {
    let app = with(&["noop"]).await;
    let schedules = |paused: bool| json!([{"interval_ms": 60_000, "paused": paused}, {"interval_ms": 90_000}]);
    let made = deploy(&app, "two", echo(schedules(false))).await;
    step(&app, seconds(50)).await;
    let changed = deploy(&app, "two", echo(schedules(true))).await;
    assert_eq!(changed["schedules"][0]["id"], made["schedules"][0]["id"], "it says the same, and is paused");
    assert_eq!(changed["schedules"][1], made["schedules"][1]);
    step(&app, seconds(40)).await;
    finished(&app, "two").await;
    let runs = runs_of(&app, "two").await;
    assert_eq!((runs.len(), &runs[0]["occurrence"]["schedule_id"]), (1, &made["schedules"][1]["id"]));
}

#[tokio::test]
async fn after_a_downtime_the_policy_says_what_is_run_and_the_rest_is_on_record() {
    let mut app = with(&["noop"]).await;
    for (name, catchup) in [("none", "none"), ("last", "last"), ("all", "all")] {
        let mut body = echo(json!([{"interval_ms": 60_000}]));
        body["catchup"] = catchup.into();
        body["catchup_max"] = 4.into();
        body["overlap"] = "allow".into();
        deploy(&app, name, body).await;
    }
    app.stop(Duration::from_secs(10)).await;
    let start: Timestamp = START.parse().unwrap();
    // Ten minutes and a half later.
    app.set_clock(start + seconds(630));
    app.start_again().await;
    settled(&app).await;
    for (name, n_runs, n_missed) in [("none", 0, 10), ("last", 1, 9), ("all", 4, 6)] {
        finished(&app, name).await;
        let runs = runs_of(&app, name).await;
        assert_eq!(runs.len(), n_runs, "{name}");
        if let Some(last) = runs.last() {
            assert_eq!(time(&last["occurrence"]["at"]), start + seconds(600), "{name}");
        }
        let skips = skips_of(&app, name).await;
        assert_eq!((skips.len(), &skips[0]["n"], &skips[0]["why"]), (1, &json!(n_missed), &json!("missed")), "{name}");
        assert_eq!(time(&skips[0]["first_at"]), start + seconds(60), "{name}");
        let shown = app.get(&format!("/api/deployments/{name}")).await;
        assert_eq!((time(&shown["next_at"]), &shown["n_skipped"]), (start + seconds(660), &json!(n_missed)));
    }
}

#[tokio::test]
async fn a_server_that_is_a_little_late_misses_nothing_even_without_catching_up() {
    let app = with(&["noop"]).await;
    let mut body = echo(json!([{"interval_ms": 60_000}]));
    body["catchup"] = "none".into();
    deploy(&app, "d", body).await;
    step(&app, seconds(69)).await;
    finished(&app, "d").await;
    assert_eq!((runs_of(&app, "d").await.len(), skips_of(&app, "d").await.len()), (1, 0));
}

#[tokio::test]
async fn two_schedulers_on_one_store_run_each_occurrence_once() {
    let app = with(&["noop"]).await;
    let other = tarefa::scheduler::Scheduler::start(app.server().app.clone());
    for n in 0..20 {
        let mut body = echo(json!([{"interval_ms": 1000}]));
        body["overlap"] = "allow".into();
        deploy(&app, &format!("d{n}"), body).await;
    }
    for _ in 0..10 {
        step(&app, seconds(1)).await;
    }
    for n in 0..20 {
        let name = format!("d{n}");
        finished(&app, &name).await;
        let runs = runs_of(&app, &name).await;
        let mut at: Vec<_> = runs.iter().map(|run| time(&run["occurrence"]["at"])).collect();
        at.dedup();
        assert_eq!((runs.len(), at.len()), (10, 10), "{name}");
    }
    drop(other);
}

#[tokio::test]
async fn a_clock_that_is_set_back_runs_no_occurrence_twice() {
    let mut app = with(&["noop"]).await;
    deploy(&app, "d", echo(json!([{"cron": "* * * * *"}]))).await;
    let start: Timestamp = START.parse().unwrap();
    step(&app, seconds(120)).await;
    finished(&app, "d").await;
    assert_eq!(runs_of(&app, "d").await.len(), 1, "one of two, since both came at once");
    app.stop(Duration::from_secs(10)).await;
    app.set_clock(start);
    app.start_again().await;
    settled(&app).await;
    // Made anew it knows nothing of what was before.
    answer(app.raw(Method::DELETE, "/api/deployments/d")).await;
    deploy(&app, "d", echo(json!([{"cron": "* * * * *"}]))).await;
    for _ in 0..3 {
        step(&app, seconds(60)).await;
        finished(&app, "d").await;
    }
    let minutes: Vec<_> =
        runs_of(&app, "d").await.iter().map(|run| time(&run["occurrence"]["at"]).to_string()).collect();
    let expected = ["2026-01-02T03:06:00Z", "2026-01-02T03:05:00Z", "2026-01-02T03:07:00Z"];
    let mut sorted = minutes.clone();
    sorted.sort();
    let mut expected_sorted = expected.to_vec();
    expected_sorted.sort_unstable();
    assert_eq!(sorted, expected_sorted);
}

#[tokio::test]
async fn upcoming_shows_what_comes_next_of_all_with_zones_and_words() {
    let app = with(&["noop"]).await;
    deploy(&app, "often", echo(json!([{"interval_ms": 30_000}]))).await;
    deploy(&app, "office", echo(json!([{"cron": "0 9-18 * * 1-5", "timezone": "America/Sao_Paulo"}]))).await;
    deploy(&app, "once", echo(json!([{"at": "2026-01-02T03:05:00Z"}]))).await;
    let items = app.get("/api/upcoming?limit=500").await["items"].as_array().unwrap().clone();
    let of = |name: &str| items.iter().filter(|item| item["deployment"] == name).cloned().collect::<Vec<_>>();
    assert_eq!((of("often").len(), of("office").len(), of("once").len()), (100, 3, 1));
    assert!(items.windows(2).all(|pair| time(&pair[0]["at"]) <= time(&pair[1]["at"])), "in the order of time");
    let first = &of("office")[0];
    assert_eq!(
        (&first["local"], &first["timezone"]),
        (&json!("2026-01-02T09:00:00-03:00"), &json!("America/Sao_Paulo"))
    );
    assert_eq!(time(&first["at"]), "2026-01-02T12:00:00Z".parse().unwrap());
    let until = app.get("/api/upcoming?until=2026-01-02T03:06:00Z").await;
    assert_eq!(until["items"].as_array().map(Vec::len), Some(4), "{until}");
    let (_, own) = app.try_get("/api/deployments/office/upcoming?limit=12").await;
    assert_eq!(own["items"].as_array().map(Vec::len), Some(12));
    step(&app, seconds(60)).await;
    finished(&app, "once").await;
    let once = app.get("/api/deployments/once").await;
    assert_eq!((&once["next_at"], runs_of(&app, "once").await.len()), (&Value::Null, 1));
}

#[tokio::test]
async fn a_backfill_runs_past_occurrences_once_in_their_order() {
    let app = with(&["noop"]).await;
    deploy(&app, "d", echo(json!([{"cron": "0 * * * *"}]))).await;
    step(&app, seconds(3600)).await;
    finished(&app, "d").await;
    let span = json!({"from": "2026-01-01T20:00:00Z", "to": "2026-01-02T04:04:00Z"});
    let mut dry = span.clone();
    dry["dry_run"] = true.into();
    let expected = json!({"n_occurrences": 9, "n_submitted": 8, "n_run_before": 1, "n_skipped": 0});
    assert_eq!(app.post("/api/deployments/d/backfill", dry).await, (StatusCode::OK, expected.clone()));
    assert_eq!(runs_of(&app, "d").await.len(), 1, "nothing was done");
    assert_eq!(app.post("/api/deployments/d/backfill", span.clone()).await, (StatusCode::OK, expected));
    finished(&app, "d").await;
    let runs = runs_of(&app, "d").await;
    let back: Vec<_> = runs.iter().filter(|run| run["trigger"] == "backfill").collect();
    assert_eq!(back.len(), 8);
    assert!(back.windows(2).all(|pair| time(&pair[0]["occurrence"]["at"]) < time(&pair[1]["occurrence"]["at"])));
    let again = json!({"n_occurrences": 9, "n_submitted": 0, "n_run_before": 9, "n_skipped": 0});
    assert_eq!(app.post("/api/deployments/d/backfill", span).await, (StatusCode::OK, again));
    let (status, error) = app
        .post("/api/deployments/d/backfill", json!({"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "the future is not back: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_again_and_again_runs_or_records_each_occurrence_once() {
    let data = process::data_dir();
    let server = Process::serve(data.path(), &[]);
    server.register("noop").await;
    let http = tarefa::tls::plain_client().build().expect("a client");
    let mut body = echo(json!([{"interval_ms": 1000}]));
    (body["overlap"], body["catchup"]) = (json!("allow"), json!("all"));
    let put = http.put(format!("{}/api/deployments/d", server.client.url())).json(&body);
    let (_, made) = answer(put).await;
    let first = time(&made["next_at"]);
    let mut chance = draws(seed(), 0);
    let mut server = Some(server);
    for _ in 0..4 {
        // Not a wait for something to happen: a moment at random at which it is killed.
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..1500))).await;
        server.take().expect("it runs").kill();
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..1500))).await;
        server = Some(Process::serve(data.path(), &[]));
    }
    let server = server.expect("it runs");
    let url = format!("{}/api", server.client.url());
    let (_, paused) = answer(http.post(format!("{url}/deployments/d/pause")).json(&json!({}))).await;
    assert_eq!(paused["paused"], true, "{paused}");
    let (_, runs) = answer(http.get(format!("{url}/runs?deployment=d&limit=500"))).await;
    let (_, skips) = answer(http.get(format!("{url}/deployments/d/skips"))).await;
    let (_, next) = answer(http.get(format!("{url}/deployments/d/upcoming?limit=1"))).await;
    let mut at: Vec<Timestamp> =
        runs["items"].as_array().unwrap().iter().map(|run| time(&run["occurrence"]["at"])).collect();
    for skip in skips["items"].as_array().unwrap() {
        let (first, n) = (time(&skip["first_at"]), skip["n"].as_i64().unwrap());
        at.extend((0..n).map(|n| first + seconds(n)));
    }
    at.sort();
    let expected: Vec<Timestamp> = (0..at.len() as i64).map(|n| first + seconds(n)).collect();
    assert_eq!(at, expected, "{skips}");
    assert!(time(&next["items"][0]["at"]) >= first + seconds(at.len() as i64), "{next}");
}

/// A deployment that naps for an hour at each minute, and what became of three minutes of it: states of its runs, oldest
/// first, and how many occurrences were skipped.
async fn overlapping(overlap: &str) -> (Vec<Value>, u64) {
    let app = with(&["sleeper"]).await;
    let body = json!({
        "module": "sleeper", "entry": "nap", "parameters": {"ms": 3_600_000}, "overlap": overlap,
        "schedules": [{"interval_ms": 60_000}],
    });
    deploy(&app, "naps", body).await;
    for _ in 1..=3 {
        step(&app, seconds(60)).await;
        // Each that may run has begun before the next comes.
        for run in runs_of(&app, "naps").await {
            let at_rest = |run: &Value| {
                run["state"] == "running" || run["waiting_for"] == "limit" || !run["finished_at"].is_null()
            };
            app.until(&text(&run["id"]), at_rest).await;
        }
    }
    let states = runs_of(&app, "naps").await.iter().map(|run| run["state"].clone()).collect();
    let n_skipped = app.get("/api/deployments/naps").await["n_skipped"].as_u64().expect("a count");
    for run in runs_of(&app, "naps").await {
        let _ = app.post(&format!("/api/runs/{}/cancel", text(&run["id"])), json!({})).await;
    }
    finished(&app, "naps").await;
    (states, n_skipped)
}

#[tokio::test]
async fn an_occurrence_that_meets_an_unfinished_run_does_as_its_deployment_says() {
    let table = [
        ("skip", vec!["running"], 2),
        ("allow", vec!["running", "running", "running"], 0),
        ("queue", vec!["running", "scheduled", "scheduled"], 0),
        ("queue-one", vec!["running", "scheduled"], 1),
        ("cancel-running", vec!["cancelled", "cancelled", "running"], 0),
    ];
    for (overlap, states, n_skipped) in table {
        assert_eq!(overlapping(overlap).await, (states.into_iter().map(Value::from).collect(), n_skipped), "{overlap}");
    }
}

#[tokio::test]
async fn a_schedule_that_cannot_be_read_is_stopped_with_the_reason_and_is_in_nobodys_way() {
    let app = with(&["noop"]).await;
    deploy(&app, "damaged", echo(json!([{"interval_ms": 60_000}]))).await;
    deploy(&app, "whole", echo(json!([{"interval_ms": 60_000}]))).await;
    let damage =
        "UPDATE schedules SET spec = '{\"interval_ms\": 1, \"timezone\": \"UTC\"}' WHERE deployment = 'damaged'";
    database(&app).execute(damage, []).expect("updates");
    step(&app, seconds(60)).await;
    finished(&app, "whole").await;
    assert_eq!((runs_of(&app, "whole").await.len(), runs_of(&app, "damaged").await.len()), (1, 0));
    let skips = skips_of(&app, "damaged").await;
    assert_eq!((skips.len(), &skips[0]["why"]), (1, &json!("refused")), "{skips:?}");
    assert!(text(&skips[0]["detail"]).starts_with("the schedule was stopped: `interval_ms` is 1"), "{skips:?}");
}
