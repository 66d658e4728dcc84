//! What comes when where the clocks are changed.

use super::{cron, shown};

/// The occurrences of an expression in a zone from one time to another.
#[track_caller]
fn comes(expression: &str, zone: &str, from: &str, to: &str, expected: &[&str]) {
    assert_eq!(shown(&cron(expression, zone), from, to), expected, "`{expression}` in {zone}");
}

#[test]
fn a_time_that_the_clock_skips_comes_at_the_change() {
    // 02:00 is 03:00.
    let comes = |expression, expected: &[&str]| {
        comes(expression, "Europe/Berlin", "2027-03-27T23:00:00Z", "2027-03-28T03:00:00Z", expected);
    };
    comes("30 2 * * *", &["03-28 03:00+02"]);
    comes("0 2 * * *", &["03-28 03:00+02"]);
    comes("0,30 2 * * *", &["03-28 03:00+02"]);
    comes("0 2,3 * * *", &["03-28 03:00+02"]);
    comes("30 1,2,3 * * *", &["03-28 01:30+01", "03-28 03:00+02", "03-28 03:30+02"]);
    comes("0 0 * * *", &[]);
    comes("30 2 28 3 *", &["03-28 03:00+02"]);
    comes("30 2 * * 1", &[]);
}

#[test]
fn what_follows_the_clock_leaves_out_what_is_skipped() {
    let comes = |expression, expected: &[&str]| {
        comes(expression, "Europe/Berlin", "2027-03-28T00:00:00Z", "2027-03-28T02:00:00Z", expected);
    };
    comes("0 * * * *", &["03-28 03:00+02", "03-28 04:00+02"]);
    comes("*/30 * * * *", &["03-28 01:30+01", "03-28 03:00+02", "03-28 03:30+02", "03-28 04:00+02"]);
    comes("*/30 2 * * *", &[]);
    comes("0 */2 * * *", &["03-28 04:00+02"]);
}

#[test]
fn of_a_time_that_the_clock_shows_twice_the_first_counts() {
    // 03:00 is 02:00.
    let comes = |expression, expected: &[&str]| {
        comes(expression, "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z", expected);
    };
    comes("30 2 * * *", &["10-25 02:30+02"]);
    comes("0 2,3 * * *", &["10-25 02:00+02", "10-25 03:00+01"]);
    comes(
        "0-59/30 1-3 * * *",
        &["10-25 01:00+02", "10-25 01:30+02", "10-25 02:00+02", "10-25 02:30+02", "10-25 03:00+01", "10-25 03:30+01"],
    );
}

#[test]
fn what_follows_the_clock_comes_both_times() {
    let comes = |expression, expected: &[&str]| {
        comes(expression, "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T02:00:00Z", expected);
    };
    comes("0 * * * *", &["10-25 02:00+02", "10-25 02:00+01", "10-25 03:00+01"]);
    comes("*/30 * * * *", &["10-25 02:00+02", "10-25 02:30+02", "10-25 02:00+01", "10-25 02:30+01", "10-25 03:00+01"]);
    comes("*/30 2 * * *", &["10-25 02:00+02", "10-25 02:30+02", "10-25 02:00+01", "10-25 02:30+01"]);
}

#[test]
fn new_york_changes_at_two_in_the_morning() {
    let zone = "America/New_York";
    comes("30 2 * * *", zone, "2027-03-13T12:00:00Z", "2027-03-15T12:00:00Z", &["03-14 03:00-04", "03-15 02:30-04"]);
    comes("30 1 * * *", zone, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z", &["11-01 01:30-04", "11-02 01:30-05"]);
    comes(
        "0 */1 * * *",
        zone,
        "2026-11-01T04:00:00Z",
        "2026-11-01T07:00:00Z",
        &["11-01 01:00-04", "11-01 01:00-05", "11-01 02:00-05"],
    );
    comes(
        "0 * * * *",
        zone,
        "2027-03-14T05:00:00Z",
        "2027-03-14T08:00:00Z",
        &["03-14 01:00-05", "03-14 03:00-04", "03-14 04:00-04"],
    );
}

#[test]
fn sao_paulo_changed_at_midnight() {
    let zone = "America/Sao_Paulo";
    // On 4 November 2018 the day began at 01:00; on 17 February 2019 23:00 to 24:00 was shown twice.
    comes("0 0 * * *", zone, "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z", &["11-04 01:00-02", "11-05 00:00-02"]);
    comes(
        "*/30 * * * *",
        zone,
        "2018-11-04T02:00:00Z",
        "2018-11-04T03:30:00Z",
        &["11-03 23:30-03", "11-04 01:00-02", "11-04 01:30-02"],
    );
    comes("30 23 * * *", zone, "2019-02-16T12:00:00Z", "2019-02-18T12:00:00Z", &["02-16 23:30-02", "02-17 23:30-03"]);
    comes("0 0 * * *", zone, "2019-02-16T12:00:00Z", "2019-02-18T12:00:00Z", &["02-17 00:00-03", "02-18 00:00-03"]);
    comes(
        "0 * * * *",
        zone,
        "2019-02-17T00:30:00Z",
        "2019-02-17T03:00:00Z",
        &["02-16 23:00-02", "02-16 23:00-03", "02-17 00:00-03"],
    );
    comes("0 0 * * *", zone, "2026-11-01T00:00:00Z", "2026-11-02T12:00:00Z", &["11-01 00:00-03", "11-02 00:00-03"]);
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    let zone = "Australia/Lord_Howe";
    // 02:00 is 02:30 on 4 October 2026, and 02:00 is 01:30 on 4 April 2027.
    comes("15 2 * * *", zone, "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z", &["10-04 02:30+11", "10-05 02:15+11"]);
    comes("*/15 2 * * *", zone, "2026-10-03T10:00:00Z", "2026-10-04T10:00:00Z", &["10-04 02:30+11", "10-04 02:45+11"]);
    comes("45 1 * * *", zone, "2027-04-03T00:00:00Z", "2027-04-05T00:00:00Z", &["04-04 01:45+11", "04-05 01:45+10:30"]);
    comes(
        "*/15 1 * * *",
        zone,
        "2027-04-03T10:00:00Z",
        "2027-04-04T10:00:00Z",
        &[
            "04-04 01:00+11",
            "04-04 01:15+11",
            "04-04 01:30+11",
            "04-04 01:45+11",
            "04-04 01:30+10:30",
            "04-04 01:45+10:30",
        ],
    );
    comes(
        "0 * * * *",
        zone,
        "2027-04-03T14:30:00Z",
        "2027-04-03T17:00:00Z",
        &["04-04 02:00+10:30", "04-04 03:00+10:30"],
    );
}

#[test]
fn kolkata_does_not_change_and_is_half_an_hour_off() {
    comes(
        "0 9 * * *",
        "Asia/Kolkata",
        "2027-03-27T00:00:00Z",
        "2027-03-29T00:00:00Z",
        &["03-27 09:00+05:30", "03-28 09:00+05:30"],
    );
}

#[test]
fn apia_left_out_a_whole_day() {
    let zone = "Pacific/Apia";
    // After 29 December 2011 came the 31st. What was due on the 30th comes when the 31st begins.
    comes(
        "30 12 * * *",
        zone,
        "2011-12-29T00:00:00Z",
        "2012-01-01T00:00:00Z",
        &["12-29 12:30-10", "12-31 00:00+14", "12-31 12:30+14", "01-01 12:30+14"],
    );
    comes("30 12 30 12 *", zone, "2011-01-01T00:00:00Z", "2013-01-01T00:00:00Z", &["12-31 00:00+14", "12-30 12:30+14"]);
    comes(
        "0 */6 * * *",
        zone,
        "2011-12-30T00:00:00Z",
        "2011-12-31T00:00:00Z",
        &["12-29 18:00-10", "12-31 00:00+14", "12-31 06:00+14", "12-31 12:00+14"],
    );
}

#[test]
fn casablanca_sets_its_clock_back_for_ramadan() {
    let zone = "Africa/Casablanca";
    // 03:00 is 02:00 on 7 February 2027, and 02:00 is 03:00 on 14 March.
    comes("30 2 * * *", zone, "2027-02-06T12:00:00Z", "2027-02-08T12:00:00Z", &["02-07 02:30+01", "02-08 02:30+00"]);
    comes("30 2 * * *", zone, "2027-03-13T12:00:00Z", "2027-03-15T12:00:00Z", &["03-14 03:00+01", "03-15 02:30+01"]);
}

#[test]
fn a_search_may_begin_within_what_is_shown_twice() {
    let next = |expression: &str, from: &str| {
        let rule = cron(expression, "Europe/Berlin").rule().expect("valid");
        let (next, last) =
            (rule.next(super::time(from), super::CREATED), rule.previous(super::time(from), super::CREATED));
        (next.expect("more").to_string(), last.expect("earlier").to_string())
    };
    // 00:30Z and 01:30Z are both shown as 02:30.
    let pair = |next: &str, last: &str| (next.to_owned(), last.to_owned());
    assert_eq!(next("*/30 * * * *", "2026-10-25T00:45:00Z"), pair("2026-10-25T01:00:00Z", "2026-10-25T00:30:00Z"));
    assert_eq!(next("15 */1 * * *", "2026-10-25T00:45:00Z"), pair("2026-10-25T01:15:00Z", "2026-10-25T00:15:00Z"));
    assert_eq!(next("50 2 * * *", "2026-10-25T01:45:00Z"), pair("2026-10-26T01:50:00Z", "2026-10-25T00:50:00Z"));
    assert_eq!(next("15 2 * * *", "2026-10-25T00:45:00Z"), pair("2026-10-26T01:15:00Z", "2026-10-25T00:15:00Z"));
    assert_eq!(next("15,50 2 * * *", "2026-10-25T01:05:00.5Z"), pair("2026-10-26T01:15:00Z", "2026-10-25T00:50:00Z"));
}
