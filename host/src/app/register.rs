//! Registration of modules.

use super::App;
use crate::domain::module::check_name;
use crate::domain::{Entry, Kind, Module};
use crate::error::{Error, Result};

/// The largest component that is taken, in bytes.
pub const MAX_MODULE_BYTES: usize = 64 << 20;

impl App {
    /// Registers a component under a name. Returns the module, and whether that made it a new newest version.
    ///
    /// # Errors
    ///
    /// `invalid` or `too_large`, with the reason, where it is no component that we can run.
    pub async fn register(&self, name: &str, wasm: Vec<u8>) -> Result<(Module, bool)> {
        let _undeleted = self.registering.read().await;
        let module = self.examine(name, wasm).await?;
        let (id, changed) = self.store.publish(&module)?;
        Ok((self.version(id)?.module.clone(), changed))
    }

    /// What a component would be once it is registered.
    ///
    /// # Errors
    ///
    /// As [`App::register`].
    pub async fn examine(&self, name: &str, wasm: Vec<u8>) -> Result<Module> {
        check_name("module", name).map_err(Error::invalid)?;
        if wasm.len() > MAX_MODULE_BYTES {
            return Err(Error::too_large(format!(
                "the module has {} bytes and the limit is {MAX_MODULE_BYTES}",
                wasm.len()
            )));
        }
        let size_bytes = wasm.len() as u64;
        let (digest, description) = self.wasm.inspect(wasm, &self.config.caps).await?;
        Ok(Module {
            name: name.to_owned(),
            digest,
            size_bytes,
            created_at: self.clock.now(),
            entries: description.entries,
        })
    }
}

/// The entry that is meant where none is named: the only flow, or the only entry.
///
/// # Errors
///
/// Lists the entries where it is not clear which one.
pub fn only_entry(module: &Module) -> std::result::Result<&Entry, String> {
    let flows: Vec<&Entry> = module.entries.iter().filter(|entry| entry.kind == Kind::Flow).collect();
    match (flows.as_slice(), module.entries.as_slice()) {
        ([flow], _) => Ok(flow),
        ([], [only]) => Ok(only),
        _ => {
            let names: Vec<String> = module.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
            Err(format!("module `{}` has several entries: name one of {}", module.name, names.join(", ")))
        }
    }
}
