//! What a target is, and which of a module's entries is meant.

use std::path::{Path, PathBuf};

use crate::api::shapes::ModuleShape;
use crate::domain::module::nearest;
use crate::domain::{Entry, Kind};
use crate::error::{Error, Result};

/// What `tarefa run`, `tarefa register` and `tarefa deploy` are pointed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A crate's folder, built first.
    Crate(PathBuf),
    /// A component's file.
    File(PathBuf),
    /// The name of a registered module.
    Module(String),
}

impl Target {
    /// A word without a slash is a module's name, unless a crate's folder of that name is here.
    pub(super) fn of(text: &str) -> Target {
        let path = Path::new(text);
        if path.extension().is_some_and(|extension| extension == "wasm") {
            return Target::File(path.to_owned());
        }
        let is_path = text.contains('/') || text == "." || text == "..";
        if is_path || path.join("Cargo.toml").is_file() {
            return Target::Crate(path.to_owned());
        }
        Target::Module(text.to_owned())
    }

    /// A path that is no module's name, however it looks.
    pub(super) fn at(path: &Path) -> Target {
        match path.extension().is_some_and(|extension| extension == "wasm") {
            true => Target::File(path.to_owned()),
            false => Target::Crate(path.to_owned()),
        }
    }
}

/// The entry called `name`; without a name the only flow, or the only entry.
pub(super) fn entry<'a>(module: &'a ModuleShape, name: Option<&str>) -> Result<&'a Entry> {
    let names = || module.entries.iter().map(|entry| entry.name.as_str());
    if let Some(name) = name {
        return module.entries.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let hint = nearest(name, names()).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            Error::not_found(format!("the module `{}` has no entry `{name}`{hint}; {}", module.name, offered(module)))
        });
    }
    let mut flows = module.entries.iter().filter(|entry| entry.kind == Kind::Flow);
    match (flows.next(), flows.next(), module.entries.as_slice()) {
        (Some(flow), None, _) => Ok(flow),
        (None, _, [only]) => Ok(only),
        _ => Err(Error::invalid(format!(
            "the module `{}` has several entries: name one; {}",
            module.name,
            offered(module)
        ))),
    }
}

/// `it has the flows `a` and the tasks `b`, `c``.
fn offered(module: &ModuleShape) -> String {
    let list = |kind: Kind, word: &str| {
        let of_kind = module.entries.iter().filter(|entry| entry.kind == kind);
        let names: Vec<String> = of_kind.map(|entry| format!("`{}`", entry.name)).collect();
        (!names.is_empty()).then(|| format!("{word} {}", names.join(", ")))
    };
    let parts: Vec<String> = [list(Kind::Flow, "flows"), list(Kind::Task, "tasks")].into_iter().flatten().collect();
    format!("it has the {}", parts.join(" and the "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn module(entries: &[(&str, &str)]) -> ModuleShape {
        let entries: Vec<_> = entries.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect();
        let shape = json!({
            "name": "m", "digest": "d", "size_bytes": 1, "created_at": "2026-01-01T00:00:00Z", "entries": entries,
        });
        serde_json::from_value(shape).expect("a module")
    }

    #[test]
    fn the_only_flow_or_the_only_entry_need_not_be_named() {
        let with_flow = module(&[("t", "task"), ("f", "flow"), ("u", "task")]);
        assert_eq!(entry(&with_flow, None).expect("one flow").name, "f");
        assert_eq!(entry(&with_flow, Some("u")).expect("it is there").name, "u");
        assert_eq!(entry(&module(&[("t", "task")]), None).expect("one entry").name, "t");
    }

    #[test]
    fn several_entries_are_listed() {
        let two_flows = module(&[("t", "task"), ("f", "flow"), ("g", "flow")]);
        assert_eq!(
            entry(&two_flows, None).expect_err("two flows").message,
            "the module `m` has several entries: name one; it has the flows `f`, `g` and the tasks `t`"
        );
        assert_eq!(
            entry(&module(&[("soma", "task")]), Some("some")).expect_err("no such entry").message,
            "the module `m` has no entry `some`, did you mean `soma`?; it has the tasks `soma`"
        );
    }

    #[test]
    fn a_target_is_a_folder_a_file_or_a_name() {
        // Cargo runs tests in the package's folder.
        assert_eq!(Target::of("."), Target::Crate(".".into()));
        assert_eq!(Target::of("some/where"), Target::Crate("some/where".into()));
        assert_eq!(Target::of("x.wasm"), Target::File("x.wasm".into()));
        assert_eq!(Target::of("penguins"), Target::Module("penguins".to_owned()));
    }
}
