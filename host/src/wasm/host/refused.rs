//! What a sandbox never has: sockets, and in flows files. Who asks is refused as by any system, since libraries ask to
//! find out; a failure that follows says where to do it instead.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types::Descriptor};
use wasmtime_wasi::p2::bindings::sockets::instance_network;
use wasmtime_wasi::p2::bindings::sockets::network::{self, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket::{self, TcpSocket};
use wasmtime_wasi::p2::bindings::sockets::udp_create_socket::{self, UdpSocket};
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::HostState;
use crate::domain::{Failure, FailureKind, Kind};

/// What the guest asked for and did not get.
#[derive(Default)]
pub(super) struct Refused {
    files: bool,
    network: bool,
}

impl HostState {
    /// Says in a failure what the guest looked for in vain, which is likely why it failed.
    pub fn explain(&self, failure: &mut Failure) {
        if !matches!(failure.kind, FailureKind::TaskError | FailureKind::Trapped) {
            return;
        }
        let is_flow = self.job.run.kind == Kind::Flow;
        if self.refused.files && is_flow {
            failure.message.push_str(" (a flow has no files: use them in a task)");
        }
        if self.refused.network {
            failure.message.push_str(match is_flow {
                true => " (a flow has no network: use it in a task, over HTTP)",
                false => " (a task has no sockets: it can be granted HTTP)",
            });
        }
    }
}

impl preopens::Host for HostState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.refused.files = true;
        self.filesystem().get_directories()
    }
}

impl tcp_create_socket::Host for HostState {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        self.refused.network = true;
        self.sockets().create_tcp_socket(family)
    }
}

impl udp_create_socket::Host for HostState {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        self.refused.network = true;
        self.sockets().create_udp_socket(family).await
    }
}

impl instance_network::Host for HostState {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        self.refused.network = true;
        self.sockets().instance_network()
    }
}

impl network::HostNetwork for HostState {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.sockets(), network)
    }
}

impl network::Host for HostState {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<network::ErrorCode> {
        self.sockets().convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<network::ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    tcp_create_socket::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    udp_create_socket::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    instance_network::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)
}
