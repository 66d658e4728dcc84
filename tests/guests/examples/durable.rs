//! The workload of the crash test. Every result follows from the parameters, every flow numbers the lines of its log,
//! and every task leaves a line outside of its sandbox.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tarefa_sdk::prelude::*;

/// Appends `<run id> <attempt>` to a granted file, in one write.
fn leave_a_line() -> Result<()> {
    let context = context();
    let mut file = OpenOptions::new().append(true).create(true).open("/effects/lines")?;
    Ok(file.write_all(format!("{} {}\n", context.run_id, context.attempt).as_bytes())?)
}

fn log_line(number: u64) {
    info!("line {number}");
}

/// The next in a chain of numbers.
#[task]
fn step(x: u64) -> Result<u64> {
    leave_a_line()?;
    Ok(3 * x + 1)
}

#[task]
fn slow_step(x: u64, ms: u64) -> Result<u64> {
    leave_a_line()?;
    sleep(Duration::from_millis(ms));
    Ok(3 * x + 1)
}

/// The first attempt fails after it has left its line.
#[task(retries = 2, retry_delay = "15ms")]
fn second_time(x: u64) -> Result<u64> {
    leave_a_line()?;
    ensure!(context().attempt > 1, "the first attempt fails");
    Ok(3 * x + 1)
}

/// What a flow saw at one moment.
#[data]
struct Moment {
    wall_us: u64,
    monotonic_us: u64,
    local_time: String,
    random: u64,
    /// The order in which a map yields its keys.
    order: Vec<u32>,
}

#[task]
fn told(moment: Moment) -> Result<Moment> {
    leave_a_line()?;
    Ok(moment)
}

/// Each task takes what the one before returned: `n` steps from 0.
#[flow]
fn sequential(n: u64) -> Result<u64> {
    let mut x = 0;
    for number in 1..=n {
        x = step(x)?;
        log_line(number);
    }
    Ok(x)
}

/// The sum of one step from each number below `n`.
#[flow]
fn parallel(n: u64) -> Result<u64> {
    let runs: Vec<_> = (0..n).map(step::submit).collect();
    log_line(1);
    let sum = runs.iter().map(|run| run.wait()).sum();
    log_line(2);
    sum
}

/// The places of `n` tasks in the order in which they ended, and what came of a step from each.
#[flow]
fn first_come(n: u64) -> Result<(Vec<usize>, Vec<u64>)> {
    let runs: Vec<_> = (0..n).map(|i| slow_step::submit(i, 3 * (i % 4))).collect();
    let (mut order, mut next) = (Vec::new(), Vec::new());
    for place in completions(&runs).indexes() {
        order.push(place);
        next.push(step::submit(place as u64));
        log_line(order.len() as u64);
    }
    let results = next.iter().map(|run| run.wait()).collect::<Result<_>>()?;
    Ok((order, results))
}

/// One child flow for each number below `n`, of so many steps.
#[flow]
fn nested(n: u64) -> Result<Vec<u64>> {
    let runs: Vec<_> = (0..n).map(sequential::submit).collect();
    log_line(1);
    runs.iter().map(|run| run.wait()).collect()
}

#[flow]
fn retrying(n: u64) -> Result<u64> {
    let runs: Vec<_> = (0..n).map(second_time::submit).collect();
    log_line(1);
    runs.iter().map(|run| run.wait()).sum()
}

/// `2 n` steps from 0 with `n` sleeps among them, and the milliseconds that it took.
#[flow]
fn sleeping(n: u64, ms: u64) -> Result<(u64, u64)> {
    let (start, mut x) = (Instant::now(), 0);
    for number in 1..=n {
        x = step(x)?;
        sleep(Duration::from_millis(ms));
        x = step(x)?;
        log_line(number);
    }
    Ok((x, u64::try_from(start.elapsed().as_millis())?))
}

/// What it saw at `n` moments, each of which it told a task.
#[flow]
fn moments(n: u64) -> Result<Vec<Moment>> {
    let start = Instant::now();
    let mut seen = Vec::new();
    for number in 1..=n {
        let keys: HashMap<u32, ()> = (0..8).map(|key| (key, ())).collect();
        let moment = Moment {
            wall_us: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?,
            monotonic_us: u64::try_from(start.elapsed().as_micros())?,
            local_time: local_time().to_string(),
            random: random_range(0..=u64::MAX),
            order: keys.into_keys().collect(),
        };
        told(moment.clone())?;
        seen.push(moment);
        sleep(Duration::from_millis(2));
        log_line(number);
    }
    Ok(seen)
}

/// All numbers that came as the signal `step`, until each below `n` had come, and what came of a step from each.
#[flow]
fn signalled(n: u64) -> Result<Vec<(u64, u64)>> {
    let mut missing: HashSet<u64> = (0..n).collect();
    let mut came = Vec::new();
    while !missing.is_empty() {
        let number = wait_for_signal("step")?;
        missing.remove(&number);
        came.push((number, step(number)?));
        log_line(came.len() as u64);
    }
    Ok(came)
}

export_module!(
    flows: [sequential, parallel, first_come, nested, retrying, sleeping, moments, signalled],
    tasks: [step, slow_step, second_time, told],
);
