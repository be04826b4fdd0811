//! Packages the crates as for publication, and builds README's example from the packages alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::stage::{cargo, run, text};

/// `cargo package` for all crates that are published. The others may depend on each other in ways that no registry could
/// resolve.
pub(crate) fn package() -> Result<()> {
    // Cargo takes a package of the same version for the same one, however its content changed: start without.
    let home = directory()?;
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
    }
    forget_unpacked()?;
    let mut command = cargo();
    command.args(["package", "--quiet", "--allow-dirty"]).env("CARGO_TARGET_DIR", &home);
    for name in published()? {
        command.args(["--package", &name]);
    }
    run(&mut command)
}

/// The names of the workspace's crates that are published.
fn published() -> Result<Vec<String>> {
    let json = text(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&json).context("read cargo's metadata")?;
    let packages = metadata["packages"].as_array().context("cargo's metadata lacks the packages")?;
    // `publish` is null for "anywhere" and an empty list for "nowhere".
    let published = packages.iter().filter(|package| package["publish"].is_null());
    let names: Vec<String> =
        published.filter_map(|package| package["name"].as_str().map(str::to_owned)).collect();
    ensure!(!names.is_empty(), "no crate of the workspace is published");
    Ok(names)
}

/// Where the packages are made.
fn directory() -> Result<PathBuf> {
    Ok(crate::target_directory()?.join("publish"))
}

/// Removes what cargo unpacked of our crates from the local registry of an earlier `cargo package`. Those directories
/// have no host in their name.
fn forget_unpacked() -> Result<()> {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let Some(sources) = cargo_home.or(home).map(|home| home.join("registry/src")) else { return Ok(()) };
    // No directory: nothing was ever unpacked.
    let Ok(registries) = fs::read_dir(&sources) else { return Ok(()) };
    let suffix = concat!("-", env!("CARGO_PKG_VERSION"));
    for registry in registries.filter_map(Result::ok) {
        if !registry.file_name().to_string_lossy().starts_with('-') {
            continue;
        }
        for entry in fs::read_dir(registry.path()).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("lvs") && name.ends_with(suffix) {
                let path = entry.path();
                fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
            }
        }
    }
    Ok(())
}

/// A new project outside of the workspace: README's first `toml` block says what it depends on, its first `rust` block
/// is the program, and the crates are those that [`package`] made.
pub(crate) fn embed() -> Result<()> {
    let readme = crate::workspace().join("README.md");
    let text = fs::read_to_string(&readme).with_context(|| format!("read {}", readme.display()))?;
    let program = block(&text, "rust").context("README.md has no ```rust block")?;
    let dependencies = block(&text, "toml").context("README.md has no ```toml block with [dependencies]")?;
    ensure!(dependencies.contains("[dependencies]"), "README.md's first ```toml block has no [dependencies]");

    let target = crate::target_directory()?;
    let home = target.join("embed");
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("remove {}", home.display()))?;
    }
    fs::create_dir_all(home.join("src")).with_context(|| format!("create {}", home.display()))?;
    let mut manifest = format!(
        "[package]\nname = \"embed-from-readme\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n{dependencies}\n\
         [workspace]\n\n[patch.crates-io]\n"
    );
    for (name, package) in unpack(&directory()?.join("package"), &home.join("crates"))? {
        manifest.push_str(&format!("{name} = {{ path = {:?} }}\n", package));
    }
    fs::write(home.join("Cargo.toml"), manifest).context("write the project's Cargo.toml")?;
    fs::write(home.join("src/main.rs"), program).context("write the project's program")?;
    // The same versions as in the tests, so that nothing has to be fetched.
    fs::copy(crate::workspace().join("Cargo.lock"), home.join("Cargo.lock")).context("copy Cargo.lock")?;
    run(cargo()
        .args(["build", "--quiet", "--offline"])
        .current_dir(&home)
        .env("CARGO_TARGET_DIR", target.join("embed-target")))
}

/// Unpacks every `NAME-VERSION.crate` whose version is the workspace's.
fn unpack(packages: &Path, into: &Path) -> Result<Vec<(String, PathBuf)>> {
    fs::create_dir_all(into).with_context(|| format!("create {}", into.display()))?;
    let suffix = format!("-{}.crate", env!("CARGO_PKG_VERSION"));
    let mut unpacked = Vec::new();
    for entry in fs::read_dir(packages).with_context(|| format!("read {}", packages.display()))? {
        let path = entry.context("read the packages")?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(&suffix) else { continue };
        if !name.starts_with("lvs-") || name == "lvs-tests" {
            continue;
        }
        run(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(into))?;
        unpacked.push((name.to_owned(), into.join(file.trim_end_matches(".crate"))));
    }
    unpacked.sort();
    ensure!(!unpacked.is_empty(), "{} holds no packages of the crates", packages.display());
    Ok(unpacked)
}

/// The first fenced block of a language; attributes after a comma are allowed ("rust,no_run"). Lines that rustdoc hides
/// are shown.
fn block(markdown: &str, language: &str) -> Option<String> {
    let mut lines = markdown.lines().skip_while(|line| {
        line.strip_prefix("```").and_then(|info| info.split(',').next()).map(str::trim) != Some(language)
    });
    lines.next()?;
    let content = lines.take_while(|line| !line.starts_with("```"));
    let shown = content.map(|line| line.strip_prefix("# ").unwrap_or(if line == "#" { "" } else { line }));
    Some(shown.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_block_of_a_language_is_found() {
        let text = "a\n```sh\ncargo\n```\n```rust,no_run\n# use x;\nfn main() {}\n```\n```rust\nno\n```\n";
        assert_eq!(block(text, "rust").as_deref(), Some("use x;\nfn main() {}\n"));
        assert_eq!(block(text, "toml"), None);
    }
}
