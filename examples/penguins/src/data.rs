//! The table: its rows, how they are read, and which of them are kept.

use std::collections::BTreeMap;
use std::str::FromStr;

use tarefa_sdk::prelude::*;

const COLUMNS: [&str; 8] =
    ["species", "island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex", "year"];

/// What the table writes where a value is not known.
const MISSING: &str = "NA";

/// One row.
#[data]
pub struct Penguin {
    /// The line of the file, from 1, the header included.
    pub line: u64,
    pub species: String,
    pub island: String,
    pub bill_length_mm: Option<f64>,
    pub bill_depth_mm: Option<f64>,
    pub flipper_length_mm: Option<f64>,
    pub body_mass_g: Option<f64>,
    pub sex: Option<String>,
    pub year: u32,
}

impl Penguin {
    /// The measures by their names.
    pub fn measures(&self) -> [(&'static str, Option<f64>); 4] {
        [
            ("bill_length_mm", self.bill_length_mm),
            ("bill_depth_mm", self.bill_depth_mm),
            ("flipper_length_mm", self.flipper_length_mm),
            ("body_mass_g", self.body_mass_g),
        ]
    }

    fn has_no_measure(&self) -> bool {
        self.measures().iter().all(|(_, value)| value.is_none())
    }

    fn has_gap(&self) -> bool {
        self.sex.is_none() || self.measures().iter().any(|(_, value)| value.is_none())
    }
}

/// The rows that are kept, and what was found in all of them.
#[data]
pub struct Validated {
    pub penguins: Vec<Penguin>,
    pub validation: Validation,
}

#[data]
#[derive(PartialEq)]
pub struct Validation {
    pub n_rows: usize,
    /// Of all rows, those dropped included.
    pub n_by_species: BTreeMap<String, usize>,
    pub n_without_measures: usize,
    pub n_with_gaps: usize,
    pub dropped: Vec<Dropped>,
}

#[data]
#[derive(PartialEq)]
pub struct Dropped {
    pub line: u64,
    pub reason: String,
}

/// Reads the table, and names line and column of what does not fit.
pub(crate) fn parse(text: &str) -> Result<Vec<Penguin>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers()?;
    ensure!(
        header.iter().eq(COLUMNS),
        "expected the columns {COLUMNS:?}, found {:?}",
        header.iter().collect::<Vec<_>>()
    );
    reader
        .records()
        .map(|record| {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            Ok(Penguin {
                line,
                species: required(&record, line, 0)?,
                island: required(&record, line, 1)?,
                bill_length_mm: optional(&record, line, 2)?,
                bill_depth_mm: optional(&record, line, 3)?,
                flipper_length_mm: optional(&record, line, 4)?,
                body_mass_g: optional(&record, line, 5)?,
                sex: optional(&record, line, 6)?,
                year: required(&record, line, 7)?,
            })
        })
        .collect()
}

fn required<T: FromStr>(record: &csv::StringRecord, line: u64, column: usize) -> Result<T> {
    let missing = || TaskError::permanent(format_args!("line {line} has no `{}`", COLUMNS[column]));
    optional(record, line, column)?.ok_or_else(missing)
}

fn optional<T: FromStr>(record: &csv::StringRecord, line: u64, column: usize) -> Result<Option<T>> {
    let text = record[column].trim();
    if text.is_empty() || text == MISSING {
        return Ok(None);
    }
    let wrong = |_| TaskError::permanent(format_args!("line {line}: `{}` cannot be `{text}`", COLUMNS[column]));
    text.parse().map(Some).map_err(wrong)
}

/// Keeps every penguin that was measured at all: a gap elsewhere leaves the other values good.
pub(crate) fn validate(penguins: Vec<Penguin>) -> Validated {
    let n_rows = penguins.len();
    let n_with_gaps = penguins.iter().filter(|penguin| penguin.has_gap()).count();
    let mut n_by_species = BTreeMap::new();
    for penguin in &penguins {
        *n_by_species.entry(penguin.species.clone()).or_default() += 1;
    }
    let (without, kept): (Vec<_>, Vec<_>) = penguins.into_iter().partition(Penguin::has_no_measure);
    let dropped = without.iter().map(|Penguin { line, species, island, .. }| {
        let reason = format!("the {species} penguin on {island} has no measure");
        Dropped { line: *line, reason }
    });
    let dropped: Vec<_> = dropped.collect();
    let validation = Validation { n_rows, n_by_species, n_without_measures: dropped.len(), n_with_gaps, dropped };
    Validated { penguins: kept, validation }
}
