//! The figures: `name: value` lines for programs, then a table for people.

#[derive(Default)]
pub struct Report {
    lines: Vec<String>,
    rows: Vec<Row>,
}

struct Row {
    what: &'static str,
    value: String,
    ratio: String,
}

impl Report {
    pub fn add(&mut self, name: &str, what: &'static str, value: f64, decimals: usize, unit: &str) {
        self.line(name, value, decimals);
        self.rows.push(Row { what, value: format!("{value:.decimals$} {unit}"), ratio: String::new() });
    }

    /// What the figure that was added last is of (a).
    pub fn ratio(&mut self, value: f64) {
        let row = self.rows.last_mut().expect("a figure was added");
        row.ratio = format!("{value:.2}");
    }

    /// A figure that is no row of the table.
    pub fn line(&mut self, name: &str, value: f64, decimals: usize) {
        self.lines.push(format!("{name}: {value:.decimals$}"));
    }

    pub fn print(&self) {
        println!("{}\n", self.lines.join("\n"));
        println!("{:<60} {:>12} {:>10}", "per task, unless said otherwise", "median", "x (a)");
        for Row { what, value, ratio } in &self.rows {
            println!("{what:<60} {value:>12} {ratio:>10}");
        }
    }
}

pub fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}

pub fn percentile(values: &mut [f64], at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at) as usize]
}
