//! A pipeline on real data: extract, validate, summarise each species at the same time, write a report.
//!
//! Files are read and written in tasks alone, in directories that the run is granted; the flow itself sees none.

mod data;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;

use tarefa_sdk::prelude::*;

pub use data::{Dropped, Penguin, Validated, Validation};
pub use summary::{Row, Spread, Summary};

/// What the pipeline finds.
#[data]
#[derive(PartialEq)]
pub struct Report {
    pub source: String,
    pub validation: Validation,
    pub species: BTreeMap<String, Summary>,
}

/// Reads the table of penguins.
#[task(retries = 2, retry_delay = "1s", run_name = "extract({path})")]
pub fn extract(path: String) -> Result<Vec<Penguin>> {
    let text = fs::read_to_string(&path).map_err(|error| {
        let help = "grant its directory: `--dir examples/penguins/data=/data:ro`";
        TaskError::new(format_args!("cannot read `{path}`: {error}; {help}"))
    })?;
    let penguins = data::parse(&text)?;
    info!("{} rows in {path}", penguins.len());
    Ok(penguins)
}

/// Drops the rows that have no measure at all, and says which rows have gaps.
#[task]
pub fn validate(penguins: Vec<Penguin>) -> Result<Validated> {
    ensure!(!penguins.is_empty(), "the table has no rows");
    let validated = data::validate(penguins);
    for dropped in &validated.validation.dropped {
        warn!("line {} dropped: {}", dropped.line, dropped.reason);
    }
    let Validation { n_rows, n_with_gaps, .. } = validated.validation;
    info!("{} of {n_rows} rows kept; {n_with_gaps} have a gap", validated.penguins.len());
    Ok(validated)
}

/// Counts, means and spreads of one species.
#[task(run_name = "summarise({species})")]
pub fn summarise(species: String, validated: Validated) -> Result<Summary> {
    let penguins: Vec<_> = validated.penguins.iter().filter(|penguin| penguin.species == species).collect();
    ensure!(!penguins.is_empty(), "no penguin is of the species `{species}`");
    let summary = Summary::of(&penguins);
    let islands = summary.islands.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    info!("{species}: {} penguins on {islands}", summary.n);
    for (measure, spread) in &summary.measures {
        info!("{species}: {measure} {} ± {} ({} to {})", spread.mean, spread.deviation, spread.min, spread.max);
    }
    Ok(summary)
}

/// Writes the report as a JSON file and returns its size in bytes.
#[task(retries = 2, retry_delay = "1s", run_name = "write({path})")]
pub fn write(report: Report, path: String) -> Result<usize> {
    let text = format!("{:#}\n", json!(report));
    fs::write(&path, &text).map_err(|error| {
        TaskError::new(format_args!("cannot write `{path}`: {error}; grant its directory: `--dir FOLDER=/out`"))
    })?;
    info!("{} bytes written to {path}", text.len());
    Ok(text.len())
}

/// Summarises the Palmer penguins: the body measures of 344 penguins of three species.
#[flow(title = "Palmer penguins")]
pub fn pipeline(
    /// The table, in a granted directory.
    #[default("/data/penguins.csv")]
    input: String,
    /// Where the report goes, in a granted directory.
    #[default("/out/report.json")]
    output: String,
) -> Result<Report> {
    let penguins = extract::submit(&input);
    let validated = validate::submit(&penguins);
    let validation = validated.wait()?.validation;

    let runs: Vec<_> = validation
        .n_by_species
        .keys()
        .map(|species| (species.clone(), summarise::submit(species, &validated)))
        .collect();
    let mut species = BTreeMap::new();
    for (name, run) in &runs {
        progress(species.len(), runs.len());
        species.insert(name.clone(), run.wait()?);
    }
    progress(species.len(), runs.len());
    artifact("species").title("The species").table(species.iter().map(|(name, summary)| summary.row(name)))?;

    let report = Report { source: input, validation, species };
    write::submit(&report, &output).wait()?;
    Ok(report)
}

export_module!(flows: [pipeline], tasks: [extract, validate, summarise, write]);
