//! Where the command line writes: results alone on stdout, everything else on stderr.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crossterm::cursor::MoveToPreviousLine;
use crossterm::terminal::{self, Clear, ClearType};
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::format::{harmless, pretty};
use crate::domain::State;
use crate::error::{Error, ErrorKind, Result};

/// The two streams, and how they may be written to.
#[derive(Clone, Debug)]
pub(super) struct Output {
    /// Whether stdout is a terminal.
    pub(super) terminal: bool,
    colour_out: bool,
    colour_err: bool,
    /// Whether what goes on can be drawn and drawn again at the end of stderr.
    pub(super) live: bool,
    drawn: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    /// For what matters less.
    Dim,
    Bold,
}

impl Output {
    pub(super) fn new() -> Output {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = io::stdout().is_terminal();
        let colour_err = wanted && io::stderr().is_terminal();
        let live = colour_err && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb");
        Output { terminal, colour_out: wanted && terminal, colour_err, live, drawn: Arc::default() }
    }

    /// As when neither stream is a terminal.
    #[cfg(test)]
    pub(super) fn plain() -> Output {
        Output { terminal: false, colour_out: false, colour_err: false, live: false, drawn: Arc::default() }
    }

    /// Writes one or more lines to stdout.
    pub(super) fn line(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| {
            let message = format!("cannot write to stdout: {error}");
            Error { kind: ErrorKind::Internal, message, source: Some(error.into()) }
        })
    }

    /// Writes JSON to stdout: readable on a terminal, on one line elsewhere.
    pub(super) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        let text = serde_json::to_string(value).map_err(anyhow::Error::from)?;
        if self.terminal { self.line(&harmless(&pretty(&text), 0)) } else { self.line(&text) }
    }

    /// Writes lines to stderr. That nobody reads them does not stop the work.
    pub(super) fn note(&self, text: &str) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = write!(io::stderr().lock(), "{}{text}\n{}", above(&drawn), joined(&drawn));
    }

    /// Draws lines below all others, in the place of those that were drawn before. Each must fit the terminal's width.
    pub(super) fn draw(&self, lines: Vec<String>) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if lines != *drawn {
            // In one piece, so that the terminal shows no state in between.
            let _ = write!(io::stderr().lock(), "{}{}", above(&drawn), joined(&lines));
            *drawn = lines;
        }
    }

    pub(super) fn error(&self, message: &str) {
        self.note(&format!("{} {message}", self.on_stderr("error:", Colour::Red)));
    }

    /// `text` in a colour where stdout takes colours.
    pub(super) fn on_stdout(&self, text: &str, colour: Colour) -> String {
        paint(text, colour, self.colour_out)
    }

    /// `text` in a colour where stderr takes colours.
    pub(super) fn on_stderr(&self, text: &str, colour: Colour) -> String {
        paint(text, colour, self.colour_err)
    }

    /// Whether stdout takes colours.
    pub(super) fn colours(&self) -> bool {
        self.colour_out
    }
}

pub(super) fn state_colour(state: State) -> Colour {
    match state {
        State::Completed => Colour::Green,
        State::Failed | State::Crashed => Colour::Red,
        State::Cancelling | State::Cancelled => Colour::Yellow,
        State::Running => Colour::Blue,
        State::Scheduled => Colour::Dim,
    }
}

pub(super) fn level_colour(level: &str) -> Colour {
    match level {
        "error" => Colour::Red,
        "warn" => Colour::Yellow,
        "info" => Colour::Green,
        _ => Colour::Dim,
    }
}

/// Whether an error says no more than that the reader of stdout went away, as in `tarefa runs | head`.
pub(super) fn is_broken_pipe(error: &Error) -> bool {
    let cause = error.source.as_ref().and_then(|source| source.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Clears the drawn lines, and goes to where they begin.
fn above(drawn: &[String]) -> String {
    if drawn.is_empty() {
        return String::new();
    }
    let columns = terminal::size().map_or(usize::MAX, |(columns, _)| usize::from(columns.max(1)));
    let rows = rows(drawn, columns);
    let up = MoveToPreviousLine(u16::try_from(rows).unwrap_or(u16::MAX));
    // Row by row: where the whole screen is cleared at once, some terminals keep what was on it among what has scrolled.
    format!("{up}{}{up}", format!("{}\n", Clear(ClearType::CurrentLine)).repeat(rows))
}

/// The rows that lines take: a terminal that has become narrower since wraps them.
fn rows(lines: &[String], columns: usize) -> usize {
    // A colour takes no room; nothing else in a drawn line is an escape.
    let coloured = |part: &str| part.split_once('m').map_or(0, |(_, text)| text.width());
    let width = |line: &String| {
        let mut parts = line.split('\x1b');
        parts.next().map_or(0, UnicodeWidthStr::width) + parts.map(coloured).sum::<usize>()
    };
    lines.iter().map(|line| width(line).div_ceil(columns).max(1)).sum()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn paint(text: &str, colour: Colour, wanted: bool) -> String {
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Blue => 34,
        Colour::Dim => 2,
        Colour::Bold => 1,
    };
    if wanted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_written_only_where_they_are_wanted() {
        assert_eq!(paint("x", Colour::Red, false), "x");
        assert_eq!(paint("x", Colour::Red, true), "\x1b[31mx\x1b[0m");
    }

    #[test]
    fn lines_take_more_rows_where_the_terminal_has_become_narrower() {
        let lines = [paint("⠋", Colour::Blue, true) + " um nome", String::new(), "日本".to_owned()];
        assert_eq!([100, 9, 8, 4, 2].map(|columns| rows(&lines, columns)), [3, 3, 4, 5, 8]);
    }
}
