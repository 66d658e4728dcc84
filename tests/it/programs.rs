//! Random programs: what a flow observes is what is on record, whatever it does and in whatever order.
//!
//! `tests/guests/examples/program.rs` says what the steps of a program do.

use jiff::SignedDuration;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tarefa::domain::RunId;

use crate::app::{Running, TestApp, text, time};
use crate::chance::{draws, seed};

const PROGRAMS: u64 = 60;
/// Steps of one program, those within others not counted.
const MAX_STEPS: usize = 20;
/// How deep programs stand in programs.
const MAX_DEPTH: u32 = 2;
/// What comes out another way when the same program is carried out again.
const UNCERTAIN: [&str; 3] = ["wait_any", "random", "time"];
/// Those that programs wait for. The last one never comes.
const SIGNALS: [&str; 3] = ["first", "second", "third"];
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

#[tokio::test]
async fn whatever_a_flow_observes_is_what_is_on_record() {
    let seed = seed();
    let app = TestApp::new().start().await;
    app.register("program").await;
    for number in 0..PROGRAMS {
        let program = Program::draw(&mut draws(seed, number), &[]);
        println!("program {number}: {program:?}");
        let id = program.begin(&app).await;
        app.until_final(&id).await;
        program.verify(&app, id).await;
    }
}

#[tokio::test]
async fn a_program_without_chance_observes_the_same_each_time() {
    let seed = seed();
    let app = TestApp::new().manual_clock().start().await;
    app.register("program").await;
    for number in 0..PROGRAMS {
        let mut draws = draws(seed, number);
        // The failure of what depends on a failed run names that run.
        let mut without = UNCERTAIN.to_vec();
        without.push(if draws.random() { "fail" } else { "submit_with_output" });
        let program = Program::draw(&mut draws, &without);
        println!("program {number}: {program:?}");
        let mut results = Vec::new();
        for _ in 0..2 {
            let id = program.begin(&app).await;
            results.push(app.advance_until_final(&id, MINUTE).await["result"].take());
            program.verify(&app, id).await;
        }
        assert_eq!(results[0], results[1]);
    }
}

/// A program, and the signals that it finds when it begins: names and payloads.
#[derive(Clone)]
pub struct Program {
    steps: Vec<Value>,
    signals: Vec<(String, Value)>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} after the signals {}", json!(self.steps), json!(self.signals))
    }
}

impl Program {
    /// Draws one without steps of some kinds.
    pub fn draw(draws: &mut StdRng, without: &[&str]) -> Program {
        let mut all = steps(draws, without, 0);
        let signal = |number: u32| (SIGNALS[number as usize % 2].to_owned(), value(number / 2));
        let mut signals: Vec<_> = (0..draws.random_range(0..8)).map(|_| signal(draws.random_range(0..100))).collect();
        // It goes on once it has all of them.
        all.insert(0, json!({"signal": {"name": "begin", "timeout_ms": 3_600_000}}));
        signals.push(("begin".to_owned(), json!(null)));
        Program { steps: all, signals }
    }

    /// Submits it, and sends the signals.
    pub async fn begin(&self, app: &Running) -> String {
        let id = app.submit("program", "program", json!({"steps": self.steps})).await;
        for (name, payload) in &self.signals {
            let (status, body) = app.post(&format!("/api/runs/{id}/signals/{name}"), payload.clone()).await;
            assert!(status.is_success(), "{status} {body}");
        }
        id
    }

    /// Follows it along the trace of its run, and those below it along theirs.
    pub async fn verify(&self, app: &Running, id: String) {
        let mut programs = vec![(id, self.clone())];
        while let Some((id, program)) = programs.pop() {
            verify_run(app, id, program, &mut programs).await;
        }
    }
}

/// Draws steps other than of some kinds.
fn steps(draws: &mut StdRng, without: &[&str], depth: u32) -> Vec<Value> {
    let kinds = [
        "echo",
        "echo",
        "slow",
        "fail",
        "submit_with_output",
        "nested",
        "wait",
        "wait",
        "wait_any",
        "sleep_ms",
        "signal",
        "random",
        "time",
        "branch_on_last",
        "log",
    ];
    let leaf = |kind: &&str| depth < MAX_DEPTH || !["nested", "branch_on_last"].contains(kind);
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| !without.contains(kind)).filter(leaf).collect();
    let n = draws.random_range(2..=MAX_STEPS >> depth);
    (0..n).map(|_| step(kinds[draws.random_range(0..kinds.len())], draws, without, depth)).collect()
}

fn step(kind: &str, draws: &mut StdRng, without: &[&str], depth: u32) -> Value {
    let number = draws.random_range(0..100);
    match kind {
        "echo" | "slow" | "fail" => json!({"submit": {"task": kind, "value": value(number)}}),
        "nested" => json!({"nested": steps(draws, without, depth + 1)}),
        "branch_on_last" => {
            let branches = [steps(draws, without, depth + 1), steps(draws, without, depth + 1)];
            json!({"branch_on_last": branches})
        }
        "wait_any" => json!({"wait_any": {"from": number, "all": draws.random::<bool>()}}),
        "signal" => {
            json!({"signal": {"name": SIGNALS[number as usize % SIGNALS.len()], "timeout_ms": number % 6}})
        }
        "sleep_ms" | "random" => json!({kind: number % 6}),
        "time" => json!({"time": {}}),
        "log" => json!({"log": format!("line {number}")}),
        "wait" | "submit_with_output" => json!({kind: number}),
        other => panic!("no step is called `{other}`"),
    }
}

/// Values of several shapes.
fn value(number: u32) -> Value {
    match number % 4 {
        0 => json!(number),
        1 => json!(format!("text {number}")),
        2 => json!([number, [true, null]]),
        _ => json!({"number": number}),
    }
}

async fn verify_run(app: &Running, id: String, program: Program, nested: &mut Vec<(String, Program)>) {
    let run = app.show(&id).await;
    assert_eq!(run["state"], "completed", "{run}");
    let mut children = Vec::new();
    for child in app.children(&id).await {
        children.push(app.show(&text(&child["id"])).await);
    }
    let trace = run["result"].as_array().expect("a trace").clone().into_iter();
    let Program { steps, signals } = program;
    let mut walk = Walk { run, children, trace, signals, ..Walk::default() };
    steps.iter().for_each(|step| walk.step(step));
    assert_eq!(walk.trace.next(), None, "the program ends where its trace does");
    assert_eq!(walk.children.len(), walk.runs, "each run on record was submitted");
    let lines = app.logs(&id).await;
    let own = lines.iter().filter(|line| line["run_id"] == json!(id));
    assert_eq!(own.map(|line| text(&line["message"])).collect::<Vec<_>>(), walk.lines);
    nested.append(&mut walk.nested);
}

/// A program, followed step by step along what it observed.
#[derive(Default)]
struct Walk {
    run: Value,
    children: Vec<Value>,
    trace: std::vec::IntoIter<Value>,
    /// Those that it was not told of so far.
    signals: Vec<(String, Value)>,
    /// How many the program has submitted so far.
    runs: usize,
    last: Value,
    lines: Vec<String>,
    nested: Vec<(String, Program)>,
}

impl Walk {
    fn step(&mut self, step: &Value) {
        let (kind, argument) = step.as_object().and_then(|step| step.iter().next()).expect("one kind");
        // A step about runs is about none as long as there are none.
        let about = argument.as_u64().or(argument["from"].as_u64()).unwrap_or(0) as usize;
        let place = about.checked_rem(self.runs);
        match (kind.as_str(), place) {
            ("submit", _) => self.submitted(&text(&argument["task"]), &argument["value"]),
            ("submit_with_output", Some(place)) => self.submitted_with_output(place),
            ("nested", _) => {
                let steps = argument.as_array().expect("steps").clone();
                let child = &self.children[self.runs];
                assert_eq!((&child["state"], &child["entry"]), (&json!("completed"), &json!("program")), "{child}");
                self.nested.push((text(&child["id"]), Program { steps, signals: Vec::new() }));
                self.submitted_one();
            }
            ("wait", Some(place)) => {
                let child = &self.children[place];
                let outcome = match &child["failure"] {
                    Value::Null => json!({"completed": child["result"]}),
                    failure => json!({"kind": failure["kind"], "message": failure["message"]}),
                };
                assert_eq!(self.observed("wait"), json!([place, outcome]));
            }
            ("wait_any", Some(from)) => {
                let mut places: Vec<usize> = serde_json::from_value(self.observed("wait_any")).expect("places");
                places.sort_unstable();
                let all: Vec<_> = (from..self.runs).collect();
                let first = places.len() == 1 && all.contains(&places[0]);
                assert!(if argument["all"] == true { places == all } else { first }, "{places:?} of {all:?}");
            }
            ("sleep_ms", _) => assert_eq!(self.observed("slept"), *argument),
            ("signal", _) => {
                let kept = self.signals.iter().position(|(name, _)| argument["name"] == *name);
                let end = kept.map_or(json!("timeout"), |place| json!({"came": self.signals.remove(place).1}));
                assert_eq!(self.observed("signal"), json!([argument["name"], end]));
            }
            ("random", _) => {
                let (draws, mut keys): (Vec<u32>, Vec<u32>) =
                    serde_json::from_value(self.observed("random")).expect("draws and keys");
                keys.sort_unstable();
                let n = argument.as_u64().expect("a number") as u32;
                assert!(draws.len() == n as usize && draws.iter().all(|draw| *draw < 1000), "{draws:?}");
                assert_eq!(keys, (0..n).collect::<Vec<_>>());
            }
            ("time", _) => {
                let now = self.observed("time").as_i64().expect("microseconds");
                let span = [&self.run["started_at"], &self.run["finished_at"]].map(|at| time(at).as_microsecond());
                assert!(span[0] <= now && now <= span[1], "{now} is not within {span:?}");
            }
            ("branch_on_last", _) => {
                let branch = self.last.to_string().bytes().map(usize::from).sum::<usize>() % 2;
                assert_eq!(self.trace.next(), Some(json!({"branch": branch})));
                argument[branch].as_array().expect("steps").iter().for_each(|step| self.step(step));
            }
            ("log", _) => self.lines.push(text(argument)),
            (_, None) => {}
            (other, _) => panic!("no step is called `{other}`"),
        }
    }

    /// What the flow observed next.
    fn observed(&mut self, what: &str) -> Value {
        let mut entry = self.trace.next().unwrap_or_else(|| panic!("the trace ends before `{what}`"));
        assert!(entry.get(what).is_some(), "{entry} instead of `{what}`");
        self.last = entry[what].take();
        self.last.clone()
    }

    fn submitted_one(&mut self) {
        assert_eq!(self.trace.next(), Some(json!({"submitted": self.runs})));
        let parent: RunId = text(&self.run["id"]).parse().expect("an id");
        let child = &self.children[self.runs];
        assert_eq!(child["id"], json!(RunId::child(parent, 1, self.runs as u32)), "{child}");
        self.runs += 1;
    }

    fn submitted(&mut self, task: &str, value: &Value) {
        let child = &self.children[self.runs];
        assert_eq!((&child["entry"], &child["parameters"]["value"]), (&json!(task), value), "{child}");
        match task {
            "fail" => assert_eq!(child["failure"]["message"], format!("failed with {value}"), "{child}"),
            _ => assert_eq!((&child["state"], &child["result"]), (&json!("completed"), value), "{child}"),
        }
        self.submitted_one();
    }

    fn submitted_with_output(&mut self, place: usize) {
        let (upstream, child) = (&self.children[place], &self.children[self.runs]);
        if upstream["state"] == "completed" {
            assert_eq!((&child["state"], &child["result"]), (&json!("completed"), &upstream["result"]), "{child}");
        } else {
            assert_eq!(child["failure"]["kind"], "upstream_failed", "{child}");
        }
        self.submitted_one();
    }
}
