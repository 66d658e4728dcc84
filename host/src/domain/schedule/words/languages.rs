//! The words of each language. `{}` is replaced by what the sentence is about, in its order.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Shape;

/// A unit of time: one, several.
pub(super) type Unit = (&'static str, &'static str);

/// What a language calls things.
pub struct Language {
    pub(super) and: &'static str,
    pub(super) or: &'static str,
    /// Three values or more that follow each other.
    to: &'static str,
    every_one: &'static str,
    every_many: &'static str,
    decimal_point: &'static str,
    millisecond: Unit,
    second: Unit,
    pub(super) minute: Unit,
    pub(super) hour: Unit,
    day: Unit,
    pub(super) at_times: &'static str,
    pub(super) at_minute: &'static str,
    pub(super) from_to: &'static str,
    pub(super) starting_at_minute: &'static str,
    pub(super) minutes: &'static str,
    pub(super) of_every_hour: &'static str,
    pub(super) of_hours: &'static str,
    pub(super) every_day: &'static str,
    pub(super) in_months: &'static str,
    pub(super) comma_in_months: &'static str,
    pub(super) from_months: &'static str,
    pub(super) on_day: &'static str,
    pub(super) on_days: &'static str,
    pub(super) on_step: &'static str,
    pub(super) on_date: &'static str,
    pub(super) of_every_month: &'static str,
    pub(super) of_months: &'static str,
    pub(super) of_the_month: &'static str,
    pub(super) and_also: &'static str,
    pub(super) where_it_is: &'static str,
    /// Of several days of the week, each with its own preposition where the language has them.
    on_each: &'static str,
    from_weekday: &'static str,
    pub(super) once: &'static str,
    pub(super) counted: &'static str,
    pub(super) start: &'static str,
    pub(super) end: &'static str,
    pub(super) put_off: &'static str,
    date: &'static str,
    /// Of minute, hour and day of month: all, one, several, in steps.
    fields: [[&'static str; 4]; 3],
    pub(super) every_month: &'static str,
    pub(super) every_weekday: &'static str,
    pub(super) months: [&'static str; 12],
    /// From Monday.
    pub(super) weekdays: [&'static str; 7],
    each_weekday: [&'static str; 7],
}

pub const ENGLISH: Language = Language {
    and: " and ",
    or: " or ",
    to: "{} to {}",
    every_one: "every {}",
    every_many: "every {} {}",
    decimal_point: ".",
    millisecond: ("millisecond", "milliseconds"),
    second: ("second", "seconds"),
    minute: ("minute", "minutes"),
    hour: ("hour", "hours"),
    day: ("day", "days"),
    at_times: "at {}",
    at_minute: "{} at minute {}",
    from_to: "{} from {} to {}",
    starting_at_minute: "{} starting at minute {}",
    minutes: "at minutes {}",
    of_every_hour: "{} of every hour",
    of_hours: "{} in the hours {}",
    every_day: " every day",
    in_months: " in {}",
    comma_in_months: ", in {}",
    from_months: ", from {} to {}",
    on_day: " on day {}",
    on_days: " on days {}",
    on_step: ", every {} days from day {} to {}",
    on_date: " on {} {}",
    of_every_month: " of every month",
    of_months: " of {}",
    of_the_month: " of the month",
    and_also: " and also {}",
    where_it_is: " if it is a {}",
    on_each: " on {}",
    from_weekday: ", {} to {}",
    once: "once, on {}",
    counted: ", counted from {}",
    start: ", from {}",
    end: ", until {}",
    put_off: ", put off by up to {}",
    date: "{} {} {} at {}",
    fields: [
        ["every minute", "minute {}", "minutes {}", "every {} minutes from {} to {}"],
        ["every hour", "hour {}", "hours {}", "every {} hours from {} to {}"],
        ["every day of the month", "day {}", "days {}", "every {} days from {} to {}"],
    ],
    every_month: "every month",
    every_weekday: "every day of the week",
    months: [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    weekdays: ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    each_weekday: ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"],
};

pub const PORTUGUESE: Language = Language {
    and: " e ",
    or: " ou ",
    to: "{} a {}",
    every_one: "a cada {}",
    every_many: "a cada {} {}",
    decimal_point: ",",
    millisecond: ("milissegundo", "milissegundos"),
    second: ("segundo", "segundos"),
    minute: ("minuto", "minutos"),
    hour: ("hora", "horas"),
    day: ("dia", "dias"),
    at_times: "às {}",
    at_minute: "{}, no minuto {}",
    from_to: "{}, das {} às {}",
    starting_at_minute: "{}, a partir do minuto {}",
    minutes: "nos minutos {}",
    of_every_hour: "{} de cada hora",
    of_hours: "{} nas horas {}",
    every_day: ", todos os dias",
    in_months: ", em {}",
    comma_in_months: ", em {}",
    from_months: ", de {} a {}",
    on_day: ", no dia {}",
    on_days: ", nos dias {}",
    on_step: ", a cada {} dias, do dia {} ao {}",
    on_date: ", em {} de {}",
    of_every_month: " de cada mês",
    of_months: " de {}",
    of_the_month: " do mês",
    and_also: " e também {}",
    where_it_is: ", se for {}",
    on_each: ", {}",
    from_weekday: ", de {} a {}",
    once: "uma vez, em {}",
    counted: ", contados a partir de {}",
    start: ", a partir de {}",
    end: ", até {}",
    put_off: ", com atraso de até {}",
    date: "{} de {} de {} às {}",
    fields: [
        ["cada minuto", "minuto {}", "minutos {}", "a cada {} minutos, de {} a {}"],
        ["cada hora", "hora {}", "horas {}", "a cada {} horas, de {} a {}"],
        ["cada dia do mês", "dia {}", "dias {}", "a cada {} dias, de {} a {}"],
    ],
    every_month: "cada mês",
    every_weekday: "cada dia da semana",
    months: [
        "janeiro",
        "fevereiro",
        "março",
        "abril",
        "maio",
        "junho",
        "julho",
        "agosto",
        "setembro",
        "outubro",
        "novembro",
        "dezembro",
    ],
    weekdays: ["segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo"],
    each_weekday: [
        "às segundas-feiras",
        "às terças-feiras",
        "às quartas-feiras",
        "às quintas-feiras",
        "às sextas-feiras",
        "aos sábados",
        "aos domingos",
    ],
};

impl Language {
    pub(super) fn fill(&self, template: &str, values: &[&str]) -> String {
        let mut parts = template.split("{}");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, value) in parts.zip(values) {
            text = text + value + part;
        }
        text
    }

    /// `a, b and c`.
    pub(super) fn join(&self, items: &[String], last: &str) -> String {
        match items {
            [] => String::new(),
            [one] => one.clone(),
            [some @ .., end] => some.join(", ") + last + end,
        }
    }

    /// Values in their order, three or more that follow each other as the first to the last.
    pub(super) fn list(&self, values: &[u32], name: impl Fn(u32) -> String) -> String {
        let runs = values.chunk_by(|a, b| *b == a + 1);
        let items: Vec<String> = runs
            .flat_map(|run| match run {
                [first, _, .., last] => vec![self.fill(self.to, &[&name(*first), &name(*last)])],
                _ => run.iter().map(|value| name(*value)).collect(),
            })
            .collect();
        self.join(&items, self.and)
    }

    pub(super) fn every(&self, n: u32, unit: Unit) -> String {
        self.every_text(&n.to_string(), unit)
    }

    fn every_text(&self, n: &str, unit: Unit) -> String {
        if n == "1" { self.fill(self.every_one, &[unit.0]) } else { self.fill(self.every_many, &[n, unit.1]) }
    }

    pub(super) fn interval(&self, ms: u64) -> String {
        let (n, unit) = self.in_unit(ms);
        self.every_text(&n, unit)
    }

    pub fn duration(&self, ms: u64) -> String {
        let (n, unit) = self.in_unit(ms);
        format!("{n} {}", if n == "1" { unit.0 } else { unit.1 })
    }

    /// In the largest unit of which it is a whole number; in seconds where it is none.
    fn in_unit(&self, ms: u64) -> (String, Unit) {
        let units = [(86_400_000, self.day), (3_600_000, self.hour), (60_000, self.minute), (1000, self.second)];
        match units.into_iter().find(|(unit_ms, _)| ms > 0 && ms.is_multiple_of(*unit_ms)) {
            Some((unit_ms, unit)) => ((ms / unit_ms).to_string(), unit),
            None if ms < 1000 => (ms.to_string(), self.millisecond),
            None => ((ms as f64 / 1000.0).to_string().replace('.', self.decimal_point), self.second),
        }
    }

    pub(super) fn date(&self, at: Timestamp, zone: &TimeZone) -> String {
        let at = at.to_zoned(zone.clone());
        let seconds = at.second() != 0 || at.subsec_nanosecond() != 0;
        let time = at.strftime(if seconds { "%H:%M:%S%.f" } else { "%H:%M" }).to_string();
        let month = self.months[at.month() as usize - 1];
        self.fill(self.date, &[&at.day().to_string(), month, &at.year().to_string(), &time])
    }

    pub(super) fn on_weekdays(&self, days: &Shape) -> String {
        if let Shape::Range(first, last) = days {
            let name = |day: &u32| self.weekdays[*day as usize - 1];
            return self.fill(self.from_weekday, &[name(first), name(last)]);
        }
        let names: Vec<String> =
            days.values().iter().map(|day| self.each_weekday[*day as usize - 1].to_owned()).collect();
        self.fill(self.on_each, &[&self.join(&names, self.and)])
    }

    /// A field of numbers on its own; `at` is its place.
    pub(super) fn field(&self, at: usize, shape: &Shape) -> String {
        let [all, one, many, step] = self.fields[at];
        match shape {
            Shape::All => all.to_owned(),
            Shape::One(value) => self.fill(one, &[&value.to_string()]),
            Shape::Step(n, from, to) => self.fill(step, &[&n.to_string(), &from.to_string(), &to.to_string()]),
            shape => self.fill(many, &[&self.list(&shape.values(), |value| value.to_string())]),
        }
    }
}
