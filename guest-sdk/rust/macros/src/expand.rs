//! What `#[task]` and `#[flow]` generate: the function under its name, which runs the entry, and a type of the same
//! name, which carries the other ways to call it. (Functions and types have different namespaces.)

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, Ident, ItemFn, Lit, LitStr, Meta, Result, ReturnType, Type};

use crate::attributes::Attributes;
use crate::literals::{json_string, placeholders};
use crate::signature::{self, Parameter};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Flow,
    Task,
}

pub(crate) fn entry(kind: Kind, attributes: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let word = if kind == Kind::Flow { "flow" } else { "task" };
    let function: ItemFn = syn::parse2(item)
        .map_err(|error| Error::new(error.span(), format!("`#[{word}]` goes on a function: {error}")))?;
    signature::check(&function)?;
    let parameters = signature::parameters(&function)?;
    let attributes = Attributes::parse(attributes)?;
    if let Some(template) = &attributes.run_name {
        check_template("run name", template, &parameters)?;
    }
    if let Some(template) = &attributes.cache_key {
        check_template("cache key", template, &parameters)?;
    }
    if kind == Kind::Task
        && let Some(durable) = &attributes.durable
    {
        return Err(Error::new(durable.span(), "`durable` is of flows; a task whose worker is lost runs again"));
    }
    if kind == Kind::Flow
        && let Some(at) = attributes.cache_at
    {
        return Err(Error::new(at, "a cache is of tasks; the tasks that a flow submits may have one each"));
    }

    let constants = constants(kind, &function, &attributes);
    let output = Output::of(&function.sig.output);
    let functions = functions(&function, &parameters, &output);
    let entry = entry_impl(kind, &function, &parameters, &output, &constants);
    Ok(quote!(#functions #entry))
}

fn check_template(what: &str, template: &LitStr, parameters: &[Parameter]) -> Result<()> {
    for name in placeholders(what, template)? {
        if !parameters.iter().any(|parameter| parameter.name == name) {
            let known = parameters.iter().map(|known| format!("`{}`", known.name)).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there are none".to_owned() } else { format!("there are {known}") };
            return Err(Error::new(template.span(), format!("the {what} has no argument `{name}` to show; {known}")));
        }
    }
    Ok(())
}

/// What is known of the entry at compile time, as one JSON object.
fn constants(kind: Kind, function: &ItemFn, attributes: &Attributes) -> String {
    let mut members = vec![
        format!(r#""name":{}"#, json_string(&function.sig.ident.to_string())),
        format!(r#""kind":"{}""#, if kind == Kind::Flow { "flow" } else { "task" }),
    ];
    let mut member = |key: &str, value: Option<String>| {
        members.extend(value.map(|value| format!(r#""{key}":{value}"#)));
    };
    let object = |pairs: &[(&str, String)]| {
        let pairs = pairs.iter().map(|(key, value)| format!(r#""{key}":{value}"#)).collect::<Vec<_>>();
        (!pairs.is_empty()).then(|| format!("{{{}}}", pairs.join(",")))
    };
    member("title", attributes.title.clone());
    member("description", attributes.description.clone().or_else(|| doc_text(&function.attrs)));
    member("run_name", attributes.run_name.as_ref().map(|template| json_string(&template.value())));
    member("retries", object(&attributes.retries));
    member("limits", object(&attributes.limits));
    member("cache", object(&attributes.cache));
    member("tags", attributes.tags.clone());
    member("durable", attributes.durable.as_ref().map(|durable| durable.value.to_string()));
    format!("{{{}}}", members.join(","))
}

/// The doc comment as JSON text, one leading space a line removed.
fn doc_text(attributes: &[Attribute]) -> Option<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    let text = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect::<Vec<_>>().join("\n");
    let text: String = text.trim().chars().take(10_000).collect();
    (!text.is_empty()).then(|| json_string(&text))
}

/// The result's type, and how the function's return value becomes a `Result<value, TaskError>`.
struct Output {
    returned: TokenStream,
    value: TokenStream,
    is_result: bool,
}

impl Output {
    fn of(output: &ReturnType) -> Self {
        match output {
            ReturnType::Default => Self { returned: quote!(()), value: quote!(()), is_result: false },
            ReturnType::Type(_, ty) if signature::is_result(ty) => {
                let value = quote_spanned!(ty.span()=> <#ty as ::tarefa_sdk::__private::Outcome>::Value);
                Self { returned: quote!(#ty), value: first_argument(ty).unwrap_or(value), is_result: true }
            }
            ReturnType::Type(_, ty) => Self { returned: quote!(#ty), value: quote!(#ty), is_result: false },
        }
    }

    fn as_result(&self, call: &TokenStream) -> TokenStream {
        if self.is_result {
            let returned = &self.returned;
            quote_spanned!(returned.span()=> <#returned as ::tarefa_sdk::__private::Outcome>::into_result(#call))
        } else {
            quote!(::core::result::Result::Ok(#call))
        }
    }
}

/// `T` of `Result<T, …>`: shorter in documentation and messages than what the type says of itself.
fn first_argument(ty: &Type) -> Option<TokenStream> {
    let Type::Path(path) = ty else { return None };
    let syn::PathArguments::AngleBracketed(arguments) = &path.path.segments.last()?.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(first) => Some(quote!(#first)),
        _ => None,
    }
}

/// The function itself, and the type of the same name with `submit`, `call` and `map`.
fn functions(function: &ItemFn, parameters: &[Parameter], output: &Output) -> TokenStream {
    let ItemFn { attrs, vis, block, sig } = function;
    let name = &sig.ident;
    let (docs, others): (Vec<_>, Vec<_>) = attrs.iter().partition(|attribute| attribute.path().is_ident("doc"));
    let conditions: Vec<_> = others.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let types: Vec<_> = parameters.iter().map(|parameter| &parameter.ty).collect();
    let patterns = parameters.iter().map(|Parameter { name, mutable, .. }| {
        let mutable = mutable.then(|| quote!(mut));
        quote!(#mutable #name)
    });
    let Output { returned, value, .. } = output;
    let wait = quote_spanned!(value.span()=> ::tarefa_sdk::__private::wait::<#value>);
    let run_here = output.as_result(&quote!(#name::__run(#(#names),*)));
    let keys = names.iter().map(|name| unraw(name));
    let arguments = quote! {
        [#((#keys, ::tarefa_sdk::__private::IntoArgument::<#types>::into_argument(#names))),*]
    };
    let takes: Vec<_> = parameters
        .iter()
        .map(|Parameter { name, ty, .. }| quote_spanned!(ty.span()=> #name: impl ::tarefa_sdk::__private::IntoArgument<#ty>))
        .collect();
    let map = map(function, parameters, output);
    let summary = format!("The other ways to run [`{name}`](fn@{name}): `submit`, `call`, `map`.");
    quote! {
        #(#docs)* #(#conditions)*
        #[allow(dead_code)]
        #vis fn #name(#(#names: #types),*) -> ::core::result::Result<#value, ::tarefa_sdk::TaskError> {
            if ::tarefa_sdk::__private::in_flow() {
                #wait(::tarefa_sdk::__private::submit::<#name, _>(#arguments))
            } else {
                #run_here
            }
        }

        #[doc = #summary]
        #[allow(non_camel_case_types)]
        #(#conditions)*
        #vis struct #name {}

        #(#conditions)*
        #[allow(dead_code)]
        impl #name {
            /// Submits a run and returns at once. An argument is a value, a reference to one, or a `&Run` whose
            /// result it shall be.
            #vis fn submit(#(#takes),*) -> ::tarefa_sdk::Run<#value> {
                ::tarefa_sdk::__private::submit::<#name, _>(#arguments)
            }

            /// A call that is not submitted yet: give it a name, other retries or limits, runs to wait for.
            #vis fn call(#(#takes),*) -> ::tarefa_sdk::Call<#value> {
                ::tarefa_sdk::__private::call::<#name, _>(#arguments)
            }

            #map

            #(#others)*
            fn __run(#(#patterns: #types),*) -> #returned #block
        }
    }
}

/// `map`: submits one run for each item, then waits for all. The items of several arguments are tuples.
fn map(function: &ItemFn, parameters: &[Parameter], output: &Output) -> Option<TokenStream> {
    let (vis, name, value) = (&function.vis, &function.sig.ident, &output.value);
    let generics: Vec<_> = (0..parameters.len()).map(|index| format_ident!("__A{index}")).collect();
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let types = parameters.iter().map(|parameter| &parameter.ty);
    let (item, pattern) = match parameters {
        [] => return None,
        [_] => (quote!(#(#generics)*), quote!(#(#names)*)),
        _ => (quote!((#(#generics),*)), quote!((#(#names),*))),
    };
    Some(quote! {
        /// Submits a run for each item, then waits for all of them: the results in the order of the items, or the
        /// first failure in that order.
        #vis fn map<#(#generics: ::tarefa_sdk::__private::IntoArgument<#types>),*>(
            items: impl ::core::iter::IntoIterator<Item = #item>,
        ) -> ::core::result::Result<::std::vec::Vec<#value>, ::tarefa_sdk::TaskError> {
            ::tarefa_sdk::__private::wait_all(items.into_iter().map(|#pattern| #name::submit(#(#names),*)).collect())
        }
    })
}

/// The entry as the module's table sees it.
fn entry_impl(
    kind: Kind,
    function: &ItemFn,
    parameters: &[Parameter],
    output: &Output,
    constants: &str,
) -> TokenStream {
    let name = &function.sig.ident;
    let key = unraw(name);
    let kind = if kind == Kind::Flow { quote!(Flow) } else { quote!(Task) };
    let value = &output.value;
    let conditions = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let names: Vec<_> = parameters.iter().map(|parameter| &parameter.name).collect();
    let run = output.as_result(&quote!(#name::__run(#(__input.#names),*)));
    let (input, decode, schema) = if parameters.is_empty() {
        (quote!(), quote!(), quote!(::tarefa_sdk::__private::no_parameters()))
    } else {
        (
            input_struct(parameters),
            quote!(let __input: __Input = ::tarefa_sdk::__private::decode(__text)?;),
            quote!(::tarefa_sdk::__private::input_schema::<__Input>()),
        )
    };
    let encode = quote_spanned!(value.span()=> ::tarefa_sdk::__private::encode::<#value>);
    quote! {
        #(#conditions)*
        const _: () = {
            #input

            impl ::tarefa_sdk::Entry for #name {
                type Output = #value;
                const NAME: &'static str = #key;
                const KIND: ::tarefa_sdk::Kind = ::tarefa_sdk::Kind::#kind;
                const CONSTANTS: &'static str = #constants;

                fn input_schema() -> ::tarefa_sdk::__private::Value {
                    #schema
                }

                fn output_schema() -> ::core::option::Option<::tarefa_sdk::__private::Value> {
                    #[allow(unused_imports)]
                    use ::tarefa_sdk::__private::{NoSchema as _, WithSchema as _};
                    (&::tarefa_sdk::__private::Probe::<#value>::new()).schema()
                }

                fn call(__text: &str) -> ::core::result::Result<::std::string::String, ::tarefa_sdk::TaskError> {
                    #decode
                    #encode(#run)
                }
            }
        };
    }
}

/// The arguments as one struct, from which decoding and the schema are derived.
fn input_struct(parameters: &[Parameter]) -> TokenStream {
    let fields = parameters.iter().enumerate().map(|(index, Parameter { name, ty, default, docs, .. })| {
        let path = format!("__default_{index}");
        let default = default.as_ref().map(|_| quote!(#[serde(default = #path)]));
        quote!(#(#docs)* #default #name: #ty)
    });
    let defaults = parameters.iter().enumerate().filter_map(|(index, Parameter { ty, default, .. })| {
        let default = default.as_ref()?;
        let function = format_ident!("__default_{index}");
        // Text is the one literal that is seldom of the argument's own type.
        let value = match default {
            Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => quote!(::core::convert::Into::into(#default)),
            other => quote!(#other),
        };
        Some(quote!(fn #function() -> #ty { #value }))
    });
    quote! {
        #[derive(::tarefa_sdk::__private::serde::Deserialize, ::tarefa_sdk::__private::schemars::JsonSchema)]
        #[serde(crate = "::tarefa_sdk::__private::serde")]
        #[schemars(crate = "::tarefa_sdk::__private::schemars", deny_unknown_fields)]
        struct __Input { #(#fields),* }

        #(#defaults)*
    }
}

fn unraw(name: &Ident) -> String {
    let text = name.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}
