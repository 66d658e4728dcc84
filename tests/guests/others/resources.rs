//! Exports a function that returns a resource, which JSON cannot carry.
// Elsewhere there is nothing to export: the names of a component's exports are no symbols of a library.
#![cfg(target_arch = "wasm32")]
// What wit-bindgen generates is.
#![allow(unsafe_code)]

#[allow(clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package test:resources;
            interface files {
                resource file { constructor(name: string); name: func() -> string; }
            }
            world resources { export files; }
        ",
    });
}

use bindings::exports::test::resources::files::{Guest, GuestFile};

struct Component;

struct File(String);

impl Guest for Component {
    type File = File;
}

impl GuestFile for File {
    fn new(name: String) -> File {
        File(name)
    }

    fn name(&self) -> String {
        self.0.clone()
    }
}

bindings::export!(Component with_types_in bindings);
