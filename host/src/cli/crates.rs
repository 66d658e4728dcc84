//! Builds a crate into a component: which toolchain, which package, which file.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::domain::module::check_name;
use crate::error::{Error, ErrorKind, Result};

/// What guests are built for.
const TARGET: &str = "wasm32-wasip2";
/// The toolchain that `make guest-toolchain` makes where rustup cannot download.
const STAND_IN: &str = "wasm-guest";

/// A component that was built from a crate.
#[derive(Debug)]
pub(super) struct Built {
    /// The package's name, which becomes the module's.
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// Builds the crate in `folder`; cargo's own words go to stderr.
pub(super) fn build(folder: &Path, quiet: bool) -> Result<Built> {
    if !folder.is_dir() {
        return Err(Error::not_found(format!("there is no folder `{}`", folder.display())));
    }
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        return Err(Error::invalid(format!(
            "`{}` is no crate: it has no Cargo.toml; `tarefa new NAME` makes one",
            folder.display()
        )));
    }
    let manifest = manifest.canonicalize().map_err(anyhow::Error::from)?;
    let name = package(&metadata(&manifest)?, &manifest)?;
    let toolchain = toolchain(folder)?;

    let mut cargo = command("cargo", folder, toolchain);
    cargo.args(["build", "--release", "--target", TARGET, "--lib", "--message-format=json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(&manifest);
    if quiet {
        cargo.arg("--quiet");
    }
    let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| not_started("cargo", &error))?;
    let mut path = None;
    for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        path = artifact(&line.map_err(anyhow::Error::from)?, &manifest).or(path);
    }
    if !child.wait().map_err(anyhow::Error::from)?.success() {
        return Err(Error::invalid(format!("cargo could not build `{name}` for {TARGET}: see above")));
    }
    let path = path.ok_or_else(|| Error::new(ErrorKind::Internal, "cargo built no .wasm file and did not say why"))?;
    Ok(Built { name, path })
}

/// What cargo says of the workspace that a manifest belongs to.
fn metadata(manifest: &Path) -> Result<Value> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let output = cargo.stderr(Stdio::inherit()).output().map_err(|error| not_started("cargo", &error))?;
    if !output.status.success() {
        return Err(Error::invalid(format!("cargo cannot read `{}`: see above", manifest.display())));
    }
    Ok(serde_json::from_slice(&output.stdout).map_err(anyhow::Error::from)?)
}

/// The name of the package with this manifest, which must be a `cdylib`.
fn package(metadata: &Value, manifest: &Path) -> Result<String> {
    let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(package) = packages.iter().find(|package| is_path(&package["manifest_path"], manifest)) else {
        let members: Vec<String> =
            packages.iter().filter_map(|p| p["name"].as_str()).map(|n| format!("`{n}`")).collect();
        return Err(Error::invalid(format!(
            "`{}` is a workspace without a package of its own: give the folder of one of its members {}",
            manifest.display(),
            members.join(", ")
        )));
    };
    let name = package["name"].as_str().unwrap_or_default();
    let targets = package["targets"].as_array().into_iter().flatten();
    if !targets.into_iter().any(|target| has_kind(target, "cdylib")) {
        return Err(Error::invalid(format!(
            "the crate `{name}` is no `cdylib`: put `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in its Cargo.toml"
        )));
    }
    check_name("module", name).map_err(Error::invalid)?;
    Ok(name.to_owned())
}

/// The .wasm file that one of cargo's messages announces, where it is that of the package itself.
fn artifact(message: &str, manifest: &Path) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let ours = message["reason"] == "compiler-artifact"
        && is_path(&message["manifest_path"], manifest)
        && has_kind(&message["target"], "cdylib");
    let files = message["filenames"].as_array().filter(|_| ours)?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn has_kind(target: &Value, kind: &str) -> bool {
    target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|each| each == kind))
}

/// Whether a path that cargo wrote is this one, whatever links lead to it.
fn is_path(written: &Value, path: &Path) -> bool {
    let written = written.as_str().map(Path::new);
    written.is_some_and(|written| written == path || written.canonicalize().is_ok_and(|written| written == path))
}

/// The rustup toolchain that builds guests, nothing where the default one does.
fn toolchain(folder: &Path) -> Result<Option<&'static str>> {
    if has_std(folder, None)? {
        return Ok(None);
    }
    let listed = Command::new("rustup").args(["toolchain", "list"]).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let linked = listed.lines().any(|line| line.split_whitespace().next() == Some(STAND_IN));
    if linked && has_std(folder, Some(STAND_IN))? {
        return Ok(Some(STAND_IN));
    }
    Err(Error::invalid(format!(
        "the Rust toolchain has no standard library for {TARGET}: run `rustup target add {TARGET}`; \
         where rustup cannot download, `make guest-toolchain` in a clone of Tarefa builds it on Debian"
    )))
}

fn has_std(folder: &Path, toolchain: Option<&str>) -> Result<bool> {
    let mut rustc = command("rustc", folder, toolchain);
    let output = rustc.args(["--print", "target-libdir", "--target", TARGET]).stderr(Stdio::null()).output();
    let output = output.map_err(|error| not_started("rustc", &error))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Ok(files) = folder.read_dir() else { return Ok(false) };
    Ok(files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libstd-")))
}

/// A command in the crate's folder, where a `rust-toolchain.toml` may choose the toolchain.
fn command(program: &str, folder: &Path, toolchain: Option<&str>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some(toolchain) = toolchain {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command
}

fn not_started(program: &str, error: &std::io::Error) -> Error {
    Error::unavailable(format!("cannot start `{program}`: {error}; install Rust from https://rustup.rs"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata_of(kind: &str, name: &str) -> Value {
        json!({"packages": [
            {"name": "other", "manifest_path": "/w/other/Cargo.toml", "targets": [{"kind": ["lib"]}]},
            {"name": name, "manifest_path": "/w/flow/Cargo.toml", "targets": [{"kind": [kind, "rlib"]}]},
        ]})
    }

    #[test]
    fn the_package_is_the_one_in_the_folder_and_a_cdylib() {
        let manifest = Path::new("/w/flow/Cargo.toml");
        assert_eq!(package(&metadata_of("cdylib", "my-flow"), manifest).expect("a package"), "my-flow");
        let refused = |kind: &str, name: &str, manifest: &str| {
            package(&metadata_of(kind, name), Path::new(manifest)).expect_err("refused").message
        };
        assert!(refused("lib", "flow", "/w/flow/Cargo.toml").starts_with("the crate `flow` is no `cdylib`: put "));
        assert!(refused("cdylib", "Flow", "/w/flow/Cargo.toml").starts_with("invalid module name `Flow`"));
        assert!(refused("cdylib", "flow", "/w/Cargo.toml").ends_with("one of its members `other`, `flow`"));
    }

    #[test]
    fn the_component_is_found_among_cargos_messages() {
        let manifest = Path::new("/w/flow/Cargo.toml");
        let message = |manifest: &str, kind: &str| {
            json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "target": {"kind": [kind]},
                "filenames": ["/t/libflow.rlib", "/t/flow.wasm"],
            })
            .to_string()
        };
        assert_eq!(artifact(&message("/w/flow/Cargo.toml", "cdylib"), manifest), Some("/t/flow.wasm".into()));
        assert_eq!(artifact(&message("/w/other/Cargo.toml", "cdylib"), manifest), None);
        assert_eq!(artifact(&message("/w/flow/Cargo.toml", "custom-build"), manifest), None);
        assert_eq!(artifact("not json", manifest), None);
    }
}
