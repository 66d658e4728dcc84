//! A command that knows nothing of Tarefa: what it does is its first argument.

use std::io::{Read, Write};

fn main() {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("args") => print!("{}", args.collect::<Vec<_>>().join("|")),
        Some("env") => {
            print!("{}", std::env::vars().map(|(name, value)| format!("{name}={value};")).collect::<String>())
        }
        Some("upper") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).expect("stdin is text");
            print!("{}", text.to_uppercase());
        }
        Some("fail") => {
            println!("this is not the result");
            eprintln!("warming up\nno such table");
            std::process::exit(3);
        }
        Some("exit") => {
            print!("done");
            std::process::exit(0);
        }
        Some("panic") => panic!("out of paper"),
        Some("bytes") => std::io::stdout().write_all(b"abc\xff").expect("writes"),
        Some("flood") => loop {
            println!("on and on and on and on and on and on and on and on");
        },
        Some("spin") => loop {
            std::hint::black_box(());
        },
        _ => {}
    }
}
