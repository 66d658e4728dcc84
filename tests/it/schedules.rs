//! A year of schedules, held against what others say of it.

use std::fs;
use std::str::FromStr as _;

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone as _};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};
use tarefa::domain::Schedule;
use tarefa::domain::schedule::Rule;

use crate::app::repository;

fn rule(expression: &str, zone: &str) -> Rule {
    let schedule = Schedule { cron: Some(expression.to_owned()), timezone: zone.to_owned(), ..Schedule::default() };
    schedule.rule().unwrap_or_else(|error| panic!("{error}"))
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn minutes(at: Timestamp) -> i64 {
    at.as_second() / 60
}

/// Occurrences in minutes since 1970, after one time and not after another.
fn ours(expression: &str, zone: &str, from: Timestamp, to: Timestamp) -> Vec<i64> {
    rule(expression, zone).upcoming(from, from).take_while(|at| *at <= to).map(minutes).collect()
}

/// The hash of `scripts/croniter-oracle.py`.
fn fnv(minutes: &[i64]) -> u64 {
    let bytes = minutes.iter().flat_map(|at| u32::try_from(*at).expect("before 10136").to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The minutes of a day that steps such as `60x3` come to.
fn spelled_out(runs: &str, begin: i64) -> Vec<i64> {
    let mut all = Vec::new();
    let mut last = begin;
    for run in runs.split_whitespace() {
        let (step, n) = run.split_once('x').unwrap_or((run, "1"));
        for _ in 0..n.parse().expect("a count") {
            last += step.parse::<i64>().expect("a step");
            all.push(last);
        }
    }
    all
}

/// What one says and the other does not, as the clock shows it: ours, then theirs.
fn differences(ours: &[i64], theirs: &[i64], zone: &TimeZone) -> String {
    let shown = |sign: char, of: &[i64], but: &[i64]| {
        let only: Vec<_> = of.iter().filter(|at| !but.contains(at)).copied().collect();
        let show = |at: &i64| {
            let at = Timestamp::from_second(at * 60).expect("in range").to_zoned(zone.clone());
            format!("{sign}{}", at.strftime("%m-%d %H:%M%:::z"))
        };
        only.iter().map(show).collect::<Vec<_>>()
    };
    [shown('+', ours, theirs), shown('-', theirs, ours)].concat().join(" ")
}

/// Holds a year of one expression in one zone against croniter's, and says what differs on the days of a change.
fn compare(line: &str) -> String {
    let (from, to) = (time("2018-07-01T00:00:00Z"), time("2019-07-01T00:00:00Z"));
    let parts: Vec<&str> = line.split('\t').collect();
    let (name, expression) = (parts[0], parts[1]);
    let zone = TimeZone::get(name).expect("a zone");
    let changes = zone.following(from).map(|change| change.timestamp()).take_while(|at| *at < to);
    let mut outside = ours(expression, name, from, to);
    let mut found = String::new();
    for (change, theirs) in changes.zip(&parts[4..]) {
        let begin = minutes(change) - 360;
        let within = |at: &i64| *at > begin && *at <= begin + 32 * 60;
        let day: Vec<i64> = outside.iter().copied().filter(within).collect();
        outside.retain(|at| !within(at));
        found += &differences(&day, &spelled_out(theirs, begin), &zone);
    }
    assert_eq!([outside.len().to_string(), format!("{:016x}", fnv(&outside))], [parts[2], parts[3]], "{line}");
    if found.is_empty() { found } else { format!("{name}\t{expression}\t{found}\n") }
}

#[test]
fn a_year_is_as_croniter_has_it_but_for_what_is_known_of_changed_clocks() {
    let read = |name: &str| fs::read_to_string(repository().join("tests/data").join(name)).expect("reads");
    let (theirs, known) = (read("croniter.txt"), read("croniter-differs.txt"));
    let lines: Vec<&str> = theirs.lines().collect();
    assert!(lines.len() > 300, "{} lines", lines.len());
    // Two threads, since a year has many minutes; every other line, since the zones' first lines have most of them.
    let half = |first: usize| lines.iter().skip(first).step_by(2).map(|line| compare(line)).collect::<String>();
    let found = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + &other.join().expect("the other half agrees")
    });
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(sorted(&found), sorted(&known));
}

/// Berlin, for a crate that asks `chrono`; jiff knows its clock.
#[derive(Clone, Debug)]
struct Berlin(TimeZone);

fn berlin() -> Berlin {
    Berlin(TimeZone::get("Europe/Berlin").expect("a zone"))
}

fn fixed(offset: jiff::tz::Offset) -> FixedOffset {
    FixedOffset::east_opt(offset.seconds()).expect("an offset")
}

impl chrono::TimeZone for Berlin {
    type Offset = FixedOffset;

    fn from_offset(_: &FixedOffset) -> Berlin {
        berlin()
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        unreachable!("`cron` asks for times")
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        let wall = jiff::civil::DateTime::from_str(&local.format("%Y-%m-%dT%H:%M:%S").to_string()).expect("a time");
        match self.0.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => MappedLocalTime::Single(fixed(offset)),
            AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(fixed(before), fixed(after)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
        }
    }

    fn offset_from_utc_date(&self, _: &NaiveDate) -> FixedOffset {
        unreachable!("`cron` asks for times")
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        fixed(self.0.to_offset(Timestamp::from_second(utc.and_utc().timestamp()).expect("in range")))
    }
}

/// What the crate `cron` makes of an expression, which needs a field for seconds before it takes one.
fn of_cron(expression: &str, from: Timestamp, to: Timestamp) -> Result<Vec<i64>, String> {
    let schedule = cron::Schedule::from_str(&format!("0 {expression}")).map_err(|error| error.to_string())?;
    let from = chrono::Utc.timestamp_opt(from.as_second(), 0).single().expect("in range").with_timezone(&berlin());
    let times = schedule.after(&from).map(|at| at.timestamp());
    Ok(times.take_while(|at| *at <= to.as_second()).map(|at| at / 60).collect())
}
/// Both of the days on which Berlin changes its clock, with a week before and after them.
const SPANS: [(&str, &str); 2] =
    [("2026-10-18T22:00:00Z", "2026-11-01T23:00:00Z"), ("2027-03-21T23:00:00Z", "2027-04-04T22:00:00Z")];

fn in_spans<E>(of: impl Fn(Timestamp, Timestamp) -> Result<Vec<i64>, E>) -> Result<Vec<i64>, E> {
    Ok([of(time(SPANS[0].0), time(SPANS[0].1))?, of(time(SPANS[1].0), time(SPANS[1].1))?].concat())
}

/// Why schedules are not read by the crate `cron`.
#[test]
fn the_crate_cron_agrees_but_for_weekdays_either_day_and_clocks_that_are_changed() {
    let zone = berlin().0;
    let ours_of = |expression| in_spans(|from, to| Ok::<_, String>(ours(expression, "Europe/Berlin", from, to)));
    let differ = |expression| {
        let theirs = in_spans(|from, to| of_cron(expression, from, to)).expect(expression);
        differences(&ours_of(expression).expect("valid"), &theirs, &zone)
    };
    let same = "*/2 * * * *|*/15 * * * *|5 * * * *|0 * * * *|0 */2 * * *|0 0 * * *|30 1 * * *|0 9-18 * * *\
        |0 9 * * mon-fri|0 9 * * sun|0 0 1 * *|0 0 */2 * *|0 0 */2 * mon|0 0 1 apr *";
    for expression in same.split('|') {
        assert_eq!(differ(expression), "", "{expression}");
    }
    let different = [
        // It leaves out what the clock skips, and comes at both times that the clock shows the same.
        ("30 2 * * *", "+03-28 03:00+02 -10-25 02:30+01"),
        ("30 2,14 * * *", "+03-28 03:00+02 -10-25 02:30+01"),
        // 1 is Sunday to it.
        (
            "0 9 * * 1",
            "+10-19 09:00+02 +10-26 09:00+01 +03-22 09:00+01 +03-29 09:00+02 -10-25 09:00+01 -11-01 09:00+01 -03-28 09:00+02 -04-04 09:00+02",
        ),
        (
            "0 9 * * 7",
            "+10-25 09:00+01 +11-01 09:00+01 +03-28 09:00+02 +04-04 09:00+02 -10-24 09:00+02 -10-31 09:00+01 -03-27 09:00+01 -04-03 09:00+02",
        ),
        // It wants a Friday that is the 13th.
        ("0 0 13 * fri", "+10-23 00:00+02 +10-30 00:00+01 +03-26 00:00+01 +04-02 00:00+02"),
    ];
    for (expression, expected) in different {
        assert_eq!(differ(expression), expected, "{expression}");
    }
    // Monday to Friday are Sunday to Thursday to it, so every Friday is missing.
    assert!(differ("0 9-18 * * 1-5").starts_with("+10-23 09:00+02 +10-23 10:00+02"), "{}", differ("0 9-18 * * 1-5"));
    let (from, to) = (time(SPANS[0].0), time(SPANS[0].1));
    for expression in ["0 9 * * 0", "0 9 * * 6,0", "0 9 * * fri-sun"] {
        assert!(of_cron(expression, from, to).is_err(), "{expression}");
        assert!(!ours(expression, "Europe/Berlin", from, to).is_empty(), "{expression}");
    }
    assert!(cron::Schedule::from_str("0 9 * * *").is_err(), "five fields are none to it");
    for expression in ["0 0 30 2 *", "5/15 * * * *", "0 0 ? * *", "0 0 * january *"] {
        assert!(of_cron(expression, from, to).is_ok(), "{expression}");
        let ours = Schedule { cron: Some(expression.to_owned()), timezone: "UTC".to_owned(), ..Schedule::default() };
        assert!(ours.check().is_err(), "{expression}");
    }
}

#[test]
fn zones_are_known_where_the_machine_has_none() {
    let bundled = jiff::tz::TimeZoneDatabase::bundled();
    assert!(bundled.get("America/Sao_Paulo").is_ok(), "jiff's own zones are built in");
}
