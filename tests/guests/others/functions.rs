//! Plain functions of all kinds of WIT types, in a component that knows nothing of Tarefa.
// Elsewhere there is nothing to export: the names of a component's exports are no symbols of a library.
#![cfg(target_arch = "wasm32")]
// What wit-bindgen generates is.
#![allow(unsafe_code)]

#[allow(clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package test:functions;
            interface shapes {
                record point { x: s32, y: s32, label: option<string> }
                variant shape { dot, circle(f64), polygon(list<point>) }
                enum colour { red, green, dark-blue }
                flags rights { read, write, run }
                paint: func(shape: shape, colour: colour, rights: rights) -> tuple<shape, colour, rights>;
                corners: func(shape: shape) -> list<point>;
                size: func(of: string) -> u64;
            }
            interface files { size: func(of: string) -> u64; }
            world functions {
                export shapes;
                export files;
                record spot { x: s32, y: s32, label: option<string> }
                enum hue { red, green }
                record problem { code: u16, reasons: list<string> }
                export hello-world: func() -> string;
                export add: func(a: s32, b: s32) -> s32;
                export divide: func(a: u32, b: u32) -> result<u32, string>;
                export check: func(code: u16) -> result<_, problem>;
                export nothing: func();
                export integers: func(a: u8, b: s8, c: u16, d: s16, e: u32, f: s32, g: u64, h: s64)
                    -> tuple<u8, s8, u16, s16, u32, s32, u64, s64>;
                export floats: func(a: f32, b: f64) -> tuple<f32, f64>;
                export letter: func(letter: char) -> char;
                export maybe: func(once: option<u8>, twice: option<option<u8>>) -> tuple<option<u8>, option<option<u8>>>;
                export either: func(outcome: result<u8, hue>, bare: result) -> tuple<result<u8, hue>, result>;
                export many: func(points: list<spot>, names: list<list<string>>) -> tuple<list<spot>, list<list<string>>>;
                export bytes: func(n: u32) -> list<u8>;
                export flags-off: func(on: bool) -> bool;
                export spin: func();
                export panics: func();
            }
        ",
    });
}

use bindings::exports::test::functions::{files, shapes};
use bindings::{Hue, Problem, Spot};
use shapes::{Colour, Point, Rights, Shape};

struct Component;

impl shapes::Guest for Component {
    fn paint(shape: Shape, colour: Colour, rights: Rights) -> (Shape, Colour, Rights) {
        (shape, colour, rights)
    }

    fn corners(shape: Shape) -> Vec<Point> {
        match shape {
            Shape::Polygon(points) => points,
            Shape::Dot | Shape::Circle(_) => Vec::new(),
        }
    }

    fn size(of: String) -> u64 {
        of.len() as u64
    }
}

impl files::Guest for Component {
    fn size(of: String) -> u64 {
        of.len() as u64 * 1000
    }
}

impl bindings::Guest for Component {
    fn hello_world() -> String {
        "Hello, World!".to_owned()
    }

    fn add(a: i32, b: i32) -> i32 {
        a + b
    }

    fn divide(a: u32, b: u32) -> Result<u32, String> {
        eprintln!("dividing {a} by {b}");
        a.checked_div(b).ok_or_else(|| "division by zero".to_owned())
    }

    fn check(code: u16) -> Result<(), Problem> {
        match code {
            0 => Ok(()),
            code => Err(Problem { code, reasons: vec!["it is not 0".to_owned()] }),
        }
    }

    fn nothing() {}

    fn integers(
        a: u8,
        b: i8,
        c: u16,
        d: i16,
        e: u32,
        f: i32,
        g: u64,
        h: i64,
    ) -> (u8, i8, u16, i16, u32, i32, u64, i64) {
        (a, b, c, d, e, f, g, h)
    }

    fn floats(a: f32, b: f64) -> (f32, f64) {
        (a, b)
    }

    fn letter(letter: char) -> char {
        letter
    }

    fn maybe(once: Option<u8>, twice: Option<Option<u8>>) -> (Option<u8>, Option<Option<u8>>) {
        (once, twice)
    }

    fn either(outcome: Result<u8, Hue>, bare: Result<(), ()>) -> (Result<u8, Hue>, Result<(), ()>) {
        (outcome, bare)
    }

    fn many(points: Vec<Spot>, names: Vec<Vec<String>>) -> (Vec<Spot>, Vec<Vec<String>>) {
        (points, names)
    }

    fn bytes(n: u32) -> Vec<u8> {
        vec![7; n as usize]
    }

    fn flags_off(on: bool) -> bool {
        !on
    }

    fn spin() {
        loop {
            std::hint::black_box(());
        }
    }

    fn panics() {
        panic!("not like this");
    }
}

bindings::export!(Component with_types_in bindings);
