//! HTTP requests of tasks, to the hosts that the run was granted: `tarefa run … --http 127.0.0.1:8080`.
//!
//! ```
//! use tarefa_sdk::{http, prelude::*, testing};
//!
//! #[task(retries = 3)]
//! fn version() -> Result<String> {
//!     let response = http::get("http://127.0.0.1:8080/version")?;
//!     ensure!(response.is_success(), "the service says {}", response.status);
//!     response.text()
//! }
//!
//! testing::set_http(|_| Ok(http::Response::new(200, "1.2.3")));
//! assert_eq!(version().unwrap(), "1.2.3");
//! ```
//!
//! A request to a host that was not granted ends the attempt as `denied`, and so does any in a flow. Redirects are not
//! followed. Errors of the network can be handled, and a retry may cure them.

#[cfg_attr(target_arch = "wasm32", path = "http/guest.rs")]
#[cfg_attr(not(target_arch = "wasm32"), path = "http/native.rs")]
mod backend;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Result, TaskError};

/// A request that is being made; [`Request::send`] sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Request {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// For the whole of it, from the connection to the end of the answer.
    pub timeout: Option<Duration>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Asks for what is at `url`.
///
/// # Errors
///
/// Where there is no answer.
pub fn get(url: &str) -> Result<Response> {
    request("GET", url).send()
}

/// A request with a method such as `POST`.
pub fn request(method: &str, url: &str) -> Request {
    Request { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new(), timeout: None }
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A body of JSON, with its content type. What cannot be JSON is sent as `null`.
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_else(|_| b"null".to_vec());
        self.header("content-type", "application/json").body(body)
    }

    /// Gives up after so long; without, the host gives up after a minute without a byte.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// # Errors
    ///
    /// Where there is no answer: the host cannot be reached, the time is up, the body is over the host's limit.
    pub fn send(self) -> Result<Response> {
        backend::send(self)
    }
}

impl Response {
    /// An answer for a test's double.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// # Errors
    ///
    /// Where the body is not UTF-8.
    pub fn text(&self) -> Result<String> {
        Ok(std::str::from_utf8(&self.body)?.to_owned())
    }

    /// # Errors
    ///
    /// Where the body is not the JSON of a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// What stands between scheme and path, and what follows.
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    path_and_query: String,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Result<Self> {
        let wrong = || TaskError::permanent(format_args!("`{url}` is no URL: write it as `http://HOST:PORT/PATH`"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if scheme.is_empty() || authority.is_empty() {
            return Err(wrong());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, authority, path_and_query: format!("{slash}{path}") })
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_url_is_taken_apart() {
        for (url, authority, path) in [
            ("http://localhost:80", "localhost:80", "/"),
            ("http://[::1]:80/a/b?c=d#e", "[::1]:80", "/a/b?c=d"),
            ("http://a?b", "a", "/?b"),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((parsed.scheme, parsed.authority, parsed.path_and_query.as_str()), ("http", authority, path));
        }
        for bad in ["", "localhost", "http://", "://localhost", "http:///path"] {
            assert!(!Url::parse(bad).err().unwrap().is_retryable(), "{bad}");
        }
    }

    #[test]
    fn a_double_answers_requests_as_they_were_made() {
        testing::set_http(|request| {
            assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://localhost:80/sums"));
            assert_eq!(request.headers, [("content-type".to_owned(), "application/json".to_owned())]);
            Ok(Response::new(201, request.body.clone()))
        });
        let response = request("POST", "http://localhost:80/sums").json(&[1, 2]).send().unwrap();
        assert_eq!((response.status, response.json::<Vec<u32>>().unwrap()), (201, vec![1, 2]));
        testing::reset();
        assert_eq!(get("http://localhost:80").unwrap_err().kind(), "denied");
        assert!(!get("localhost").unwrap_err().is_retryable());
    }
}
