//! A flow that goes on from any prefix of its record comes out as it did: random programs, and a crash after each write.
//!
//! All writes are made in one order, so that a crash leaves the first so many of them. A test notes each one by triggers
//! of the database, puts it back to where it was after each, and lets a server go on from there. Signals are there from
//! the start: who sends one keeps on until it is acknowledged.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use rand::rngs::StdRng;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::app::{Running, TestApp, text};
use crate::chance::{draws, seed};
use crate::programs::Program;

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
/// Programs of each test, several of which run side by side.
const PROGRAMS: u64 = 8;
const SIDE_BY_SIDE: u64 = 2;
/// What runs leave on record.
const TABLES: [&str; 6] = ["runs", "attempts", "history", "journal", "logs", "signals"];
/// What comes out another way when it is executed again, other than from the record.
const UNCERTAIN: [&str; 2] = ["wait_any", "time"];

#[tokio::test]
async fn a_program_without_chance_comes_out_the_same_from_every_prefix_of_its_record() {
    from_every_prefix(&UNCERTAIN).await;
}

#[tokio::test]
async fn what_a_flow_observed_before_it_was_lost_is_what_it_observes_again() {
    from_every_prefix(&[]).await;
}

async fn from_every_prefix(without: &[&str]) {
    let seed = seed();
    for first in (0..PROGRAMS).step_by(SIDE_BY_SIDE as usize) {
        let some = (first..first + SIDE_BY_SIDE).map(|number| one_program(draws(seed, number), number, without));
        futures_util::future::join_all(some).await;
    }
}

async fn one_program(mut draws: StdRng, number: u64, without: &[&str]) {
    let program = Program::draw(&mut draws, without);
    println!("program {number}: {program:?}");
    // Many servers in one process: each reserves address space for as many sandboxes as it may have.
    let mut app = TestApp::new().slots(8).flows(100).manual_clock().start().await;
    app.register("program").await;
    note_writes(&open(&app));
    let id = program.begin(&app).await;
    app.advance_until_final(&id, MINUTE).await;
    let original = observed(&app, &id).await;
    let n_writes = stop_noting(&open(&app));

    for prefix in 1..=n_writes {
        app.stop(Duration::ZERO).await;
        let cut = cut(&open(&app), prefix);
        // It goes on at once, or long after all that it waits for; and keeps its sandboxes or not.
        let at_once = draws.random();
        println!("program {number}: write {prefix} of {n_writes}, at once: {at_once}");
        if at_once {
            app.set_clock(cut.at);
        }
        app.set_evict_after(if draws.random() { Duration::ZERO } else { Duration::from_secs(10) });
        app.start_again().await;
        app.advance_until_final(&id, MINUTE).await;
        let now = observed(&app, &id).await;
        if without == UNCERTAIN {
            assert_eq!(now, original);
        }
        for flow in &cut.flows {
            let (before, after) = (trace(&original[&flow.id]), trace(&now[&flow.id]));
            let known = flow.observed(before);
            assert_eq!(after[..known], before[..known], "run {}", flow.id);
        }
        assert_eq!(ends(&open(&app), &cut.ended), cut.ended, "what ended is left as it was");
        program.verify(&app, id.clone()).await;
    }
    app.stop(Duration::ZERO).await;
}

/// What may not differ of a run and all below it, by id.
async fn observed(app: &Running, id: &str) -> Value {
    let lines = app.logs(id).await;
    let mut all = json!({});
    let mut ids = vec![id.to_owned()];
    while let Some(id) = ids.pop() {
        let run = app.show(&id).await;
        let own = lines.iter().filter(|line| line["run_id"] == json!(id));
        let children: Vec<String> = app.children(&id).await.iter().map(|child| text(&child["id"])).collect();
        all[&id] = json!({
            "logs": own.map(|line| &line["message"]).collect::<Vec<_>>(),
            "children": children,
        });
        for key in ["entry", "parameters", "state", "result", "failure", "label"] {
            all[&id][key] = run[key].clone();
        }
        ids.extend(children);
    }
    all
}

/// What a flow observed.
fn trace(run: &Value) -> &[Value] {
    run["result"].as_array().unwrap_or_else(|| panic!("it has no trace: {run}"))
}

/// The database of an app, beside its server's own connections.
fn open(app: &Running) -> Connection {
    Connection::open_with_flags_and_vfs(app.data_dir().join("tarefa.db"), Default::default(), c"unix-excl").unwrap()
}

fn columns(database: &Connection, table: &str) -> Vec<String> {
    let mut statement = database.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Notes each row that is written from now on, with the number of the write.
fn note_writes(database: &Connection) {
    let mut sql = "BEGIN IMMEDIATE; CREATE TABLE noted (n INTEGER); INSERT INTO noted VALUES (0);".to_owned();
    for table in TABLES {
        let values: Vec<String> = columns(database, table).iter().map(|name| format!("NEW.{name}")).collect();
        let values = values.join(", ");
        sql += &format!("CREATE TABLE noted_{table} AS SELECT 0 AS n, * FROM {table} WHERE 0;");
        for verb in ["INSERT", "UPDATE"] {
            let (count, n) = match (table, verb) {
                ("signals", "INSERT") => ("", "0"),
                // It is one write with that of the journal before.
                ("signals", _) => ("", "n"),
                _ => ("UPDATE noted SET n = n + 1;", "n"),
            };
            sql += &format!(
                "CREATE TRIGGER note_{table}_{verb} AFTER {verb} ON {table} BEGIN
                    {count}
                    INSERT INTO noted_{table} SELECT {n}, {values} FROM noted;
                END;"
            );
        }
    }
    database.execute_batch(&(sql + "COMMIT")).unwrap();
}

/// Returns how many writes were noted.
fn stop_noting(database: &Connection) -> u32 {
    for table in TABLES {
        database.execute_batch(&format!("DROP TRIGGER note_{table}_INSERT; DROP TRIGGER note_{table}_UPDATE")).unwrap();
    }
    database.query_row("SELECT n FROM noted", [], |row| row.get(0)).unwrap()
}

/// What was on record when the worker was lost.
struct Cut {
    at: Timestamp,
    /// The ends of runs, as text.
    ended: Vec<(String, String)>,
    flows: Vec<Flow>,
}

/// How far a flow had come, according to its record.
struct Flow {
    id: String,
    /// How many children it had submitted.
    submitted: u32,
    /// How many sleeps it had begun.
    sleeps: u32,
    /// How many waits for signals it had begun, and how many had ended.
    waits: [u32; 2],
}

impl Flow {
    /// How many entries of its trace it had made by then at least.
    fn observed(&self, trace: &[Value]) -> usize {
        let nth = |n: u32, is: fn(&Value) -> bool| {
            let all = trace.iter().enumerate().filter(|(_, entry)| is(entry)).map(|(at, _)| at);
            n.checked_sub(1).map(|last| all.clone().nth(last as usize).expect("it is in the trace"))
        };
        let submitted = nth(self.submitted, |entry| entry.get("submitted").is_some());
        // A sleep of no time is none.
        let sleeps = nth(self.sleeps, |entry| entry["slept"].as_u64().is_some_and(|ms| ms > 0));
        let [begun, ended] = self.waits.map(|n| nth(n, |entry| entry.get("signal").is_some()));
        let done = submitted.max(ended).map_or(0, |at| at + 1);
        done.max(sleeps.max(begun).unwrap_or(0))
    }
}

/// Puts the database back to where it was after the first so many writes.
fn cut(database: &Connection, prefix: u32) -> Cut {
    let mut sql = "BEGIN IMMEDIATE;".to_owned();
    for table in TABLES {
        let columns = columns(database, table).join(", ");
        sql += &format!(
            "DELETE FROM {table};
            INSERT OR REPLACE INTO {table} ({columns})
                SELECT {columns} FROM noted_{table} WHERE n <= {prefix} ORDER BY n, rowid;"
        );
    }
    database.execute_batch(&(sql + "COMMIT")).unwrap();
    let micros = "SELECT max(at) FROM (
            SELECT max(created_at, coalesce(started_at, 0), coalesce(finished_at, 0)) AS at FROM runs
            UNION ALL SELECT at FROM journal WHERE kind IN ('signal', 'timeout'))";
    let at = database.query_row(micros, [], |row| row.get(0)).unwrap();
    let mut statement = database
        .prepare(
            "SELECT lower(hex(id)), (SELECT coalesce(max(seq) + 1, 0) FROM runs c WHERE c.parent_id = r.id),
                (SELECT count(*) FROM journal WHERE run_id = r.id AND kind = 'timer'),
                (SELECT count(*) FROM journal WHERE run_id = r.id AND kind = 'wait'),
                (SELECT count(*) FROM journal WHERE run_id = r.id AND kind IN ('signal', 'timeout'))
             FROM runs r WHERE kind = 'flow'",
        )
        .unwrap();
    let flows = statement.query_map([], |row| {
        let id: String = row.get(0)?;
        Ok(Flow {
            id: uuid::Uuid::parse_str(&id).unwrap().to_string(),
            submitted: row.get(1)?,
            sleeps: row.get(2)?,
            waits: [row.get(3)?, row.get(4)?],
        })
    });
    let flows = flows.unwrap().map(Result::unwrap).collect();
    Cut { at: Timestamp::from_microsecond(at).unwrap(), ended: all_ends(database), flows }
}

/// The ends of all runs that are over, by id.
fn all_ends(database: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT hex(id), json_array(state, started_at, finished_at, event_no, attempt, fuel, result, failure)
        FROM runs WHERE finished_at IS NOT NULL ORDER BY id";
    let mut statement = database.prepare(sql).unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// The ends, now, of those that had ended before.
fn ends(database: &Connection, before: &[(String, String)]) -> Vec<(String, String)> {
    let ended = |id: &String| before.iter().any(|(before, _)| before == id);
    all_ends(database).into_iter().filter(|(id, _)| ended(id)).collect()
}
