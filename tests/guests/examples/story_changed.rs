//! `story` after somebody worked on it.

use std::time::Duration;

use tarefa_sdk::prelude::*;

#[task]
fn word(text: String) -> String {
    text
}

/// The same calls; another line and another result.
#[flow]
fn tell() -> Result<String> {
    let first = word("once".to_owned())?;
    info!("it has begun");
    sleep(Duration::from_secs(1));
    Ok(format!("{first}, {}", word("upon".to_owned())?).to_uppercase())
}

#[flow]
fn tell_otherwise() -> Result<String> {
    let first = word("once".to_owned())?;
    Ok(format!("{first} {}", word("in".to_owned())?))
}

#[flow]
fn tell_more() -> Result<String> {
    word("once".to_owned())?;
    word("upon".to_owned())
}

#[flow]
fn tell_less() -> Result<String> {
    word("once".to_owned())
}

#[flow]
fn tell_slower() -> Result<()> {
    sleep(Duration::from_secs(2));
    Ok(())
}

#[flow]
fn tell_of() -> Result<Option<String>> {
    variable("words")
}

export_module!(flows: [tell, tell_otherwise, tell_more, tell_less, tell_slower, tell_of], tasks: [word]);
