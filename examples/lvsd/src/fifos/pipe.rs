//! One FIFO of the file system: made if it is missing, written without ever waiting, removed if we made it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat, mkfifo};
use tracing::{info, warn};

/// A FIFO that lines are written to.
///
/// It is open for reading too, though nothing is read: so writing needs no reader, and one that goes away leaves what is
/// in the FIFO to the next (fifo(7): Linux allows this). Dropping it removes the FIFO if it was made here.
#[derive(Debug)]
pub(super) struct Pipe {
    path: PathBuf,
    /// Whose it is if it has to be made.
    owner: Option<(u32, u32)>,
    open: Option<Open>,
    /// The one that was made here.
    made: Option<Identity>,
    /// Lines lost in a row.
    losses: u64,
    /// Lines lost since the start.
    lost: u64,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Identity,
}

/// Tells files apart: the path may come to mean another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Pipe {
    /// Makes and opens the FIFO. If that fails it is tried again with each line.
    pub(super) fn new(path: PathBuf, owner: Option<(u32, u32)>) -> Self {
        let mut pipe = Self { path, owner, open: None, made: None, losses: 0, lost: 0 };
        if let Err(error) = pipe.look() {
            warn!("the FIFO {} cannot be used: {error}; tried again with each line", pipe.path.display());
        }
        pipe
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line, or loses and counts it; never waits for a reader.
    pub(super) fn write(&mut self, line: &str) {
        match self.try_write(line) {
            Ok(()) => {
                if self.losses > 0 {
                    info!("the FIFO {} takes lines again; {} were lost", self.path.display(), self.losses);
                    self.losses = 0;
                }
            }
            Err(error) => {
                self.losses = self.losses.saturating_add(1);
                self.lost = self.lost.saturating_add(1);
                // The first, the second, the fourth, … in a row.
                if self.losses.is_power_of_two() {
                    let why = match error.kind() {
                        ErrorKind::WouldBlock => "it is full: nobody reads it, or too slowly".to_owned(),
                        _ => error.to_string(),
                    };
                    warn!(
                        "the FIFO {} did not take {:?}, {} lost in a row: {why}",
                        self.path.display(),
                        line.trim_end(),
                        self.losses
                    );
                }
            }
        }
    }

    fn try_write(&mut self, line: &str) -> io::Result<()> {
        if line.len() > LONGEST {
            // It could be written in part.
            return Err(io::Error::new(ErrorKind::InvalidInput, "the line is too long"));
        }
        let mut file = self.look()?;
        // At most so many bytes are written as a whole or not at all (pipe(7)).
        match file.write(line.as_bytes())? {
            written if written == line.len() => Ok(()),
            _ => Err(ErrorKind::WriteZero.into()),
        }
    }

    /// The FIFO that the path means now, made or opened anew if need be.
    fn look(&mut self) -> io::Result<&File> {
        let named = match fs::symlink_metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let is_open = |open: &Open| named.as_ref().is_some_and(|named| identity(named) == open.identity);
        if !self.open.as_ref().is_some_and(is_open) {
            self.open = None;
            let is_missing = named.is_none();
            if is_missing {
                self.make()?;
            }
            let opened = open(&self.path)?;
            self.made = if is_missing { Some(opened.identity) } else { self.made };
            self.open = Some(opened);
        }
        let open = self.open.as_ref().ok_or(ErrorKind::NotFound)?;
        Ok(&open.file)
    }

    fn make(&self) -> io::Result<()> {
        mkfifo(&self.path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        if let Some((user, group)) = self.owner
            && let Err(error) = fchownat(
                AT_FDCWD,
                &self.path,
                Some(Uid::from_raw(user)),
                Some(Gid::from_raw(group)),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )
        {
            let _ = fs::remove_file(&self.path);
            return Err(error.into());
        }
        Ok(())
    }

    /// Whether everything that was written has been read; also if it is not open.
    pub(super) fn is_drained(&self) -> bool {
        let Some(open) = &self.open else { return true };
        let mut readable = [PollFd::new(open.file.as_fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut readable, PollTimeout::ZERO), Ok(1..))
    }

    /// Closes it: readers come to its end. It stays where it is until this is dropped.
    pub(super) fn close(&mut self) {
        self.open = None;
        if self.lost > 0 {
            warn!("the FIFO {} did not take {} lines since the start", self.path.display(), self.lost);
        }
    }
}

impl Drop for Pipe {
    /// What somebody else made, or put in its place since, stays.
    fn drop(&mut self) {
        let Some(made) = self.made else { return };
        if fs::symlink_metadata(&self.path).is_ok_and(|now| identity(&now) == made) {
            // One that cannot be removed is found again at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Refuses what is there and is no FIFO; what is missing is all right.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_fifo() => Ok(()),
        Ok(_) => Err(format!("{path:?} is there and is not a FIFO")),
        // Whatever it is may be over when it is needed.
        Err(_) => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<Open> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.file_type().is_fifo() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a FIFO"));
    }
    Ok(Open { identity: identity(&metadata), file })
}

fn identity(metadata: &Metadata) -> Identity {
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

/// `PIPE_BUF` of Linux (pipe(7)).
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    fn file(directory: &Scratch) -> PathBuf {
        directory.0.join("f")
    }

    /// What is in the FIFO now.
    fn content(path: &Path) -> String {
        let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
        let mut content = Vec::new();
        // It ends with "would block", as the FIFO stays open.
        let _ = file.read_to_end(&mut content);
        String::from_utf8(content).unwrap()
    }

    #[test]
    fn fifo_is_made_for_its_owner_alone_and_removed_again() {
        let directory = Scratch::new();
        let mut pipe = Pipe::new(file(&directory), None);
        let metadata = fs::symlink_metadata(file(&directory)).unwrap();
        assert!(metadata.file_type().is_fifo());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        pipe.write("a\n");
        assert!(!pipe.is_drained());
        pipe.write("b\n");
        assert_eq!(content(&file(&directory)), "a\nb\n", "no reader was there when they were written");
        assert!(pipe.is_drained());
        drop(pipe);
        assert!(!file(&directory).exists());
    }

    #[test]
    fn fifo_of_somebody_else_stays() {
        let directory = Scratch::new();
        mkfifo(&file(&directory), Mode::S_IRWXU).unwrap();
        let mut pipe = Pipe::new(file(&directory), None);
        pipe.write("a\n");
        assert_eq!(content(&file(&directory)), "a\n");
        drop(pipe);
        assert!(file(&directory).exists());
    }

    #[test]
    fn full_fifo_loses_the_new_lines_and_keeps_the_order_of_the_others() {
        let directory = Scratch::new();
        let mut pipe = Pipe::new(file(&directory), None);
        let line = |number: u32| format!("{number:>1023}\n");
        (0..100).for_each(|number| pipe.write(&line(number)));
        assert!(pipe.lost > 0 && pipe.losses == pipe.lost, "{pipe:?}");
        let kept = u32::try_from(100 - pipe.lost).unwrap();
        assert_eq!(content(&file(&directory)), (0..kept).map(line).collect::<String>());
        pipe.write("next\n");
        assert_eq!((content(&file(&directory)).as_str(), pipe.losses), ("next\n", 0));
    }

    #[test]
    fn reader_that_goes_leaves_the_rest_to_the_next() {
        let directory = Scratch::new();
        let mut pipe = Pipe::new(file(&directory), None);
        for line in ["a\n", "b\n"] {
            drop(
                OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(file(&directory)).unwrap(),
            );
            pipe.write(line);
        }
        assert_eq!(content(&file(&directory)), "a\nb\n");
        assert_eq!(pipe.lost, 0);
    }

    #[test]
    fn fifo_that_is_removed_or_replaced_is_made_or_opened_anew() {
        let directory = Scratch::new();
        let mut pipe = Pipe::new(file(&directory), None);
        fs::remove_file(file(&directory)).unwrap();
        pipe.write("a\n");
        assert_eq!(content(&file(&directory)), "a\n");
        fs::remove_file(file(&directory)).unwrap();
        mkfifo(&file(&directory), Mode::S_IRWXU).unwrap();
        pipe.write("b\n");
        assert_eq!(content(&file(&directory)), "b\n");
        drop(pipe);
        assert!(file(&directory).exists(), "that one was not made here");
    }

    #[test]
    fn what_is_no_fifo_is_refused_and_left_alone() {
        let directory = Scratch::new();
        fs::write(file(&directory), "kept").unwrap();
        assert!(check(&file(&directory)).unwrap_err().contains("is not a FIFO"));
        let mut pipe = Pipe::new(file(&directory), None);
        pipe.write("a\n");
        assert_eq!(pipe.lost, 1);
        drop(pipe);
        assert_eq!(fs::read_to_string(file(&directory)).unwrap(), "kept");
        let link = directory.0.join("link");
        std::os::unix::fs::symlink(directory.0.join("missing"), &link).unwrap();
        assert!(check(&link).is_err(), "keepalived does not follow it, either");
        assert!(check(&directory.0.join("missing")).is_ok());
    }

    #[test]
    fn directory_that_comes_later_is_good_enough() {
        let directory = Scratch::new();
        let path = directory.0.join("run").join("f");
        let mut pipe = Pipe::new(path.clone(), None);
        pipe.write("a\n");
        fs::create_dir(directory.0.join("run")).unwrap();
        pipe.write("b\n");
        assert_eq!((content(&path).as_str(), pipe.lost), ("b\n", 1));
    }

    #[test]
    fn line_that_could_be_written_in_part_is_lost_whole() {
        let directory = Scratch::new();
        let mut pipe = Pipe::new(file(&directory), None);
        pipe.write(&"x".repeat(LONGEST + 1));
        pipe.write("a\n");
        assert_eq!((content(&file(&directory)).as_str(), pipe.lost), ("a\n", 1));
    }
}
