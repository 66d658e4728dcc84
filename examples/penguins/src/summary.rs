//! What is said of one species.

use std::collections::BTreeMap;

use tarefa_sdk::prelude::*;

use crate::Penguin;

#[data]
#[derive(PartialEq)]
pub struct Summary {
    pub n: usize,
    pub islands: BTreeMap<String, usize>,
    /// `unknown` where the sex was not determined.
    pub sexes: BTreeMap<String, usize>,
    pub measures: BTreeMap<String, Spread>,
}

/// The distribution of one measure, to two decimals.
#[data]
#[derive(PartialEq)]
pub struct Spread {
    pub n: usize,
    pub mean: f64,
    /// The sample's standard deviation.
    pub deviation: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    pub fn of(penguins: &[&Penguin]) -> Self {
        let mut islands = BTreeMap::new();
        let mut sexes = BTreeMap::new();
        let mut values = BTreeMap::<String, Vec<f64>>::new();
        for penguin in penguins {
            *islands.entry(penguin.island.clone()).or_default() += 1;
            *sexes.entry(penguin.sex.clone().unwrap_or_else(|| "unknown".to_owned())).or_default() += 1;
            for (measure, value) in penguin.measures() {
                values.entry(measure.to_owned()).or_default().extend(value);
            }
        }
        let measures = values.into_iter().filter_map(|(measure, values)| Some((measure, Spread::of(&values)?)));
        Self { n: penguins.len(), islands, sexes, measures: measures.collect() }
    }

    pub fn row(&self, species: &str) -> Row {
        let mean = |measure| self.measures.get(measure).map(|spread| spread.mean);
        Row {
            species: species.to_owned(),
            n: self.n,
            bill_length_mm: mean("bill_length_mm"),
            bill_depth_mm: mean("bill_depth_mm"),
            flipper_length_mm: mean("flipper_length_mm"),
            body_mass_g: mean("body_mass_g"),
        }
    }
}

/// What the run shows of one species: how many there are, and the means of their measures.
#[data]
pub struct Row {
    species: String,
    n: usize,
    bill_length_mm: Option<f64>,
    bill_depth_mm: Option<f64>,
    flipper_length_mm: Option<f64>,
    body_mass_g: Option<f64>,
}

impl Spread {
    /// `None` where there is nothing to describe.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let (min, max) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        Some(Self { n: values.len(), mean: rounded(mean), deviation: rounded(deviation), min, max })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
