//! Limits across runs, as far as they stand on record: what runs hold, how often they started, who waits, and what tags
//! may have. Who holds what at the moment the worker keeps in memory.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::claims::ORDER;
use super::filter::HAS_TAG;
use super::rows::{LISTED, micros, run_id, to_timestamp};
use super::runs::cancel;
use super::{Result, Store};
use crate::domain::{Hold, OnConflict, Pace, Run, RunId};
use crate::store::watch::Changed;
use crate::store::{Cancelled, Skipped, TagLimit};

/// What became of a run that is to be submitted, and of those that it met.
pub(super) enum Met {
    Skipped(Skipped),
    /// It is to be put on record, and these were cancelled for it.
    Cancelled(Vec<(RunId, Cancelled)>),
}

/// Has a run that is due meet those that hold what it needs.
pub(super) fn meet(transaction: &Connection, changed: &mut Vec<Changed>, run: &Run) -> Result<Met> {
    let Some(across) = run.across.as_ref().filter(|_| run.scheduled_at <= run.created_at) else {
        return Ok(Met::Cancelled(Vec::new()));
    };
    let mut displaced = Vec::new();
    for hold in &across.holds {
        if matches!(hold.on_conflict, OnConflict::Allow | OnConflict::Queue) {
            continue;
        }
        let Others { running, waiting } = others(transaction, hold, run.created_at)?;
        let skips = hold.on_conflict.skips(hold.max as usize, running.len(), waiting.len());
        let mut all = [running, waiting].concat();
        all.sort_unstable_by_key(|id| id.0);
        match all.first() {
            Some(&by) if skips => return Ok(Met::Skipped(Skipped { name: hold.name.clone(), max: hold.max, by })),
            _ => {}
        }
        if hold.on_conflict == OnConflict::CancelRunning {
            all.truncate((all.len() + 1).saturating_sub(hold.max as usize));
            displaced.extend(all.into_iter().map(|id| (id, &hold.name)));
        }
    }
    let mut cancelled = Vec::with_capacity(displaced.len());
    for (id, name) in displaced {
        let reason = format!("run `{}` took its place in `{name}`", run.id);
        cancelled.push((id, cancel(transaction, changed, id, run.created_at, &reason)?));
    }
    Ok(Met::Cancelled(cancelled))
}

/// The unfinished runs with a hold that have started, or whose time has come.
#[derive(Default)]
struct Others {
    running: Vec<RunId>,
    waiting: Vec<RunId>,
}

fn others(transaction: &Connection, hold: &Hold, now: Timestamp) -> Result<Others> {
    // Those that are over are looked at once more, here.
    transaction
        .prepare_cached(
            "DELETE FROM holds WHERE name = ?1
                AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.finished_at IS NULL)",
        )?
        .execute([&hold.name])?;
    let mut statement = transaction.prepare_cached(
        "SELECT r.id, h.may_wait AND r.state = 'scheduled' AND r.worker_id IS NULL
         FROM holds h JOIN runs r ON r.id = h.run_id
         WHERE h.name = ? AND (r.attempt > 0 OR r.scheduled_at <= ?)",
    )?;
    let mut rows = statement.query(params![hold.name, micros(now)])?;
    let mut others = Others::default();
    while let Some(row) = rows.next()? {
        let kind = if row.get(1)? { &mut others.waiting } else { &mut others.running };
        kind.push(run_id(row, 0)?);
    }
    Ok(others)
}

/// Makes what a run will hold known to those that come after it.
pub(super) fn keep_holds(transaction: &Connection, run: &Run) -> Result<()> {
    let Some(across) = &run.across else { return Ok(()) };
    for hold in &across.holds {
        // It may hold the same twice: as a run of its deployment, and as one of so many.
        let may_wait =
            across.holds.iter().any(|other| other.name == hold.name && other.on_conflict != OnConflict::Allow);
        transaction
            .prepare_cached("INSERT OR REPLACE INTO holds (name, run_id, may_wait) VALUES (?, ?, ?)")?
            .execute(params![hold.name, run.id.as_bytes(), may_wait])?;
    }
    Ok(())
}

/// What keeps a run that is due from starting, and of a rate until when. Where that is nothing, it holds what it needs, and
/// its start counts.
pub(super) fn hindrance(
    transaction: &Connection,
    run: &mut Run,
    now: Timestamp,
    admit: &mut impl FnMut(&Run) -> Result<Timestamp, String>,
) -> Result<Option<(String, Option<Timestamp>)>> {
    let pace = run.across.as_ref().and_then(|across| across.pace.as_ref());
    if let Some(pace) = pace
        && let Some(until) = starts_again(transaction, pace, now)?
    {
        return Ok(Some((pace.name.clone(), Some(until))));
    }
    let at = match admit(run) {
        Ok(at) => at,
        Err(name) => return Ok(Some((name, None))),
    };
    if let Some(pace) = pace {
        transaction.prepare_cached("DELETE FROM starts WHERE expires_at <= ?")?.execute([micros(now)])?;
        transaction
            .prepare_cached("INSERT OR IGNORE INTO starts (name, at, run_id, expires_at) VALUES (?, ?, ?, ?)")?
            .execute(params![pace.name, micros(at), run.id.as_bytes(), micros(at) + span_us(pace)])?;
    }
    if run.started_at != Some(at) {
        let sql = "UPDATE runs SET started_at = ? WHERE id = ?";
        transaction.prepare_cached(sql)?.execute(params![micros(at), run.id.as_bytes()])?;
        run.started_at = Some(at);
    }
    Ok(None)
}

/// When the next run may start, where that is later than now.
fn starts_again(connection: &Connection, pace: &Pace, now: Timestamp) -> Result<Option<Timestamp>> {
    let at: Option<i64> = connection
        .prepare_cached("SELECT at FROM starts WHERE name = ? ORDER BY at DESC LIMIT 1 OFFSET ?")?
        .query_row(params![pace.name, pace.rate.count - 1], |row| row.get(0))
        .optional()?;
    at.map(|at| at + span_us(pace)).filter(|at| *at > micros(now)).map(to_timestamp).transpose()
}

fn span_us(pace: &Pace) -> i64 {
    i64::try_from(pace.rate.span().as_micros()).unwrap_or(i64::MAX)
}

/// Puts a run that was taken back where it waits until somebody lets go of the limit.
pub(super) fn turn_away(transaction: &Connection, id: RunId, limit: &str) -> Result<()> {
    let sql = format!(
        "UPDATE runs SET state = 'scheduled', worker_id = NULL, attempt = attempt - 1, started_at = NULL,
            generation = CASE kind WHEN 'flow' THEN generation - 1 ELSE generation END,
            blocked_on = ?2, blocked_order = {ORDER}
         WHERE id = ?1"
    );
    transaction.prepare_cached(&sql)?.execute(params![id.as_bytes(), limit])?;
    Ok(())
}

impl Store {
    /// Has those of the first `most` that wait for a limit tried again whose place in the order is before `before`.
    /// Returns how many there were.
    pub fn unblock(&self, limit: &str, most: usize, before: Option<Timestamp>) -> Result<usize> {
        self.transact(|transaction| unblock(transaction, limit, most, before))
    }

    /// Has as many of those that wait for a rate tried again as may start now. Returns when that is to be done again,
    /// where others wait.
    pub fn unblock_paced(&self, pace: &Pace, now: Timestamp) -> Result<Option<Timestamp>> {
        self.transact(|transaction| {
            let (started, oldest): (u32, Option<i64>) = transaction
                .prepare_cached("SELECT count(*), min(at) FROM starts WHERE name = ? AND at > ?")?
                .query_row(params![pace.name, micros(now) - span_us(pace)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let free = pace.rate.count.saturating_sub(started) as usize;
            if unblock(transaction, &pace.name, free, None)? < free {
                return Ok(None);
            }
            // Those that may start now do so, and are the oldest where there is no other.
            to_timestamp(oldest.unwrap_or(micros(now)) + span_us(pace)).map(Some)
        })
    }

    /// Top-level runs under way that hold something across runs.
    pub fn holding_runs(&self) -> Result<Vec<Run>> {
        // Without the sign all runs at the top are looked at.
        self.read(|connection| running(connection, "+r.parent_id IS NULL AND r.across IS NOT NULL", []))
    }

    /// Runs under way that have a tag.
    pub fn running_with_tag(&self, tag: &str) -> Result<Vec<Run>> {
        self.read(|connection| running(connection, HAS_TAG, [tag, tag]))
    }

    /// The first limits, by name, that runs wait for.
    pub fn limits_waited_for(&self, most: usize) -> Result<Vec<String>> {
        self.read(|connection| {
            // From one name to the next, however many wait for each.
            let mut statement = connection.prepare_cached(
                "WITH RECURSIVE found (limit_name) AS (
                    SELECT min(blocked_on) FROM runs WHERE blocked_on IS NOT NULL
                    UNION ALL
                    SELECT (SELECT min(blocked_on) FROM runs WHERE blocked_on > limit_name)
                    FROM found WHERE limit_name IS NOT NULL
                    LIMIT ?
                 ) SELECT limit_name FROM found WHERE limit_name IS NOT NULL",
            )?;
            let names = statement.query_map([most as i64], |row| row.get(0))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many runs wait for a limit.
    pub fn count_blocked(&self, limit: &str) -> Result<u64> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT count(*) FROM runs WHERE blocked_on = ?")?;
            Ok(statement.query_row([limit], |row| row.get::<_, i64>(0))? as u64)
        })
    }

    /// The limits of tags, by tag.
    pub fn tag_limits(&self) -> Result<Vec<TagLimit>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT tag, max FROM tag_limits ORDER BY tag")?;
            let limits = statement.query_map([], |row| Ok(TagLimit { tag: row.get(0)?, max: row.get(1)? }))?;
            Ok(limits.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Sets the limit of a tag, or removes it. Returns whether there was one.
    pub fn set_tag_limit(&self, tag: &str, max: Option<u32>, now: Timestamp) -> Result<bool> {
        self.transact(|transaction| {
            let was = transaction.execute("DELETE FROM tag_limits WHERE tag = ?", [tag])? > 0;
            if let Some(max) = max {
                let sql = "INSERT INTO tag_limits (tag, max, updated_at) VALUES (?, ?, ?)";
                transaction.execute(sql, params![tag, max, micros(now)])?;
            }
            Ok(was)
        })
    }
}

fn running(connection: &Connection, condition: &str, params: impl Params) -> Result<Vec<Run>> {
    let sql = format!(
        "{LISTED} WHERE r.finished_at IS NULL AND (r.state = 'running' OR r.state = 'cancelling') AND {condition}"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params)?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(super::rows::run(row)?);
    }
    Ok(runs)
}

fn unblock(transaction: &Connection, limit: &str, most: usize, before: Option<Timestamp>) -> Result<usize> {
    let sql = "UPDATE runs SET blocked_on = NULL WHERE id IN (SELECT id FROM runs
        WHERE blocked_on = ?1 AND blocked_order < ?3 AND paused_at IS NULL ORDER BY blocked_order, id LIMIT ?2)";
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let before = before.map_or(i64::MAX, micros);
    Ok(transaction.prepare_cached(sql)?.execute(params![limit, most, before])?)
}
