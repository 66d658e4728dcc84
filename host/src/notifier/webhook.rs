//! Webhooks, signed as Standard Webhooks has it.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use tokio::net::lookup_host;

use crate::domain::NotifyRule;
use crate::domain::http::is_public;
use crate::domain::notify::Told;
use crate::store::DueNotification;
use crate::tls;

/// Sends webhooks, each over a connection of its own.
pub(super) struct Webhooks {
    /// Each `HOST:PORT` that the operator allows, wherever it is.
    allowed: Vec<String>,
    /// Made with the first that is sent, since the system's certificates take long to read: to any address, and to public
    /// ones alone.
    any: OnceLock<Result<Client, String>>,
    public: OnceLock<Result<Client, String>>,
}

impl Webhooks {
    pub(super) fn new(allowed: Vec<String>) -> Webhooks {
        Webhooks { allowed, any: OnceLock::new(), public: OnceLock::new() }
    }

    /// Sends a notification, where it is `guarded` to no address that only this machine and its neighbours reach.
    pub(super) async fn send(&self, rule: &NotifyRule, guarded: bool, due: &DueNotification, now: Timestamp) -> Told {
        let Some(url) = rule.url() else { return Told::Refused("its rule has no webhook".to_owned()) };
        let guarded = guarded && !rule.host().is_some_and(|host| self.allowed.contains(&host));
        // An address in the URL is not looked for, so that nothing else would see it.
        if guarded && rule.private_host().is_some() {
            return Told::Refused(NotPublic.to_string());
        }
        let client = match guarded {
            true => self.public.get_or_init(|| build(|| tls::client().dns_resolver(PublicOnly))),
            false => self.any.get_or_init(|| build(tls::client)),
        };
        let client = match client {
            Ok(client) => client,
            Err(why) => return Told::Failed { why: why.clone(), after: None },
        };
        let seconds = now.as_second();
        let mut request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &due.id)
            .header("webhook-timestamp", seconds)
            .header("x-tarefa-event", due.event.as_str());
        if let Some(secret) = &rule.secret {
            request = request.header("webhook-signature", secret.sign(&due.id, seconds, &due.body));
        }
        match request.body(due.body.clone()).send().await {
            // Its body is not read, however long it is.
            Ok(response) => answered(&response, now),
            Err(error) => failed(&error),
        }
    }
}

fn build(builder: impl Fn() -> ClientBuilder) -> Result<Client, String> {
    let build = |builder: ClientBuilder| {
        builder
            .user_agent(concat!("tarefa/", env!("CARGO_PKG_VERSION")))
            // Either would lead elsewhere than where the rule says.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
    };
    build(builder())
        .or_else(|error| {
            tracing::warn!("webhooks cannot be sent over `https`: {}", root(&error));
            build(builder().tls_certs_only([]))
        })
        .map_err(|error| format!("no HTTP client: {}", root(&error)))
}

fn answered(response: &Response, now: Timestamp) -> Told {
    let status = response.status();
    if status.is_success() {
        return Told::Taken;
    }
    let why = format!("it answered {status}");
    let again = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if again {
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        return Told::Failed { why, after: after.and_then(|after| wait(after, now)) };
    }
    Told::Refused(if status.is_redirection() { why + ", and no redirect is followed" } else { why })
}

/// Seconds, or a date.
fn wait(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let seconds = text.trim().parse::<u32>().ok().map(|seconds| SignedDuration::from_secs(seconds.into()));
    seconds.or_else(|| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp().duration_since(now)))
}

/// Never says the URL, which may be a secret.
fn failed(error: &reqwest::Error) -> Told {
    let why = root(error);
    if why == NotPublic.to_string() {
        return Told::Refused(why);
    }
    Told::Failed { why, after: None }
}

/// The last of its causes, in lower case and without the number of the system's error.
fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    // An error without a cause is reqwest's own, and names the URL.
    let text = if std::ptr::addr_eq(root, error) { "the request failed".to_owned() } else { root.to_string() };
    let text = text.split(" (os error ").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Finds public addresses alone, and the connection is made to what it found.
#[derive(Clone, Copy)]
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its address is not public: name it with `--allow-http HOST:PORT` when the server starts")
    }
}

impl Error for NotPublic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_in_seconds_or_by_a_date_when_to_come_again() {
        let now: Timestamp = "2026-11-06T08:49:37Z".parse().expect("a time");
        assert_eq!(wait("120", now), Some(SignedDuration::from_secs(120)));
        assert_eq!(wait("Fri, 06 Nov 2026 08:50:37 GMT", now), Some(SignedDuration::from_secs(60)));
        assert_eq!(wait("-1", now), None);
        assert_eq!(wait("soon", now), None);
    }
}
