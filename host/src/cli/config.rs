//! The server's config file: what the flags of `serve` say, under their names, and what no flag can say.

use std::error::Error as _;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::{Cli, serve};
use crate::domain::NotifyRule;
use crate::domain::module::nearest;
use crate::domain::notify::{check_rules, keep_secrets};
use crate::error::{Error, Result};

/// Its place below the user's configuration.
const DEFAULT: &str = "tarefa/server.toml";
const SERVE: &str = "serve";
/// The flag that names the file is the only one that does not stand in it.
const FLAG: &str = "config";

/// What no flag can say. Where one of them is wrong, the line is known.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sections {
    /// Whom to tell what becomes of all runs.
    pub(super) notify: Vec<NotifyRule>,
}

/// The file that is meant: the one that was named, or the usual one where there is one.
pub(super) fn path(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named.filter(|path| !path.as_os_str().is_empty()) {
        return Some(path.to_owned());
    }
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|base| !base.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(base.join(DEFAULT)).filter(|path| path.is_file())
}

/// What `arguments` and the environment come to where the file says what they leave open, and what else it says.
///
/// # Errors
///
/// Names the file, the line, the key, its value and what is allowed.
pub(super) fn read(path: &Path, arguments: Vec<OsString>) -> Result<(serve::Args, Sections)> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::invalid(format!("cannot read the config file `{}`: {error}", path.display())))?;
    let file = File { path, text: &text };
    let (settings, sections) = file.parse()?;
    let command = settings.iter().fold(Cli::command(), |command, setting| {
        command.mut_subcommand(SERVE, |serve| {
            // It wants what lives as long as the process; a config file is read once.
            let values = setting.values.iter().map(|value| &*String::leak(value.clone()));
            serve.mut_arg(&setting.arg, |arg| arg.default_values(values))
        })
    });
    let matches = command.try_get_matches_from(arguments);
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    match cli.map(|cli| cli.verb) {
        Ok(super::Verb::Serve(args)) => Ok((args, sections)),
        Ok(_) => Err(Error::invalid("only `serve` has a config file")),
        Err(error) => Err(Error::invalid(format!("in the config file `{}`: {error}", path.display()))),
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

/// What the file has for one flag.
struct Setting {
    /// As clap names it.
    arg: String,
    values: Vec<String>,
}

impl File<'_> {
    fn parse(&self) -> Result<(Vec<Setting>, Sections)> {
        let mut table = DeTable::parse(self.text).map_err(|error| self.toml(&error, &[]))?;
        let command = Cli::command();
        let serve = command.find_subcommand(SERVE).expect("there is that verb");
        let flags = serve.get_arguments().filter_map(|arg| Some((arg.get_long().filter(|long| *long != FLAG)?, arg)));
        let flags: Vec<(&str, &Arg)> = flags.collect();
        let mut settings = Vec::new();
        for (name, arg) in &flags {
            if let Some(value) = table.get_mut().remove(*name) {
                settings.push(self.setting(name, arg, &value)?);
            }
        }
        // What is left is no flag's.
        let names: Vec<&str> = flags.iter().map(|(name, _)| *name).collect();
        let rules = table.get_ref().get("notify").map(|rules| self.rule_spans(rules)).unwrap_or_default();
        let mut sections =
            Sections::deserialize(Deserializer::from(table)).map_err(|error| self.toml(&error, &names))?;
        // Each by itself first, since its line is known.
        for (rule, span) in sections.notify.iter().zip(rules) {
            rule.check().map_err(|why| self.error(span, &why))?;
        }
        let checked = check_rules(&sections.notify).and_then(|()| keep_secrets(&mut sections.notify, &[]));
        checked.map_err(|why| self.error(0..0, &why))?;
        Ok((settings, sections))
    }

    fn rule_spans(&self, rules: &Spanned<DeValue<'_>>) -> Vec<Range<usize>> {
        rules.get_ref().as_array().map(|rules| rules.iter().map(Spanned::span).collect()).unwrap_or_default()
    }

    fn setting(&self, name: &str, arg: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Setting> {
        let takes_many = matches!(arg.get_action(), ArgAction::Append);
        let values = match value.get_ref() {
            DeValue::Array(items) if takes_many => items.iter().collect(),
            _ => vec![value],
        };
        let mut texts = Vec::with_capacity(values.len());
        for value in values {
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                other => {
                    let expected = if takes_many { "a list of texts" } else { "a text or a number" };
                    let why = format!("`{name}` is {}: it takes {expected}", article(other.type_str()));
                    return Err(self.error(value.span(), &why));
                }
            };
            if let Err(why) = check(arg, name, &text) {
                let why = format!("`{name}` is `{}`: {why}", text.escape_debug());
                return Err(self.error(value.span(), &why));
            }
            texts.push(text);
        }
        Ok(Setting { arg: arg.get_id().to_string(), values: texts })
    }

    /// An error of the parser's: without the line itself, in which a secret may stand.
    fn toml(&self, error: &toml::de::Error, names: &[&str]) -> Error {
        let message = error.message();
        let mut words = message.split('`').skip(1).step_by(2);
        let mut hint = String::new();
        if message.starts_with("unknown field")
            && let Some(unknown) = words.next()
            && let Some(near) =
                nearest(unknown, words.chain(names.iter().copied().filter(|_| message.contains("notify"))))
        {
            hint = format!("; did you mean `{near}`?");
        }
        self.error(error.span().unwrap_or(0..0), &format!("{}{hint}", message.replace('\n', ", ")))
    }

    fn error(&self, span: Range<usize>, why: &str) -> Error {
        let line = self.text[..span.start.min(self.text.len())].matches('\n').count() + 1;
        Error::invalid(format!("in the config file `{}`, line {line}: {why}", self.path.display()))
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// As the flag itself checks it.
fn check(arg: &Arg, name: &str, text: &str) -> std::result::Result<(), String> {
    let alone = Command::new(SERVE).no_binary_name(true).disable_help_flag(true).arg(arg.clone());
    let Err(error) = alone.try_get_matches_from([format!("--{name}={text}")]) else { return Ok(()) };
    if error.kind() == ErrorKind::InvalidValue
        && let Some(ContextValue::Strings(known)) = error.get(ContextKind::ValidValue)
    {
        return Err(format!("it is `{}`", known.join("` or `")));
    }
    let why = error.source().map_or_else(|| "it does not take that".to_owned(), ToString::to_string);
    match arg.get_help() {
        Some(help) if !why.starts_with('`') && !why.starts_with("it is") => Err(format!("{why} ({help})")),
        _ => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, arguments: &[&str]) -> Result<(serve::Args, Sections)> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("writes");
        let arguments = ["tarefa", "serve"].iter().chain(arguments).map(OsString::from);
        read(file.path(), arguments.collect())
    }

    fn refusal(text: &str) -> String {
        let error = read_text(text, &[]).expect_err(text).to_string();
        error.split_once("`, ").map(|(_, rest)| rest.to_owned()).unwrap_or(error)
    }

    #[test]
    fn each_flag_of_serve_may_stand_in_the_file_and_a_flag_outranks_it() {
        let here = std::env::current_dir().expect("a directory");
        let text = format!(
            "listen = '127.0.0.1:4300'\nslots = 3\ndurability = 'full'\ngrace = 4\nallow-host = ['a.example', 'b.example']\n\
             allow-dir = ['{}:rw']\nallow-http = 'localhost:80'\notlp-endpoint = 'http://127.0.0.1:4318'\nflows = 5\n\
             evict-after = 6\ntimezone = 'America/Sao_Paulo'\nkeep-runs = '7d'\nkeep-logs = 'forever'\n",
            here.display()
        );
        let (args, _) = read_text(&text, &["--slots", "7", "--allow-host", "c.example"]).expect("reads");
        let shown = format!("{args:?}");
        for expected in [
            "listen: 127.0.0.1:4300",
            "slots: Some(7)",
            "durability: Full",
            "grace: 4",
            "allow_hosts: [\"c.example\"]",
            "mode: Rw",
            "allow_http: [\"localhost:80\"]",
            "flows: 5",
            "evict_after: 6",
            "timezone: \"America/Sao_Paulo\"",
            "keep_logs: Forever",
        ] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        // A flag that comes to `serve` can stand in the file without more being said.
        let command = Cli::command();
        let serve = command.find_subcommand(SERVE).expect("the verb");
        let flags = serve.get_arguments().filter_map(Arg::get_long).filter(|long| *long != FLAG);
        let missing: Vec<_> = flags.filter(|flag| !text.contains(&format!("{flag} = "))).collect();
        assert!(missing.is_empty(), "this test does not set {missing:?}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_is_allowed() {
        for (text, expected) in [
            ("\nslot = 3", "line 2: unknown field `slot`, expected `notify`; did you mean `slots`?"),
            ("slots = 0", "line 1: `slots` is `0`: it is a number from 1"),
            ("slots = [1]", "line 1: `slots` is an array: it takes a text or a number"),
            ("slots = true", "line 1: `slots` is a boolean: it takes a text or a number"),
            ("durability = 'half'", "line 1: `durability` is `half`: it is `normal` or `full`"),
            ("listen = 'here'", "line 1: `listen` is `here`: invalid socket address syntax (The address"),
            ("allow-http = ['a:80',\n 'b']", "line 2: `allow-http` is `b`: `b` is no `HOST:PORT`"),
            ("config = 'x'", "line 1: unknown field `config`"),
            ("slots = ", "line 1: "),
            (
                "[[notify]]\non = ['failed']\nwebhok = 'x'",
                "line 3: unknown field `webhok`, expected one of `on`, `webhook`",
            ),
            ("[[notify]]\non = ['failed']\nwebhok = 'x'", "; did you mean `webhook`?"),
            ("[[notify]]\non = ['fail']\nwebhook = 'x'", "line 2: unknown variant `fail`"),
            ("\n[[notify]]\non = ['failed']\nwebhook = 'x'", "line 2: `webhook` is no URL"),
        ] {
            let refused = refusal(text);
            assert!(refused.contains(expected), "{text}: {refused}");
        }
        let secret = refusal("[[notify]]\non = 3\nsecret = 'hush'\n") + &refusal("secret = 'hush");
        assert!(!secret.contains("hush"), "{secret}");
    }

    #[test]
    fn rules_are_read() {
        let text = "[[notify]]\non = ['failed', 'late']\nwebhook = 'https://example.com/x'\nformat = 'slack'\n\
            [[notify]]\non = ['missed']\ncommand = ['/bin/true', 'x']\n";
        let (_, sections) = read_text(text, &[]).expect("reads");
        let targets: Vec<_> = sections.notify.iter().map(NotifyRule::target).collect();
        assert_eq!(targets, ["example.com", "/bin/true"]);
    }
}
