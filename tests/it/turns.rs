//! Who comes first, and how many start within a span of time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::app::{Running, TestApp, time};
use crate::concurrency::{nap, until_blocked, until_running, with_sleeper};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

#[tokio::test]
async fn a_higher_priority_starts_first_and_each_minute_of_waiting_lifts_by_one() {
    let app = with_sleeper(TestApp::new().slots(4)).await;
    let with_priority = |priority: u8| {
        let mut body = nap("k", "queue", 1000);
        body["priority"] = json!(priority);
        body
    };
    let first = app.submit_with(with_priority(0)).await;
    until_running(&app, &first).await;
    let low = app.submit_with(with_priority(0)).await;
    let lower = app.submit_with(with_priority(0)).await;
    until_blocked(&app, &lower, "key/k").await;
    // They wait for three minutes while somebody else has it.
    let holder = app.submit_with(nap("k", "allow", 200_000)).await;
    // Not so long as their time-outs.
    app.until_asleep(2, MINUTE * 5).await;
    app.advance(MINUTE * 3);
    app.until_final(&first).await;
    let middle = app.submit_with(with_priority(2)).await;
    let high = app.submit_with(with_priority(4)).await;
    until_blocked(&app, &middle, "key/k").await;
    until_blocked(&app, &high, "key/k").await;
    app.advance(SECOND * 20);
    app.until_final(&holder).await;
    for id in [&high, &low, &lower, &middle] {
        until_running(&app, id).await;
        app.until_asleep(1, MINUTE).await;
        app.advance(SECOND);
        assert_eq!(app.until_final(id).await["state"], "completed");
    }
}

#[tokio::test]
async fn of_those_that_wait_for_a_slot_the_highest_priority_starts_first_too() {
    let app = with_sleeper(TestApp::new().slots(1)).await;
    let nap =
        |priority: u8| json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 1000}, "priority": priority});
    let first = app.submit_with(nap(0)).await;
    until_running(&app, &first).await;
    let low = app.submit_with(nap(0)).await;
    let high = app.submit_with(nap(9)).await;
    // It is not due, whatever its priority.
    let mut later = nap(9);
    later["scheduled_at"] = json!("2026-01-02T03:05:00Z");
    let later = app.submit_with(later).await;
    for id in [&first, &high, &low] {
        until_running(&app, id).await;
        assert_eq!(app.show(&later).await["state"], "scheduled");
        app.until_asleep(1, SECOND).await;
        app.advance(SECOND);
        app.until_final(id).await;
    }
    app.advance(MINUTE);
    until_running(&app, &later).await;
    assert_eq!(app.show(&later).await["priority"], 9);
    app.until_asleep(1, SECOND).await;
    app.advance(SECOND);
    app.until_final(&later).await;
}

#[tokio::test]
async fn no_more_start_within_any_span_than_the_rate_says_also_across_a_restart() {
    let mut app = with_sleeper(TestApp::new()).await;
    let body = json!({"module": "sleeper", "entry": "nap", "parameters": {"ms": 0}, "rate": "3/1m"});
    let submit = async |app: &Running, n: usize| {
        let mut ids = Vec::new();
        for _ in 0..n {
            ids.push(app.submit_with(body.clone()).await);
        }
        ids
    };
    let start = "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap();
    let mut ids = submit(&app, 2).await;
    for id in &ids {
        app.until_final(id).await;
    }
    app.advance(SECOND * 40);
    ids.extend(submit(&app, 6).await);
    app.until_final(&ids[2]).await;
    until_blocked(&app, &ids[7], "rate/entry/sleeper/nap").await;
    assert_eq!(app.show(&ids[7]).await["rate"], "3/1m");
    // Somebody who has no rate is not held up.
    app.run("sleeper", "nap", json!({"ms": 0})).await;
    app.stop(Duration::ZERO).await;
    app.set_clock(start + SECOND * 50);
    app.start_again().await;
    until_blocked(&app, &ids[3], "rate/entry/sleeper/nap").await;
    // At 60 s the first two do not count any more, at 100 s the third, at 120 s the next two.
    for (at, n) in [(60, 5), (100, 6), (120, 8)] {
        app.advance_to_next_wake(MINUTE).await;
        for id in &ids[..n] {
            app.until_final(id).await;
        }
        let mut starts = Vec::new();
        for id in &ids {
            let run = app.show(id).await;
            starts.extend((run["state"] == "completed").then(|| time(&run["started_at"])));
        }
        assert_eq!((starts.len(), starts.iter().max()), (n, Some(&(start + SECOND * at))), "{starts:?}");
        starts.sort_unstable();
        for window in starts.windows(4) {
            assert!(window[3].duration_since(window[0]) >= MINUTE, "{starts:?}");
        }
    }
}
