//! The pid file: written once, locked as long as the daemon runs, removed at its end. A file that is none is left alone.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, anyhow, bail};
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
    /// Fails if another process holds it, if it cannot be written, or if what is there cannot be a pid file: something
    /// other than a regular file, or one with more in it than a number. A file that a dead process left behind is taken
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
                let mut held = Self { path, lock };
                held.refuse_what_is_no_pid_file()?;
                return Ok(held);
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

    fn refuse_what_is_no_pid_file(&mut self) -> anyhow::Result<()> {
        let content =
            self.content().with_context(|| format!("pid file {}: cannot be read", self.path.display()))?;
        let is_number = content.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace());
        if content.len() > MAX_CONTENT || !is_number {
            bail!(
                "pid file {}: the file is there and holds something else than a process number; it is left as it is \
                 (choose another with -p)",
                self.path.display()
            );
        }
        Ok(())
    }

    /// What is in the file; of a longer one than [`MAX_CONTENT`] that many bytes and one more.
    fn content(&mut self) -> io::Result<Vec<u8>> {
        self.lock.rewind()?;
        let mut content = Vec::new();
        (&*self.lock).take(MAX_CONTENT as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    }

    /// Whether it is still what [`write`](Self::write) made of it.
    fn is_own(&mut self) -> bool {
        let own = format!("{}\n", std::process::id());
        self.content().is_ok_and(|content| content == own.as_bytes())
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // What somebody else put there, before or in the meantime, is not this process's to remove.
        if is_at(&self.lock, &self.path) && self.is_own() {
            // The daemon ends: a file that cannot be removed is taken over by the next one.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    // Asked before, since to open a device can do something by itself, and after, since only that is certain.
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(not_regular(path));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)
        .with_context(|| format!("pid file {}: cannot be opened (choose another with -p)", path.display()))?;
    if file.metadata().is_ok_and(|opened| opened.is_file()) { Ok(file) } else { Err(not_regular(path)) }
}

fn not_regular(path: &Path) -> anyhow::Error {
    anyhow!(
        "pid file {}: is not a regular file; it is left as it is (choose another with -p)",
        path.display()
    )
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
/// Bytes of the longest file that may be a pid file.
const MAX_CONTENT: usize = 32;

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
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_dead_process_is_taken_over() {
        let path = path("dead");
        fs::write(&path, "4194304999\n \n").unwrap();
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
        fs::remove_file(&path).unwrap();
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
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_and_left_as_it_is() {
        let path = path("config");
        let long = "1".repeat(MAX_CONTENT + 1);
        for content in ["vrrp_instance VI_1 {\n}\n", "12 x", "\u{0}", "-1", long.as_str()] {
            fs::write(&path, content).unwrap();
            let refused = PidFile::take(&path).unwrap_err().to_string();
            assert!(refused.contains("something else than a process number"), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_at_once_and_stays() {
        let fifo = path("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let socket = path("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let directory = path("directory");
        fs::create_dir(&directory).unwrap();
        for path in [&fifo, &socket, &directory] {
            let refused = PidFile::take(path).unwrap_err().to_string();
            assert!(refused.contains("not a regular file"), "{refused}");
            assert!(path.exists(), "{}", path.display());
        }
        fs::remove_file(&fifo).unwrap();
        fs::remove_file(&socket).unwrap();
        fs::remove_dir(&directory).unwrap();
    }

    #[test]
    fn what_this_process_has_not_written_stays_when_it_gives_up() {
        let path = path("unwritten");
        fs::write(&path, "4194304999\n").unwrap();
        drop(PidFile::take(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "4194304999\n");
        fs::remove_file(&path).unwrap();
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
