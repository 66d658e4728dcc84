use super::words::{ENGLISH, PORTUGUESE};
use super::*;
use jiff::tz::TimeZone;

pub(super) fn cron(expression: &str, zone: &str) -> Schedule {
    Schedule { cron: Some(expression.to_owned()), timezone: zone.to_owned(), ..Schedule::default() }
}

fn every(ms: u64) -> Schedule {
    Schedule { interval_ms: Some(ms), timezone: utc(), ..Schedule::default() }
}

fn at(time: &str, zone: &str) -> Schedule {
    Schedule { at: Some(time.to_owned()), timezone: zone.to_owned(), ..Schedule::default() }
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

const CREATED: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// Occurrences between two times as the clock of the zone shows them, with its offset in hours.
pub(super) fn shown(schedule: &Schedule, from: &str, to: &str) -> Vec<String> {
    let rule = schedule.rule().expect("valid");
    let zone = TimeZone::get(&schedule.timezone).expect("a zone");
    let show = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%m-%d %H:%M%:::z").to_string();
    let (from, to) = (time(from), time(to));
    let all: Vec<Timestamp> = rule.upcoming(from, CREATED).take_while(|at| *at <= to).collect();
    assert_eq!(rule.count(from, to, CREATED, u64::MAX), all.len() as u64);
    let mut back: Vec<Timestamp> = std::iter::successors(rule.previous(to, CREATED), |at| {
        rule.previous(*at - SignedDuration::from_nanos(1), CREATED)
    })
    .take_while(|at| *at > from)
    .collect();
    back.reverse();
    assert_eq!(all, back, "`{schedule}` backward");
    all.into_iter().map(show).collect()
}

#[test]
fn an_interval_is_counted_from_the_creation_or_from_its_anchor() {
    let rule = every(30_000).rule().expect("valid");
    let after = |seconds: i64| CREATED + SignedDuration::from_secs(seconds);
    assert_eq!(rule.next(CREATED, CREATED), Some(after(30)), "the first comes one interval later");
    assert_eq!(rule.next(after(-999), CREATED), Some(after(30)));
    assert_eq!(rule.next(after(30), CREATED), Some(after(60)));
    assert_eq!(rule.previous(after(29), CREATED), None);
    assert_eq!(rule.previous(after(59), CREATED), Some(after(30)));
    assert_eq!(rule.count(CREATED, after(3000), CREATED, 7), 100, "of intervals all are counted");
    assert_eq!(rule.count(after(30), after(30), CREATED, 7), 0);
    assert_eq!(rule.count(after(-3000), after(-30), CREATED, 7), 0);

    let anchored = Schedule { anchor: Some(after(10)), end: Some(after(70)), ..every(30_000) };
    let rule = anchored.rule().expect("valid");
    let all: Vec<_> = rule.upcoming(after(-30), CREATED).collect();
    assert_eq!(all, [-20, 10, 40].map(after), "the end is none of them");
    assert_eq!(rule.count(after(-20), after(999), CREATED, 1), 2);
    assert_eq!(rule.previous(after(999), CREATED), Some(after(40)));
    let started = Schedule { start: Some(after(10)), ..anchored }.rule().expect("valid");
    assert_eq!(started.upcoming(after(-30), CREATED).collect::<Vec<_>>(), [10, 40].map(after), "the start may be one");
    assert_eq!(started.previous(after(9), CREATED), None);
}

#[test]
fn an_interval_is_time_that_passes_whatever_the_clock_shows() {
    let day =
        Schedule { anchor: Some(time("2026-10-24T10:00:00Z")), timezone: "Europe/Berlin".into(), ..every(86_400_000) };
    let shown = shown(&day, "2026-10-24T00:00:00Z", "2026-10-26T23:00:00Z");
    assert_eq!(shown, ["10-24 12:00+02", "10-25 11:00+01", "10-26 11:00+01"]);
}

#[test]
fn a_point_in_time_comes_once() {
    let rule = at("2027-01-31 09:00", "America/Sao_Paulo").rule().expect("valid");
    let point = time("2027-01-31T12:00:00Z");
    assert_eq!(rule.upcoming(CREATED - SignedDuration::from_hours(9999), CREATED).collect::<Vec<_>>(), [point]);
    assert_eq!((rule.next(point, CREATED), rule.previous(point, CREATED)), (None, Some(point)));
    assert_eq!(rule.previous(point - INSTANT, CREATED), None);
    for same in ["2027-01-31T12:00:00Z", "2027-01-31t09:00-03:00", "2027-01-31 14:00:00.0000009+02:00"] {
        assert_eq!(at(same, "UTC").rule().expect(same).next(CREATED, CREATED), Some(point), "{same}");
    }
}

#[test]
fn times_that_are_none_are_refused() {
    for text in ["", "tomorrow", "2027-01-31", "2027-02-30 09:00", "09:00", "2027-01-31T25:00", "2027-01-31T09:00[UTC]"]
    {
        let error = at(text, "UTC").check().expect_err(text);
        assert!(error.starts_with(&format!("invalid time `{text}`: write it as")), "{error}");
    }
    assert!(at(&"9:".repeat(999), "UTC").check().expect_err("long").len() < 250);
    for (text, zone, expected) in [
        (
            "2027-03-28T02:30",
            "Europe/Berlin",
            "which the clock of `Europe/Berlin` skips: it shows `2027-03-28T03:30:00` then",
        ),
        (
            "2026-10-25 02:30",
            "Europe/Berlin",
            "shows twice: write `2026-10-25T02:30:00+02:00` or `2026-10-25T02:30:00+01:00`",
        ),
        ("1969-12-31T23:59:59Z", "UTC", "its year is between 1970 and 9998"),
        ("9999-01-01 00:00", "UTC", "its year is between 1970 and 9998"),
    ] {
        let error = at(text, zone).check().expect_err(text);
        assert!(error.starts_with("`at` is ") && error.contains(expected), "{error}");
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let cron = cron("0 9 * * *", "UTC");
    let table = [
        (Schedule { timezone: utc(), ..Schedule::default() }, "a schedule needs one of `cron`, `interval_ms` and `at`"),
        (Schedule { interval_ms: Some(5000), ..cron.clone() }, "a schedule has only one of"),
        (Schedule { anchor: Some(CREATED), ..cron.clone() }, "`anchor` goes only with `interval_ms`"),
        (Schedule { end: Some(CREATED), ..at("2027-01-31T09:00Z", "UTC") }, "`start` and `end` do not go with `at`"),
        (
            Schedule { start: Some(CREATED), end: Some(CREATED), ..cron.clone() },
            "`start` is 2027-01-15T08:00:00Z, which is not before `end`",
        ),
        (
            Schedule { start: Some(time("1969-01-01T00:00:00Z")), ..cron.clone() },
            "`start` is 1969-01-01T00:00:00Z; its year is",
        ),
        (Schedule { jitter_ms: 86_400_001, ..cron }, "`jitter_ms` is 86400001; the most is 86400000 (a day)"),
        (
            Schedule { jitter_ms: 5000, ..every(5000) },
            "`jitter_ms` is 5000, which is not less than `interval_ms`, 5000",
        ),
        (every(999), "`interval_ms` is 999; it goes from 1000 (a second) to 315360000000 (ten years)"),
        (every(u64::MAX), "`interval_ms` is 18446744073709551615; it goes from"),
    ];
    for (schedule, expected) in table {
        let error = schedule.check().expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(every(MIN_INTERVAL_MS).check(), Ok(()));
    assert_eq!(every(MAX_INTERVAL_MS).check(), Ok(()));
}

#[test]
fn an_unknown_zone_names_the_nearest() {
    for (name, near) in [
        ("Europe/Berln", "Europe/Berlin"),
        ("america/sao paulo", "America/Sao_Paulo"),
        ("Lisbon", "Europe/Lisbon"),
        ("Asia/Calcuta", "Asia/Calcutta"),
    ] {
        let expected = format!("unknown time zone `{name}`; did you mean `{near}`?");
        assert_eq!(cron("* * * * *", name).check(), Err(expected));
    }
    for none in ["", "+03:00", "../../etc/passwd", "Etc/Unknown", "\u{1b}[2J"] {
        let error = cron("* * * * *", none).check().expect_err(none);
        let expected = format!("unknown time zone `{}`", none.escape_debug());
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(
        cron("* * * * *", &"x".repeat(999)).check(),
        Err("the time zone has 999 bytes; the most is 64".to_owned())
    );
}

#[test]
fn an_occurrence_is_put_off_by_the_same_each_time_and_others_by_something_else() {
    let schedule = Schedule { jitter_ms: 10_000, ..cron("* * * * *", "UTC") };
    let paused = Schedule { paused: true, ..schedule.clone() };
    let rule = schedule.rule().expect("valid");
    let delays: Vec<i64> = rule
        .upcoming(CREATED, CREATED)
        .take(1000)
        .map(|at| {
            assert_eq!(schedule.put_off(at), paused.put_off(at));
            i64::try_from(schedule.put_off(at).as_millis()).expect("small")
        })
        .collect();
    assert!(delays.iter().all(|ms| (0..=10_000).contains(ms)));
    let mean = delays.iter().sum::<i64>() / 1000;
    assert!((4500..5500).contains(&mean), "{mean}");
    assert_eq!(cron("* * * * *", "UTC").put_off(CREATED), SignedDuration::ZERO);
}

#[test]
fn an_id_follows_what_is_said_and_not_whether_it_is_paused() {
    let schedule = cron("0 9 * * *", "UTC");
    assert_eq!(schedule.id(), Schedule { paused: true, ..schedule.clone() }.id());
    assert_ne!(schedule.id(), cron("0 9 * * *", "Europe/Lisbon").id());
    assert_ne!(schedule.id(), Schedule { jitter_ms: 1, ..schedule.clone() }.id());
    assert_eq!(schedule.id().0.len(), 12);
}

#[test]
fn intervals_and_points_in_time_read_well() {
    let anchor = Some(time("2027-01-01T00:00:30Z"));
    let table = [
        (every(1000), "every second (UTC)", "a cada segundo (UTC)"),
        (every(30_000), "every 30 seconds (UTC)", "a cada 30 segundos (UTC)"),
        (every(1500), "every 1.5 seconds (UTC)", "a cada 1,5 segundos (UTC)"),
        (every(5_400_000), "every 90 minutes (UTC)", "a cada 90 minutos (UTC)"),
        (every(86_400_000), "every day (UTC)", "a cada dia (UTC)"),
        (
            at("2027-01-31 09:00", "Europe/Lisbon"),
            "once, on 31 January 2027 at 09:00 (Europe/Lisbon)",
            "uma vez, em 31 de janeiro de 2027 às 09:00 (Europe/Lisbon)",
        ),
        (
            Schedule { anchor, jitter_ms: 500, ..every(60_000) },
            "every minute, counted from 1 January 2027 at 00:00:30, put off by up to 500 milliseconds (UTC)",
            "a cada minuto, contados a partir de 1 de janeiro de 2027 às 00:00:30, com atraso de até 500 milissegundos (UTC)",
        ),
        (
            Schedule { start: anchor, end: Some(time("2027-06-01T22:00:00Z")), ..cron("0 9 * * *", "Europe/Berlin") },
            "at 09:00 every day, from 1 January 2027 at 01:00:30, until 2 June 2027 at 00:00 (Europe/Berlin)",
            "às 09:00, todos os dias, a partir de 1 de janeiro de 2027 às 01:00:30, até 2 de junho de 2027 às 00:00 (Europe/Berlin)",
        ),
    ];
    for (schedule, english, portuguese) in table {
        assert_eq!(schedule.describe(), english);
        assert_eq!(schedule.describe_in(&PORTUGUESE), portuguese);
        assert_eq!(schedule.describe_in(&ENGLISH), english);
    }
    assert_eq!(cron("61 * * * *", "Nowhere").describe(), "61 * * * * (Nowhere)", "what is not valid is shown as it is");
}

mod clocks;
mod expressions;
mod words;
