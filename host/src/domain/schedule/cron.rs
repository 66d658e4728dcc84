//! Cron expressions: five fields with the meaning of crontab(5), and what a sender wrote instead, by its name.

use super::super::nearest::nearest;

/// The longest expression, in bytes: all 60 minutes written out are 169.
pub const MAX_TEXT: usize = 200;

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const FIELD_TAKES: &str = "a field takes numbers, `*`, ranges `1-5`, lists `1,15` and steps `*/10`";
/// The days of the longest month of that number, in a leap year.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// One of the five places of an expression.
pub(super) struct Place {
    pub(super) name: &'static str,
    min: u32,
    /// 7 for the day of the week, where it is Sunday.
    max: u32,
    /// Of `min` and those after it.
    names: &'static [&'static str],
}

pub(super) const PLACES: [Place; 5] = [
    Place { name: "minute", min: 0, max: 59, names: &[] },
    Place { name: "hour", min: 0, max: 23, names: &[] },
    Place { name: "day of month", min: 1, max: 31, names: &[] },
    Place { name: "month", min: 1, max: 12, names: &MONTHS },
    Place { name: "day of week", min: 0, max: 7, names: &WEEKDAYS },
];

/// The values that a field lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    set: u64,
    /// Whether it begins with `*`, which crontab asks in two places.
    pub star: bool,
}

impl Field {
    pub fn contains(self, value: u32) -> bool {
        value < 64 && self.set >> value & 1 == 1
    }

    pub fn values(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |value| self.contains(*value))
    }
}

/// A cron expression that was read. Sunday is 0 alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expression {
    pub minute: Field,
    pub hour: Field,
    pub day: Field,
    pub month: Field,
    pub weekday: Field,
}

impl Expression {
    /// # Errors
    ///
    /// Says which field is wrong, its value and what is allowed.
    pub fn parse(text: &str) -> Result<Expression, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("invalid cron expression: it has {} bytes; the most is {MAX_TEXT}", text.len()));
        }
        let invalid = |why: String| format!("invalid cron expression `{}`: {why}", text.escape_debug());
        let [minute, hour, day, month, weekday] = fields(text).map_err(invalid)?;
        let read = |at: usize, field: &str| PLACES[at].read(field).map_err(invalid);
        let (minute, hour, day, month) = (read(0, minute)?, read(1, hour)?, read(2, day)?, read(3, month)?);
        let mut weekday = read(4, weekday)?;
        weekday.set = (weekday.set | weekday.set >> 7) & 0x7f;
        let expression = Expression { minute, hour, day, month, weekday };
        if !expression.comes() {
            return Err(invalid("it never comes: none of its months has such a day".to_owned()));
        }
        Ok(expression)
    }

    /// Whether a day is meant that matches either of its two fields: both are restricted. Else it matches both.
    pub fn either_day(&self) -> bool {
        !self.day.star && !self.weekday.star
    }

    /// Whether it names times of the day, rather than what recurs through the hours or within them.
    pub fn names_times(&self) -> bool {
        !self.minute.star && !self.hour.star
    }

    /// Every day of a month falls on each day of the week sooner or later, so those do not matter.
    fn comes(&self) -> bool {
        let has_day = |month: u32| self.day.values().any(|day| day <= LENGTHS[month as usize - 1]);
        self.either_day() || self.month.values().any(has_day)
    }
}

/// The fields' texts; those that a nickname stands for.
pub(super) fn fields(text: &str) -> Result<[&str; 5], String> {
    if let Some(other) = text.chars().find(|c| !matches!(c, ' '..='~' | '\t')) {
        return Err(format!("`{}` is no character of it: {FIELD_TAKES}", other.escape_debug()));
    }
    let text = text.trim();
    let text = if text.starts_with('@') { nickname(text)? } else { text };
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let has = match fields.len() {
        0 => "it is empty".to_owned(),
        1 => "it has 1 field".to_owned(),
        n => format!("it has {n} fields"),
    };
    let more = match fields.len() {
        6.. => "; seconds and years are no part of it, and what comes more often than each minute is an interval",
        _ => "",
    };
    let five = "minute, hour, day of month, month, day of week";
    fields.try_into().map_err(|_| format!("{has}, and five fields are needed: {five}{more}"))
}

fn nickname(text: &str) -> Result<&'static str, String> {
    let name = text.to_ascii_lowercase();
    if name == "@reboot" {
        return Err("`@reboot` is no time; `tarefa trigger` runs a deployment by hand".to_owned());
    }
    let names = || NICKNAMES.iter().map(|(name, _)| *name);
    NICKNAMES.iter().find(|(known, _)| *known == name).map(|(_, fields)| *fields).ok_or_else(|| {
        match nearest(&name, names()) {
            Some(near) => format!("unknown nickname; did you mean `{near}`?"),
            None => format!(
                "unknown nickname; there are {}",
                names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        }
    })
}

impl Place {
    fn read(&self, text: &str) -> Result<Field, String> {
        let mut set = 0;
        for item in text.split(',') {
            set |= self.item(item, text)?;
        }
        Ok(Field { set, star: text.starts_with('*') })
    }

    /// The bits of one item of the list `field`.
    fn item(&self, item: &str, field: &str) -> Result<u64, String> {
        if item.is_empty() {
            return Err(format!("the {} `{field}` has an empty item", self.name));
        }
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((from, to)) => self.range(from, to, range)?,
            None => {
                let value = self.value(range)?;
                if let Some(step) = step {
                    let write = format!("write `{range}-{}/{step}`", self.max);
                    return Err(format!("the {} `{item}` has a step without a range: {write}", self.name));
                }
                (value, value)
            }
        };
        let step = step.map_or(Ok(1), |step| self.step(step))?;
        Ok((from..=to).step_by(step).fold(0, |set, value| set | 1 << value))
    }

    fn range(&self, from: &str, to: &str, range: &str) -> Result<(u32, u32), String> {
        let (first, mut last) = (self.value(from)?, self.value(to)?);
        // Sunday ends a week as well as it begins one.
        if last == 0 && first > 0 && to.eq_ignore_ascii_case("sun") {
            last = 7;
        }
        if first <= last {
            return Ok((first, last));
        }
        // 7 is the day of the week that is 0 already.
        let end = if self.max == 7 { 6 } else { self.max };
        let write = match (first, last) {
            (_, 0) if self.max == 7 => format!("{from}-7"),
            (7, _) if self.max == 7 => format!("0-{to}"),
            _ => format!("{first}-{end},{}-{last}", self.min),
        };
        Err(format!("the {} range `{range}` goes backward: write `{write}`", self.name))
    }

    fn step(&self, text: &str) -> Result<usize, String> {
        let most = self.max - self.min;
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(step) if digits && (1..=most).contains(&step) => Ok(step as usize),
            _ if digits => Err(format!("{} step {text} is out of range 1..{most}", self.name)),
            _ => Err(format!("the {} step `{text}` is no number", self.name)),
        }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let range = self.min..=self.max;
            return text
                .parse()
                .ok()
                .filter(|value| range.contains(value))
                .ok_or_else(|| format!("{} {text} is out of range {}..{}", self.name, self.min, self.max));
        }
        let name = text.to_ascii_lowercase();
        if let Some(at) = self.names.iter().position(|known| *known == name) {
            return Ok(self.min + at as u32);
        }
        Err(self.no_value(text, &name))
    }

    /// Says what it is that is no value: an extension, nothing, or a name that is not known here.
    fn no_value(&self, text: &str, name: &str) -> String {
        if text.is_empty() {
            return format!("a value is missing in the {}: {FIELD_TAKES}", self.name);
        }
        let extension = [
            ('?', "`?` is an extension that crontab does not have: write `*`"),
            ('#', "`#` (the n-th such day of a month) is an extension that crontab does not have"),
            ('~', "`~` (a random value) is an extension that crontab does not have: a schedule has a jitter"),
            ('+', "`+` is an extension that crontab does not have"),
            ('%', "`%` is no part of a cron expression"),
        ];
        if let Some((_, what)) = extension.iter().find(|(c, _)| text.contains(*c)) {
            return format!("{what}; {FIELD_TAKES}");
        }
        let begins = self.names.iter().find(|known| name.starts_with(**known)).copied();
        if let Some(near) = begins.or_else(|| nearest(name, self.names.iter().copied())) {
            return format!("unknown {} `{text}`; did you mean `{near}`?", self.name);
        }
        let is_name = |names: &[&str]| names.contains(&name);
        if is_name(&MONTHS) || is_name(&WEEKDAYS) {
            return format!(
                "`{text}` is no {}: the fields are minute, hour, day of month, month, day of week",
                self.name
            );
        }
        // `L`, `15W`, `5L` and `LW`; Jenkins writes `H`.
        let letters = name.trim_start_matches(|c: char| c.is_ascii_digit());
        match letters {
            "l" => {
                format!("`L` (the last such day of a month) is an extension that crontab does not have; {FIELD_TAKES}")
            }
            "w" | "lw" => {
                format!("`W` (the nearest working day) is an extension that crontab does not have; {FIELD_TAKES}")
            }
            "h" => format!("`H` is an extension that crontab does not have; {FIELD_TAKES}"),
            _ => format!("`{text}` is no {}: {FIELD_TAKES}{}", self.name, self.named()),
        }
    }

    fn named(&self) -> String {
        let (Some(first), Some(last)) = (self.names.first(), self.names.last()) else { return String::new() };
        format!(", and names from `{first}` to `{last}`")
    }
}
