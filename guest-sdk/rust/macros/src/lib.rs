//! The attributes of `tarefa-sdk`. Use them through that crate; `tarefa_sdk::prelude` has them all.

mod attributes;
mod data;
mod expand;
mod literals;
mod signature;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Makes a function a task: a unit of work that runs in a sandbox of its own.
///
/// See the documentation of `tarefa_sdk` for what it generates and which attributes it takes.
#[proc_macro_attribute]
pub fn task(attributes: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::entry(expand::Kind::Task, attributes.into(), item.into()))
}

/// Makes a function a flow: it runs tasks and other flows. Takes what [`macro@task`] takes.
#[proc_macro_attribute]
pub fn flow(attributes: TokenStream, item: TokenStream) -> TokenStream {
    finish(expand::entry(expand::Kind::Flow, attributes.into(), item.into()))
}

/// Makes a struct or an enum fit for arguments and results: derives `Clone`, `Debug`, serde's `Serialize` and
/// `Deserialize`, and schemars' `JsonSchema`, without those crates among the dependencies of the module.
#[proc_macro_attribute]
pub fn data(attributes: TokenStream, item: TokenStream) -> TokenStream {
    finish(data::expand(attributes.into(), item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}
