//! How many runs there are, by what they have in common.

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::filter::Conditions;
use super::rows::to_timestamp;
use super::{Result, Store};
use crate::domain::{State, StateCounts};
use crate::store::{Counted, Group, GroupBy, GroupKey, RunFilter};

/// The tags of entries that have some, for runs whose settings do not name any.
const ENTRY_TAGS: &str = "WITH entry_tags (version_id, entry, tags) AS MATERIALIZED (
        SELECT v.id, e.value ->> 'name', e.value -> '$.tags' FROM versions v, json_each(v.entries) e
        WHERE e.value -> '$.tags' IS NOT NULL
    ) ";
const TAGS: &str = "LEFT JOIN entry_tags t ON t.version_id = r.version_id AND t.entry = r.entry
    JOIN json_each(coalesce(r.settings -> '$.tags', t.tags, '[]')) tag";

impl Store {
    /// Counts the runs that a filter leaves; those that have nothing to be counted by are left out. At most
    /// `max_groups` groups are returned, and at most `max_runs` runs counted.
    pub fn count_by(&self, filter: &RunFilter, by: GroupBy, max_groups: usize, max_runs: u64) -> Result<Counted> {
        let (with, key, join) = match by {
            GroupBy::State => ("", "r.state".to_owned(), ""),
            GroupBy::Entry => ("", "v.name || '/' || r.entry".to_owned(), ""),
            GroupBy::Label => ("", "r.label".to_owned(), ""),
            GroupBy::Deployment => ("", "r.deployment".to_owned(), ""),
            GroupBy::Tag => (ENTRY_TAGS, "tag.value".to_owned(), TAGS),
            GroupBy::Time { bucket_ms } => {
                let bucket_us = i64::try_from(bucket_ms).unwrap_or(i64::MAX).saturating_mul(1000).max(1);
                ("", format!("r.created_at - r.created_at % {bucket_us}"), "")
            }
        };
        let order = if matches!(by, GroupBy::Time { .. }) { "key" } else { "count(*) DESC, key" };
        let states = State::ALL.map(|state| format!("sum(state = '{}')", state.as_str())).join(", ");
        let Conditions { sql, mut values } = Conditions::of(filter);
        let sql = format!(
            "{with} SELECT key, {states} FROM (
                SELECT {key} AS key, r.state AS state FROM runs r JOIN versions v ON v.id = r.version_id {join}
                WHERE {sql} AND {key} IS NOT NULL LIMIT ?
            ) GROUP BY key ORDER BY {order}"
        );
        values.push(Value::Integer(i64::try_from(max_runs).unwrap_or(i64::MAX)));
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut counted = Counted::default();
            while let Some(row) = rows.next()? {
                let group = group(row, by)?;
                counted.n_groups += 1;
                counted.n_runs += group.states.values().sum::<u64>();
                if counted.groups.len() < max_groups {
                    counted.groups.push(group);
                }
            }
            Ok(counted)
        })
    }
}

fn group(row: &Row<'_>, by: GroupBy) -> Result<Group> {
    let key = match by {
        GroupBy::Time { .. } => GroupKey::At(to_timestamp(row.get(0)?)?),
        _ => GroupKey::Word(row.get(0)?),
    };
    let mut states = StateCounts::new();
    for (state, column) in State::ALL.into_iter().zip(1..) {
        match row.get::<_, i64>(column)? {
            0 => {}
            count => drop(states.insert(state, count as u64)),
        }
    }
    Ok(Group { key, states })
}
