//! A server that is killed again and again loses nothing that it acknowledged, and repeats nothing that was on record.
//!
//! The flows are those of `tests/guests/examples/durable.rs`. Each of their tasks leaves a line in a file: an effect
//! outside of the sandbox, which must not come again once the task was seen completed.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tarefa::api::shapes::{RunShape, RunSummary, SubmitShape};
use tarefa::client::{Client, MAX_PAGE, RunsFilter};
use tarefa::domain::{Kind, RunId, State};
use tarefa::error::{Error, ErrorKind, Result};
use tempfile::TempDir;

use crate::chance::{draws, seed};
use crate::process::{Process, data_dir};

const KILLS: usize = 32;
/// How long a server lives after it has first answered, in milliseconds.
const LIFE_MS: Range<u64> = 0..800;
/// One life in three is at least as long, in milliseconds: a run whose server dies three times before anything comes of
/// it is crashed, and rightly so.
const LONG_LIFE_MS: u64 = 400;
/// The most flows that are submitted in one life. All of them together are on one page.
const FLOWS_PER_LIFE: usize = 9;
/// Looks at what is on record, for each submit.
const LOOKS: u32 = 20;
/// So many of them send a signal instead, where a flow misses one.
const SIGNALS: u32 = 5;
/// Looks go to one of so many flows that were submitted last: most are under way.
const RECENT: usize = 12;
/// Of an id as text.
const ID_CHARS: usize = 36;
/// All kills take a quarter of this where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn kill_9_at_any_moment_loses_nothing_and_repeats_nothing_that_was_on_record() {
    let (seed, data, effects) = (seed(), data_dir(), tempfile::tempdir().unwrap());
    let allowed = format!("{}:rw", effects.path().display());
    let serve = || Process::serve(data.path(), &["--allow-dir", &allowed]);
    let mut caller = Caller::new(seed, effects);
    let mut lives = draws(seed, 0);
    let mut server = serve();
    server.register("durable").await;
    let started = Instant::now();
    for kill in 1..=KILLS {
        let shortest_ms = if kill.is_multiple_of(3) { LONG_LIFE_MS } else { 0 };
        let life = Duration::from_millis(lives.random_range(LIFE_MS).max(shortest_ms));
        let pid = Pid::from_raw(server.pid().cast_signed()).unwrap();
        // The blow falls while the caller is in the middle of something.
        tokio::join!(caller.calls_until_gone(&server.client, kill * FLOWS_PER_LIFE), async {
            tokio::time::sleep(life).await;
            kill_process(pid, Signal::KILL).unwrap();
        });
        server.kill();
        server = serve();
    }
    let took = started.elapsed();
    assert!(took < PATIENCE, "the kills took {took:?}");
    caller.submit(&server.client).await.unwrap();
    let sent: u64 = caller.signals.iter().map(|signals| signals.sent).sum();
    while let Some(place) = caller.misses_signals() {
        caller.signal(&server.client, place).await.unwrap();
    }
    caller.verify(&server).await;
    let (flows, ended) = (caller.acknowledged.len(), caller.ended.len());
    println!(
        "{KILLS} kills in {took:.1?}, {flows} flows; before the last kill {sent} signals were sent, and {ended} tasks seen completed"
    );
    assert!(flows > 20 && ended > 20 && sent > 5, "too little happened between the kills");
}

/// Submits flows to a server that dies, and remembers what it was told.
struct Caller {
    seed: u64,
    looks: StdRng,
    /// Where the tasks leave their lines.
    effects: TempDir,
    /// The flows whose submit was acknowledged.
    acknowledged: Vec<RunId>,
    /// All flows that it has heard of, those below others too.
    flows: Vec<RunId>,
    /// Tasks that were seen completed, with the lines that they had left by then.
    ended: HashMap<RunId, usize>,
    /// The flows that wait for signals.
    signals: Vec<Signals>,
}

/// What a flow was sent: the numbers from 0 on, one after the other.
struct Signals {
    flow: RunId,
    /// How many it waits for.
    n: u64,
    /// How many were acknowledged.
    sent: u64,
    /// How often the answer was lost, for each number: the signal may have been kept, and is sent again.
    lost: HashMap<u64, usize>,
}

impl Caller {
    fn new(seed: u64, effects: TempDir) -> Caller {
        let (acknowledged, flows, ended, signals) = (Vec::new(), Vec::new(), HashMap::new(), Vec::new());
        Caller { seed, looks: draws(seed, 1), effects, acknowledged, flows, ended, signals }
    }

    /// Submits, until there are so many flows, and looks in turn, until the server does not answer.
    async fn calls_until_gone(&mut self, client: &Client, most: usize) {
        loop {
            let draw = self.looks.random_range(0..=LOOKS);
            let outcome = match self.misses_signals() {
                _ if draw == 0 && self.acknowledged.len() < most => self.submit(client).await,
                Some(place) if draw <= SIGNALS => self.signal(client, place).await,
                _ => self.look(client).await,
            };
            match outcome {
                Ok(()) => {}
                Err(Error { kind: ErrorKind::Unavailable, .. }) => return,
                Err(error) => panic!("the server refuses: {error}"),
            }
        }
    }

    /// Submits the next flow: the one whose submit was not acknowledged, under the same key, if there is one.
    async fn submit(&mut self, client: &Client) -> Result<()> {
        let number = self.acknowledged.len() as u64;
        let submit = flow(self.seed, number, self.effects.path());
        let id = client.submit(&submit, None).await?.summary.id;
        self.acknowledged.push(id);
        self.flows.push(id);
        if submit.entry.as_deref() == Some("signalled") {
            let n = submit.parameters.unwrap()["n"].as_u64().unwrap();
            self.signals.push(Signals { flow: id, n, sent: 0, lost: HashMap::new() });
        }
        Ok(())
    }

    /// One of the flows that were not sent all that they wait for.
    fn misses_signals(&mut self) -> Option<usize> {
        let miss: Vec<_> = (0..self.signals.len()).filter(|i| self.signals[*i].sent < self.signals[*i].n).collect();
        let draw = self.looks.random_range(0..miss.len().max(1));
        miss.get(draw).copied()
    }

    /// Sends a flow its next number, again if the answer was lost.
    async fn signal(&mut self, client: &Client, place: usize) -> Result<()> {
        let signals = &mut self.signals[place];
        match client.signal(signals.flow, "step", &json!(signals.sent)).await {
            // The last one had come all the same, and the flow has ended of it.
            Err(error) if error.kind == ErrorKind::Conflict => {
                let is_last = signals.sent + 1 == signals.n && signals.lost.contains_key(&signals.sent);
                assert!(is_last, "{error}");
            }
            Err(error) => {
                *signals.lost.entry(signals.sent).or_default() += 1;
                return Err(error);
            }
            Ok(()) => {}
        }
        signals.sent += 1;
        Ok(())
    }

    /// Remembers what has ended of a flow.
    async fn look(&mut self, client: &Client) -> Result<()> {
        if self.flows.is_empty() {
            return Ok(());
        }
        let recent = self.flows.len().saturating_sub(RECENT)..self.flows.len();
        let flow = self.flows[self.looks.random_range(recent)];
        let children = client.children(flow, MAX_PAGE, None).await?.items;
        let lines = self.lines();
        for child in children {
            if child.kind == Kind::Flow && !self.flows.contains(&child.id) {
                self.flows.push(child.id);
            } else if child.kind == Kind::Task && child.state == State::Completed {
                self.ended.entry(child.id).or_insert_with(|| lines.get(&child.id).copied().unwrap_or(0));
            }
        }
        Ok(())
    }

    /// How many lines each task has left.
    fn lines(&self) -> HashMap<RunId, usize> {
        let text = std::fs::read_to_string(self.effects.path().join("lines")).unwrap_or_default();
        let mut lines = HashMap::new();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            // A task that was killed while it wrote may have left the beginning of a line before this one.
            let (id, _attempt) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` is no whole line"));
            *lines.entry(id[id.len() - ID_CHARS..].parse().unwrap()).or_default() += 1;
        }
        lines
    }

    async fn verify(&self, server: &Process) {
        for id in &self.acknowledged {
            server.until_final(*id).await;
        }
        let all = RunsFilter { root: true, limit: Some(500), ..RunsFilter::default() };
        let on_record: HashSet<_> = server.client.runs(&all).await.unwrap().items.iter().map(|run| run.id).collect();
        assert_eq!(on_record, self.acknowledged.iter().copied().collect(), "submits and flows differ");

        let mut tasks = HashSet::new();
        for id in &self.acknowledged {
            verify_tree(&server.client, *id, &mut tasks).await;
        }
        for signals in &self.signals {
            signals.verify(&server.client).await;
        }
        let lines = self.lines();
        let with_lines: HashSet<_> = lines.keys().copied().collect();
        assert_eq!(with_lines, tasks, "tasks without effect, or effects of tasks that are not on record");
        for (id, before) in &self.ended {
            assert_eq!(lines.get(id), Some(before), "task {id} ran again after it was seen completed");
        }
    }
}

impl Signals {
    /// The flow was told of each number once, in their order; as often again, at most, as the answer was lost.
    async fn verify(&self, client: &Client) {
        let result = client.run(self.flow).await.unwrap().result.expect("it completed");
        let came: Vec<(u64, u64)> = serde_json::from_str(result.get()).unwrap();
        assert!(came.is_sorted(), "{came:?}");
        for number in 0..self.n {
            let times = came.iter().filter(|(came, _)| *came == number).count();
            let most = 1 + self.lost.get(&number).copied().unwrap_or(0);
            assert!((1..=most).contains(&times), "{number} was sent {most} times at most: {came:?}");
        }
    }
}

/// Flow number `number`: what it is depends on that and the seed alone.
fn flow(seed: u64, number: u64, effects: &Path) -> SubmitShape {
    // More than 40 steps in a row are too large a number.
    const FLOWS: [(&str, u64); 8] = [
        ("sequential", 40),
        ("parallel", 60),
        ("first_come", 20),
        ("nested", 12),
        ("retrying", 10),
        ("sleeping", 12),
        ("moments", 30),
        ("signalled", 12),
    ];
    // The first two are the test's own.
    let mut draws = draws(seed, 2 + number);
    let (entry, most) = FLOWS[draws.random_range(0..FLOWS.len())];
    let mut parameters = json!({"n": draws.random_range(1..=most)});
    if entry == "sleeping" {
        parameters["ms"] = json!(draws.random_range(1..=100));
    }
    let submit = json!({
        "module": "durable",
        "entry": entry,
        "parameters": parameters,
        "idempotency_key": format!("flow {number}"),
        "grants": {"dirs": [{"host": effects, "guest": "/effects", "mode": "rw"}]},
    });
    serde_json::from_value(submit).unwrap()
}

/// A flow and all below it: results, places and lines of logs are those of one execution without a break.
async fn verify_tree(client: &Client, root: RunId, tasks: &mut HashSet<RunId>) {
    let mut logged = logged(client, root).await;
    let mut flows = vec![root];
    while let Some(id) = flows.pop() {
        let run = client.run(id).await.unwrap();
        let children = client.children(id, MAX_PAGE, None).await.unwrap().items;
        assert_eq!(run.summary.state, State::Completed, "{run:?}");
        for child in &children {
            assert_eq!((child.state, child.generation), (State::Completed, Some(1)), "{child:?}");
        }
        let places: Vec<_> = children.iter().filter_map(|child| child.seq).collect();
        let lines = logged.remove(&id).unwrap_or_default();
        let (expected_children, expected_lines) = verify_result(client, &run, &children).await;
        assert_eq!(places, (0..expected_children as u32).collect::<Vec<_>>(), "{run:?}");
        let numbered: Vec<_> = (1..=expected_lines).map(|number| format!("line {number}")).collect();
        assert_eq!(lines, numbered, "{run:?}");
        let (below, own): (Vec<_>, Vec<_>) = children.iter().partition(|child| child.kind == Kind::Flow);
        flows.extend(below.iter().map(|child| child.id));
        tasks.extend(own.iter().map(|child| child.id));
    }
}

/// The numbered lines of each run in a tree.
async fn logged(client: &Client, root: RunId) -> HashMap<RunId, Vec<String>> {
    let (mut lines, mut after) = (HashMap::<_, Vec<_>>::new(), None);
    loop {
        let page = client.logs(root, after, None, MAX_PAGE).await.unwrap();
        after = page.items.last().map(|line| line.no);
        for line in page.items.into_iter().filter(|line| line.message.starts_with("line ")) {
            lines.entry(line.run_id).or_default().push(line.message);
        }
        if page.next_cursor.is_none() {
            return lines;
        }
    }
}

/// What comes of `n` steps from 0.
fn steps(n: u64) -> u64 {
    (0..n).fold(0, |x, _| step(x))
}

fn step(x: u64) -> u64 {
    3 * x + 1
}

/// Returns how many children the flow has and how many lines it logs.
async fn verify_result(client: &Client, run: &RunShape, children: &[RunSummary]) -> (u64, u64) {
    let parameters: Value = serde_json::from_str(run.parameters.get()).unwrap();
    let result: Value = serde_json::from_str(run.result.as_ref().expect("it completed").get()).unwrap();
    let n = parameters["n"].as_u64().unwrap();
    let sum: u64 = (0..n).map(step).sum();
    let (right, shape) = match run.summary.entry.as_str() {
        "sequential" => (result == steps(n), (n, n)),
        "parallel" => (result == sum, (n, 2)),
        "retrying" => (result == sum, (n, 1)),
        "nested" => (result == json!((0..n).map(steps).collect::<Vec<_>>()), (n, 1)),
        "sleeping" => {
            let slept_ms = result[1].as_u64().unwrap();
            (result[0] == steps(2 * n) && slept_ms >= n * parameters["ms"].as_u64().unwrap(), (2 * n, n))
        }
        "first_come" => {
            let order: Vec<u64> = serde_json::from_value(result[0].clone()).unwrap();
            let each_once =
                order.iter().copied().collect::<HashSet<_>>() == (0..n).collect() && order.len() as u64 == n;
            let next: Vec<_> = order.into_iter().map(step).collect();
            (each_once && result[1] == json!(next), (2 * n, n))
        }
        "moments" => {
            // What the flow returned is what it had told its tasks before it was interrupted.
            let mut told = Vec::new();
            for child in children {
                let child = client.run(child.id).await.unwrap();
                told.push(serde_json::from_str::<Value>(child.parameters.get()).unwrap()["moment"].take());
            }
            (result == json!(told), (n, n))
        }
        "signalled" => {
            let came: Vec<(u64, u64)> = serde_json::from_value(result.clone()).unwrap();
            (came.iter().all(|(number, next)| *next == step(*number)), (came.len() as u64, came.len() as u64))
        }
        other => panic!("there is no flow `{other}`"),
    };
    assert!(right, "{run:?} returned {result}");
    shape
}
