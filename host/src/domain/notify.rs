//! Who is told what becomes of runs: rules, and when what nobody took is tried again.

mod secret;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::{Host, Url};
use utoipa::ToSchema;

use super::State;
use super::http::is_public;

pub use secret::{NotifySecret, keep_secrets, stored};

/// Rules of one list: who needs more has one receiver pass it on.
pub const MAX_RULES: usize = 20;
/// The longest URL, and the longest command with its arguments, in bytes.
const MAX_TARGET: usize = 2048;
/// How long after a try that failed the next one is; after the last of them it is given up.
const DELAYS: [SignedDuration; 6] = [
    SignedDuration::from_secs(1),
    SignedDuration::from_secs(5),
    SignedDuration::from_secs(30),
    SignedDuration::from_mins(2),
    SignedDuration::from_mins(10),
    SignedDuration::from_hours(1),
];
pub const MAX_TRIES: u32 = DELAYS.len() as u32 + 1;
/// The longest that a receiver may put off the next try.
const MAX_DELAY: SignedDuration = SignedDuration::from_hours(1);

/// What somebody may want to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyEvent {
    Completed,
    Failed,
    Crashed,
    Cancelled,
    /// A run is more than 10 s past its time, and has not started.
    Late,
    /// An occurrence of a schedule was not run, since no server ran at its time.
    Missed,
}

impl NotifyEvent {
    const ALL: [NotifyEvent; 6] = [
        NotifyEvent::Completed,
        NotifyEvent::Failed,
        NotifyEvent::Crashed,
        NotifyEvent::Cancelled,
        NotifyEvent::Late,
        NotifyEvent::Missed,
    ];

    /// A final state is called the same.
    pub fn as_str(self) -> &'static str {
        match self {
            NotifyEvent::Completed => "completed",
            NotifyEvent::Failed => "failed",
            NotifyEvent::Crashed => "crashed",
            NotifyEvent::Cancelled => "cancelled",
            NotifyEvent::Late => "late",
            NotifyEvent::Missed => "missed",
        }
    }

    pub fn parse(text: &str) -> Option<NotifyEvent> {
        NotifyEvent::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// The state that a run is in then.
    pub fn state(self) -> State {
        State::parse(self.as_str()).unwrap_or(State::Scheduled)
    }
}

/// Whom to tell of what: a webhook or, in the server's config file, a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyRule {
    #[schema(min_items = 1)]
    pub on: Vec<NotifyEvent>,
    /// The `http` or `https` URL that it is posted to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(required, value_type = String, max_length = 2048)]
    pub webhook: Option<String>,
    /// A program and its arguments; only in the server's config file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(ignore)]
    pub command: Option<Vec<String>>,
    /// What a webhook is signed with. It is shown as `********`, which stands for the one that is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(value_type = Option<String>, write_only)]
    pub secret: Option<NotifySecret>,
    #[serde(skip_serializing_if = "NotifyFormat::is_json", default)]
    pub format: NotifyFormat,
}

/// What a webhook is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyFormat {
    /// All that is known.
    #[default]
    Json,
    /// One line of text, as Slack and those that do as Slack does take it.
    Slack,
}

impl NotifyFormat {
    fn is_json(&self) -> bool {
        *self == NotifyFormat::Json
    }
}

impl NotifyRule {
    /// # Errors
    ///
    /// Names what is wrong, its value and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.on.is_empty() {
            let all = NotifyEvent::ALL.map(NotifyEvent::as_str).join("`, `");
            return Err(format!("`on` is empty: it names some of `{all}`"));
        }
        match (&self.webhook, &self.command) {
            (Some(webhook), None) => {
                url_of(webhook)?;
                self.secret.as_ref().map_or(Ok(()), NotifySecret::check)
            }
            (None, Some(command)) => self.check_command(command),
            _ => Err("a rule has one of `webhook` and `command`".to_owned()),
        }
    }

    fn check_command(&self, command: &[String]) -> Result<(), String> {
        let length: usize = command.iter().map(String::len).sum();
        if length > MAX_TARGET {
            return Err(format!("`command` has {length} bytes; the most is {MAX_TARGET}"));
        }
        if !command.first().is_some_and(|program| program.starts_with('/')) {
            let message = "`command` begins with the absolute path of a program, such as `/usr/local/bin/notify`";
            return Err(message.to_owned());
        }
        if self.secret.is_some() || self.format != NotifyFormat::Json {
            return Err("`secret` and `format` are for webhooks, not for a `command`".to_owned());
        }
        Ok(())
    }

    /// The URL of its webhook.
    pub fn url(&self) -> Option<Url> {
        self.webhook.as_deref().and_then(|webhook| url_of(webhook).ok())
    }

    /// The `HOST:PORT` of its webhook.
    pub fn host(&self) -> Option<String> {
        let url = self.url()?;
        Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
    }

    /// The same, where it says itself that it is no address of the public internet; another name may stand for one, too.
    pub fn private_host(&self) -> Option<String> {
        let is_private = match self.url()?.host()? {
            Host::Ipv4(address) => !is_public(address.into()),
            Host::Ipv6(address) => !is_public(address.into()),
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        };
        self.host().filter(|_| is_private)
    }

    /// Names it by what it says, whatever its secret is.
    pub fn id(&self) -> String {
        let said = NotifyRule { secret: None, ..self.clone() };
        let json = serde_json::to_vec(&said).expect("a rule is plain data");
        Sha256::digest(&json)[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whom it tells: the host of its webhook, since the rest of a URL may be a secret, or its program.
    pub fn target(&self) -> String {
        if let Some(url) = self.url() {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            return format!("{}{port}", url.host_str().unwrap_or_default());
        }
        self.command.iter().flatten().next().cloned().unwrap_or_default()
    }
}

/// Checks a list of rules.
///
/// # Errors
///
/// Names what is wrong with the first that is wrong.
pub fn check_rules(rules: &[NotifyRule]) -> Result<(), String> {
    if rules.len() > MAX_RULES {
        return Err(format!("`notify` has {} rules; the most is {MAX_RULES}", rules.len()));
    }
    for (place, rule) in rules.iter().enumerate() {
        rule.check().map_err(|why| format!("rule {} of `notify`: {why}", place + 1))?;
        if rules[..place].iter().any(|other| other.id() == rule.id()) {
            return Err(format!("rule {} of `notify` says what another says", place + 1));
        }
    }
    Ok(())
}

fn url_of(text: &str) -> Result<Url, String> {
    if text.len() > MAX_TARGET {
        return Err(format!("`webhook` has {} bytes; the most is {MAX_TARGET}", text.len()));
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // Not repeated: it may be a secret.
    url.ok_or_else(|| "`webhook` is no URL such as `https://example.com/hook`".to_owned())
}

/// What a try to tell somebody came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Taken,
    /// Another try would come to the same.
    Refused(String),
    Failed {
        why: String,
        /// How long the receiver asks to be left alone.
        after: Option<SignedDuration>,
    },
}

/// When a notification is tried again, if it is: `tries` counts the one that `told` tells, and `share`, from 0 to 1, keeps
/// those apart that failed together.
pub fn next_try(told: &Told, tries: u32, now: Timestamp, share: f64) -> Option<Timestamp> {
    let Told::Failed { after, .. } = told else { return None };
    let usual = DELAYS.get(tries.saturating_sub(1) as usize)?;
    let asked = after.unwrap_or_default().min(MAX_DELAY);
    let spread = SignedDuration::from_secs_f64(usual.as_secs_f64() * 0.2 * share);
    Some(now + (*usual).max(asked) + spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: serde_json::Value) -> Result<NotifyRule, String> {
        let rule: NotifyRule = serde_json::from_value(json).map_err(|error| error.to_string())?;
        rule.check().map(|()| rule)
    }

    #[test]
    fn a_rule_that_is_wrong_says_what_is_wrong_and_not_its_url() {
        let cases = [
            (r#"{"on": [], "webhook": "https://a.b"}"#, "`on` is empty: it names some of `completed`, `failed`"),
            (r#"{"on": ["done"], "webhook": "https://a.b"}"#, "unknown variant `done`"),
            (r#"{"on": ["failed"]}"#, "one of `webhook` and `command`"),
            (r#"{"on": ["failed"], "webhook": "https://a.b", "command": ["/x"]}"#, "one of `webhook` and `command`"),
            (r#"{"on": ["failed"], "webhook": "ftp://a.b/SECRET"}"#, "`webhook` is no URL such as"),
            (r#"{"on": ["failed"], "webhook": "a.b/SECRET"}"#, "`webhook` is no URL such as"),
            (r#"{"on": ["failed"], "webhook": "https://"}"#, "`webhook` is no URL such as"),
            (r#"{"on": ["failed"], "webhook": "https://a.b", "secret": "SECRET"}"#, "has 6 bytes; it takes 16 to 256"),
            (r#"{"on": ["failed"], "webhook": "https://a.b", "secret": "whsec_not base64!"}"#, "no base64 follows"),
            (r#"{"on": ["failed"], "webhook": "https://a.b", "format": "xml"}"#, "unknown variant `xml`"),
            (r#"{"on": ["failed"], "webhok": "https://a.b"}"#, "unknown field `webhok`"),
            (r#"{"on": ["failed"], "command": ["notify"]}"#, "the absolute path of a program"),
            (r#"{"on": ["failed"], "command": []}"#, "the absolute path of a program"),
            (r#"{"on": ["failed"], "command": ["/x"], "format": "slack"}"#, "are for webhooks"),
        ];
        for (json, why) in cases {
            let refused = rule(serde_json::from_str(json).expect("JSON")).expect_err(json);
            assert!(refused.contains(why) && !refused.contains("SECRET"), "{json}: {refused}");
        }
    }

    #[test]
    fn an_address_is_seen_through_however_it_is_written() {
        let private = |url: &str| {
            let rule = rule(serde_json::json!({"on": ["failed"], "webhook": url})).expect("a rule");
            rule.private_host()
        };
        for (url, host) in [
            ("http://127.0.0.1/", "127.0.0.1:80"),
            ("http://2130706433:8080/", "127.0.0.1:8080"),
            ("https://0x7f.1/", "127.0.0.1:443"),
            ("http://0/", "0.0.0.0:80"),
            ("http://user@169.254.169.254/latest", "169.254.169.254:80"),
            ("http://[::1]/", "[::1]:80"),
            ("http://[::ffff:10.0.0.1]/", "[::ffff:a00:1]:80"),
            ("http://LocalHost:3000/", "localhost:3000"),
        ] {
            assert_eq!(private(url).as_deref(), Some(host), "{url}");
        }
        assert_eq!(private("https://93.184.216.34/").or_else(|| private("https://example.com/")), None);
    }

    #[test]
    fn tries_are_further_and_further_apart_and_end() {
        let now = Timestamp::UNIX_EPOCH;
        let failed =
            |seconds: Option<i64>| Told::Failed { why: String::new(), after: seconds.map(SignedDuration::from_secs) };
        let wait = |told: &Told, tries, share| next_try(told, tries, now, share).map(|at| at.as_millisecond());
        let waits: Vec<_> = (1..=7).map(|tries| wait(&failed(None), tries, 0.0)).collect();
        let expected = [1, 5, 30, 120, 600, 3600].map(|seconds| Some(seconds * 1000));
        assert_eq!((&waits[..6], waits[6]), (&expected[..], None));
        assert_eq!(wait(&failed(None), 1, 1.0), Some(1200));
        assert_eq!(wait(&failed(Some(20)), 1, 0.0), Some(20_000), "as the receiver asks");
        assert_eq!(wait(&failed(Some(2)), 2, 0.0), Some(5000), "no sooner than else");
        assert_eq!(wait(&failed(Some(99_999)), 1, 0.0), Some(3_600_000), "no later than in an hour");
        assert_eq!(wait(&Told::Taken, 1, 0.0), None);
        assert_eq!(wait(&Told::Refused(String::new()), 1, 0.0), None);
    }
}
