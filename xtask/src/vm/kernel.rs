//! Fetches Debian's kernel package and unpacks it below `target/vm`: nothing is installed, no privilege is needed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::say;

/// An unpacked kernel.
pub(super) struct Kernel {
    /// The image that the machine boots.
    pub(super) image: PathBuf,
    /// The directory that becomes the guest's `/lib/modules`.
    pub(super) modules: PathBuf,
    /// The release, as `uname -r` says it.
    pub(super) release: String,
}

/// Returns the kernel below `directory`; fetches it when it is not there yet.
pub(super) fn prepare(directory: &Path) -> Result<Kernel> {
    let home = directory.join("kernel");
    if !home.exists() {
        fetch(directory, &home)?;
    }
    Kernel::open(&home).with_context(|| format!("remove {} to have the kernel fetched again", home.display()))
}

impl Kernel {
    fn open(home: &Path) -> Result<Kernel> {
        let modules = home.join("lib/modules");
        let mut releases = fs::read_dir(&modules)
            .with_context(|| format!("read {}", modules.display()))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<String>>>()?;
        let release = releases.pop().context("the kernel package holds no modules")?;
        let image = home.join("boot/vmlinux");
        ensure!(image.is_file(), "{} is missing", image.display());
        Ok(Kernel { image, modules, release })
    }

    /// The files that have to be inserted for `wanted`, dependencies first, relative to [`Kernel::modules`].
    pub(super) fn modules_for(&self, wanted: &[&str]) -> Result<Vec<String>> {
        let list = self.modules.join(&self.release).join("modules.dep");
        let text = fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
        in_order(&text, wanted)
            .map(|paths| paths.into_iter().map(|path| format!("{}/{path}", self.release)).collect())
    }
}

/// Reads a `modules.dep` ("file: direct and indirect dependencies, the deepest last").
fn in_order(modules_dep: &str, wanted: &[&str]) -> Result<Vec<String>> {
    let mut ordered: Vec<String> = Vec::new();
    for name in wanted {
        let file = format!("/{name}.ko");
        let (path, dependencies) = modules_dep
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(path, _)| path.ends_with(&file))
            .with_context(|| format!("the kernel package has no module {name}"))?;
        for module in dependencies.split_whitespace().rev().chain([path]) {
            if !ordered.iter().any(|known| known == module) {
                ordered.push(module.to_owned());
            }
        }
    }
    Ok(ordered)
}

fn fetch(directory: &Path, home: &Path) -> Result<()> {
    let work = directory.join(format!("kernel.{}", std::process::id()));
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("create {}", work.display()))?;
    let outcome = unpack_into(&work);
    if outcome.is_ok() && fs::rename(&work, home).is_ok() {
        return Ok(());
    }
    // Failed, or another run was faster and its kernel is as good as ours.
    fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    outcome
}

fn unpack_into(work: &Path) -> Result<()> {
    let (package, size) = match newest_package() {
        Ok(found) => found,
        Err(_) if super::is_root() => {
            run(Command::new("apt-get").args(["-q", "update"]))?;
            newest_package()?
        }
        Err(error) => return Err(error).context("apt knows no kernel package: run `apt-get update` as root"),
    };
    say(&format!("fetching {package} ({} MB, once)", size.div_ceil(1_000_000)));
    let download = || {
        run(Command::new("apt-get")
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", &package])
            .current_dir(work))
    };
    if let Err(error) = download() {
        if !super::is_root() {
            return Err(error).context("if apt's lists are old, run `apt-get update` as root");
        }
        run(Command::new("apt-get").args(["-q", "update"]))?;
        download()?;
    }
    let archive = fs::read_dir(work)
        .with_context(|| format!("read {}", work.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get download left no package")?;
    say("unpacking the kernel");
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("start dpkg-deb")?;
    let tar = reader.stdout.take().context("dpkg-deb has no output")?;
    run(Command::new("tar")
        .arg("-x")
        .args(LEFT_OUT.map(|part| format!("--exclude=*/kernel/{part}")))
        .args(["--no-same-owner", "-f", "-", "-C"])
        .arg(work)
        .args(["./boot", "./lib/modules"])
        .stdin(tar))?;
    ensure!(
        reader.wait().context("wait for dpkg-deb")?.success(),
        "dpkg-deb could not read {}",
        archive.display()
    );
    fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
    let boot = work.join("boot");
    let compressed = fs::read_dir(&boot)
        .with_context(|| format!("read {}", boot.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("/vmlinuz-"))
        .context("the kernel package holds no vmlinuz")?;
    decompress(&compressed, &boot.join("vmlinux"))?;
    let kernel = Kernel::open(work)?;
    run(Command::new(super::tool("depmod")?).arg("-b").arg(work).arg(&kernel.release))
}

/// Takes the kernel proper out of a boot image: qemu starts it as it is, which saves the emulated machine from
/// decompressing it at every boot. Layout: kernel Documentation/arch/x86/boot.rst.
fn decompress(image: &Path, target: &Path) -> Result<()> {
    let bytes = fs::read(image).with_context(|| format!("read {}", image.display()))?;
    let payload =
        payload(&bytes).with_context(|| format!("{} is not a Linux boot image", image.display()))?;
    ensure!(payload.starts_with(b"\xfd7zXZ"), "the kernel in {} is not compressed with xz", image.display());
    let output = fs::File::create(target).with_context(|| format!("create {}", target.display()))?;
    let mut xz = Command::new("xz")
        .args(["-dc", "--single-stream"])
        .stdin(Stdio::piped())
        .stdout(output)
        .spawn()
        .context("start xz (package xz-utils)")?;
    let mut input = xz.stdin.take().context("xz has no input")?;
    // Behind the stream lie four bytes of its size: xz stops before them, so not everything is read.
    let written = input.write_all(payload);
    drop(input);
    ensure!(xz.wait().context("wait for xz")?.success(), "xz could not decompress {}", image.display());
    written.or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
    Ok(())
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |offset: usize| {
        let bytes = image.get(offset..offset + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let setup_sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (setup_sectors + 1) * 512 + number(0x248)?;
    image.get(start..start + number(0x24c)?)
}

/// The package that `linux-image-amd64` stands for, and its size in bytes.
fn newest_package() -> Result<(String, u64)> {
    let depends = text(Command::new("apt-cache").args(["depends", "--important", "linux-image-amd64"]))?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("linux-image-amd64 depends on nothing")?;
    let record = text(Command::new("apt-cache").args(["show", "--no-all-versions", package]))?;
    let size = record.lines().find_map(|line| line.strip_prefix("Size: ")?.parse().ok()).unwrap_or(0);
    Ok((package.to_owned(), size))
}

fn text(command: &mut Command) -> Result<String> {
    let output = command.stderr(Stdio::null()).output().with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}

/// Parts of a kernel that a test machine without hardware never loads: four fifths of the package.
const LEFT_OUT: [&str; 14] = [
    "sound",
    "drivers/gpu",
    "drivers/media",
    "drivers/infiniband",
    "drivers/scsi",
    "drivers/staging",
    "drivers/usb",
    "drivers/iio",
    "drivers/hid",
    "drivers/hwmon",
    "drivers/input",
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "drivers/net/usb",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_depend_on_and_once() {
        let text = "k/fs/9p/9p.ko: k/net/9pnet.ko k/fs/fscache.ko k/fs/netfs.ko\n\
                    k/fs/netfs.ko:\nk/net/9pnet_virtio.ko: k/net/9pnet.ko k/virtio.ko\n";
        let order = in_order(text, &["9p", "9pnet_virtio"]).expect("all modules are listed");
        let expected = [
            "k/fs/netfs.ko",
            "k/fs/fscache.ko",
            "k/net/9pnet.ko",
            "k/fs/9p/9p.ko",
            "k/virtio.ko",
            "k/net/9pnet_virtio.ko",
        ];
        assert_eq!(order, expected);
        let error = in_order(text, &["overlay"]).expect_err("not listed");
        assert!(error.to_string().contains("overlay"), "{error}");
    }
}
