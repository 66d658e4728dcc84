//! What a sandbox never has: sockets, and in flows files. Who asks is told where to do it instead.

use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::WasiFilesystemView;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types::Descriptor};
use wasmtime_wasi::p2::bindings::sockets::{
    instance_network,
    network::{self, IpAddressFamily, Network},
    tcp_create_socket::{self, TcpSocket},
    udp_create_socket::{self, UdpSocket},
};
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::sockets::WasiSocketsView;

use super::{HostState, Stop};
use crate::domain::{Failure, FailureKind, Kind};

impl HostState {
    fn no_sockets(&self) -> Stop {
        let entry = &self.job.run.entry;
        let message = match self.job.run.kind {
            Kind::Flow => format!("denied: the flow `{entry}` uses the network; do it in a task, over HTTP"),
            Kind::Task => format!("denied: the task `{entry}` uses a socket; only HTTP can be granted"),
        };
        Stop(Failure::new(FailureKind::Denied, message))
    }

    /// Says in a failure that the flow looked for files, which is why it failed.
    pub fn explain(&self, failure: &mut Failure) {
        if self.looked_for_files && matches!(failure.kind, FailureKind::TaskError | FailureKind::Trapped) {
            failure.message.push_str(" (a flow has no files: use them in a task)");
        }
    }
}

impl preopens::Host for HostState {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.looked_for_files |= self.job.run.kind == Kind::Flow;
        self.filesystem().get_directories()
    }
}

impl tcp_create_socket::Host for HostState {
    fn create_tcp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        Err(SocketError::trap(self.no_sockets()))
    }
}

impl udp_create_socket::Host for HostState {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<UdpSocket>> {
        Err(SocketError::trap(self.no_sockets()))
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

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<network::ErrorCode>> {
        self.sockets().network_error_code(error)
    }
}

impl instance_network::Host for HostState {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Err(self.no_sockets().into())
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    preopens::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    tcp_create_socket::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    udp_create_socket::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)?;
    instance_network::add_to_linker::<_, wasmtime::component::HasSelf<_>>(linker, |state| state)
}
