//! Tables without borders: a terminal's width is kept, elsewhere every cell is whole.

use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets};

use super::format::percent;
use super::output::{Colour, Output, state_colour};
use crate::api::shapes::RunSummary;

/// A column's title and what is in it.
pub(super) struct Column(pub(super) &'static str, pub(super) Cells);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// Shown whole.
    Words,
    /// Cut where the terminal is too narrow.
    Text,
    /// Shown whole, on the right.
    Numbers,
}

/// Lays rows out under their titles.
pub(super) fn layout(out: &Output, columns: &[Column], rows: Vec<Vec<Cell>>) -> String {
    let titles = columns.iter().map(|Column(title, cells)| ((*title).to_owned(), *cells)).collect();
    layout_own(out, titles, rows)
}

/// As `layout`, under titles that are somebody's own.
pub(super) fn layout_own(out: &Output, columns: Vec<(String, Cells)>, rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if out.terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    let header = columns.iter().map(|(title, _)| paint(out, Cell::new(title), Colour::Dim));
    table.set_header(header.collect::<Vec<_>>());
    for row in rows {
        let mut row = comfy_table::Row::from(row);
        row.max_height(1);
        table.add_row(row);
    }
    for (column, (_, cells)) in table.column_iter_mut().zip(&columns) {
        column.set_padding((0, 2));
        if *cells != Cells::Text {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if *cells == Cells::Numbers {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

pub(super) fn state_cell(out: &Output, run: &RunSummary) -> Cell {
    let mut text = run.state.as_str().to_owned();
    if let Some(label) = &run.label {
        text += &format!(" ({})", super::format::harmless(label, 0));
    }
    if run.cached_from.is_some() {
        text += " from cache";
    }
    if let Some(percent) = percent(run).filter(|_| !run.state.is_final()) {
        text += &format!(" {percent} %");
    }
    paint(out, Cell::new(text), state_colour(run.state))
}

fn paint(out: &Output, cell: Cell, colour: Colour) -> Cell {
    if !out.colours() {
        return cell;
    }
    cell.fg(match colour {
        Colour::Red => Color::DarkRed,
        Colour::Green => Color::DarkGreen,
        Colour::Yellow => Color::DarkYellow,
        Colour::Blue => Color::DarkBlue,
        Colour::Dim => Color::DarkGrey,
        Colour::Bold => Color::Reset,
    })
}
