//! Flows whose tasks need files that a test puts there later, and leave a line for each time that they ran.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use tarefa_sdk::prelude::*;

/// Leaves a line, and returns what it was given.
#[task]
fn step(n: u32) -> Result<u32> {
    let mut effects = OpenOptions::new().append(true).create(true).open("/data/effects")?;
    effects.write_all(format!("step {n}\n").as_bytes())?;
    Ok(n)
}

/// Fails as long as there is no such file.
#[task]
fn need(name: String) -> Result<String> {
    let mut effects = OpenOptions::new().append(true).create(true).open("/data/effects")?;
    effects.write_all(format!("need {name}\n").as_bytes())?;
    fs::read_to_string(format!("/data/{name}")).map_err(|_| TaskError::new(format_args!("there is no `{name}`")))
}

/// Two steps, what it needs, and one more step.
#[flow]
fn pipeline(name: String) -> Result<String> {
    let first = step(1)?;
    sleep(Duration::from_secs(30));
    let second = step(first + 1)?;
    let found = need(name)?;
    step(second + 1)?;
    Ok(found)
}

/// As `pipeline`, with one retry.
#[flow(retries = 1, retry_delay = "5s")]
fn insistent(name: String) -> Result<String> {
    pipeline_of(name)
}

fn pipeline_of(name: String) -> Result<String> {
    step(1)?;
    need(name)
}

/// Copes with one failure, which decides on what it does next, and fails of another.
#[flow]
fn copes(first: String, second: String) -> Result<String> {
    step(1)?;
    let found = match need(first) {
        Ok(found) => found,
        Err(_) => step(100)?.to_string(),
    };
    step(2)?;
    need(second)?;
    Ok(found)
}

/// A flow with a flow in it.
#[flow]
fn outer(name: String) -> Result<String> {
    step(10)?;
    let inner = pipeline_short::submit(name);
    let steps = step::map(11..=13)?;
    ensure!(steps == [11, 12, 13], "steps come back: {steps:?}");
    inner.wait()
}

#[flow]
fn pipeline_short(name: String) -> Result<String> {
    pipeline_of(name)
}

/// Fails although all that it submitted completed.
#[flow(retries = 3)]
fn never_content() -> Result<()> {
    step(1)?;
    bail!("not content")
}

/// Fails until it is given a number that it drew by itself.
#[flow]
fn lottery(name: String) -> Result<f64> {
    let drawn = random();
    step((drawn * 1000.0) as u32)?;
    need(name)?;
    Ok(drawn)
}

export_module!(
    flows: [pipeline, insistent, copes, outer, pipeline_short, never_content, lottery],
    tasks: [step, need]
);
