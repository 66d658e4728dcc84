//! The engine alone, with the product's configuration: a fresh instance with WASI linked, and one call.

use std::time::Instant;

use ::tarefa::domain::Metering;
use ::tarefa::wasm::engine::{Allocation, engine};
use wasmtime::component::{Component, HasSelf, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

wasmtime::component::bindgen!({
    path: "../wit",
    world: "guest",
    imports: { default: trappable },
    exports: { default: async },
});

use self::tarefa::guest as contract;

/// What a guest may import, none of which a no-op calls.
struct Stub {
    wasi: WasiCtx,
    table: ResourceTable,
}

pub struct Bare {
    engine: Engine,
    pre: GuestPre<Stub>,
}

impl Bare {
    pub fn new(wasm: &[u8]) -> Bare {
        let engine = engine(Metering::Fuel, Allocation::Pool { instances: 100 }).unwrap();
        let component = Component::from_binary(&engine, wasm).unwrap();
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
        Guest::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).unwrap();
        let pre = GuestPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
        Bare { engine, pre }
    }

    /// Microseconds for one instance and call, over `calls` in sequence.
    pub async fn per_call_us(&self, calls: u32) -> f64 {
        let input = "{}".to_owned();
        let started = Instant::now();
        for _ in 0..calls {
            let state = Stub { wasi: WasiCtxBuilder::new().build(), table: ResourceTable::new() };
            let mut store = Store::new(&self.engine, state);
            store.set_fuel(1_000_000_000).unwrap();
            let guest = self.pre.instantiate_async(&mut store).await.unwrap();
            let result = guest.tarefa_guest_module().call_call(&mut store, "noop", &input).await.unwrap();
            assert_eq!(result.unwrap(), "null");
        }
        started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    }
}

impl WasiView for Stub {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl contract::types::Host for Stub {}

impl contract::log::Host for Stub {
    fn write(&mut self, _: contract::log::Level, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl contract::signals::Host for Stub {
    fn wait(&mut self, _: String, _: Option<u64>) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }

    fn send(&mut self, _: String, _: String, _: String) -> wasmtime::Result<Result<(), contract::types::TaskError>> {
        Ok(Ok(()))
    }
}

impl contract::progress::Host for Stub {
    fn set(&mut self, _: u64, _: u64) -> wasmtime::Result<()> {
        Ok(())
    }

    fn set_text(&mut self, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl contract::artifacts::Host for Stub {
    fn write(&mut self, _: String, _: String) -> wasmtime::Result<Result<(), contract::types::TaskError>> {
        Ok(Ok(()))
    }
}

impl contract::variables::Host for Stub {
    fn get(&mut self, _: String) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }
}

impl contract::context::Host for Stub {
    fn current(&mut self) -> wasmtime::Result<String> {
        Ok("{}".to_owned())
    }

    fn set_label(&mut self, _: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl contract::runs::Host for Stub {
    fn submit(
        &mut self,
        _: String,
        _: Vec<(String, contract::runs::Argument)>,
        _: Vec<Resource<contract::runs::Run>>,
        _: String,
    ) -> wasmtime::Result<Resource<contract::runs::Run>> {
        wasmtime::bail!("a no-op submits nothing")
    }
}

impl contract::runs::HostRun for Stub {
    fn id(&mut self, _: Resource<contract::runs::Run>) -> wasmtime::Result<String> {
        wasmtime::bail!("a no-op has no runs")
    }

    fn wait(
        &mut self,
        _: Resource<contract::runs::Run>,
    ) -> wasmtime::Result<Result<String, contract::types::TaskError>> {
        wasmtime::bail!("a no-op waits for nothing")
    }

    fn drop(&mut self, _: Resource<contract::runs::Run>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl contract::runs::HostCompletions for Stub {
    fn new(
        &mut self,
        _: Vec<Resource<contract::runs::Run>>,
    ) -> wasmtime::Result<Resource<contract::runs::Completions>> {
        wasmtime::bail!("a no-op has no completions")
    }

    fn next(&mut self, _: Resource<contract::runs::Completions>) -> wasmtime::Result<Option<u32>> {
        Ok(None)
    }

    fn drop(&mut self, _: Resource<contract::runs::Completions>) -> wasmtime::Result<()> {
        Ok(())
    }
}
