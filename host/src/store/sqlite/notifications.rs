//! What somebody is to be told of, and what was told to whom.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::rows::{Json, micros, run_id, run_id_or_null, timestamp, timestamp_or_null, to_timestamp, unreadable};
use super::{Result, Store};
use crate::domain::state::LATE_AFTER;
use crate::domain::{NotifyEvent, NotifyRule, RunId, Schedule};
use crate::store::{About, DueNotification, Missed, NewNotification, NotificationFilter, Occasion, StoredNotification};

/// How long notifications are kept that are no run's, and go with none.
const KEEP_MISSED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Asked for each second, so it is found by the index `runs_unfinished`.
const LATE: &str = "SELECT id, max(scheduled_at, created_at) FROM runs
    WHERE finished_at IS NULL AND state = 'scheduled' AND worker_id IS NULL AND parent_id IS NULL
        AND scheduled_at > ?1 AND scheduled_at <= ?2 AND created_at <= ?2 AND attempt = 0 AND paused_at IS NULL
        AND (EXISTS (SELECT 1 FROM notify_always WHERE event = 'late') OR EXISTS (
            SELECT 1 FROM deployments d, json_each(iif(json_valid(d.spec), d.spec, '{}'), '$.notify') rule,
                json_each(iif(rule.type = 'object', rule.value, '{}'), '$.on') event
            WHERE d.name = runs.deployment AND event.value = 'late'))
        AND NOT EXISTS (SELECT 1 FROM notifications n WHERE n.run_id = runs.id AND n.event = 'late')
    LIMIT ?3";

impl Store {
    /// The events that the server's own rules tell of, from now on.
    pub fn notify_always(&self, events: &BTreeSet<NotifyEvent>) -> Result<()> {
        self.transact(|transaction| {
            transaction.execute("DELETE FROM notify_always", [])?;
            for event in events {
                transaction.execute("INSERT INTO notify_always (event) VALUES (?)", [event.as_str()])?;
            }
            Ok(())
        })
    }

    /// The rules of a deployment; none where there is no such deployment.
    pub fn deployment_rules(&self, name: &str) -> Result<Vec<NotifyRule>> {
        self.read(|connection| {
            let sql = "SELECT spec -> '$.notify' FROM deployments WHERE name = ?";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([name])?;
            let Some(row) = rows.next()? else { return Ok(Vec::new()) };
            Ok(super::rows::json(row, 0)?.unwrap_or_default())
        })
    }

    /// What was not written out as notifications yet, the first first.
    pub fn occasions(&self, limit: usize) -> Result<Vec<Occasion>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT o.no, o.event, o.at, o.run_id, s.deployment, s.schedule_id,
                    (SELECT spec FROM schedules WHERE deployment = s.deployment AND id = s.schedule_id),
                    s.first_at, s.last_at, s.n, s.detail
                 FROM occasions o LEFT JOIN skips s ON s.no = o.skip_no ORDER BY o.no LIMIT ?",
            )?;
            let mut rows = statement.query([limit as i64])?;
            let mut occasions = Vec::new();
            while let Some(row) = rows.next()? {
                let about = match run_id_or_null(row, 3)? {
                    Some(id) => Some(About::Run(id)),
                    // The skip may be gone with its deployment.
                    None if row.get_ref(4)? == rusqlite::types::ValueRef::Null => None,
                    None => Some(About::Missed(missed(row, 4)?)),
                };
                occasions.push(Occasion {
                    no: Some(row.get(0)?),
                    event: event(row, 1)?,
                    at: timestamp(row, 2)?,
                    about,
                });
            }
            Ok(occasions)
        })
    }

    /// Runs that were never started and whose time, or that of their submit, was after `from` and not after `until`.
    pub fn late_runs(&self, from: Timestamp, until: Timestamp, limit: usize) -> Result<Vec<Occasion>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(LATE)?;
            let mut rows = statement.query(params![micros(from), micros(until), limit as i64])?;
            let mut occasions = Vec::new();
            while let Some(row) = rows.next()? {
                let at = timestamp(row, 1)? + LATE_AFTER;
                let about = Some(About::Run(run_id(row, 0)?));
                occasions.push(Occasion { no: None, event: NotifyEvent::Late, at, about });
            }
            Ok(occasions)
        })
    }

    /// Occurrences that were due before `until`, and that nobody has run or skipped.
    pub fn overdue_schedules(&self, until: Timestamp, limit: usize) -> Result<Vec<Occasion>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT s.deployment, s.id, s.spec, s.next_at, s.next_at, 1, 'it is due, and nobody has run it'
                 FROM schedules s WHERE s.due_at < ? AND s.next_at IS NOT NULL
                    AND NOT EXISTS (SELECT 1 FROM notifications n
                        WHERE n.run_id IS NULL AND n.deployment = s.deployment AND n.schedule_id = s.id AND n.at = s.next_at)
                 LIMIT ?",
            )?;
            let mut rows = statement.query(params![micros(until), limit as i64])?;
            let mut occasions = Vec::new();
            while let Some(row) = rows.next()? {
                let about = Some(About::Missed(missed(row, 0)?));
                occasions.push(Occasion { no: None, event: NotifyEvent::Missed, at: timestamp(row, 3)?, about });
            }
            Ok(occasions)
        })
    }

    /// Puts notifications on record in the place of the `occasions` that brought them about.
    pub fn write_out(&self, occasions: &[i64], notifications: &[NewNotification], now: Timestamp) -> Result<()> {
        self.transact(|transaction| {
            for new in notifications {
                transaction
                    .prepare_cached(
                        "INSERT OR IGNORE INTO notifications
                            (id, rule, target, event, at, run_id, deployment, schedule_id, body, next_at)
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![
                        new.id,
                        new.rule,
                        new.target,
                        new.event.as_str(),
                        micros(new.at),
                        new.run_id.as_ref().map(RunId::as_bytes),
                        new.deployment,
                        new.schedule_id,
                        new.body,
                        micros(now),
                    ])?;
            }
            if notifications.iter().any(|new| new.run_id.is_none()) {
                let old = "DELETE FROM notifications WHERE run_id IS NULL AND next_at IS NULL AND tried_at < ?";
                transaction.execute(old, [micros(now.saturating_sub(KEEP_MISSED).unwrap_or(Timestamp::MIN))])?;
            }
            for no in occasions {
                transaction.prepare_cached("DELETE FROM occasions WHERE no = ?")?.execute([no])?;
            }
            Ok(())
        })
    }

    /// Notifications that are due, the longest due first, but for those of the rules in `busy` and those `under_way`.
    pub fn due_notifications(
        &self,
        now: Timestamp,
        busy: &[&str],
        under_way: &[i64],
        limit: usize,
    ) -> Result<Vec<DueNotification>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT no, id, rule, event, run_id, body, tries FROM notifications
                 WHERE next_at <= ? AND rule NOT IN (SELECT value FROM json_each(?))
                    AND no NOT IN (SELECT value FROM json_each(?))
                 ORDER BY next_at LIMIT ?",
            )?;
            let mut rows = statement.query(params![micros(now), Json(&busy), Json(&under_way), limit as i64])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                due.push(DueNotification {
                    no: row.get(0)?,
                    id: row.get(1)?,
                    rule: row.get(2)?,
                    event: event(row, 3)?,
                    run_id: run_id_or_null(row, 4)?,
                    body: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
                    tries: row.get(6)?,
                });
            }
            Ok(due)
        })
    }

    /// When the next notification that is not due yet will be.
    pub fn next_notification(&self, now: Timestamp) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            let sql = "SELECT next_at FROM notifications WHERE next_at > ? ORDER BY next_at LIMIT 1";
            let at = connection.prepare_cached(sql)?.query_row([micros(now)], |row| row.get(0)).optional()?;
            at.map(to_timestamp).transpose()
        })
    }

    /// Puts a try on record: why it failed, where it did, and when there is another.
    pub fn record_try(&self, no: i64, now: Timestamp, error: Option<&str>, next: Option<Timestamp>) -> Result<()> {
        self.transact(|transaction| {
            transaction
                .prepare_cached(
                    "UPDATE notifications SET tries = tries + 1, tried_at = ?2, error = ?3, next_at = ?4,
                        body = iif(?4 IS NULL, NULL, body) WHERE no = ?1",
                )?
                .execute(params![no, micros(now), error, next.map(micros)])?;
            Ok(())
        })
    }

    /// Notifications, newest first, from the one after `before` on.
    pub fn notifications(
        &self,
        filter: &NotificationFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredNotification>> {
        let mut sql = "SELECT no, id, rule, target, event, at, run_id, deployment, tries, tried_at, next_at, error
            FROM notifications WHERE no < ?"
            .to_owned();
        let mut values = vec![Value::Integer(before.unwrap_or(i64::MAX))];
        if let Some(id) = filter.run {
            sql.push_str(" AND run_id = ?");
            values.push(super::filter::id(id));
        }
        if let Some(deployment) = &filter.deployment {
            sql.push_str(" AND deployment = ?");
            values.push(Value::Text(deployment.clone()));
        }
        if let Some(state) = filter.state {
            sql.push_str(" AND ");
            sql.push_str(state.condition());
        }
        sql.push_str(" ORDER BY no DESC LIMIT ?");
        values.push(Value::Integer(limit as i64));
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(stored(row)?);
            }
            Ok(found)
        })
    }
}

impl crate::store::NotificationState {
    fn condition(self) -> &'static str {
        match self {
            Self::Pending => "next_at IS NOT NULL",
            Self::Delivered => "next_at IS NULL AND error IS NULL",
            Self::GivenUp => "next_at IS NULL AND error IS NOT NULL",
        }
    }
}

fn stored(row: &Row<'_>) -> Result<StoredNotification> {
    Ok(StoredNotification {
        no: row.get(0)?,
        id: row.get(1)?,
        rule: row.get(2)?,
        target: row.get(3)?,
        event: event(row, 4)?,
        at: timestamp(row, 5)?,
        run_id: run_id_or_null(row, 6)?,
        deployment: row.get(7)?,
        tries: row.get(8)?,
        tried_at: timestamp_or_null(row, 9)?,
        next_at: timestamp_or_null(row, 10)?,
        error: row.get(11)?,
    })
}

/// Deployment, schedule and what it says, first and last occurrence, how many, and why.
fn missed(row: &Row<'_>, column: usize) -> Result<Missed> {
    // What was deleted or cannot be read since is told by its id.
    let schedule = super::rows::json::<Schedule>(row, column + 2).ok().flatten();
    let schedule_id: String = row.get(column + 1)?;
    Ok(Missed {
        deployment: row.get(column)?,
        schedule: schedule.map_or_else(|| schedule_id.clone(), |schedule| schedule.to_string()),
        schedule_id,
        first_at: timestamp(row, column + 3)?,
        last_at: timestamp(row, column + 4)?,
        n: row.get(column + 5)?,
        why: row.get(column + 6)?,
    })
}

fn event(row: &Row<'_>, column: usize) -> Result<NotifyEvent> {
    let text: String = row.get(column)?;
    NotifyEvent::parse(&text).ok_or_else(|| unreadable("an event", text))
}

#[cfg(test)]
mod tests {
    use super::super::plan;
    use super::*;

    #[test]
    fn what_is_late_is_found_by_its_index() {
        assert_eq!(
            plan(LATE),
            "SEARCH runs USING INDEX runs_unfinished (state=? AND scheduled_at>? AND scheduled_at<?)"
        );
    }
}
