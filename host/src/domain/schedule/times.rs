//! Zones and points in time, as people write them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::super::nearest::nearest;

/// The longest name of a zone and the longest time, in bytes; the longest of all zones has 32.
const MAX_ZONE: usize = 64;
const MAX_TIME: usize = 64;
/// Within what every date of ours can be counted in, with room for a zone's offset.
const FIRST_YEAR: i16 = 1970;
const LAST_YEAR: i16 = 9998;

/// # Errors
///
/// Names the nearest zone.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if name.len() > MAX_ZONE {
        return Err(format!("the time zone has {} bytes; the most is {MAX_ZONE}", name.len()));
    }
    if let Ok(zone) = TimeZone::get(name)
        && !zone.is_unknown()
    {
        return Ok(zone);
    }
    let hint = match near_zone(name) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => ": give an IANA name such as `America/Sao_Paulo`, or `UTC`".to_owned(),
    };
    Err(format!("unknown time zone `{}`{hint}", name.escape_debug()))
}

/// A zone's city says it as well as its name does.
fn near_zone(name: &str) -> Option<String> {
    let wanted = name.trim().replace(' ', "_").to_lowercase();
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
    let lower: Vec<String> = known.iter().map(|name| name.to_lowercase()).collect();
    let city = |name: &&String| name.rsplit('/').next() == Some(wanted.as_str());
    let near = match lower.iter().find(city) {
        Some(found) => found.as_str(),
        None => nearest(&wanted, lower.iter().map(String::as_str))?,
    };
    known.into_iter().find(|name| name.eq_ignore_ascii_case(near))
}

/// A point in time: RFC 3339, or what the clock of `zone` shows.
///
/// # Errors
///
/// Says what is wrong with it; a time that the clock skips, or shows twice, is refused.
pub(super) fn point(text: &str, zone: &TimeZone, zone_name: &str) -> Result<Timestamp, String> {
    let wrong = || {
        let text = text.get(..MAX_TIME).unwrap_or(text).escape_debug();
        format!(
            "invalid time `{text}`: write it as `2027-01-31T09:00:00Z`, or as `2027-01-31 09:00` for a time of the schedule's zone"
        )
    };
    let plain = |c: u8| c.is_ascii_digit() || b"-:.+TtZz ".contains(&c);
    if text.len() > MAX_TIME || !text.bytes().all(plain) || !text.contains(':') {
        return Err(wrong());
    }
    let has_offset = text.contains(['Z', 'z', '+']) || text.get(10..).is_some_and(|time| time.contains('-'));
    let at = if has_offset {
        text.parse().map_err(|_| wrong())?
    } else {
        local(text.parse().map_err(|_| wrong())?, zone, zone_name)?
    };
    check_year("at", text, at)?;
    Ok(whole(at))
}

fn local(time: DateTime, zone: &TimeZone, zone_name: &str) -> Result<Timestamp, String> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let with = |offset: Offset| format!("`{}{}`", time.strftime("%Y-%m-%dT%H:%M:%S"), offset_text(offset));
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {}
        AmbiguousOffset::Gap { after, .. } => {
            let shown = ambiguous.compatible().map_or(time, |at| after.to_datetime(at));
            return Err(format!("`at` is {time}, which the clock of `{zone_name}` skips: it shows `{shown}` then"));
        }
        AmbiguousOffset::Fold { before, after } => {
            return Err(format!(
                "`at` is {time}, which the clock of `{zone_name}` shows twice: write {} or {}",
                with(before),
                with(after)
            ));
        }
    }
    ambiguous.compatible().map_err(|_| format!("`at` is {time}; its year is between {FIRST_YEAR} and {LAST_YEAR}"))
}

fn offset_text(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    format!("{}{:02}:{:02}", if minutes < 0 { '-' } else { '+' }, minutes.abs() / 60, minutes.abs() % 60)
}

/// # Errors
///
/// Names the field and the years.
pub(super) fn check_year(name: &str, text: &str, at: Timestamp) -> Result<(), String> {
    match at.to_zoned(TimeZone::UTC).year() {
        FIRST_YEAR..=LAST_YEAR => Ok(()),
        _ => Err(format!("`{name}` is {text}; its year is between {FIRST_YEAR} and {LAST_YEAR}")),
    }
}

/// Without what is less than a microsecond, as times are stored.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
