//! What is a cron expression and what is none.

use proptest::prelude::*;

use super::super::cron::{Expression, MAX_TEXT};
use super::super::words::{PORTUGUESE, explain};
use super::{CREATED, cron};
use jiff::{SignedDuration, Timestamp};

const TAKES: &str = "a field takes numbers, `*`, ranges `1-5`, lists `1,15` and steps `*/10`";

#[track_caller]
fn refused(table: &[(&str, &str)]) {
    for (text, why) in table {
        let expected = format!("invalid cron expression `{}`: {why}", text.escape_debug());
        assert_eq!(Expression::parse(text), Err(expected));
    }
}

#[test]
fn a_wrong_value_is_named_with_its_field_and_what_is_allowed() {
    refused(&[
        ("61 * * * *", "minute 61 is out of range 0..59"),
        ("0 24 * * *", "hour 24 is out of range 0..23"),
        ("0 0 0 * *", "day of month 0 is out of range 1..31"),
        ("0 0 * 13 *", "month 13 is out of range 1..12"),
        ("0 0 * * 8", "day of week 8 is out of range 0..7"),
        ("99999999999999999999 * * * *", "minute 99999999999999999999 is out of range 0..59"),
        ("60 24 32 13 8", "minute 60 is out of range 0..59"),
        ("*/0 * * * *", "minute step 0 is out of range 1..59"),
        ("*/90 * * * *", "minute step 90 is out of range 1..59"),
        ("* */24 * * *", "hour step 24 is out of range 1..23"),
        ("*/x * * * *", "the minute step `x` is no number"),
        ("*/5/2 * * * *", "the minute step `5/2` is no number"),
        ("5/15 * * * *", "the minute `5/15` has a step without a range: write `5-59/15`"),
        ("5-1 * * * *", "the minute range `5-1` goes backward: write `5-59,0-1`"),
        ("0 22-6 * * *", "the hour range `22-6` goes backward: write `22-23,0-6`"),
        ("0 0 * * fri-mon", "the day of week range `fri-mon` goes backward: write `5-6,0-1`"),
        ("0 0 * * 5-0", "the day of week range `5-0` goes backward: write `5-7`"),
        ("0 0 * * 7-1", "the day of week range `7-1` goes backward: write `0-1`"),
        ("0 0 * nov-feb *", "the month range `nov-feb` goes backward: write `11-12,1-2`"),
        (",1 * * * *", "the minute `,1` has an empty item"),
        ("1- * * * *", &format!("a value is missing in the minute: {TAKES}")),
        ("-1 * * * *", &format!("a value is missing in the minute: {TAKES}")),
        ("1.5 * * * *", &format!("`1.5` is no minute: {TAKES}")),
        ("*-5 * * * *", &format!("`*` is no minute: {TAKES}")),
        ("0 0 * foo *", &format!("`foo` is no month: {TAKES}, and names from `jan` to `dec`")),
        ("0 0 * january *", "unknown month `january`; did you mean `jan`?"),
        ("0 0 * * mom", "unknown day of week `mom`; did you mean `mon`?"),
        ("0 0 * mon *", "`mon` is no month: the fields are minute, hour, day of month, month, day of week"),
    ]);
}

#[test]
fn what_crontab_does_not_have_is_refused_by_its_name() {
    let five = "five fields are needed: minute, hour, day of month, month, day of week";
    let more = "seconds and years are no part of it, and what comes more often than each minute is an interval";
    let extension = |what: &str| format!("{what} is an extension that crontab does not have; {TAKES}");
    refused(&[
        ("+5 * * * *", &extension("`+`")),
        ("0 0 L * *", &extension("`L` (the last such day of a month)")),
        ("0 0 * * 5L", &extension("`L` (the last such day of a month)")),
        ("0 0 15W * *", &extension("`W` (the nearest working day)")),
        ("0 0 LW * *", &extension("`W` (the nearest working day)")),
        ("0 0 * * 1#2", &extension("`#` (the n-th such day of a month)")),
        ("0 0 * * mon#2", &extension("`#` (the n-th such day of a month)")),
        ("H * * * *", &extension("`H`")),
        ("0 0 ? * *", &format!("`?` is an extension that crontab does not have: write `*`; {TAKES}")),
        (
            "0~30 * * * *",
            &format!(
                "`~` (a random value) is an extension that crontab does not have: a schedule has a jitter; {TAKES}"
            ),
        ),
        ("", &format!("it is empty, and {five}")),
        ("30s", &format!("it has 1 field, and {five}")),
        ("* * * *", &format!("it has 4 fields, and {five}")),
        ("*/10 * * * * *", &format!("it has 6 fields, and {five}; {more}")),
        ("0 0 12 * * ? 2027", &format!("it has 7 fields, and {five}; {more}")),
        ("é * * * *", &format!("`é` is no character of it: {TAKES}")),
        ("0 0\n* * *", &format!("`\\n` is no character of it: {TAKES}")),
        ("@reboot", "`@reboot` is no time; `tarefa trigger` runs a deployment by hand"),
        ("@dayly", "unknown nickname; did you mean `@daily`?"),
        (
            "@every 5m",
            "unknown nickname; there are `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`, `@midnight`, `@hourly`",
        ),
        ("0 0 30 2 *", "it never comes: none of its months has such a day"),
        ("0 0 31 2,4,6 *", "it never comes: none of its months has such a day"),
        ("0 0 31 4-6/2 */1", "it never comes: none of its months has such a day"),
    ]);
    let long = format!("{} * * * *", "1,".repeat(100));
    assert_eq!(
        Expression::parse(&long),
        Err(format!("invalid cron expression: it has 208 bytes; the most is {MAX_TEXT}"))
    );
}

#[test]
fn what_is_written_in_two_ways_is_the_same() {
    let same = [
        ("*/2 * * * *", "0-58/2 * * * *"),
        ("0 0 * * sun", "0 0 * * 7"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * fri-sun", "0 0 * * 5-7"),
        ("0 0 * * MON-fri", "0 0 * * 1-5"),
        ("0 0 * Jan,DEC *", "0 0 * 1,12 *"),
        ("0 0 1 1 *", "@yearly"),
        ("0 0 1 1 *", " @Annually "),
        ("0 0 1 * *", "@monthly"),
        ("0 0 * * 0", "@weekly"),
        ("0 0 * * *", "@daily"),
        ("0 0 * * *", "@midnight"),
        ("0 * * * *", "@hourly"),
        ("05 00 * * *", "5\t0  * * *"),
        ("0 0 1-31 * 1-7/2", "0 0 1-31 * 0,1,3,5"),
    ];
    let values = |text: &str| {
        let parsed = Expression::parse(text).expect(text);
        [parsed.minute, parsed.hour, parsed.day, parsed.month, parsed.weekday]
            .map(|field| field.values().collect::<Vec<_>>())
    };
    for (one, other) in same {
        assert_eq!(values(one), values(other), "{one} and {other}");
    }
}

#[test]
fn each_field_is_explained() {
    let meanings = |text: &str| {
        explain(text).expect(text).map(|field| format!("{} {}: {}", field.name, field.text, field.meaning))
    };
    assert_eq!(
        meanings("*/15 9-17 1,15 jan-mar mon-fri"),
        [
            "minute */15: every 15 minutes from 0 to 45",
            "hour 9-17: hours 9 to 17",
            "day of month 1,15: days 1 and 15",
            "month jan-mar: January to March",
            "day of week mon-fri: Monday to Friday",
        ]
    );
    assert_eq!(
        meanings("@weekly"),
        [
            "minute 0: minute 0",
            "hour 0: hour 0",
            "day of month *: every day of the month",
            "month *: every month",
            "day of week 0: Sunday"
        ]
    );
}

/// A valid field, with its values spelled out.
fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let item = (min..=max, min..=max, 1..=(max - min), 0..6_u8).prop_map(move |(a, b, step, kind)| {
        let (from, to) = (a.min(b), a.max(b));
        match kind {
            0 => "*".to_owned(),
            1 => format!("*/{step}"),
            2 => format!("{from}-{to}"),
            3 => format!("{from}-{to}/{step}"),
            _ => a.to_string(),
        }
    });
    prop_oneof![2 => Just("*".to_owned()), 3 => item.clone(), 1 => prop::collection::vec(item, 2..4).prop_map(|items| items.join(","))]
}

prop_compose! {
    fn expression()(a in field(0, 59), b in field(0, 23), c in field(1, 31), d in field(1, 12), e in field(0, 7)) -> String {
        format!("{a} {b} {c} {d} {e}")
    }
}

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/St_Johns",
];

/// Whether the clock shows a time that the expression names; read from its text alone.
fn matches(text: &str, at: jiff::civil::DateTime) -> bool {
    let fields: Vec<&str> = text.split(' ').collect();
    let has = |at: usize, value: i8| {
        let (min, max) = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)][at];
        fields[at].split(',').any(|item| {
            let (range, step) = item.split_once('/').unwrap_or((item, "1"));
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (from.parse().expect("a number"), to.parse().expect("a number")),
                None if range == "*" => (min, max),
                None => (range.parse().expect("a number"), range.parse().expect("a number")),
            };
            let step: i8 = step.parse().expect("a number");
            (from..=to).contains(&value) && (value - from) % step == 0
        })
    };
    let weekday = at.weekday().to_sunday_zero_offset();
    let (day, weekday) = (has(2, at.day()), has(4, weekday) || weekday == 0 && has(4, 7));
    let is_day = if fields[2].starts_with('*') || fields[4].starts_with('*') { day && weekday } else { day || weekday };
    has(0, at.minute()) && has(1, at.hour()) && is_day && has(3, at.month()) && at.second() == 0
}

/// All occurrences after `from` and up to `to`, minute by minute.
fn oracle(text: &str, zone: &jiff::tz::TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let minute = SignedDuration::from_mins(1);
    let names_times = !text.split(' ').take(2).any(|field| field.starts_with('*'));
    let mut all = Vec::new();
    if names_times {
        // Every time on the wall, from a day before to a day after, and the moment that stands for it.
        let day = SignedDuration::from_hours(25);
        let (mut wall, end) = (zone.to_datetime(from - day), zone.to_datetime(to + day));
        wall = wall.with().second(0).subsec_nanosecond(0).build().expect("a time");
        while wall <= end {
            if matches(text, wall) {
                let at = zone.to_ambiguous_timestamp(wall);
                all.push(match at.offset() {
                    jiff::tz::AmbiguousOffset::Gap { .. } => {
                        zone.following(at.earlier().expect("in range")).next().expect("the change").timestamp()
                    }
                    _ => at.earlier().expect("in range"),
                });
            }
            wall += minute;
        }
    } else {
        let mut at = Timestamp::from_second(from.as_second().div_euclid(60) * 60).expect("in range");
        while at <= to {
            if matches(text, zone.to_datetime(at)) {
                all.push(at);
            }
            at += minute;
        }
    }
    all.retain(|at| *at > from && *at <= to);
    all.dedup();
    all
}

/// Times near a change of the clock in some zone, and others.
fn moment() -> impl Strategy<Value = Timestamp> {
    let changes = [
        "2027-03-28T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2027-03-14T07:00:00Z",
        "2026-11-01T06:00:00Z",
        "2018-11-04T03:00:00Z",
        "2019-02-17T02:00:00Z",
        "2026-10-03T15:30:00Z",
        "2027-04-03T15:00:00Z",
        "2011-12-30T10:00:00Z",
        "2027-02-07T02:00:00Z",
        "2027-03-14T02:00:00Z",
        "2028-02-29T00:00:00Z",
    ];
    let near = (0..changes.len(), -200_000..200_000_i64).prop_map(move |(at, seconds)| {
        changes[at].parse::<Timestamp>().expect("a time") + SignedDuration::from_secs(seconds)
    });
    let any = (0..4_000_000_000_i64).prop_map(|at| Timestamp::from_second(at).expect("in range"));
    prop_oneof![3 => near, 1 => any]
}

proptest! {
    #[test]
    fn any_text_is_a_rule_or_an_error(text in prop_oneof!["\\PC{0,40}", "[0-9*/,\\- @a-zLW#?]{0,40}", expression()], zone in "\\PC{0,20}") {
        let schedule = cron(&text, "UTC");
        match schedule.rule() {
            Ok(rule) => prop_assert!(rule.next(CREATED, CREATED).is_some()),
            Err(error) => prop_assert!(error.starts_with("invalid cron expression") && !error.ends_with('.')),
        }
        prop_assert!(!schedule.describe().is_empty() && !schedule.describe_in(&PORTUGUESE).is_empty());
        prop_assert_eq!(explain(&text).is_ok(), schedule.check().is_ok());
        let _ = super::Schedule { at: Some(text), timezone: zone, ..super::Schedule::default() }.check();
    }

    #[test]
    fn an_expression_comes_when_the_clock_shows_it(text in expression(), zone in 0..ZONES.len(), from in moment()) {
        let Ok(rule) = cron(&text, ZONES[zone]).rule() else { return Ok(()) };
        let to = from + SignedDuration::from_hours(36);
        let zone = jiff::tz::TimeZone::get(ZONES[zone]).expect("a zone");
        let expected = oracle(&text, &zone, from, to);
        let found: Vec<_> = rule.upcoming(from, CREATED).take_while(|at| *at <= to).collect();
        prop_assert_eq!(&found, &expected);
        let last = rule.previous(to, CREATED).filter(|at| *at > from);
        prop_assert_eq!(last, expected.last().copied());
        prop_assert_eq!(rule.count(from, to, CREATED, 10), 10.min(expected.len() as u64));
    }

    #[test]
    fn next_and_previous_are_each_others_inverse(text in expression(), zone in 0..ZONES.len(), from in moment()) {
        let Ok(rule) = cron(&text, ZONES[zone]).rule() else { return Ok(()) };
        let next = rule.next(from, CREATED).expect("it comes");
        prop_assert!(next > from);
        prop_assert_eq!(rule.previous(next, CREATED), Some(next));
        let before = rule.previous(next - super::INSTANT, CREATED);
        prop_assert!(before.is_none_or(|before| before <= from && rule.next(before, CREATED) == Some(next)));
    }

    #[test]
    fn an_interval_comes_in_even_steps(ms in 1000..100_000_000_000_u64, from in moment(), anchored: bool) {
        let anchor = anchored.then_some(CREATED);
        let rule = super::Schedule { anchor, ..super::every(ms) }.rule().expect("valid");
        let next = rule.next(from, CREATED).expect("it comes");
        prop_assert!(next > from && (!anchored || next.duration_since(from).as_millis() <= i128::from(ms)));
        prop_assert_eq!(rule.previous(next, CREATED), Some(next));
        let twice = rule.next(next, CREATED).expect("it comes");
        prop_assert_eq!(twice.duration_since(next).as_millis(), i128::from(ms));
        prop_assert_eq!(rule.count(from, twice, CREATED, 0), 2);
    }
}
