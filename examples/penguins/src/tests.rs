//! The figures that the authors of the data set publish.
#![allow(clippy::unwrap_used)]

use tarefa_sdk::testing;

use super::*;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/penguins.csv");

fn report(name: &str) -> Report {
    let output = std::env::temp_dir().join(format!("penguins-{name}-{}.json", std::process::id()));
    let report = pipeline(DATA.to_owned(), output.to_string_lossy().into_owned()).unwrap();
    let written: Value = fs::read_to_string(&output).unwrap().parse().unwrap();
    fs::remove_file(&output).unwrap();
    assert_eq!(written, json!(report), "the file is the report");
    report
}

#[test]
fn the_report_has_the_published_figures() {
    let report = report("figures");
    let counts: Vec<_> = report.validation.n_by_species.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(counts, [("Adelie", 152), ("Chinstrap", 68), ("Gentoo", 124)]);
    let Validation { n_rows, n_without_measures, n_with_gaps, dropped, .. } = &report.validation;
    assert_eq!((*n_rows, *n_without_measures, *n_with_gaps), (344, 2, 11));
    assert_eq!(dropped.iter().map(|dropped| dropped.line).collect::<Vec<_>>(), [5, 273]);
    assert_eq!(dropped[0].reason, "the Adelie penguin on Torgersen has no measure");

    let means = |species: &str| {
        let measures = &report.species[species].measures;
        ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"].map(|name| measures[name].mean)
    };
    assert_eq!(means("Adelie"), [38.79, 18.35, 189.95, 3700.66]);
    assert_eq!(means("Chinstrap"), [48.83, 18.42, 195.82, 3733.09]);
    assert_eq!(means("Gentoo"), [47.5, 14.98, 217.19, 5076.02]);
    assert_eq!(report.species["Adelie"].islands.values().sum::<usize>(), 151);
    assert_eq!(report.species["Chinstrap"].sexes, [("female".into(), 34), ("male".into(), 34)].into());
}

#[test]
fn the_run_shows_a_row_for_each_species_and_that_all_are_done() {
    report("shown");
    let (key, shown) = testing::artifacts().pop().unwrap();
    assert_eq!((key.as_str(), &shown["content"]["columns"][5]), ("species", &json!("body_mass_g")));
    assert_eq!(shown["content"]["rows"][2], json!(["Gentoo", 123, 47.5, 14.98, 217.19, 5076.02]));
    assert_eq!(testing::progress().0, Some((3, 3)));
}

#[test]
fn one_run_for_each_species() {
    report("runs");
    let entries: Vec<_> = testing::submitted().into_iter().map(|run| run.entry).collect();
    assert_eq!(entries, ["extract", "validate", "summarise", "summarise", "summarise", "write"]);
}

#[test]
fn what_does_not_fit_is_named_with_its_line() {
    let text = fs::read_to_string(DATA).unwrap().replacen("39.1", "long", 1);
    let error = data::parse(&text).unwrap_err();
    assert_eq!(error.message(), "line 2: `bill_length_mm` cannot be `long`");
    assert!(data::parse("a,b\n1,2\n").unwrap_err().message().starts_with("expected the columns"));
    assert!(extract("/nowhere.csv".to_owned()).unwrap_err().message().contains("--dir"));
}
