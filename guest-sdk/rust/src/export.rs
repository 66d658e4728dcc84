//! `export_module!`.

/// Exports flows and tasks: a crate has exactly one `export_module!(flows: [a, b], tasks: [c]);`.
///
/// Beside the component's exports it defines `TAREFA_MODULE`, a [`Module`](crate::Module), for tests.
#[macro_export]
macro_rules! export_module {
    ($($list:ident: [$($entry:path),* $(,)?]),+ $(,)?) => {
        #[doc(hidden)]
        #[allow(unreachable_pub)]
        pub static TAREFA_MODULE: $crate::Module = $crate::Module::new(&[
            $($($crate::Listed::of::<$entry>($crate::__kind!($list)),)*)+
        ]);
        $crate::__export!();
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __kind {
    (flows) => {
        $crate::Kind::Flow
    };
    (tasks) => {
        $crate::Kind::Task
    };
    ($other:ident) => {
        ::core::compile_error!(::core::concat!("expected `flows` or `tasks`, found `", ::core::stringify!($other), "`"))
    };
}

#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    () => {};
}

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    () => {
        const _: () = {
            struct Exported;

            impl $crate::__private::bindings::exports::tarefa::guest::module::Guest for Exported {
                fn describe() -> ::std::string::String {
                    $crate::__private::guest_describe(&TAREFA_MODULE)
                }

                fn call(
                    entry: ::std::string::String,
                    input: ::std::string::String,
                ) -> ::core::result::Result<
                    ::std::string::String,
                    $crate::__private::bindings::tarefa::guest::types::TaskError,
                > {
                    $crate::__private::guest_call(&TAREFA_MODULE, &entry, &input)
                }
            }

    $crate::__private::export_guest!(Exported with_types_in $crate::__private::bindings);
        };
    };
}
