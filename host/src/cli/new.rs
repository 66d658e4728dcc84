//! `tarefa new`: a project to start from. All that it needs of ours is in this binary, so it works offline, anywhere.

use std::path::{Path, PathBuf};

use include_dir::{Dir, File, include_dir};

use super::Context;
use crate::domain::module::check_name;
use crate::error::{Error, Result};

static TEMPLATE: Dir = include_dir!("$CARGO_MANIFEST_DIR/template");
static WIT: Dir = include_dir!("$CARGO_MANIFEST_DIR/../wit");
// Folder by folder, since beside the sources there may be what cargo has built.
static SDK: Dir = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/rust/src");
static SDK_MANIFEST: &str = include_str!("../../../guest-sdk/rust/Cargo.toml");
static MACROS: Dir = include_dir!("$CARGO_MANIFEST_DIR/../guest-sdk/rust/macros/src");
static MACROS_MANIFEST: &str = include_str!("../../../guest-sdk/rust/macros/Cargo.toml");

/// Where a project keeps what came with this version of Tarefa; the template's Cargo.toml points there.
const OURS: &str = ".tarefa";
/// What stands for the project's name in the template.
const PLACEHOLDER: &str = "{{name}}";
/// The end of names that would mean something to cargo in our own tree.
const TEMPLATE_SUFFIX: &str = ".template";

/// Make a new project in a folder of its own
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; its last part becomes the module's name
    name: PathBuf,
}

pub(super) fn run(args: Args, context: &Context) -> Result<u8> {
    let name = create(&args.name)?;
    let folder = args.name.display();
    if context.json {
        context.out.json(&serde_json::json!({"name": name, "path": folder.to_string()}))?;
        return Ok(0);
    }
    context.out.line(&format!(
        "made the project `{name}` in `{folder}`; next:\n\n  cd {folder}\n  cargo test      # its functions, without Tarefa\n  \
         tarefa run .    # builds it, and runs its flow in sandboxes\n\nthe flow and its task are in `{folder}/src/lib.rs`"
    ))?;
    Ok(0)
}

/// Writes a project into `folder`, and gives back its name.
fn create(folder: &Path) -> Result<String> {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
        return Err(Error::invalid(format!("`{}` does not end in a name for the project", folder.display())));
    };
    check_name("module", name).map_err(Error::invalid)?;
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(Error::conflict(format!("`{}` exists already and is not empty", folder.display())));
    }
    write_dir(&TEMPLATE, folder, name)?;
    let ours = folder.join(OURS);
    write_dir(&WIT, &ours.join("wit"), name)?;
    let sdk = ours.join("guest-sdk/rust");
    write_dir(&SDK, &sdk.join("src"), name)?;
    write(&sdk.join("Cargo.toml"), SDK_MANIFEST.as_bytes())?;
    write_dir(&MACROS, &sdk.join("macros/src"), name)?;
    write(&sdk.join("macros/Cargo.toml"), MACROS_MANIFEST.as_bytes())?;
    Ok(name.to_owned())
}

fn write_dir(dir: &Dir, folder: &Path, name: &str) -> Result<()> {
    for file in all_files(dir) {
        let path = file.path().to_string_lossy();
        let path = path.strip_suffix(TEMPLATE_SUFFIX).unwrap_or(&path);
        match file.contents_utf8() {
            Some(text) => write(&folder.join(path), text.replace(PLACEHOLDER, name).as_bytes())?,
            None => write(&folder.join(path), file.contents())?,
        }
    }
    Ok(())
}

fn all_files<'a>(dir: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    let below = dir.dirs().flat_map(all_files);
    dir.files().chain(below).collect()
}

fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(path, contents))
        .map_err(|error| Error::invalid(format!("cannot write `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_its_name_and_all_it_needs() {
        let scratch = tempfile::tempdir().expect("a directory");
        let folder = scratch.path().join("my-flow");
        assert_eq!(create(&folder).expect("a project"), "my-flow");
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).expect(path);
        assert!(read("Cargo.toml").contains("name = \"my-flow\""));
        assert!(read("Cargo.toml").contains(OURS));
        assert!(read(".gitignore").contains("target"));
        assert!(read("src/lib.rs").contains("export_module!"));
        assert!(read(".tarefa/wit/world.wit").contains("world guest"));
        assert!(read(".tarefa/guest-sdk/rust/Cargo.toml").contains("tarefa-sdk"));
        assert!(read(".tarefa/guest-sdk/rust/src/lib.rs").contains("mod"));
        assert!(read(".tarefa/guest-sdk/rust/macros/Cargo.toml").contains("proc-macro"));
        assert!(create(&folder).expect_err("it is there").message.contains("exists already"));
    }

    #[test]
    fn a_bad_name_is_refused() {
        for bad in ["My-Flow", "..", "/", "a b"] {
            assert!(create(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
