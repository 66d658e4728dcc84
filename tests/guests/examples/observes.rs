//! A flow that looks at all that could differ when it is called again.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tarefa_sdk::prelude::*;

#[task]
fn note(moment: Value) -> Value {
    sleep(Duration::from_millis(5));
    moment
}

/// Looks around `rounds` times, has each look noted by a task, and sleeps in between.
fn look_around(rounds: u32, nap_ms: u64) -> Result<Vec<Value>> {
    let start = Instant::now();
    let mut moments = Vec::new();
    for round in 0..rounds {
        let order: Vec<u32> = (0..20).collect::<HashSet<_>>().into_iter().collect();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let moment = json!({
            "wall_us": wall.as_micros() as u64,
            "elapsed_us": start.elapsed().as_micros() as u64,
            "local": context().local_time,
            "random": random(),
            "order": order,
        });
        info!("round {round}: {}", moment["wall_us"]);
        println!("round {round}");
        moments.push(note(moment)?);
        std::thread::sleep(Duration::from_millis(nap_ms));
    }
    Ok(moments)
}

#[flow]
fn observe(rounds: u32, nap_ms: u64) -> Result<Vec<Value>> {
    look_around(rounds, nap_ms)
}

#[flow(durable = false)]
fn observe_anew(rounds: u32, nap_ms: u64) -> Result<Vec<Value>> {
    look_around(rounds, nap_ms)
}

/// Times in milliseconds that a flow sees around a task that takes `ms`, and around a sleep of as long.
#[flow]
fn times(ms: u64) -> Result<Vec<u64>> {
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut see = || seen.push(start.elapsed().as_millis() as u64);
    see();
    let run = nap::submit(ms);
    see();
    run.wait()?;
    see();
    sleep(Duration::from_millis(ms));
    see();
    Ok(seen)
}

#[task]
fn nap(ms: u64) {
    sleep(Duration::from_millis(ms));
}

/// Takes what only tasks may have.
#[flow]
fn reads_a_file() -> Result<String> {
    Ok(std::fs::read_to_string("/data/file")?)
}

#[flow]
fn connects() -> Result<()> {
    std::net::TcpStream::connect("127.0.0.1:9")?;
    Ok(())
}

#[flow]
fn looks_up_a_name() -> Result<()> {
    use std::net::ToSocketAddrs;
    ("localhost", 80).to_socket_addrs()?;
    Ok(())
}

export_module!(
    flows: [observe, observe_anew, times, reads_a_file, connects, looks_up_a_name],
    tasks: [note, nap]
);
