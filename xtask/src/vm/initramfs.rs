//! Writes the initial RAM disk: busybox, the modules that reach the host's files, and `init.sh`.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};

/// The program that the kernel starts first; it ends in `switch_root`.
const INIT: &str = include_str!("init.sh");

/// Writes the RAM disk `target`. `modules` are paths below `modules_root`, in the order of insertion.
pub(super) fn write(target: &Path, busybox: &Path, modules_root: &Path, modules: &[String]) -> Result<()> {
    let mut archive = Archive::default();
    for directory in ["bin", "modules", "proc", "sys", "dev", "lower", "upper", "root"] {
        archive.add(directory, 0o040_755, &[]);
    }
    archive.add("bin/busybox", 0o100_755, &read(busybox)?);
    archive.add("init", 0o100_755, INIT.as_bytes());
    let mut list = String::new();
    for (position, module) in modules.iter().enumerate() {
        // The number keeps the order, which is the order of their dependencies.
        let name = format!("modules/{position:02}.ko");
        archive.add(&name, 0o100_644, &read(&modules_root.join(module))?);
        list.push_str(&format!("/{name}\n"));
    }
    archive.add("modules.list", 0o100_644, list.as_bytes());
    let mut file = fs::File::create(target).with_context(|| format!("create {}", target.display()))?;
    file.write_all(&archive.finish()).with_context(|| format!("write {}", target.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// A cpio archive in the `newc` format (kernel Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        let [uid, gid, links, mtime, device] = [0, 0, 1, 0, 0];
        self.bytes.extend_from_slice(b"070701");
        let name_size = name.len() + 1;
        for field in [self.inode, mode, uid, gid, links, mtime] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(format!("{:08x}", content.len()).as_bytes());
        for field in [device; 4] {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(format!("{name_size:08x}{:08x}", 0).as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_has_aligned_headers_and_the_trailer() {
        let mut archive = Archive::default();
        archive.add("a", 0o100_644, b"hello");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[54..62], b"00000005", "the file's size");
        assert_eq!(&bytes[94..102], b"00000002", "the name's size with its zero");
        assert_eq!(&bytes[112..117], b"hello", "the content begins on a multiple of four");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
