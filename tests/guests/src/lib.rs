//! Guests by behaviour: each file of `examples/` becomes a component of its own, and a module named as the file.
//!
//! `cargo build --release --target wasm32-wasip2 -p test-guests --examples` builds them all into
//! `target/wasm32-wasip2/release/examples/`.
