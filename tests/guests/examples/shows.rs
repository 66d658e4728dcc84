//! Runs that show how far they are, and what they have come to.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[data]
struct Sale {
    product: String,
    n: u32,
    discount: Option<f64>,
}

/// One artifact of each kind; the text twice.
#[task]
fn shows() -> Result<()> {
    let sale = |product: &str, n, discount| Sale { product: product.to_owned(), n, discount };
    artifact("summary").markdown("soon")?;
    artifact("sold").title("What was sold").table([sale("tea", 2, None), sale("coffee", 10, Some(0.5))])?;
    artifact("summary").title("Summary").description("Of today").markdown("# Sales\n\n**12** in all")?;
    artifact("board").link("https://example.com/sales?day=1", "all sales")
}

/// Writes any text as an artifact, past what the SDK would make of it. Returns the error.
#[task]
fn writes(key: String, artifact: String) -> Option<String> {
    write(&key, &artifact).err()
}

#[cfg(target_arch = "wasm32")]
fn write(key: &str, artifact: &str) -> Result<(), String> {
    let written = tarefa_sdk::__private::bindings::tarefa::guest::artifacts::write(key, artifact);
    written.map_err(|error| format!("{}: {}", error.kind, error.message))
}

#[cfg(not(target_arch = "wasm32"))]
fn write(_: &str, _: &str) -> Result<(), String> {
    Ok(())
}

/// Writes artifacts of so many bytes under so many keys in turn, until one is refused. Returns how many were written, and
/// the error.
#[task]
fn floods(keys: usize, bytes: usize, most: usize) -> (usize, Option<String>) {
    let text = "x".repeat(bytes);
    for n in 0..most {
        if let Err(error) = artifact(&format!("a{}", n % keys)).markdown(&text) {
            return (n, Some(error.message().to_owned()));
        }
    }
    (most, None)
}

/// Tells of each step, and of the last when it is made.
#[task]
fn tells(steps: u64, nap_ms: u64) {
    progress_text("counting");
    for step in 0..=steps {
        progress(step, steps);
    }
    sleep(Duration::from_millis(nap_ms));
}

/// Writes whatever it is told as its progress.
#[task]
fn tells_of(text: String) {
    progress_text(text);
}

#[task(retries = 1)]
fn second_time() -> Result<()> {
    let attempt = context().attempt;
    progress(attempt, 10);
    artifact("attempt").markdown(format!("{attempt}"))?;
    artifact(&format!("of-{attempt}")).markdown("")?;
    ensure!(attempt > 1, "the first attempt fails");
    Ok(())
}

/// In each step it tells how far it is, shows what it has, runs a task that shows something, too, and waits for a signal.
#[flow]
fn steps(n: u32) -> Result<()> {
    artifact("first").markdown("written once")?;
    for step in 1..=n {
        progress(step, n);
        progress_text(format!("step {step}"));
        artifact("steps").markdown(format!("{step} of {n}"))?;
        notes(step)?;
        let _: Value = wait_for_signal("next")?;
    }
    Ok(())
}

#[task]
fn notes(step: u32) -> Result<u32> {
    artifact("note").markdown(format!("in step {step}"))?;
    Ok(step)
}

/// More keys than it may have; returns what it was told of the last.
#[flow]
fn too_many(n: u32) -> Result<String> {
    let mut told = String::new();
    for key in 0..n {
        if let Err(error) = artifact(&format!("a{key}")).markdown("") {
            told = error.message().to_owned();
        }
    }
    let _: Value = wait_for_signal("next")?;
    Ok(told)
}

export_module!(flows: [steps, too_many], tasks: [shows, writes, floods, tells, tells_of, second_time, notes]);
