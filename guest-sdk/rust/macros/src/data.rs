//! `#[data]`: the derives that arguments and results need.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Result};

pub(crate) fn expand(attributes: TokenStream, item: TokenStream) -> Result<TokenStream> {
    if !attributes.is_empty() {
        return Err(Error::new_spanned(attributes, "`#[data]` takes no attributes"));
    }
    let item: DeriveInput =
        syn::parse2(item).map_err(|error| Error::new(error.span(), "`#[data]` goes on a struct or an enum"))?;
    Ok(quote! {
        #[derive(
            ::core::clone::Clone,
            ::core::fmt::Debug,
            ::tarefa_sdk::__private::serde::Serialize,
            ::tarefa_sdk::__private::serde::Deserialize,
            ::tarefa_sdk::__private::schemars::JsonSchema,
        )]
        #[serde(crate = "::tarefa_sdk::__private::serde")]
        #[schemars(crate = "::tarefa_sdk::__private::schemars")]
        #item
    })
}
