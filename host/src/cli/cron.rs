//! `tarefa cron`: what a cron expression means, and when it comes next. It asks no server.

use comfy_table::Cell;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::Context;
use super::format::{between, duration};
use super::output::Colour;
use super::table::{Cells, Column, layout};
use crate::domain::Schedule;
use crate::domain::schedule::words::{Explained, explain};
use crate::error::{Error, Result};

const EXAMPLES: &str = "\
Five fields, as in a crontab: minute, hour, day of month, month, day of week.
Put them in quotes, or the shell replaces each `*` with the names of files.

  tarefa cron '0 9-18 * * 1-5' --timezone America/Sao_Paulo
  tarefa cron @daily -n 3";

/// Explain a cron expression and show when it comes next
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The expression, whole or as five arguments
    #[arg(required = true, value_name = "EXPR")]
    expression: Vec<String>,
    /// An IANA time zone, whose clock it is read by
    #[arg(long, short = 'z', value_name = "ZONE", default_value = "UTC")]
    timezone: String,
    /// How many of the next occurrences to show
    #[arg(short, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    n: u16,
}

pub(super) fn run(args: Args, context: &Context) -> Result<u8> {
    let text = args.expression.join(" ");
    let schedule = Schedule { cron: Some(text.clone()), timezone: args.timezone, ..Schedule::default() };
    let unquoted = || {
        if args.expression.len() > 1 {
            "; put it in quotes, or the shell replaces each `*` with the names of files"
        } else {
            ""
        }
    };
    let rule = schedule.rule().map_err(|why| Error::invalid(format!("{why}{}", unquoted())))?;
    let fields = explain(&text).map_err(Error::invalid)?;
    let zone = TimeZone::get(&schedule.timezone).map_err(anyhow::Error::from)?;
    let now = Timestamp::now();
    let next: Vec<Zoned> = rule.upcoming(now, now).take(args.n.into()).map(|at| at.to_zoned(zone.clone())).collect();
    if context.json {
        context.out.json(&as_json(&schedule, &fields, &next))?;
    } else {
        let parts = [
            Some(context.out.on_stdout(&schedule.describe(), Colour::Bold)),
            Some(explained(&fields, context)),
            (!next.is_empty()).then(|| upcoming(&next, now, context)),
        ];
        context.out.line(&parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n"))?;
    }
    Ok(0)
}

fn as_json(schedule: &Schedule, fields: &[Explained], next: &[Zoned]) -> Value {
    let fields: Vec<Value> =
        fields.iter().map(|field| json!({"name": field.name, "text": field.text, "meaning": field.meaning})).collect();
    let next: Vec<Value> = next
        .iter()
        .map(|at| json!({"at": at.timestamp(), "local": at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()}))
        .collect();
    json!({
        "cron": schedule.cron, "timezone": schedule.timezone, "description": schedule.describe(),
        "fields": fields, "next": next,
    })
}

fn explained(fields: &[Explained], context: &Context) -> String {
    let columns = [Column("field", Cells::Words), Column("value", Cells::Words), Column("meaning", Cells::Words)];
    let rows =
        fields.iter().map(|field| vec![Cell::new(field.name), Cell::new(&field.text), Cell::new(&field.meaning)]);
    layout(&context.out, &columns, rows.collect())
}

/// Each occurrence by the clock of its zone, and by UTC where that shows another time.
fn upcoming(next: &[Zoned], now: Timestamp, context: &Context) -> String {
    let differs = next.iter().any(|at| at.offset().seconds() != 0);
    let mut columns = vec![Column("next", Cells::Words), Column("in", Cells::Numbers)];
    if differs {
        columns.insert(1, Column("UTC", Cells::Words));
    }
    let row = |at: &Zoned| {
        let mut row = vec![Cell::new(at.strftime(if differs { "%a %Y-%m-%d %H:%M %Z" } else { "%a %Y-%m-%d %H:%M" }))];
        if differs {
            row.push(Cell::new(at.timestamp().strftime("%Y-%m-%d %H:%M")));
        }
        row.push(Cell::new(duration(between(now, at.timestamp()))));
        row
    };
    layout(&context.out, &columns, next.iter().map(row).collect())
}
