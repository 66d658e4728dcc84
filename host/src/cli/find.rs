//! Which run is meant: `latest`, an id, the last characters of one, or a name. And which deployment.

use crate::api::shapes::{DeploymentShape, RunSummary};
use crate::client::{Client, MAX_RUNS_PAGE, RunsFilter};
use crate::domain::RunId;
use crate::error::{Error, ErrorKind, Result};

use super::Context;
use super::format::{date, harmless, short_id};

/// How a run may be given, in the help of every verb that takes one.
pub(super) const RUN: &str = "`latest`, a run's id, the last characters of one, or the name of a recent run";
/// How a deployment may be given.
pub(super) const DEPLOYMENT: &str = "a deployment's name, or how it begins where no other begins so";
/// The fewest characters of an id that are taken for one.
const MIN_SUFFIX: usize = 4;
/// Pages of runs that are looked through, newest first.
const MAX_PAGES: usize = 20;
/// Runs that are named where several are meant.
const MAX_CANDIDATES: usize = 10;

#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Latest,
    Id(RunId),
    /// A name, or maybe hexadecimal digits in lower case at the end of an id.
    Text(&'a str, Option<String>),
}

/// The runs that a text may mean, newest first.
#[derive(Default)]
struct Found {
    by_id: Vec<RunSummary>,
    by_name: Vec<RunSummary>,
}

/// The id of the run that `text` names. Says on stderr where that is one of several of a name.
pub(super) async fn run(client: &Client, text: &str, context: &Context) -> Result<RunId> {
    match read(text)? {
        Wanted::Id(id) => Ok(id),
        Wanted::Latest => {
            let filter = RunsFilter { root: true, limit: Some(1), ..RunsFilter::default() };
            let newest = client.runs(&filter).await?.items.into_iter().next();
            newest.map(|run| run.id).ok_or_else(|| Error::not_found("there is no run yet"))
        }
        Wanted::Text(name, suffix) => {
            // Runs that somebody submitted first: their children are many, and meant more rarely.
            for root in [true, false] {
                let found = look_for(client, name, suffix.as_deref(), root).await?;
                if let Some((run, several)) = found.one(name)? {
                    if several {
                        let created = date(run.created_at);
                        context.out.note(&format!(
                            "several runs are named `{name}`: taking the newest, {} of {created}",
                            short_id(run.id)
                        ));
                    }
                    return Ok(run.id);
                }
            }
            Err(Error::not_found(format!("no recent run is named `{name}`, or has an id that ends so; give {RUN}")))
        }
    }
}

/// The deployment of that name, or the only one whose name begins so.
pub(super) async fn deployment(client: &Client, name: &str) -> Result<DeploymentShape> {
    let unknown = match client.deployment(name).await {
        Err(error) if error.kind == ErrorKind::NotFound => error,
        found => return found,
    };
    let mut begin = client.deployments().await?;
    begin.retain(|deployment| deployment.name.starts_with(name));
    match begin.len() {
        0 => Err(unknown),
        1 => Ok(begin.remove(0)),
        _ => {
            let list = begin.iter().take(MAX_CANDIDATES).map(|deployment| format!("`{}`", deployment.name));
            let list = list.collect::<Vec<_>>().join(", ");
            Err(Error::invalid(format!("`{name}` may be several deployments: {list}")))
        }
    }
}

fn read(text: &str) -> Result<Wanted<'_>> {
    if text == "latest" {
        return Ok(Wanted::Latest);
    }
    if let Ok(id) = text.parse() {
        return Ok(Wanted::Id(id));
    }
    if text.is_empty() {
        return Err(Error::invalid(format!("a run is named by {RUN}")));
    }
    let digits = text.replace('-', "").to_ascii_lowercase();
    let is_suffix = (MIN_SUFFIX..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(Wanted::Text(text, is_suffix.then_some(digits)))
}

async fn look_for(client: &Client, name: &str, suffix: Option<&str>, root: bool) -> Result<Found> {
    let mut filter = RunsFilter { root, limit: Some(MAX_RUNS_PAGE), ..RunsFilter::default() };
    let mut found = Found::default();
    for _ in 0..MAX_PAGES {
        let page = client.runs(&filter).await?;
        for run in page.items {
            if suffix.is_some_and(|suffix| ends_in(run.id, suffix)) {
                found.by_id.push(run);
            } else if run.name == name {
                found.by_name.push(run);
            }
        }
        filter.cursor = page.next_cursor;
        // Of a name the newest is enough; that no other id ends so is known only at the end.
        let enough = found.by_id.len() > 1 || suffix.is_none() && !found.by_name.is_empty();
        if filter.cursor.is_none() || enough {
            break;
        }
    }
    Ok(found)
}

fn ends_in(id: RunId, suffix: &str) -> bool {
    id.0.simple().to_string().ends_with(suffix)
}

impl Found {
    /// The run that is meant, and whether it is only the newest of several with that name.
    ///
    /// # Errors
    ///
    /// `invalid` where nothing tells which one is meant, with those that may be.
    fn one(mut self, text: &str) -> Result<Option<(RunSummary, bool)>> {
        if self.by_id.is_empty() {
            let several = self.by_name.len() > 1;
            return Ok(self.by_name.into_iter().next().map(|newest| (newest, several)));
        }
        if self.by_id.len() == 1 && self.by_name.is_empty() {
            return Ok(self.by_id.pop().map(|run| (run, false)));
        }
        let all = self.by_id.iter().chain(&self.by_name);
        let list = all
            .take(MAX_CANDIDATES)
            .map(|run| format!("`{}` ({}, {})", run.id, harmless(&run.name, 0), date(run.created_at)));
        Err(Error::invalid(format!(
            "`{text}` may be several runs: {}; give more characters of an id",
            list.collect::<Vec<_>>().join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::run;
    use super::*;

    const ID: &str = "0198f2a0-1234-7abc-8def-0123456789ab";

    #[test]
    fn a_run_is_latest_an_id_the_end_of_one_or_a_name() {
        let id: RunId = ID.parse().expect("a UUID");
        assert_eq!(read("latest").expect("a word"), Wanted::Latest);
        assert_eq!(read(ID).expect("an id"), Wanted::Id(id));
        let suffix = Some("8def0123456789ab".to_owned());
        assert_eq!(read("8def-0123456789AB").expect("a suffix"), Wanted::Text("8def-0123456789AB", suffix));
        for name in ["9ab", "newest", "Pipeline de Vendas"] {
            assert_eq!(read(name).expect("a name"), Wanted::Text(name, None));
        }
        assert!(read("").is_err());
        assert!(ends_in(id, "89ab") && ends_in(id, "8def0123456789ab") && !ends_in(id, "89aa"));
    }

    #[test]
    fn the_newest_of_a_name_is_meant_and_of_ids_the_only_one() {
        let runs = |numbers: &[u32]| numbers.iter().map(|no| run(*no, "task", "cafe", "completed", 1)).collect();
        let one = |by_id: &[u32], by_name: &[u32]| Found { by_id: runs(by_id), by_name: runs(by_name) }.one("cafe");
        let meant = |found: Result<Option<(RunSummary, bool)>>| {
            found.expect("no doubt").map(|(run, several)| (run.id.to_string().pop(), several))
        };
        assert_eq!(meant(one(&[], &[])), None);
        assert_eq!(meant(one(&[3], &[])), Some((Some('3'), false)));
        assert_eq!(meant(one(&[], &[3])), Some((Some('3'), false)));
        assert_eq!(meant(one(&[], &[3, 2])), Some((Some('3'), true)));
        for (by_id, by_name) in [(&[3, 2][..], &[][..]), (&[3], &[2]), (&[9], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9])] {
            let message = one(by_id, by_name).expect_err("several").message;
            assert!(message.starts_with("`cafe` may be several runs: `00000000-"), "{message}");
            let candidates = (by_id.len() + by_name.len()).min(MAX_CANDIDATES);
            assert_eq!(message.matches("(cafe, ").count(), candidates, "{message}");
        }
    }
}
