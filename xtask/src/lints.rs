//! Checks of the sources that no test makes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::stage::{Summary, cargo, run, text};
use crate::vm::tool;

/// Runs all of them.
pub(crate) fn check(summary: &mut Summary) {
    summary.check("format", || run(cargo().args(["fmt", "--all", "--check"])));
    summary.check("clippy", || {
        let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--features", "lvs-tests/vm"];
        run(cargo().args(arguments).args(["--", "-D", "warnings"]))
    });
    summary.check("documentation", || {
        run(cargo().args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    summary.check("length of files", file_lengths);
    summary.check("rust-version: asked for", || promised_rust_version().map(drop));
    if tool("rustup").is_ok() {
        summary.check("rust-version: compiled", compile_as_promised);
    } else {
        let reason = "a missing rustup: THE OLDEST RUST COMPILED NOTHING, versions were only compared";
        summary.left_out("rust-version: compiled", reason);
    }
    for package in ["lvs-core", "lvs-vrrp", "lvs-health"] {
        summary.check(&format!("{package} without features"), || {
            run(cargo().args(["check", "--quiet", "--package", package, "--no-default-features"]))?;
            without_system(package)
        });
    }
}

/// The crate's values need no runtime and no C library, however indirectly.
fn without_system(package: &str) -> Result<()> {
    let mut command = cargo();
    command.args([
        "tree",
        "--package",
        package,
        "--no-default-features",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    let tree = text(&mut command)?;
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    match names.into_iter().find(|name| ["tokio", "libc", "nix", "socket2"].contains(name)) {
        Some(name) => bail!("{package} without features depends on {name}"),
        None => Ok(()),
    }
}

fn file_lengths() -> Result<()> {
    let mut long = Vec::new();
    let mut count = 0;
    for_each_source(&crate::workspace(), &mut |path| {
        let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let lines = text.lines().count();
        count += 1;
        if lines > LONGEST_FILE {
            long.push(format!("{} has {lines}", path.display()));
        }
        Ok(())
    })?;
    if !long.is_empty() {
        bail!("more than {LONGEST_FILE} lines: {}", long.join(", "));
    }
    println!("{count} files, none above {LONGEST_FILE} lines");
    Ok(())
}

fn for_each_source(directory: &Path, act: &mut impl FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || name.starts_with('.') || path == crate::workspace().join("target") {
            continue;
        }
        if path.is_dir() {
            for_each_source(&path, act)?;
        } else if name.ends_with(".rs") {
            act(&path)?;
        }
    }
    Ok(())
}

/// The crates that are published promise a Rust version, so nothing that they depend on may ask for a newer one.
fn promised_rust_version() -> Result<Version> {
    let json = text(cargo().args(["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&json).context("read cargo's metadata")?;
    let (promised, count) = check_rust_version(&metadata)?;
    println!("{count} crates ask for Rust {}.{} or older", promised.0, promised.1);
    Ok(promised)
}

/// Compiles everything with the oldest Rust that is promised, which rustup installs if it is not there.
///
/// Not the tests: their dependencies may ask for a newer one.
fn compile_as_promised() -> Result<()> {
    let (major, minor) = promised_rust_version()?;
    let toolchain = format!("{major}.{minor}.0");
    let installed = text(Command::new("rustup").args(["toolchain", "list"]))?;
    if !has_toolchain(&installed, &toolchain) {
        let install = ["toolchain", "install", "--profile", "minimal", "--no-self-update", &toolchain];
        run(Command::new("rustup").args(install))
            .with_context(|| format!("install the Rust that Cargo.toml promises, {toolchain}"))?;
    }
    // Of its own, or both compilers would compile everything each time.
    let target = crate::target_directory()?.join("rust-version");
    let mut command = Command::new("rustup");
    command.args([
        "run",
        &toolchain,
        "cargo",
        "check",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-features",
    ]);
    command.arg("--target-dir").arg(target).current_dir(crate::workspace());
    run(command.env_remove("RUSTC").env_remove("CARGO")).with_context(|| {
        format!("Rust {toolchain}, which Cargo.toml promises, does not compile everything")
    })?;
    println!("Rust {toolchain} compiles everything");
    Ok(())
}

/// Whether `rustup toolchain list` names it; behind its name stand the host's, and remarks.
fn has_toolchain(list: &str, toolchain: &str) -> bool {
    list.lines().any(|line| line.strip_prefix(toolchain).is_some_and(|rest| rest.starts_with('-')))
}

type Version = (u32, u32);

fn check_rust_version(metadata: &Value) -> Result<(Version, usize)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let identity = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (identity(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (identity(&node["id"]), node)).collect();
    // `publish` is null for "anywhere" and an empty list for "nowhere".
    let is_published = |id: &String| packages.get(id).is_some_and(|package| package["publish"].is_null());
    let members: Vec<String> =
        list(&metadata["workspace_members"]).iter().map(identity).filter(is_published).collect();
    let promised = members
        .iter()
        .filter_map(|id| version(packages.get(id)?["rust_version"].as_str()?))
        .min()
        .context("no published crate states a rust-version")?;
    let mut seen = BTreeSet::new();
    let mut next = members;
    while let Some(id) = next.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(&nodes.get(&id).context("cargo's metadata lacks a node")?["deps"]) {
            if list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev") {
                next.push(identity(&dependency["pkg"]));
            }
        }
    }
    let newer: Vec<String> = seen
        .iter()
        .filter_map(|id| {
            let package = packages.get(id)?;
            let asked = package["rust_version"].as_str()?;
            let too_new = version(asked)? > promised;
            too_new.then(|| {
                format!("{} {} asks for {asked}", identity(&package["name"]), identity(&package["version"]))
            })
        })
        .collect();
    if !newer.is_empty() {
        bail!("rust-version {}.{} is not true: {}", promised.0, promised.1, newer.join(", "));
    }
    Ok((promised, seen.len()))
}

fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next().unwrap_or(Some(0))?))
}

const LONGEST_FILE: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(kind: &str, asked: &str) -> Value {
        let json = format!(
            r#"{{"packages": [
                {{"id": "a", "name": "a", "version": "1.0.0", "rust_version": "1.88", "publish": null}},
                {{"id": "b", "name": "b", "version": "2.0.0", "rust_version": "{asked}", "publish": null}}],
              "workspace_members": ["a"],
              "resolve": {{"nodes": [
                {{"id": "a", "deps": [{{"pkg": "b", "dep_kinds": [{{"kind": {kind}}}]}}]}},
                {{"id": "b", "deps": []}}]}}}}"#
        );
        serde_json::from_str(&json).expect("JSON")
    }

    #[test]
    fn an_installed_toolchain_is_found_by_its_whole_version() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default)\n1.88.0-x86_64-unknown-linux-gnu\n";
        assert!(has_toolchain(list, "1.88.0"));
        assert!(!has_toolchain(list, "1.8"));
        assert!(!has_toolchain(list, "1.80.0"));
    }

    #[test]
    fn newer_dependency_is_named_unless_only_tests_use_it() {
        assert_eq!(check_rust_version(&metadata("null", "1.88.0")).expect("as promised"), ((1, 88), 2));
        let error = check_rust_version(&metadata("null", "1.90")).expect_err("newer");
        assert!(error.to_string().contains("b 2.0.0 asks for 1.90"), "{error}");
        check_rust_version(&metadata("\"build\"", "1.100")).expect_err("newer, though sorted before as text");
        assert_eq!(check_rust_version(&metadata("\"dev\"", "1.90")).expect("tests only").1, 1);
    }
}
