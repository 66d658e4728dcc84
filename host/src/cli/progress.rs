//! The tree of runs as it is drawn while it goes on: which of its runs there is room for, and how a line reads.

use std::collections::HashMap;

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::format::{attempts, between, duration, harmless, thousands};
use super::output::{Output, state_colour};
use crate::api::shapes::RunSummary;
use crate::domain::{RunId, State, StateCounts, WaitingFor};

/// Turns once in a second or so.
const SPINNER: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const SPINNER_MS: i64 = 100;
/// The rest of a terminal's height shows the log.
const SHARE: u16 = 2;
/// What is assumed of a terminal that does not tell.
const DEFAULT_SIZE: (u16, u16) = (80, 24);

/// What may be drawn, in columns and lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    width: usize,
    height: usize,
}

/// The runs below one, as they were seen last.
#[derive(Default)]
pub(super) struct Progress {
    children: HashMap<RunId, Below>,
}

/// The children of one flow.
struct Below {
    runs: Vec<RunSummary>,
    /// Whether there are no others; of those the flow tells the numbers.
    all: bool,
}

impl Screen {
    pub(super) fn of_terminal() -> Screen {
        let (width, height) = crossterm::terminal::size().unwrap_or(DEFAULT_SIZE);
        // A line as wide as the terminal may make it begin another.
        Screen { width: usize::from(width.saturating_sub(1)), height: usize::from(height / SHARE).max(1) }
    }
}

impl Progress {
    pub(super) fn learn(&mut self, flow: RunId, runs: Vec<RunSummary>) {
        self.children.insert(flow, Below { runs, all: true });
    }

    /// Some of very many children.
    pub(super) fn learn_some(&mut self, flow: RunId, runs: Vec<RunSummary>) {
        self.children.insert(flow, Below { runs, all: false });
    }

    /// The run and those below it, the most telling where there is no room for all, and how many more there are.
    pub(super) fn lines(&self, root: &RunSummary, out: &Output, screen: Screen, now: Timestamp) -> Vec<String> {
        let mut runs = Vec::new();
        self.flatten(root, 0, &mut runs);
        let mut rest: StateCounts = StateCounts::new();
        for (run, _) in &runs {
            match self.children.get(&run.id) {
                Some(below) if below.all => {}
                below => add_others(&mut rest, run, below.map_or(&[], |below| &below.runs)),
            }
        }
        let room = screen.height.saturating_sub(usize::from(!rest.is_empty())).max(1);
        if runs.len() > room {
            let room = screen.height.saturating_sub(1).max(1);
            let mut order: Vec<usize> = (0..runs.len()).collect();
            order.sort_by_key(|&n| (n > 0, weight(runs[n].0)));
            for &n in &order[room..] {
                *rest.entry(runs[n].0.state).or_default() += 1;
            }
            order.truncate(room);
            order.sort_unstable();
            runs = order.into_iter().map(|n| runs[n]).collect();
        }
        let mut lines: Vec<String> =
            runs.iter().map(|(run, depth)| line(run, *depth, out, screen.width, now)).collect();
        if !rest.is_empty() && lines.len() < screen.height {
            lines.push(cut(&more(&rest), screen.width));
        }
        lines
    }

    fn flatten<'a>(&'a self, run: &'a RunSummary, depth: usize, runs: &mut Vec<(&'a RunSummary, usize)>) {
        runs.push((run, depth));
        for child in self.children.get(&run.id).map_or(&[][..], |below| &below.runs) {
            self.flatten(child, depth + 1, runs);
        }
    }
}

/// Counts the children of `flow` that are not among the `known`, which may have changed since they were counted.
fn add_others(sum: &mut StateCounts, flow: &RunSummary, known: &[RunSummary]) {
    for (state, count) in &flow.children {
        let known = known.iter().filter(|run| run.state == *state).count() as u64;
        let others = count.saturating_sub(known);
        if others > 0 {
            *sum.entry(*state).or_default() += others;
        }
    }
}

/// What goes on is shown first, then what went wrong.
fn weight(run: &RunSummary) -> u8 {
    match run.state {
        State::Running | State::Cancelling => 0,
        State::Failed | State::Crashed => 1,
        State::Scheduled if run.n_attempts > 0 => 2,
        State::Cancelled => 3,
        State::Scheduled => 4,
        State::Completed => 5,
    }
}

fn line(run: &RunSummary, depth: usize, out: &Output, width: usize, now: Timestamp) -> String {
    let awaits_retry = run.state == State::Scheduled && run.waiting_for == Some(WaitingFor::Retry);
    let sign = match run.state {
        State::Running => SPINNER[(now.as_millisecond() / SPINNER_MS).rem_euclid(SPINNER.len() as i64) as usize],
        State::Cancelling => '…',
        State::Completed => '✓',
        State::Failed | State::Crashed => '✗',
        State::Cancelled => '⊘',
        State::Scheduled if awaits_retry => '↻',
        State::Scheduled => '·',
    };
    let mut tail = String::new();
    if run.n_attempts > 1 {
        tail += &format!("  {}", attempts(run.n_attempts.into(), u64::from(run.n_attempts) - 1));
    }
    if awaits_retry {
        tail += &format!("  next in {}", duration(between(now, run.scheduled_at)));
    } else if let Some(started_at) = run.started_at {
        tail += &format!("  {}", duration(between(started_at, run.finished_at.unwrap_or(now))));
    }
    // Why a slot or a retry is waited for the sign tells.
    if let Some(what @ (WaitingFor::Limit | WaitingFor::Timer | WaitingFor::Signal | WaitingFor::Resume)) =
        run.waiting_for
    {
        tail += &format!("  ({})", what.in_words());
    }
    let head = "  ".repeat(depth);
    let name = harmless(&run.name, 0).replace(['\n', '\t'], " ");
    let sign = out.on_stderr(&sign.to_string(), state_colour(run.state));
    let around = head.width() + 2 + tail.width();
    if around > width {
        // There is only room for the name.
        return format!("{sign} {}", cut(&name, width.saturating_sub(2)));
    }
    format!("{head}{sign} {}{tail}", cut(&name, width - around))
}

fn more(rest: &StateCounts) -> String {
    let states: Vec<String> =
        rest.iter().map(|(state, count)| format!("{} {}", thousands(*count), state.as_str())).collect();
    format!("  … {} more: {}", thousands(rest.values().sum()), states.join(", "))
}

/// `text` in at most so many columns, with `…` where something is missing.
fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    let mut short: String = text.chars().take_while(fits).collect();
    if columns > 0 {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::run;
    use super::*;

    const NOW: &str = "2026-01-01T00:00:05Z";

    fn drawn(progress: &Progress, root: &RunSummary, width: usize, height: usize) -> Vec<String> {
        progress.lines(root, &Output::plain(), Screen { width, height }, NOW.parse().expect("a time"))
    }

    fn five() -> (RunSummary, Progress) {
        let root = run(1, "flow", "pipeline", "running", 1);
        let mut progress = Progress::default();
        let children = vec![
            run(2, "task", "extract", "completed", 1),
            run(3, "task", "validate", "failed", 4),
            run(4, "task", "transform", "running", 2),
            run(5, "task", "load", "completed", 1),
        ];
        progress.learn(root.id, children);
        (root, progress)
    }

    #[test]
    fn all_runs_are_drawn_where_there_is_room() {
        let (root, progress) = five();
        let expected = [
            "⠋ pipeline  2.00 s",
            "  ✓ extract  2.00 s",
            "  ✗ validate  4 attempts (3 retries)  2.00 s",
            "  ⠋ transform  2 attempts (1 retry)  2.00 s",
            "  ✓ load  2.00 s",
        ];
        assert_eq!(drawn(&progress, &root, 80, 5), expected);
    }

    #[test]
    fn what_goes_on_or_went_wrong_comes_first_where_there_is_not() {
        let (root, progress) = five();
        let expected = [
            "⠋ pipeline  2.00 s",
            "  ✗ validate  4 attempts (3 retries)  2.00 s",
            "  ⠋ transform  2 attempts (1 retry)  2.00 s",
            "  … 2 more: 2 completed",
        ];
        assert_eq!(drawn(&progress, &root, 80, 4), expected);
        let two = ["⠋ pipeline  2.00 s", "  … 4 more: 1 running, 2 completed, 1 failed"];
        assert_eq!(drawn(&progress, &root, 80, 2), two);
        assert_eq!(drawn(&progress, &root, 80, 1), ["⠋ pipeline  2.00 s"]);
    }

    #[test]
    fn of_very_many_children_the_most_telling_are_drawn_and_the_numbers_of_the_others() {
        let (mut root, mut progress) = five();
        root.children = [(State::Running, 2), (State::Completed, 4997), (State::Failed, 1)].into();
        progress
            .learn_some(root.id, vec![run(3, "task", "validate", "failed", 1), run(4, "task", "load", "running", 1)]);
        let expected = [
            "⠋ pipeline  2.00 s",
            "  ✗ validate  2.00 s",
            "  ⠋ load  2.00 s",
            "  … 4,998 more: 1 running, 4,997 completed",
        ];
        assert_eq!(drawn(&progress, &root, 80, 10), expected);
        assert_eq!(drawn(&progress, &root, 80, 3)[2], "  … 4,999 more: 1 running, 4,997 completed, 1 failed");
        let all = drawn(&Progress::default(), &root, 80, 10);
        assert_eq!(all[1..], ["  … 5,000 more: 2 running, 4,997 completed, 1 failed"]);
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let (root, progress) = five();
        for width in 1..60 {
            for line in drawn(&progress, &root, width, 4) {
                assert!(line.width() <= width.max(2), "{width}: {line}");
            }
        }
        assert_eq!(cut("olá mundo", 5), "olá …");
        assert_eq!(cut("日本語", 4), "日…");
    }
}
