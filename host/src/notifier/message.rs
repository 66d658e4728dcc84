//! What is said.

use serde::Serialize;

use crate::api::shapes::RunSummary;
use crate::domain::notify::NotifyFormat;
use crate::domain::run::printable;
use crate::domain::{NotifyEvent, Timestamp};
use crate::store::{Missed, Occasion};

/// What a line of text shows of a failure, in characters.
const MAX_WHY: usize = 300;

/// What a notification is about.
pub(super) enum Subject<'a> {
    Run(Box<RunSummary>),
    Missed(&'a Missed),
}

impl Subject<'_> {
    pub(super) fn deployment(&self) -> Option<&str> {
        match self {
            Subject::Run(run) => run.deployment.as_deref(),
            Subject::Missed(missed) => Some(&missed.deployment),
        }
    }
}

/// The JSON of a webhook and of a command.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    event: NotifyEvent,
    at: Timestamp,
    deployment: Option<&'a str>,
    run: Option<&'a RunSummary>,
    missed: Option<&'a Missed>,
    /// The page of the run.
    url: Option<&'a str>,
    /// All that in a line.
    text: String,
}

#[derive(Serialize)]
struct Slack {
    text: String,
}

/// What is sent, from a server that answers at `server`.
pub(super) fn body(id: &str, occasion: &Occasion, subject: &Subject<'_>, format: NotifyFormat, server: &str) -> String {
    let (run, missed) = match subject {
        Subject::Run(run) => (Some(&**run), None),
        Subject::Missed(missed) => (None, Some(*missed)),
    };
    let url = run.map(|run| format!("{server}/runs/{}", run.id));
    let text = text(occasion.event, subject);
    let json = match format {
        NotifyFormat::Json => serde_json::to_string(&Body {
            id,
            event: occasion.event,
            at: occasion.at,
            deployment: subject.deployment(),
            run,
            missed,
            url: url.as_deref(),
            text,
        }),
        NotifyFormat::Slack => {
            let link = url.map(|url| format!(" <{url}|open>")).unwrap_or_default();
            serde_json::to_string(&Slack { text: escaped(&text) + &link })
        }
    };
    json.expect("a message is plain data")
}

/// One line.
fn text(event: NotifyEvent, subject: &Subject<'_>) -> String {
    let text = match subject {
        Subject::Run(run) => {
            let name = run.deployment.as_deref().unwrap_or(&run.name);
            format!("{name} {}", of_run(event, run))
        }
        Subject::Missed(missed) => {
            let Missed { deployment, schedule, first_at, last_at, n, why, .. } = missed;
            match n {
                1 => format!("{deployment} missed its run of {first_at} ({schedule}): {why}"),
                n => format!("{deployment} missed {n} runs from {first_at} to {last_at} ({schedule}): {why}"),
            }
        }
    };
    printable(&text, usize::MAX)
}

fn of_run(event: NotifyEvent, run: &RunSummary) -> String {
    let attempts = match run.n_attempts {
        0 | 1 => String::new(),
        n => format!(" after {n} attempts"),
    };
    let why = match &run.failure {
        Some(failure) if failure.message.chars().count() > MAX_WHY => {
            format!(": {}…", failure.message.chars().take(MAX_WHY).collect::<String>())
        }
        Some(failure) => format!(": {}", failure.message),
        None => String::new(),
    };
    match event {
        NotifyEvent::Completed => {
            let label = run.label.as_deref().map(|label| format!(": {label}")).unwrap_or_default();
            format!("completed{attempts}{label}")
        }
        NotifyEvent::Failed => format!("failed{attempts}{why}"),
        NotifyEvent::Crashed => format!("crashed{attempts}{why}"),
        NotifyEvent::Cancelled => "was cancelled".to_owned(),
        NotifyEvent::Late | NotifyEvent::Missed => {
            format!("is late: it was to start at {} and has not", run.scheduled_at)
        }
    }
}

/// Slack reads `<!channel>` and links out of these three.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slack_would_read_as_more_than_text_is_escaped() {
        let missed = Missed {
            deployment: "daily".to_owned(),
            schedule_id: "ab".to_owned(),
            schedule: "0 9 * * 1-5 (UTC)".to_owned(),
            first_at: Timestamp::UNIX_EPOCH,
            last_at: Timestamp::UNIX_EPOCH,
            n: 1,
            why: "<!channel> & <https://evil.example|click>\nsecond line".to_owned(),
        };
        let occasion = Occasion { no: None, event: NotifyEvent::Missed, at: Timestamp::UNIX_EPOCH, about: None };
        let body = body("1", &occasion, &Subject::Missed(&missed), NotifyFormat::Slack, "http://127.0.0.1:1");
        let expected = r#"{"text":"daily missed its run of 1970-01-01T00:00:00Z (0 9 * * 1-5 (UTC)): &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt; second line"}"#;
        assert_eq!(body, expected);
    }
}
