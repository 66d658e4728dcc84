use tarefa_sdk::prelude::*;

/// What `greet` returns.
// `#[data]` makes a type fit to pass between sandboxes.
#[data]
pub struct Greeting {
    pub name: String,
    pub text: String,
}

/// Runs in a sandbox of its own, and is tried again when it fails.
#[task(retries = 3, retry_delay = "2s", run_name = "greet({name})")]
fn greet(name: String) -> Result<Greeting> {
    ensure!(!name.is_empty(), "a name is empty");
    info!("greeting {name}");
    Ok(Greeting { text: format!("Hello, {name}!"), name })
}

/// Greets everybody at the same time.
#[flow(title = "Greetings")]
fn greetings(#[default(vec!["Ada".to_owned(), "Grace".to_owned()])] names: Vec<String>) -> Result<Vec<Greeting>> {
    let runs: Vec<_> = names.iter().map(greet::submit).collect();
    runs.iter().map(|run| run.wait()).collect()
}

export_module!(flows: [greetings], tasks: [greet]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_greeted() {
        let greetings = greetings(vec!["Ada".to_owned(), "Grace".to_owned()]).unwrap();
        assert_eq!(greetings[1].text, "Hello, Grace!");
    }

    #[test]
    fn an_empty_name_is_an_error() {
        assert_eq!(greet(String::new()).unwrap_err().message(), "a name is empty");
    }
}
