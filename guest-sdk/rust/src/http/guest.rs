//! Requests through `wasi:http`.

use std::fmt::Display;
use std::time::Duration;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
    http_error_code,
};
use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::StreamError;

use super::{Request, Response, Url};
use crate::{Result, TaskError};

/// What is read of an answer at once.
const PIECE_BYTES: u64 = 64 << 10;

pub(super) fn send(request: Request) -> Result<Response> {
    let exchange =
        Exchange { until: request.timeout.map(|timeout| subscribe_duration(nanos(timeout))), request: &request };
    let outgoing = exchange.outgoing()?;
    let body = (!request.body.is_empty()).then(|| outgoing.body().expect("it is taken once"));
    let answer = handle(outgoing, Some(options(&request))).map_err(|code| exchange.failed(&code))?;
    if let Some(body) = body {
        exchange.write(body)?;
    }
    exchange.wait(&answer.subscribe())?;
    let response = answer.get().expect("it is ready").expect("it is taken once");
    exchange.read(response.map_err(|code| exchange.failed(&code))?)
}

/// One request and what comes of it.
struct Exchange<'a> {
    request: &'a Request,
    /// Ready when the time is up.
    until: Option<Pollable>,
}

impl Exchange<'_> {
    fn outgoing(&self) -> Result<OutgoingRequest> {
        let Request { method, url, headers, body, .. } = self.request;
        let wrong = |what: &str| TaskError::permanent(self.cannot(what));
        let parsed = Url::parse(url)?;
        let fields = Fields::new();
        for (name, value) in headers {
            let refused = |error| wrong(&format!("the header `{name}` is refused: {error}"));
            fields.append(name, value.as_bytes()).map_err(refused)?;
        }
        if !body.is_empty() && !fields.has("content-length") {
            let length = body.len().to_string();
            fields.append("content-length", length.as_bytes()).expect("a length is a header's value");
        }
        let outgoing = OutgoingRequest::new(fields);
        let known = [
            ("method", outgoing.set_method(&method_of(method))),
            ("scheme", outgoing.set_scheme(Some(&scheme_of(parsed.scheme)))),
            ("host", outgoing.set_authority(Some(parsed.authority))),
            ("path", outgoing.set_path_with_query(Some(&parsed.path_and_query))),
        ];
        match known.iter().find(|(_, set)| set.is_err()) {
            Some((what, _)) => Err(wrong(&format!("its {what} cannot be"))),
            None => Ok(outgoing),
        }
    }

    /// Writes the request's body as far as it is taken; where it is not, the answer says why.
    fn write(&self, body: OutgoingBody) -> Result<()> {
        let mut left = self.request.body.as_slice();
        let stream = body.write().expect("it is taken once");
        while !left.is_empty() {
            match stream.check_write() {
                Ok(0) => self.wait(&stream.subscribe())?,
                Ok(room) => {
                    let (piece, rest) = left.split_at(left.len().min(room as usize));
                    left = rest;
                    if stream.write(piece).is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
        Ok(())
    }

    fn read(&self, response: IncomingResponse) -> Result<Response> {
        let status = response.status();
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let headers = response.headers().entries().into_iter().map(|(name, value)| (name, text(value))).collect();
        let incoming = response.consume().expect("it is taken once");
        Ok(Response { status, headers, body: self.read_body(&incoming)? })
    }

    fn read_body(&self, incoming: &IncomingBody) -> Result<Vec<u8>> {
        let stream = incoming.stream().expect("it is taken once");
        let mut body = Vec::new();
        loop {
            match stream.read(PIECE_BYTES) {
                Ok(piece) if piece.is_empty() => self.wait(&stream.subscribe())?,
                Ok(piece) => body.extend_from_slice(&piece),
                Err(StreamError::Closed) => return Ok(body),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(match http_error_code(&error) {
                        Some(code) => self.failed(&code),
                        // Wasmtime 48 has no code for what ends a body early, only words; a backtrace may follow.
                        None => TaskError::new(self.cannot(error.to_debug_string().lines().next().unwrap_or_default())),
                    });
                }
            }
        }
    }

    fn wait(&self, what: &Pollable) -> Result<()> {
        let Some(until) = &self.until else {
            what.block();
            return Ok(());
        };
        if poll(&[what, until]).contains(&0) {
            return Ok(());
        }
        let timeout = self.request.timeout.unwrap_or_default();
        Err(TaskError::new(self.cannot(format_args!("no answer within {timeout:?}"))))
    }

    fn cannot(&self, why: impl Display) -> String {
        format!("cannot {} `{}`: {why}", self.request.method, self.request.url)
    }

    fn failed(&self, code: &ErrorCode) -> TaskError {
        let message = self.cannot(reason(code));
        match code {
            ErrorCode::HttpRequestBodySize(_)
            | ErrorCode::HttpResponseBodySize(_)
            | ErrorCode::HttpRequestMethodInvalid
            | ErrorCode::HttpRequestUriInvalid => TaskError::permanent(message),
            _ => TaskError::new(message),
        }
    }
}

fn reason(code: &ErrorCode) -> String {
    let limit = |limit: &Option<u64>| limit.map(|bytes| format!(" of {bytes} bytes")).unwrap_or_default();
    let text = match code {
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => "there is no such host",
        ErrorCode::ConnectionRefused => "connection refused",
        ErrorCode::ConnectionTerminated => "the connection broke",
        ErrorCode::ConnectionTimeout => "the host did not take the connection in time",
        ErrorCode::ConnectionLimitReached => "as many requests are under way as an attempt may have",
        ErrorCode::HttpResponseTimeout | ErrorCode::ConnectionReadTimeout => "no answer in time",
        ErrorCode::HttpResponseIncomplete => "the answer broke off",
        ErrorCode::HttpProtocolError => "the answer is not HTTP",
        ErrorCode::HttpResponseHeaderSectionSize(bytes) => {
            let bytes = bytes.map(u64::from);
            return format!("the answer's headers are over the limit{}", limit(&bytes));
        }
        ErrorCode::HttpRequestBodySize(bytes) => return format!("the body is over the limit{}", limit(bytes)),
        ErrorCode::HttpResponseBodySize(bytes) => return format!("the answer is over the limit{}", limit(bytes)),
        other => return format!("{other:?}"),
    };
    text.to_owned()
}

fn options(request: &Request) -> RequestOptions {
    let options = RequestOptions::new();
    if let Some(timeout) = request.timeout {
        // Who waits longer than the host does must say so. A second more, since it is the whole that has so much time.
        let timeout = nanos(timeout.saturating_add(Duration::from_secs(1)));
        let _ = options.set_connect_timeout(Some(timeout));
        let _ = options.set_first_byte_timeout(Some(timeout));
        let _ = options.set_between_bytes_timeout(Some(timeout));
    }
    options
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme_of(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}
