//! Flows that are called again after their end, with this code and with that of `story_changed`.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task]
fn word(text: String) -> String {
    text
}

#[flow]
fn tell() -> Result<String> {
    let first = word("once".to_owned())?;
    info!("begun");
    sleep(Duration::from_secs(1));
    Ok(format!("{first} {}", word("upon".to_owned())?))
}

#[flow]
fn tell_otherwise() -> Result<String> {
    let first = word("once".to_owned())?;
    Ok(format!("{first} {}", word("upon".to_owned())?))
}

#[flow]
fn tell_more() -> Result<String> {
    word("once".to_owned())
}

#[flow]
fn tell_less() -> Result<String> {
    word("once".to_owned())?;
    word("upon".to_owned())
}

#[flow]
fn tell_slower() -> Result<()> {
    sleep(Duration::from_secs(1));
    Ok(())
}

#[flow]
fn tell_of() -> Result<Option<String>> {
    variable("word")
}

/// Draws, says what it drew, and sleeps, which its replay need not wait for.
#[task]
fn draws(n: u32) -> Vec<u32> {
    let drawn: Vec<u32> = (0..n).map(|_| random_range(0..=999_999)).collect();
    info!("drew {drawn:?}");
    sleep(Duration::from_millis(10));
    drawn
}

export_module!(flows: [tell, tell_otherwise, tell_more, tell_less, tell_slower, tell_of], tasks: [word, draws]);
