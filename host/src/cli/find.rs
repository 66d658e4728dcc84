//! Which run is meant: `latest`, an id, or the last characters of one.

use crate::api::shapes::RunSummary;
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::RunId;
use crate::error::{Error, Result};

use super::format::date;

/// The fewest characters of an id that are taken for one.
const MIN_SUFFIX: usize = 4;
/// Pages of runs that are looked through for the end of an id, newest first.
const MAX_PAGES: usize = 20;

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Latest,
    Id(RunId),
    /// Hexadecimal digits in lower case.
    Suffix(String),
}

/// The id of the run that `text` names.
pub(super) async fn run(client: &Client, text: &str) -> Result<RunId> {
    match read(text)? {
        Wanted::Id(id) => Ok(id),
        Wanted::Latest => {
            let filter = RunsFilter { root: true, limit: Some(1), ..RunsFilter::default() };
            let newest = client.runs(&filter).await?.items.into_iter().next();
            newest.map(|run| run.id).ok_or_else(|| Error::not_found("there is no run yet"))
        }
        // Runs that somebody submitted first: their children are many, and meant more rarely.
        Wanted::Suffix(suffix) => match by_suffix(client, &suffix, true).await? {
            Some(id) => Ok(id),
            None => by_suffix(client, &suffix, false)
                .await?
                .ok_or_else(|| Error::not_found(format!("no run has an id that ends in `{suffix}`"))),
        },
    }
}

fn read(text: &str) -> Result<Wanted> {
    if text == "latest" {
        return Ok(Wanted::Latest);
    }
    if let Ok(id) = text.parse() {
        return Ok(Wanted::Id(id));
    }
    let suffix = text.replace('-', "").to_ascii_lowercase();
    if suffix.len() < MIN_SUFFIX || suffix.len() > 32 || !suffix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Error::invalid(format!(
            "`{text}` names no run: give `latest`, an id, or at least its last {MIN_SUFFIX} characters"
        )));
    }
    Ok(Wanted::Suffix(suffix))
}

async fn by_suffix(client: &Client, suffix: &str, root: bool) -> Result<Option<RunId>> {
    let mut filter = RunsFilter { root, limit: Some(MAX_RUNS_PAGE), ..RunsFilter::default() };
    let mut found = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = client.runs(&filter).await?;
        found.extend(page.items.into_iter().filter(|run| ends_in(run.id, suffix)));
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() || found.len() > 1 {
            break;
        }
    }
    one(suffix, &found)
}

fn ends_in(id: RunId, suffix: &str) -> bool {
    id.0.simple().to_string().ends_with(suffix)
}

fn one(suffix: &str, found: &[RunSummary]) -> Result<Option<RunId>> {
    match found {
        [] => Ok(None),
        [run] => Ok(Some(run.id)),
        several => {
            let list: Vec<String> =
                several.iter().map(|run| format!("`{}` ({}, {})", run.id, run.name, date(run.created_at))).collect();
            Err(Error::invalid(format!(
                "several runs have ids that end in `{suffix}`: {}; give more characters",
                list.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198f2a0-1234-7abc-8def-0123456789ab";

    #[test]
    fn a_run_is_latest_an_id_or_the_end_of_one() {
        let id: RunId = ID.parse().expect("a UUID");
        assert_eq!(read("latest").expect("a word"), Wanted::Latest);
        assert_eq!(read(ID).expect("an id"), Wanted::Id(id));
        assert_eq!(read("8def-0123456789AB").expect("a suffix"), Wanted::Suffix("8def0123456789ab".to_owned()));
        for bad in ["9ab", "newest", "", "xyz1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(ends_in(id, "89ab") && ends_in(id, "8def0123456789ab") && !ends_in(id, "89aa"));
    }
}
