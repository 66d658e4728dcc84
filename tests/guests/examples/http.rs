//! Sends requests, in tasks and (refused) in a flow.

use std::collections::BTreeMap;
use std::time::Duration;

use tarefa_sdk::http;
use tarefa_sdk::prelude::*;

#[data]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

#[task]
fn fetch(
    url: String,
    #[default("GET".to_owned())] method: String,
    #[default(BTreeMap::new())] headers: BTreeMap<String, String>,
    #[default(String::new())] body: String,
    #[default(None)] timeout_ms: Option<u64>,
) -> Result<Answer> {
    let mut request = http::request(&method, &url).body(body);
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    if let Some(timeout_ms) = timeout_ms {
        request = request.timeout(Duration::from_millis(timeout_ms));
    }
    let response = request.send()?;
    let body = response.text()?;
    Ok(Answer { status: response.status, headers: response.headers.into_iter().collect(), body })
}

/// Sums the numbers that a service answers with.
#[task]
fn sum(url: String, numbers: Vec<i64>) -> Result<i64> {
    let response = http::request("POST", &url).json(&numbers).send()?;
    Ok(response.json::<Vec<i64>>()?.iter().sum())
}

/// Sends that many bytes.
#[task]
fn send(url: String, bytes: usize) -> Result<u16> {
    Ok(http::request("POST", &url).body(vec![b'x'; bytes]).send()?.status)
}

/// Returns the error that there was.
#[task]
fn caught(url: String) -> Result<String> {
    match http::get(&url) {
        Ok(response) => bail!("the service answered with {}", response.status),
        Err(error) => Ok(error.to_string()),
    }
}

/// Sends requests and keeps the answers, and says how many there were.
#[task]
fn many(host: String, count: usize) -> Result<usize> {
    raw::answered(&host, count)
}

/// Makes requests that are never sent, each with headers.
#[task]
fn unsent(count: usize) -> Result<usize> {
    Ok(raw::unsent(count))
}

#[flow]
fn flow_fetches(url: String) -> Result<u16> {
    Ok(http::get(&url)?.status)
}

#[flow]
fn through_a_task(url: String) -> Result<u16> {
    Ok(fetch(url, "GET".to_owned(), BTreeMap::new(), String::new(), None)?.status)
}

/// What the SDK's requests, one at a time, cannot do.
#[cfg(target_arch = "wasm32")]
mod raw {
    use tarefa_sdk::prelude::*;
    use wasip2::http::outgoing_handler::handle;
    use wasip2::http::types::{ErrorCode, Fields, OutgoingRequest, Scheme};

    pub fn answered(host: &str, count: usize) -> Result<usize> {
        let mut sent = Vec::new();
        for _ in 0..count {
            let request = OutgoingRequest::new(Fields::new());
            let _ = request.set_scheme(Some(&Scheme::Http));
            let _ = request.set_authority(Some(host));
            let _ = request.set_path_with_query(Some("/"));
            sent.push(handle(request, None)?);
        }
        let mut held = Vec::new();
        for answer in &sent {
            answer.subscribe().block();
            match answer.get().expect("it is ready").expect("it is taken once") {
                Ok(response) => held.push(response),
                Err(code) => ensure!(matches!(code, ErrorCode::ConnectionLimitReached), "{code}"),
            }
        }
        Ok(held.len())
    }

    pub fn unsent(count: usize) -> usize {
        let headers = || Fields::from_list(&[("x".to_owned(), vec![b'x'; 8 << 10])]).expect("a header");
        (0..count).map(|_| OutgoingRequest::new(headers())).collect::<Vec<_>>().len()
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod raw {
    use tarefa_sdk::prelude::*;

    pub fn answered(_: &str, _: usize) -> Result<usize> {
        bail!("there is no host")
    }

    pub fn unsent(_: usize) -> usize {
        0
    }
}

export_module!(
    flows: [flow_fetches, through_a_task],
    tasks: [fetch, sum, send, caught, many, unsent],
);
