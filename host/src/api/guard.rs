//! Who may call: any web page can reach a loopback port, so a request must come from no page, or from our own.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ServerInfo;
use crate::error::{Error, ErrorKind};

/// Lets a request through whose `Host` is loopback or allowed by name, and whose origin is that host.
pub(super) async fn same_origin(State(info): State<Arc<ServerInfo>>, request: Request, next: Next) -> Response {
    match check(&info.allowed_hosts, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(message) => Error::new(ErrorKind::Forbidden, message).into_response(),
    }
}

fn check(allowed: &[String], uri: &Uri, headers: &HeaderMap) -> Result<(), String> {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = uri.authority().map(|authority| authority.as_str()).or(text(header::HOST)).unwrap_or_default();
    let name = host_name(host);
    if !is_loopback(name) && !allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
        return Err(format!(
            "forbidden: host `{}` is neither loopback nor allowed; start the server with `--allow-host`",
            host.escape_debug()
        ));
    }
    if let Some(origin) = text(header::ORIGIN) {
        let own = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
        if own != Some(host) {
            return Err(format!("forbidden: the request comes from a page of `{}`", origin.escape_debug()));
        }
    }
    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err("forbidden: the request comes from a page of another site".to_owned()),
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(headers: &[(&'static str, &'static str)]) -> Result<(), String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (header::HeaderName::from_static(name), header::HeaderValue::from_static(value)))
            .collect();
        check(&["tarefa.example".to_owned()], &Uri::from_static("/api/runs"), &headers)
    }

    #[test]
    fn only_our_own_pages_and_programs_may_call() {
        for allowed in [
            &[("host", "127.0.0.1:4200")][..],
            &[("host", "localhost:4200")],
            &[("host", "[::1]:4200")],
            &[("host", "tarefa.example")],
            &[("host", "localhost:4200"), ("origin", "http://localhost:4200"), ("sec-fetch-site", "same-origin")],
        ] {
            assert_eq!(verdict(allowed), Ok(()), "{allowed:?}");
        }
        for refused in [
            &[][..],
            &[("host", "evil.example:4200")],
            &[("host", "127.0.0.1.evil.example")],
            &[("host", "localhost:4200"), ("origin", "http://evil.example")],
            &[("host", "localhost:4200"), ("origin", "http://localhost:8000")],
            &[("host", "localhost:4200"), ("origin", "null")],
            &[("host", "localhost:4200"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(verdict(refused).is_err(), "{refused:?}");
        }
    }
}
