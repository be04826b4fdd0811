//! The pid file: written once, locked as long as the daemon runs, removed at its end.

use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
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
        Self::take_after(path, || {})
    }

    /// [`take`](Self::take), with something that happens between opening and locking the file.
    fn take_after(path: &Path, mut opened: impl FnMut()) -> anyhow::Result<Self> {
        // The daemon changes to the root directory later.
        let path = std::path::absolute(path)
            .with_context(|| format!("pid file {}: has no absolute path", path.display()))?;
        for _ in 0..ATTEMPTS {
            let file = open(&path)?;
            opened();
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
            // One that ended in between may have removed the file: a lock on that keeps nobody out.
            if is_at(&lock, &path) {
                return Ok(Self { path, lock });
            }
        }
        bail!("pid file {}: is removed again and again (choose another with -p)", path.display())
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
        // What somebody else put there in the meantime is not this process's to remove.
        if is_at(&self.lock, &self.path) {
            // The daemon ends: a file that cannot be removed is taken over by the next one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .with_context(|| format!("pid file {}: cannot be opened (choose another with -p)", path.display()))
}

/// Whether that path is still a name of that file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(held), Ok(there)) => (held.dev(), held.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// How often the file may vanish before it is locked.
const ATTEMPTS: u32 = 10;

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
    fn a_file_that_is_removed_before_it_is_locked_is_not_the_one_that_is_held() {
        let path = path("race");
        let mut first = Some(PidFile::take(&path).unwrap());
        // The first ends while the second is between opening and locking.
        let second = PidFile::take_after(&path, || drop(first.take())).unwrap();
        assert!(is_at(&second.lock, &path));
        assert!(PidFile::take(&path).is_err(), "a third is kept out");
    }

    #[test]
    fn a_file_that_vanishes_every_time_is_given_up() {
        let path = path("vanishes");
        let refused = PidFile::take_after(&path, || fs::remove_file(&path).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("again and again"), "{refused}");
    }

    #[test]
    fn a_file_that_somebody_else_put_there_meanwhile_is_not_removed() {
        let path = path("other");
        let held = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "other").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), "other");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_relative_path_is_made_absolute_before_the_directory_changes() {
        let path = path("relative");
        let here = std::env::current_dir().unwrap();
        let root: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let held = PidFile::take(&root.join(path.strip_prefix("/").unwrap())).unwrap();
        assert!(held.path.is_absolute() && is_at(&held.lock, &path), "{}", held.path.display());
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
