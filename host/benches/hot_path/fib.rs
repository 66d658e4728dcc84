//! Computation: what a sandbox and its metering make of a function that only calls itself.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};

use super::client::Client;
use super::report::{Report, median};
use super::{ROUNDS, elapsed_ms};

const N: u32 = 33;
const FIB_N: u64 = 3_524_578;
/// The tutorial's flows do a few short tasks, one after the other.
const TASKS: u64 = 40;
const FIB_10: u64 = 55;

pub async fn measure(client: &Client, report: &mut Report) {
    let task = |metering: &str| json!({"module": "fib", "entry": "fib", "parameters": {"n": N}, "metering": metering});
    let flow = json!({"module": "fib", "entry": "in_sequence", "parameters": {"tasks": TASKS, "n": 10}});
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        figures[0].push(native_ms());
        figures[1].push(run_ms(client, task("fuel"), FIB_N).await);
        figures[2].push(run_ms(client, task("time"), FIB_N).await);
        figures[3].push(run_ms(client, flow.clone(), TASKS * FIB_10).await);
    }
    let [native, fuel, time, tutorial] = figures.map(|mut values| median(&mut values));
    report.add("fib 33 native ms", "(f) fib(33), native", native, 1, "ms");
    report.add("fib 33 fuel ms", "(f) fib(33) in a task, metered by fuel", fuel, 1, "ms");
    report.add("fib 33 time ms", "(f) fib(33) in a task, metered by time", time, 1, "ms");
    report.add("tutorial ms", "(f) a flow of 40 x fib(10) in sequence, whole", tutorial, 2, "ms");
}

/// Milliseconds from submit to finish.
async fn run_ms(client: &Client, body: Value, expected: u64) -> f64 {
    let started = Instant::now();
    let run = client.run(body).await;
    let ms = elapsed_ms(started);
    assert_eq!(run["result"], expected);
    ms
}

fn native_ms() -> f64 {
    let started = Instant::now();
    assert_eq!(black_box(fib(black_box(N))), FIB_N);
    elapsed_ms(started)
}

/// As the guest `fib` has it.
fn fib(n: u32) -> u64 {
    if n < 2 { n.into() } else { fib(n - 1) + fib(n - 2) }
}
