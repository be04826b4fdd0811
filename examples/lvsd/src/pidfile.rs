//! The pid file: written once, locked as long as the daemon runs, removed at its end.

use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nix::fcntl::{Flock, FlockArg};

/// A pid file that this process holds.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    lock: Flock<File>,
}

impl PidFile {
    /// Takes the pid file; [`write`](Self::write) puts the process's number in.
    ///
    /// Fails if another process holds it, or if it cannot be written. A file that a dead process left behind is taken
    /// over. Symbolic links are not followed, and the file is not writable by others.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .with_context(|| {
                format!("pid file {}: cannot be opened (choose another with -p)", path.display())
            })?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((file, _)) => {
                let mut holder = String::new();
                // Only for the message; an unreadable file is as good as an empty one.
                let _ = file.take(32).read_to_string(&mut holder);
                bail!(
                    "pid file {}: another instance is running (process {}); stop it, or choose another file with -p",
                    path.display(),
                    holder.trim()
                );
            }
        };
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Writes the number of this process, which may be a child of the one that took the file.
    pub(crate) fn write(&mut self) -> anyhow::Result<()> {
        self.lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| writeln!(self.lock, "{}", std::process::id()))
            .with_context(|| format!("pid file {}: cannot be written", self.path.display()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // The daemon ends: a file that cannot be removed is taken over by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lvsd-test-{}-{name}.pid", std::process::id()))
    }

    #[test]
    fn a_second_instance_is_refused_while_the_first_holds_the_file() {
        let path = path("second");
        let mut first = PidFile::take(&path).unwrap();
        first.write().unwrap();
        let refused = PidFile::take(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        assert!(!path.exists());
        PidFile::take(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_dead_process_is_taken_over() {
        let path = path("dead");
        fs::write(&path, "4194304999\nmore\n").unwrap();
        let mut held = PidFile::take(&path).unwrap();
        held.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let path = path("link");
        let target = path.with_extension("target");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(PidFile::take(&path).is_err());
        assert!(!target.exists());
        fs::remove_file(&path).unwrap();
    }
}
