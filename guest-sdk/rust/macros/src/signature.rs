//! Which functions can be entries: plain ones, with named and owned arguments.

use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, Result, ReturnType, Type,
};

const MAX_NAME_BYTES: usize = 64;

/// One argument, as the generated code needs it.
pub(crate) struct Parameter {
    pub(crate) name: Ident,
    pub(crate) mutable: bool,
    pub(crate) ty: Type,
    pub(crate) default: Option<Expr>,
    /// Doc comments: the parameter's description in the schema.
    pub(crate) docs: Vec<Attribute>,
}

/// Refuses what cannot be an entry, and names it at its place.
pub(crate) fn check(function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let name = signature.ident.to_string();
    if let Some(token) = &signature.asyncness {
        let help = format!("entries are plain functions; `{name}::submit(…)` runs several at the same time");
        return Err(Error::new(token.span(), format!("an entry cannot be `async`: {help}")));
    }
    let modifiers = [
        signature.unsafety.as_ref().map(|token| (token.span(), "unsafe")),
        signature.constness.as_ref().map(|token| (token.span(), "const")),
        signature.abi.as_ref().map(|token| (token.span(), "extern")),
        signature.variadic.as_ref().map(|token| (token.span(), "variadic")),
    ];
    if let Some((span, word)) = modifiers.into_iter().flatten().next() {
        return Err(Error::new(span, format!("an entry cannot be `{word}`")));
    }
    if let Some(parameter) = signature.generics.params.first() {
        let message = "an entry cannot be generic: its arguments come from JSON, so their types must be known";
        return Err(Error::new(parameter.span(), message));
    }
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.len() > MAX_NAME_BYTES {
        let message =
            format!("the name of an entry has 1 to {MAX_NAME_BYTES} of a-z, 0-9 and _, and starts with a letter");
        return Err(Error::new(signature.ident.span(), message));
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        owned(ty, "the result")?;
    }
    Ok(())
}

/// The arguments, with the attributes that belong to us taken out.
pub(crate) fn parameters(function: &ItemFn) -> Result<Vec<Parameter>> {
    function.sig.inputs.iter().map(parameter).collect()
}

fn parameter(argument: &FnArg) -> Result<Parameter> {
    let argument = match argument {
        FnArg::Receiver(receiver) => {
            return Err(Error::new(receiver.span(), "an entry is a plain function: `self` cannot be an argument"));
        }
        FnArg::Typed(argument) => argument,
    };
    let Pat::Ident(pattern) = &*argument.pat else {
        return Err(Error::new(
            argument.pat.span(),
            "an argument needs a plain name: it is the parameter's name in JSON",
        ));
    };
    if let Some(token) = &pattern.by_ref {
        return Err(Error::new(token.span(), "an argument is an owned value: remove `ref`"));
    }
    owned(&argument.ty, "an argument")?;
    let mut default = None;
    let mut docs = Vec::new();
    for attribute in &argument.attrs {
        if attribute.path().is_ident("doc") {
            docs.push(attribute.clone());
        } else if attribute.path().is_ident("default") {
            default = Some(attribute.parse_args::<Expr>()?);
        } else {
            let message = "unknown attribute of an argument; there are `#[default(value)]` and doc comments";
            return Err(Error::new(attribute.span(), message));
        }
    }
    let ty = (*argument.ty).clone();
    Ok(Parameter { name: pattern.ident.clone(), mutable: pattern.mutability.is_some(), ty, default, docs })
}

/// Refuses types that cannot come from JSON on their own.
fn owned(ty: &Type, what: &str) -> Result<()> {
    match ty {
        Type::Reference(reference) => {
            let instead = match &*reference.elem {
                Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
                Type::Slice(slice) => format!("Vec<{}>", source(&slice.elem)),
                other => source(other),
            };
            let message = format!("{what} is an owned value, as it passes between sandboxes: use `{instead}`");
            Err(Error::new(ty.span(), message))
        }
        Type::ImplTrait(_) => Err(Error::new(ty.span(), format!("{what} needs a named type, not `impl`"))),
        Type::Path(path) => {
            let Some(PathArguments::AngleBracketed(arguments)) = path.path.segments.last().map(|last| &last.arguments)
            else {
                return Ok(());
            };
            // The error type of a `Result` may well be `&'static str`: it becomes text anyway.
            let checked = if is_result(ty) { 1 } else { arguments.args.len() };
            arguments.args.iter().take(checked).try_for_each(|argument| match argument {
                GenericArgument::Type(inner) => owned(inner, what),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a return type is some `Result`: an alias such as `io::Result<T>` is recognised by its name.
pub(crate) fn is_result(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|segment| segment.ident.to_string().ends_with("Result"))
        }
        _ => false,
    }
}

fn source(ty: &Type) -> String {
    quote::quote!(#ty).to_string().replace(' ', "")
}
