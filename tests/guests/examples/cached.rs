//! Tasks whose results are kept. Each leaves a line in a granted file for each time that it really ran.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use tarefa_sdk::prelude::*;

/// Returns how many lines there are now, so that each result is another one.
fn leave_a_line(line: &str) -> Result<usize> {
    let mut effects = OpenOptions::new().append(true).create(true).open("/data/effects")?;
    effects.write_all(format!("{line}\n").as_bytes())?;
    Ok(fs::read_to_string("/data/effects")?.lines().count())
}

#[task(cache = "1h")]
fn price(item: String) -> Result<usize> {
    Ok(complete_as("priced", leave_a_line(&item)?))
}

/// The same in words.
#[task(cache = "1h")]
fn quote(item: String) -> Result<String> {
    leave_a_line(&item)?;
    Ok(format!("a fair price for {item}"))
}

#[task(cache = "1h", cache_key = "{item}")]
fn price_for(item: String, buyer: String) -> Result<usize> {
    leave_a_line(&format!("{item} for {buyer}"))
}

#[task(cache = "1h", cache_scope = "global")]
fn price_anywhere(item: String) -> Result<usize> {
    leave_a_line(&item)
}

/// Takes its time, and fails as long as there is no such file.
#[task(cache = "1h")]
fn fetch(name: String) -> Result<usize> {
    let line = leave_a_line(&name)?;
    sleep(Duration::from_secs(60));
    ensure!(fs::exists(format!("/data/{name}"))?, "there is no `{name}`");
    Ok(line)
}

/// The first attempt fails.
#[task(cache = "1h", retries = 1, retry_delay = "10s")]
fn second_time(item: String) -> Result<usize> {
    let line = leave_a_line(&item)?;
    ensure!(context().attempt > 1, "the first attempt fails");
    Ok(line)
}

/// Fetches the same as often as it is told to, all at the same time.
#[flow]
fn fetches(name: String, n: u32) -> Result<Vec<usize>> {
    let runs: Vec<_> = (0..n).map(|_| fetch::submit(name.clone())).collect();
    runs.iter().map(|run| run.wait()).collect()
}

/// Asks for a price before and after a nap, and fails at the end where it is told to.
#[flow]
fn naps(item: String, fails: bool) -> Result<Vec<usize>> {
    let before = price(item.clone())?;
    sleep(Duration::from_secs(60));
    let after = price(item)?;
    ensure!(!fails, "as it was told");
    Ok(vec![before, after])
}

export_module!(
    flows: [fetches, naps],
    tasks: [price, quote, price_for, price_anywhere, fetch, second_time],
);
