//! One request over one connection, which ends with the answer, or with the attempt.

use std::error::Error as _;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use wasmtime_wasi::runtime::spawn;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions};

use super::body::{Answer, Bounded};
use super::{Connection, MAX_HEADER_BYTES, Request, Response};

// Where the guest names no time of its own. The limit of the attempt's time holds in any case.
/// To find the host and connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From the connection to the answer's headers, the request's body included.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of the answer's body.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);

/// The body of a request.
const MAX_REQUEST_BYTES: u64 = 16 << 20;

/// Sends a request to the granted `address`; redirects are the guest's to follow.
pub(super) async fn send(
    request: Request,
    address: String,
    options: RequestOptions,
    place: OwnedSemaphorePermit,
) -> Result<(Response, Connection), Error> {
    let stream = timeout(options.connect_timeout.unwrap_or(CONNECT_TIMEOUT), connect(&address))
        .await
        .map_err(|_| Error::ConnectionTimeout)??;
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEADER_BYTES).handshake(TokioIo::new(stream)).await.map_err(clear)?;
    // Dropped, it ends the connection.
    let connection = spawn(connection);
    let request = addressed(request, &address)?.map(|body| Bounded::new(body, MAX_REQUEST_BYTES));
    let response = timeout(options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT), sender.send_request(request))
        .await
        .map_err(|_| Error::HttpResponseTimeout)?
        .map_err(clear)?;
    let between_bytes = options.between_bytes_timeout.unwrap_or(BETWEEN_BYTES_TIMEOUT);
    let response = response.map(|body| Answer::new(body, between_bytes, place).boxed_unsync());
    let until_whole = async move {
        // What went wrong there, the body says.
        let _ = connection.await;
        Ok(())
    };
    Ok((response, Box::new(until_whole)))
}

/// Finds the host once, and connects to what was found.
async fn connect(address: &str) -> Result<TcpStream, Error> {
    let not_found = |_| Error::DnsError { rcode: Some("address not available".to_owned()), info_code: None };
    let mut refused = Error::DestinationNotFound;
    for found in lookup_host(address).await.map_err(not_found)? {
        match TcpStream::connect(found).await {
            Ok(stream) => {
                // Without this a small request may wait for the answer to the one before.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => refused = unreachable(&error),
        }
    }
    Err(refused)
}

fn unreachable(error: &std::io::Error) -> Error {
    use std::io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused => Error::ConnectionRefused,
        TimedOut => Error::ConnectionTimeout,
        HostUnreachable | NetworkUnreachable => Error::DestinationIpUnroutable,
        _ => Error::DestinationUnavailable,
    }
}

/// The request as it stands on the wire: path and query, and the granted host by its own name.
fn addressed(mut request: Request, address: &str) -> Result<Request, Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| Error::HttpRequestUriInvalid)?;
    let host = HeaderValue::from_str(address).map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

/// What went wrong on a connection, in the words of `wasi:http`.
pub(super) fn clear(error: hyper::Error) -> Error {
    let source = error.source();
    if let Some(Error::HttpRequestBodySize(size)) = source.and_then(|source| source.downcast_ref()) {
        return Error::HttpRequestBodySize(*size);
    }
    if source.is_some_and(|source| source.is::<std::io::Error>()) || error.is_closed() || error.is_canceled() {
        return Error::ConnectionTerminated;
    }
    if error.is_incomplete_message() || error.is_body_write_aborted() {
        return Error::HttpResponseIncomplete;
    }
    if error.is_parse_too_large() {
        return Error::HttpResponseHeaderSectionSize(Some(MAX_HEADER_BYTES as u32));
    }
    Error::HttpProtocolError
}
