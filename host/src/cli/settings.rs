//! Which server and which data directory are meant: by flags, else by the environment, else by a file `.env` here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const API_URL: &str = "TAREFA_API_URL";
const DATA_DIR: &str = "TAREFA_DATA_DIR";
/// Looked for in the current directory only.
const DOTENV: &str = ".env";
/// What the names of our variables begin with; no other line of a `.env` file is ours to read.
const PREFIX: &str = "TAREFA_";

/// What every verb may be told.
#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// Where runs and modules are stored [default: $XDG_DATA_HOME/tarefa or ~/.local/share/tarefa]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server that all verbs but `serve` use [default: the one that holds the data directory, if any]
    #[arg(long, global = true, value_name = "URL")]
    api_url: Option<String>,
}

/// What the flags, the environment and the file come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The server that was named; none where the data directory decides.
    pub(super) server: Option<NamedServer>,
    /// An absolute path, since a server's user has another working directory.
    pub(super) data_dir: PathBuf,
}

/// A server that is meant whoever holds the data directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedServer {
    pub(super) url: String,
    /// What names it: `--api-url`, or a variable and where it stands.
    pub(super) by: String,
}

/// Where a variable's value comes from.
struct Variables<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    file: HashMap<String, String>,
}

impl Settings {
    pub(super) fn read(flags: Flags) -> Result<Settings> {
        let environment = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let variables = Variables { environment: &environment, file: dotenv(Path::new(DOTENV))? };
        Settings::choose(flags, &variables)
    }

    /// A data directory that was given by hand outranks an address that was not.
    fn choose(flags: Flags, variables: &Variables) -> Result<Settings> {
        let server = match (flags.api_url, &flags.data_dir) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("`--api-url` and `--data-dir` name two servers: give one of them"));
            }
            (Some(url), None) => Some(NamedServer { url, by: "`--api-url`".to_owned() }),
            (None, Some(_)) => None,
            (None, None) => variables.find(API_URL).map(|(url, by)| NamedServer { url, by }),
        };
        let data_dir = flags
            .data_dir
            .or_else(|| variables.find(DATA_DIR).map(|(path, _)| path.into()))
            .or_else(|| variables.of_environment("XDG_DATA_HOME").map(|base| Path::new(&base).join("tarefa")))
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/share/tarefa")))
            .ok_or_else(|| Error::invalid("no home directory is known: give `--data-dir` or set `TAREFA_DATA_DIR`"))?;
        let data_dir = std::path::absolute(&data_dir)
            .map_err(|error| Error::invalid(format!("invalid data directory `{}`: {error}", data_dir.display())))?;
        Ok(Settings { server, data_dir })
    }
}

impl Variables<'_> {
    /// A variable's value, and what names it in words.
    fn find(&self, name: &str) -> Option<(String, String)> {
        let in_file = || self.file.get(name).filter(|value| !value.is_empty()).cloned();
        match self.of_environment(name) {
            Some(value) => Some((value, format!("`{name}`"))),
            None => in_file().map(|value| (value, format!("`{name}` in `{DOTENV}`"))),
        }
    }

    /// An empty variable is none.
    fn of_environment(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }
}

/// Our variables in a `.env` file; none where there is no such file. The process's environment stays as it is.
fn dotenv(path: &Path) -> Result<HashMap<String, String>> {
    let mut ours = HashMap::new();
    // A directory of that name is somebody's virtual environment.
    if !path.is_file() {
        return Ok(ours);
    }
    let unreadable = |error: dotenvy::Error| Error::invalid(format!("cannot read `{}`: {error}", path.display()));
    for line in dotenvy::from_path_iter(path).map_err(unreadable)? {
        match line {
            Ok((name, value)) if name.starts_with(PREFIX) => {
                ours.entry(name).or_insert(value);
            }
            Ok(_) => {}
            Err(dotenvy::Error::LineParse(text, _)) if !text.contains(PREFIX) => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(flags: (Option<&str>, Option<&str>), environment: &[(&str, &str)], file: &str) -> Result<Settings> {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(DOTENV);
        std::fs::write(&path, file).expect("writes");
        let of = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let flags = Flags { api_url: flags.0.map(str::to_owned), data_dir: flags.1.map(PathBuf::from) };
        Settings::choose(flags, &Variables { environment: &of, file: dotenv(&path)? })
    }

    #[test]
    fn a_flag_comes_before_the_environment_and_that_before_the_file() {
        let named = |settings: Result<Settings>| settings.expect("settings").server.map(|named| (named.url, named.by));
        let expect = |url: &str, by: &str| Some((url.to_owned(), by.to_owned()));
        let (environment, file) = ([(API_URL, "http://b")], "OTHER=1\nTAREFA_API_URL=http://c # the team's\n");
        assert_eq!(named(choose((Some("http://a"), None), &environment, file)), expect("http://a", "`--api-url`"));
        assert_eq!(named(choose((None, None), &environment, file)), expect("http://b", "`TAREFA_API_URL`"));
        let by_file = expect("http://c", "`TAREFA_API_URL` in `.env`");
        assert_eq!(named(choose((None, None), &[], file)), by_file);
        assert_eq!(named(choose((None, None), &[(API_URL, "")], file)), by_file, "an empty variable is none");
        assert_eq!(named(choose((None, None), &[], "TAREFA_API_URL=\n")), None);
        assert_eq!(named(choose((None, Some("/d")), &environment, file)), None, "a directory by hand comes first");
        let error = choose((Some("http://a"), Some("/d")), &[], "").expect_err("two servers");
        assert!(error.message.contains("give one of them"), "{}", error.message);
    }

    #[test]
    fn the_data_directory_is_chosen_the_same_way_and_made_absolute() {
        let dir = |settings: Result<Settings>| settings.expect("settings").data_dir;
        let (environment, file) = ([(DATA_DIR, "/b"), ("XDG_DATA_HOME", "/x")], "export TAREFA_DATA_DIR='/c'");
        assert_eq!(dir(choose((None, Some("/a")), &environment, file)), Path::new("/a"));
        assert_eq!(dir(choose((None, None), &environment, file)), Path::new("/b"));
        assert_eq!(dir(choose((None, None), &environment[1..], file)), Path::new("/c"));
        assert_eq!(dir(choose((None, None), &environment[1..], "XDG_DATA_HOME=/y")), Path::new("/x/tarefa"));
        let relative = dir(choose((None, Some("here")), &[], ""));
        assert!(relative.is_absolute() && relative.ends_with("here"), "{}", relative.display());
    }

    #[test]
    fn lines_of_others_in_the_file_may_be_anything_and_ours_may_not() {
        assert!(choose((None, None), &[], "SOME THING='unclosed\n").is_ok());
        let error = choose((None, None), &[], "TAREFA_API_URL='unclosed\n").expect_err("no value");
        assert!(error.message.starts_with("cannot read `"), "{}", error.message);
    }
}
