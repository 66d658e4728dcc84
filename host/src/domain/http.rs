//! What the tasks of a run may reach over HTTP: exactly the named hosts and ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// Whether an address is one of the public internet's: no loopback, private, link-local or other special one.
pub fn is_public(address: IpAddr) -> bool {
    let address = match address.to_canonical() {
        IpAddr::V4(address) => return is_public_v4(address),
        IpAddr::V6(address) => address,
    };
    match address.segments() {
        // What stands for an IPv4 address.
        [0x64, 0xff9b, 0, 0, 0, 0, g, h] => is_public_v4(Ipv4Addr::from((u32::from(g) << 16) | u32::from(h))),
        // Tunnels, and documentation.
        [0x2002, ..] | [0x2001, 0 | 0xdb8, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || matches!(
            (a, b, c),
            (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) | (224.., ..)
        );
    !special
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

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::1.1.1.1"];
        let others = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ];
        for (address, is) in public.iter().map(|text| (text, true)).chain(others.iter().map(|text| (text, false))) {
            assert_eq!(is_public(address.parse().expect("an address")), is, "{address}");
        }
    }
}
