//! Schedules in words: one line that says when, in the words of a language.

use jiff::Timestamp;

use super::cron::{Expression, Field, PLACES, fields};
use super::{Schedule, times};

mod languages;

pub use languages::{ENGLISH, Language, PORTUGUESE};

/// More times of a day than these are not listed where there is a shorter word for them.
const MAX_LISTED: usize = 4;

/// A field of a cron expression, as it is written and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub name: &'static str,
    pub text: String,
    pub meaning: String,
}

/// Each field of a cron expression.
///
/// # Errors
///
/// As [`Expression::parse`].
pub fn explain(text: &str) -> Result<[Explained; 5], String> {
    let expression = Expression::parse(text)?;
    let texts = fields(text)?;
    let words = &ENGLISH;
    Ok(std::array::from_fn(|at| {
        let meaning = match at {
            0 => words.field(0, &Shape::of(expression.minute, 0, 59)),
            1 => words.field(1, &Shape::of(expression.hour, 0, 23)),
            2 => words.field(2, &days(&expression)),
            3 => match months(&expression) {
                Shape::All => words.every_month.to_owned(),
                shape => words.list(&shape.values(), |month| words.months[month as usize - 1].to_owned()),
            },
            _ => match weekdays(&expression) {
                Shape::All => words.every_weekday.to_owned(),
                shape => words.list(&shape.values(), |day| words.weekdays[day as usize - 1].to_owned()),
            },
        };
        Explained { name: PLACES[at].name, text: texts[at].to_owned(), meaning }
    }))
}

impl Schedule {
    /// What it says, in one line of English with its zone.
    pub fn describe(&self) -> String {
        self.describe_in(&ENGLISH)
    }

    /// What it says, in one line with its zone. One that is not valid is shown as it is written.
    pub fn describe_in(&self, words: &Language) -> String {
        self.when(words).unwrap_or_else(|_| self.to_string())
    }

    fn when(&self, words: &Language) -> Result<String, String> {
        let zone = times::zone(&self.timezone)?;
        let date = |at: Timestamp| words.date(at, &zone);
        let mut text = match (&self.cron, self.interval_ms, &self.at) {
            (Some(cron), ..) => cron_in_words(&Expression::parse(cron)?, words),
            (_, Some(ms), _) => words.interval(ms),
            (.., Some(at)) => words.fill(words.once, &[&date(times::point(at, &zone, &self.timezone)?)]),
            _ => return Err("no time".to_owned()),
        };
        for (time, template) in [(self.anchor, words.counted), (self.start, words.start), (self.end, words.end)] {
            if let Some(time) = time {
                text += &words.fill(template, &[&date(time)]);
            }
        }
        if self.jitter_ms > 0 {
            text += &words.fill(words.put_off, &[&words.duration(self.jitter_ms)]);
        }
        Ok(format!("{text} ({})", self.timezone))
    }
}

/// How the values of a field lie.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    All,
    One(u32),
    Range(u32, u32),
    /// At least three, each so far from the one before: step, first, last.
    Step(u32, u32, u32),
    List(Vec<u32>),
}

impl Shape {
    fn of(field: Field, min: u32, max: u32) -> Shape {
        Shape::of_values(field.values().collect(), min, max)
    }

    fn of_values(values: Vec<u32>, min: u32, max: u32) -> Shape {
        let (first, last) = (values[0], values[values.len() - 1]);
        let step = values.get(1).map_or(0, |second| second - first);
        let even = values.len() > 2 && values.windows(2).all(|pair| pair[1] - pair[0] == step);
        match values.len() {
            _ if (first, last) == (min, max) && even && step == 1 => Shape::All,
            1 => Shape::One(first),
            _ if even && step == 1 => Shape::Range(first, last),
            _ if even => Shape::Step(step, first, last),
            _ => Shape::List(values),
        }
    }

    fn values(&self) -> Vec<u32> {
        match self {
            Shape::All => Vec::new(),
            Shape::One(value) => vec![*value],
            Shape::Range(from, to) => (*from..=*to).collect(),
            Shape::Step(step, from, to) => (*from..=*to).step_by(*step as usize).collect(),
            Shape::List(values) => values.clone(),
        }
    }

    /// The step from each to the next all around: of minutes through the hour, of hours through the day.
    fn around(&self, length: u32) -> Option<(u32, u32)> {
        match *self {
            Shape::All => Some((1, 0)),
            Shape::Step(step, first, last) if last + step == length + first => Some((step, first)),
            _ => None,
        }
    }
}

fn days(expression: &Expression) -> Shape {
    Shape::of(expression.day, 1, 31)
}

fn months(expression: &Expression) -> Shape {
    Shape::of(expression.month, 1, 12)
}

/// From Monday, 1, to Sunday, 7.
fn weekdays(expression: &Expression) -> Shape {
    let mut days: Vec<u32> = expression.weekday.values().map(|day| if day == 0 { 7 } else { day }).collect();
    days.sort_unstable();
    Shape::of_values(days, 1, 7)
}

fn cron_in_words(expression: &Expression, words: &Language) -> String {
    let (times, lists_times) = times_of_day(expression, words);
    times + &dates(expression, lists_times, words)
}

/// When within a day, and whether that is a list of its times.
fn times_of_day(expression: &Expression, words: &Language) -> (String, bool) {
    let (minutes, hours) = (Shape::of(expression.minute, 0, 59), Shape::of(expression.hour, 0, 23));
    let all: Vec<String> = expression
        .hour
        .values()
        .flat_map(|hour| expression.minute.values().map(move |minute| format!("{hour:02}:{minute:02}")))
        .take(25)
        .collect();
    let at_times = || (words.fill(words.at_times, &[&words.join(&all, words.and)]), true);
    if let Shape::One(minute) = minutes {
        return match (&hours, hours.around(24)) {
            (_, Some((step, 0))) => {
                let every = words.every(step, words.hour);
                (if minute == 0 { every } else { words.fill(words.at_minute, &[&every, &minute.to_string()]) }, false)
            }
            (Shape::Range(..) | Shape::Step(..), _) if all.len() > MAX_LISTED => {
                let step = if let Shape::Step(step, ..) = hours { step } else { 1 };
                let (first, last) = (&all[0], &all[all.len() - 1]);
                (words.fill(words.from_to, &[&words.every(step, words.hour), first, last]), false)
            }
            _ => at_times(),
        };
    }
    if all.len() <= MAX_LISTED {
        return at_times();
    }
    (many_times(expression, &minutes, &hours, words), false)
}

/// Several minutes of an hour, in one hour or more.
fn many_times(expression: &Expression, minutes: &Shape, hours: &Shape, words: &Language) -> String {
    let time = |hour: Option<u32>, minute: Option<u32>| format!("{:02}:{:02}", hour.unwrap_or(0), minute.unwrap_or(0));
    let span = || {
        let first = time(expression.hour.values().next(), expression.minute.values().next());
        (first, time(expression.hour.values().last(), expression.minute.values().last()))
    };
    let numbers = |shape: &Shape| words.list(&shape.values(), |value| value.to_string());
    // What goes on in the same steps from hour to hour, or lies within one hour, has a first and a last time.
    let steps = match (minutes, hours) {
        (Shape::Range(..), Shape::One(_)) => Some((1, None)),
        (Shape::Step(step, ..), Shape::One(_)) => Some((*step, None)),
        _ => minutes.around(60).map(|(step, first)| (step, Some(first))),
    };
    let Some((step, first)) = steps else {
        let minutes = words.fill(words.minutes, &[&numbers(minutes)]);
        return match hours {
            Shape::All => words.fill(words.of_every_hour, &[&minutes]),
            _ => words.fill(words.of_hours, &[&minutes, &numbers(hours)]),
        };
    };
    let every = words.every(step, words.minute);
    match hours {
        Shape::All if first == Some(0) => every,
        Shape::All => words.fill(words.starting_at_minute, &[&every, &first.unwrap_or(0).to_string()]),
        Shape::One(_) | Shape::Range(..) => words.fill(words.from_to, &[&every, &span().0, &span().1]),
        _ if first == Some(0) => words.fill(words.of_hours, &[&every, &numbers(hours)]),
        _ => {
            let every = words.fill(words.starting_at_minute, &[&every, &first.unwrap_or(0).to_string()]);
            words.fill(words.of_hours, &[&every, &numbers(hours)])
        }
    }
}

/// On which days, with what stands between them and the times.
fn dates(expression: &Expression, lists_times: bool, words: &Language) -> String {
    let (days, months, weekdays) = (days(expression), months(expression), weekdays(expression));
    let month = |month: u32| words.months[month as usize - 1].to_owned();
    let month_list = words.list(&months.values(), month);
    let either = expression.either_day();
    let in_months = |template: &str| match months {
        Shape::All => String::new(),
        Shape::Range(from, to) => words.fill(words.from_months, &[&month(from), &month(to)]),
        _ => words.fill(template, &[&month_list]),
    };
    let day_list = |one: &str, many: &str, step: &str| match &days {
        Shape::Step(n, from, to) => words.fill(step, &[&n.to_string(), &from.to_string(), &to.to_string()]),
        Shape::One(day) => words.fill(one, &[&day.to_string()]),
        shape => words.fill(many, &[&words.list(&shape.values(), |day| day.to_string())]),
    };
    match (&days, &weekdays) {
        (Shape::All, Shape::All) => {}
        // Either field is enough, and one takes every day.
        (Shape::All, _) | (_, Shape::All) if either => {}
        (Shape::All, weekdays) => return words.on_weekdays(weekdays) + &in_months(words.comma_in_months),
        (_, Shape::All) => {
            let of = match months {
                Shape::All | Shape::Range(..) => words.of_every_month.to_owned() + &in_months(""),
                _ => words.fill(words.of_months, &[&month_list]),
            };
            return match (&months, &days) {
                (Shape::One(_), Shape::One(_) | Shape::List(_)) => {
                    let days = words.list(&days.values(), |day| day.to_string());
                    words.fill(words.on_date, &[&days, &month_list])
                }
                _ => day_list(words.on_day, words.on_days, words.on_step) + &of,
            };
        }
        (_, weekdays) => {
            let day = day_list(words.on_day, words.on_days, words.on_step) + words.of_the_month;
            let more = match either {
                true => words.fill(words.and_also, &[words.on_weekdays(weekdays).trim_start_matches(',').trim_start()]),
                false => {
                    let names: Vec<String> =
                        weekdays.values().iter().map(|day| words.weekdays[*day as usize - 1].to_owned()).collect();
                    words.fill(words.where_it_is, &[&words.join(&names, words.or)])
                }
            };
            return day + &more + &in_months(words.comma_in_months);
        }
    }
    let every_day = if lists_times { words.every_day } else { "" };
    format!("{every_day}{}", in_months(words.in_months))
}
