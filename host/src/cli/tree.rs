//! A run with all runs below it.

use std::collections::{HashMap, VecDeque};

use comfy_table::Cell;
use jiff::Timestamp;

use super::format::{attempts, counted, harmless, run_duration, si, thousands};
use super::output::Output;
use super::table::{Cells, Column, layout, state_cell};
use crate::api::shapes::RunSummary;
use crate::client::{Client, MAX_PAGE};
use crate::domain::{Kind, RunId, State};
use crate::error::Result;

pub(super) struct Tree {
    root: RunSummary,
    /// The children of each flow, in the order in which it submitted them.
    children: HashMap<RunId, Vec<RunSummary>>,
}

/// What a tree adds up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    tasks: u64,
    /// Task runs by state, in the order of [`State::ALL`].
    by_state: [u64; State::ALL.len()],
    attempts: u64,
    retries: u64,
    from_cache: u64,
}

impl Tree {
    pub(super) async fn load(client: &Client, root: RunSummary) -> Result<Tree> {
        let mut flows: VecDeque<RunId> = (root.kind == Kind::Flow).then_some(root.id).into_iter().collect();
        let mut tree = Tree { root, children: HashMap::new() };
        while let Some(flow) = flows.pop_front() {
            let children = all_children(client, flow).await?;
            flows.extend(children.iter().filter(|run| run.kind == Kind::Flow).map(|run| run.id));
            tree.children.insert(flow, children);
        }
        Ok(tree)
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for run in self.children.values().flatten().chain([&self.root]).filter(|run| run.kind == Kind::Task) {
            totals.tasks += 1;
            totals.by_state[run.state as usize] += 1;
            totals.from_cache += u64::from(run.cached_from.is_some());
            totals.attempts += u64::from(run.n_attempts);
            totals.retries += u64::from(run.n_attempts.saturating_sub(1));
        }
        totals
    }

    /// One line a run; of each flow's children at most `most`.
    pub(super) fn draw(&self, out: &Output, most: usize, now: Timestamp) -> String {
        let mut rows = vec![row(out, String::new(), &self.root, now)];
        self.draw_below(out, self.root.id, "", most, now, &mut rows);
        let columns = [
            Column("run", Cells::Text),
            Column("state", Cells::Words),
            Column("attempts", Cells::Numbers),
            Column("duration", Cells::Numbers),
            Column("fuel", Cells::Numbers),
        ];
        layout(out, &columns, rows)
    }

    fn draw_below(
        &self,
        out: &Output,
        run: RunId,
        indent: &str,
        most: usize,
        now: Timestamp,
        rows: &mut Vec<Vec<Cell>>,
    ) {
        let Some(children) = self.children.get(&run) else { return };
        let shown = children.len().min(most);
        for (i, child) in children[..shown].iter().enumerate() {
            let last = i + 1 == children.len();
            rows.push(row(out, format!("{indent}{}", if last { "└─ " } else { "├─ " }), child, now));
            let deeper = format!("{indent}{}", if last { "   " } else { "│  " });
            self.draw_below(out, child.id, &deeper, most, now, rows);
        }
        if shown < children.len() {
            let rest = counted((children.len() - shown) as u64, "more run", "more runs");
            rows.push(vec![Cell::new(format!("{indent}└─ … {rest} (`--all` shows them)"))]);
        }
    }
}

async fn all_children(client: &Client, flow: RunId) -> Result<Vec<RunSummary>> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = client.children(flow, MAX_PAGE, cursor.as_deref()).await?;
        all.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn row(out: &Output, lines: String, run: &RunSummary, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::new(format!("{lines}{}", harmless(&run.name, 0))),
        state_cell(out, run),
        Cell::new(run.n_attempts),
        Cell::new(run_duration(run, now).unwrap_or_default()),
        Cell::new(if run.usage.fuel > 0 { si(run.usage.fuel) } else { String::new() }),
    ]
}

impl std::fmt::Display for Totals {
    /// `4 task runs: 3 completed, 1 failed; 6 attempts (2 retries)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.tasks == 0 {
            return f.write_str("no task runs");
        }
        let states = State::ALL.into_iter().zip(self.by_state).filter(|(_, count)| *count > 0);
        let states: Vec<String> =
            states.map(|(state, count)| format!("{} {}", thousands(count), state.as_str())).collect();
        write!(f, "{}: {}", counted(self.tasks, "task run", "task runs"), states.join(", "))?;
        write!(f, "; {}", attempts(self.attempts, self.retries))?;
        match self.from_cache {
            0 => Ok(()),
            n => write!(f, "; {} from the cache", thousands(n)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn run(no: u32, kind: &str, name: &str, state: &str, n_attempts: u32) -> RunSummary {
        let shape = json!({
            "id": format!("00000000-0000-8000-8000-00000000000{no}"), "kind": kind, "module": "m", "digest": "d",
            "entry": "e", "title": "t", "name": name, "deployment": null, "trigger": "api", "tags": [], "parent_id": null, "generation": null, "seq": null,
            "state": state, "waiting_for": null, "waiting_on": null, "label": null, "failure": null,
            "result_preview": null, "children": {}, "progress": null, "retry_of": null, "reused_from": null, "cached_from": null, "retried_at": null, "n_attempts": n_attempts,
            "created_at": "2026-01-01T00:00:00Z", "scheduled_at": "2026-01-01T00:00:00Z",
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:02Z",
            "usage": {"fuel": 1200 * no, "memory_peak_bytes": 1, "duration_ms": 2000.0},
        });
        serde_json::from_value(shape).expect("a run")
    }

    fn tree() -> Tree {
        let (flow, inner) = (run(1, "flow", "pipeline", "failed", 1), run(3, "flow", "inner", "completed", 1));
        let below_inner = vec![run(4, "task", "load", "completed", 1)];
        let below = vec![run(2, "task", "extract", "failed", 3), inner, run(5, "task", "last", "cancelled", 0)];
        let children = HashMap::from([(flow.id, below), (RunId(uuid::Uuid::from_u128(0)), Vec::new())]);
        let mut tree = Tree { root: flow, children };
        let inner = tree.children[&tree.root.id][1].id;
        tree.children.insert(inner, below_inner);
        tree
    }

    #[test]
    fn a_tree_is_drawn_with_a_line_for_each_run() {
        let out = Output::plain();
        let expected = "\
run         state      attempts  duration   fuel
pipeline    failed            1    2.00 s  1.2 k
├─ extract  failed            3    2.00 s  2.4 k
├─ inner    completed         1    2.00 s  3.6 k
│  └─ load  completed         1    2.00 s  4.8 k
└─ last     cancelled         0    2.00 s    6 k";
        assert_eq!(tree().draw(&out, 50, Timestamp::UNIX_EPOCH), expected);
        let cut = tree().draw(&out, 1, Timestamp::UNIX_EPOCH);
        assert!(cut.ends_with("└─ … 2 more runs (`--all` shows them)"), "{cut}");
    }

    #[test]
    fn totals_count_task_runs_only() {
        let text = "3 task runs: 1 completed, 1 failed, 1 cancelled; 4 attempts (2 retries)";
        assert_eq!(tree().totals().to_string(), text);
        assert_eq!(Totals::default().to_string(), "no task runs");
    }
}
