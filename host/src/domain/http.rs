//! What the tasks of a run may reach over HTTP: exactly the named hosts and ports.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name that the domain name system takes.
const MAX_HOST: usize = 253;
/// Every method that there is, and some.
const MAX_METHODS: usize = 16;
const MAX_METHOD: usize = 32;

/// A host and port that tasks may send requests to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpGrant {
    /// `HOST:PORT`, such as `127.0.0.1:8080`, `localhost:3000` or `[::1]:80`.
    pub host: String,
    /// The methods that requests may have; absent: all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub methods: Option<Vec<String>>,
}

impl HttpGrant {
    /// The grant in the form that requests are compared with.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the host or a method.
    pub fn normalised(self) -> Result<HttpGrant, String> {
        let host = host_and_port(&self.host)?;
        let methods = self.methods.map(normalised_methods).transpose()?;
        Ok(HttpGrant { host, methods })
    }

    pub fn allows_method(&self, method: &str) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.iter().any(|allowed| allowed == method))
    }
}

fn normalised_methods(methods: Vec<String>) -> Result<Vec<String>, String> {
    if methods.is_empty() || methods.len() > MAX_METHODS {
        return Err(format!("{} methods are granted; it takes 1 to {MAX_METHODS}, or none for all", methods.len()));
    }
    let known =
        |method: &String| (1..=MAX_METHOD).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_alphabetic());
    match methods.iter().find(|method| !known(method)) {
        Some(method) => Err(format!("`{}` is no HTTP method", method.escape_debug())),
        None => Ok(methods.iter().map(|method| method.to_ascii_uppercase()).collect()),
    }
}

/// `HOST:PORT` in lower case, with the port as a plain number.
///
/// # Errors
///
/// For all else, URLs and wildcards included.
pub fn host_and_port(text: &str) -> Result<String, String> {
    let wrong =
        || format!("`{}` is no `HOST:PORT`: write it as `127.0.0.1:8080` or `localhost:3000`", text.escape_debug());
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|port| digits && *port != 0).ok_or_else(wrong)?;
    let host = host.to_ascii_lowercase();
    let name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let known = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => (1..=MAX_HOST).contains(&host.len()) && host.bytes().all(name),
    };
    if known { Ok(format!("{host}:{port}")) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_or_address_and_a_port() {
        for (text, host) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("LocalHost:080", "localhost:80"),
            ("[::1]:3000", "[::1]:3000"),
            ("my_service.internal:1", "my_service.internal:1"),
        ] {
            assert_eq!(host_and_port(text).as_deref(), Ok(host), "{text}");
        }
        let long = format!("{}:80", "a".repeat(254));
        let bad = [
            "",
            "localhost",
            ":80",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:+80",
            "http://localhost:80",
            "a@b:80",
            "*.example.com:80",
            "::1:80",
            "[::g]:80",
            "a b:80",
            "localhost:80/path",
            &long,
        ];
        for text in bad {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn methods_are_compared_in_upper_case_and_all_are_allowed_where_none_is_named() {
        let grant = |methods: Option<&[&str]>| {
            let methods = methods.map(|methods| methods.iter().map(|&method| method.to_owned()).collect());
            HttpGrant { host: "localhost:80".to_owned(), methods }.normalised()
        };
        let all = grant(None).expect("a grant");
        assert!(all.allows_method("GET") && all.allows_method("DELETE"));
        let some = grant(Some(&["get", "Head"])).expect("a grant");
        assert!(some.allows_method("GET") && some.allows_method("HEAD") && !some.allows_method("POST"));
        assert!(grant(Some(&[])).is_err() && grant(Some(&["G T"])).is_err() && grant(Some(&[""])).is_err());
    }
}
