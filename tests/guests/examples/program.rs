//! A flow that carries out a program it is given, and returns a trace of all that it observed.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tarefa_sdk::prelude::*;

#[task]
fn echo(value: Value) -> Value {
    value
}

#[task]
fn fail(value: Value) -> Result<Value> {
    bail!("failed with {value}")
}

#[task]
fn slow(value: Value) -> Value {
    sleep(Duration::from_millis(3));
    value
}

/// Runs are named by their place in the order of submits, modulo how many there are; with none, a step about runs
/// does nothing.
#[data]
#[serde(rename_all = "snake_case")]
enum Step {
    /// Of a task of this module.
    Submit {
        task: String,
        value: Value,
    },
    /// `echo` of what another run returns.
    SubmitWithOutput(usize),
    /// Another program, as a child flow.
    Nested(Vec<Step>),
    Wait(usize),
    /// The first to end of the runs from a place on, or all of them in the order in which they end.
    WaitAny {
        from: usize,
        all: bool,
    },
    SleepMs(u64),
    /// A wait for a signal.
    Signal {
        name: String,
        timeout_ms: u64,
    },
    /// So many draws, and the order of a map of so many keys.
    Random(u32),
    /// The clock, in microseconds since 1970.
    Time {},
    /// One of two programs, as the value that was observed last decides.
    BranchOnLast([Vec<Step>; 2]),
    Log(String),
}

#[derive(Default)]
struct Execution {
    runs: Vec<Run<Value>>,
    trace: Vec<Value>,
    last: Value,
}

impl Execution {
    fn all(&mut self, steps: &[Step]) -> Result<()> {
        steps.iter().try_for_each(|step| self.one(step))
    }

    fn one(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Submit { task, value } => {
                let run = match task.as_str() {
                    "echo" => echo::submit(value),
                    "fail" => fail::submit(value),
                    "slow" => slow::submit(value),
                    other => bail!("no task `{other}`"),
                };
                self.submitted(run);
            }
            Step::SubmitWithOutput(place) => {
                if let Some(upstream) = self.run(*place) {
                    let run = echo::submit(&self.runs[upstream]);
                    self.submitted(run);
                }
            }
            Step::Nested(steps) => self.submitted(program::submit(steps)),
            Step::Wait(place) => {
                if let Some(place) = self.run(*place) {
                    let outcome = match self.runs[place].wait() {
                        Ok(value) => json!({ "completed": value }),
                        Err(error) => json!({ "kind": error.kind(), "message": error.message() }),
                    };
                    self.observed("wait", json!([place, outcome]));
                }
            }
            Step::WaitAny { from, all } => {
                if let Some(from) = self.run(*from) {
                    let some = if *all { self.runs.len() } else { 1 };
                    let ended = completions(&self.runs[from..]).indexes().take(some);
                    let places: Vec<_> = ended.map(|index| from + index).collect();
                    self.observed("wait_any", json!(places));
                }
            }
            Step::SleepMs(ms) => {
                sleep(Duration::from_millis(*ms));
                self.observed("slept", json!(ms));
            }
            Step::Signal { name, timeout_ms } => {
                let payload: Option<Value> = wait_for_signal_within(name, Duration::from_millis(*timeout_ms))?;
                let end = payload.map_or(json!("timeout"), |payload| json!({ "came": payload }));
                self.observed("signal", json!([name, end]));
            }
            Step::Random(n) => {
                let draws: Vec<_> = (0..*n).map(|_| random_range(0..=999_u32)).collect();
                let keys: HashMap<u32, ()> = (0..*n).map(|key| (key, ())).collect();
                self.observed("random", json!([draws, keys.into_keys().collect::<Vec<_>>()]));
            }
            Step::Time {} => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
                self.observed("time", json!(u64::try_from(now.as_micros())?));
            }
            Step::BranchOnLast(branches) => {
                let sum: usize = self.last.to_string().bytes().map(usize::from).sum();
                self.trace.push(json!({ "branch": sum % 2 }));
                self.all(&branches[sum % 2])?;
            }
            Step::Log(text) => info!("{text}"),
        }
        Ok(())
    }

    /// The place that is meant by a number.
    fn run(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.runs.len())
    }

    fn submitted(&mut self, run: Run<Value>) {
        self.trace.push(json!({ "submitted": self.runs.len() }));
        self.runs.push(run);
    }

    fn observed(&mut self, what: &str, value: Value) {
        self.trace.push(json!({ what: value }));
        self.last = value;
    }
}

#[flow]
fn program(steps: Vec<Step>) -> Result<Value> {
    let mut execution = Execution::default();
    execution.all(&steps)?;
    Ok(Value::Array(execution.trace))
}

export_module!(flows: [program], tasks: [echo, fail, slow]);
