//! `wasi:http` for tasks: requests to exactly the granted hosts, over connections that end with the attempt.

mod body;
mod send;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::HostState;
use crate::domain::http::host_and_port;
use crate::domain::{Failure, FailureKind, Kind};
use crate::wasm::sandbox::Job;

/// Requests of one attempt whose answers have not arrived whole.
const MAX_UNDER_WAY: usize = 32;
/// Headers of a request or an answer, about: what most servers take, too.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// What a guest may write of a request's body at once. Two such pieces wait in the host for each request that the guest
/// holds.
const BODY_PIECE_BYTES: usize = 16 << 10;

type Request = hyper::Request<WasiBody>;
type Response = hyper::Response<WasiBody>;
/// Drives a connection until its answer has arrived whole.
type Connection = Box<dyn Future<Output = Result<(), Error>> + Send>;

/// What a sandbox has for HTTP.
pub(super) struct Http {
    limits: WasiHttpCtx,
    requests: Requests,
}

/// Decides on the requests of one attempt, and sends them.
struct Requests {
    job: Arc<Job>,
    /// Why the attempt has to end.
    denied: Option<Failure>,
    /// Made with the first request: most attempts have none.
    places: Option<Arc<Semaphore>>,
}

impl Http {
    pub(super) fn new(job: Arc<Job>) -> Http {
        let mut limits = WasiHttpCtx::new();
        limits.set_field_size_limit(MAX_HEADER_BYTES);
        Http { limits, requests: Requests { job, denied: None, places: None } }
    }
}

impl HostState {
    /// The reason for which the attempt must not go on, once the host function has returned.
    pub fn take_denied(&mut self) -> Option<Failure> {
        self.http.requests.denied.take()
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Http { limits, requests } = &mut self.http;
        // What a flow does must not depend on what it could hear there.
        if requests.job.run.kind == Kind::Flow {
            requests.deny(format!("the flow `{}` uses HTTP; do it in a task", requests.job.run.entry));
        }
        WasiHttpCtxView { hooks: requests, table: &mut self.table, ctx: limits }
    }
}

impl WasiHttpHooks for Requests {
    fn is_supported_scheme(&mut self, _: &hyper::http::uri::Scheme) -> bool {
        // What we do not send is denied with a clear word, later.
        true
    }

    fn default_scheme(&mut self) -> Option<hyper::http::uri::Scheme> {
        Some(hyper::http::uri::Scheme::HTTP)
    }

    fn send_request(
        &mut self,
        request: Request,
        options: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<(Response, Connection), Error>> + Send> {
        match self.admit(&request) {
            Ok((address, place)) => Box::new(send::send(request, address, options.unwrap_or_default(), place)),
            Err(error) => Box::new(std::future::ready(Err(error))),
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_PIECE_BYTES
    }

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, _: &std::io::Error) -> ErrorCode {
        ErrorCode::ConnectionRefused
    }
}

impl Requests {
    /// The address that a request goes to, and its place among those under way.
    fn admit(&mut self, request: &Request) -> Result<(String, OwnedSemaphorePermit), Error> {
        let (uri, method) = (request.uri(), request.method());
        // A tunnel leads anywhere.
        if method == hyper::Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        let scheme = uri.scheme_str().unwrap_or("http");
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let address = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let address = host_and_port(&address).map_err(|_| Error::HttpRequestUriInvalid)?;
        let task = &self.job.run.entry;
        if scheme != "http" {
            let asked = format!("the task `{task}` asked for `{scheme}://{authority}`");
            return Err(self.deny(format!("{asked}; only `http` is there, and no `{scheme}` yet")));
        }
        let Some(grant) = self.job.settings.http.iter().find(|grant| grant.host == address) else {
            let asked = format!("the task `{task}` asked for `http://{address}`");
            return Err(self.deny(format!("{asked}; grant it with `--http {address}`")));
        };
        if !grant.allows_method(method.as_str()) {
            let granted = grant.methods.as_ref().map(|methods| methods.join("`, `")).unwrap_or_default();
            let asked = format!("the task `{task}` asked to `{method}` at `http://{address}`");
            return Err(self.deny(format!("{asked}, which is granted for `{granted}` alone")));
        }
        let places = self.places.get_or_insert_with(|| Arc::new(Semaphore::new(MAX_UNDER_WAY)));
        let place = places.clone().try_acquire_owned().map_err(|_| Error::ConnectionLimitReached)?;
        Ok((address, place))
    }

    fn deny(&mut self, why: String) -> Error {
        let denied = || Failure::new(FailureKind::Denied, format!("denied: {why}"));
        self.denied.get_or_insert_with(denied);
        Error::HttpRequestDenied
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}
