//! Writes a file that nobody else may read, whole or not at all, where others may have put theirs.

use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs::{self, File, FileType, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Why a file was not written. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Somebody else made it: in a directory for everybody, like `/tmp`, anybody can.
    #[error("{}: belongs to user {owner}, not to user {us}, and is left as it is (remove it, or name another place)", path.display())]
    Foreign {
        /// What was to be written.
        path: PathBuf,
        /// Who owns what is there.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It is something that a file must not replace, least of all a symbolic link to a file of somebody's.
    #[error("{}: is {what}, no regular file, and is left as it is (remove it, or name another place)", path.display())]
    NoFile {
        /// What was to be written.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The operating system refused: the disk is full, the directory is not there.
    #[error("{}: cannot {step}", path.display())]
    Refused {
        /// What was to be written.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

/// Replaces the file at this place by one with this content and mode 0600; readers see the old one or the new one.
///
/// Symbolic links are never followed and nothing that is there is ever opened: the content goes into a new file beside it,
/// which takes its place.
///
/// # Errors
/// The place is taken by something of somebody else's or something that is no file, or the file cannot be written. It is
/// as before then, and nothing is left beside it.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    refuse_what_is_not_ours(path)?;
    let refused = |step| move |source| WriteError::Refused { path: path.to_owned(), step, source };
    let (mut file, new) = create_beside(path).map_err(refused("make a file beside it"))?;
    let result = file
        .write_all(content)
        .map_err(refused("write it"))
        .and_then(|()| fs::rename(&new, path).map_err(refused("put it into its place")));
    if result.is_err() {
        // The error that counts is the first.
        let _ = fs::remove_file(&new);
    }
    result
}

/// Whoever puts something there later loses it: what takes its place is a directory entry, nothing is followed.
fn refuse_what_is_not_ours(path: &Path) -> Result<(), WriteError> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(WriteError::Refused { path: path.to_owned(), step: "look at it", source });
        }
    };
    if !there.is_file() {
        return Err(WriteError::NoFile { path: path.to_owned(), what: kind(there.file_type()) });
    }
    refuse_foreign(path, there.uid(), Uid::effective().as_raw())
}

fn refuse_foreign(path: &Path, owner: u32, us: u32) -> Result<(), WriteError> {
    if owner == us { Ok(()) } else { Err(WriteError::Foreign { path: path.to_owned(), owner, us }) }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// A new file in the same directory, under a name that nobody can know before.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut attempts = 0;
    loop {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{:016x}", RandomState::new().build_hasher().finish()));
        let new = path.with_file_name(name);
        // Only ever a new one: `O_EXCL` follows no symbolic link either.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < ATTEMPTS => {
                attempts += 1
            }
            result => return result.map(|file| (file, new)),
        }
    }
}

/// Two equal names of 64 random bits are unlikely enough once.
const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_file_is_for_its_owner_alone_and_nothing_is_left_beside_it() {
        // CVE-2018-19045, CVE-2018-19046: others could read keepalived's.
        let scratch = Scratch::new();
        let path = scratch.0.join("keepalived.data");
        for content in ["a longer first one", "second"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(scratch.names(), ["keepalived.data"]);
    }

    #[test]
    fn a_file_of_ours_that_others_may_read_is_replaced_by_one_that_they_may_not() {
        let scratch = Scratch::new();
        let path = scratch.0.join("keepalived.stats");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let reader = File::open(&path).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        // Who has the old one open reads the old one, whole.
        assert_eq!(io::read_to_string(reader).unwrap(), "old");
    }

    #[test]
    fn a_symbolic_link_is_neither_followed_nor_replaced() {
        // CVE-2018-19044: keepalived overwrote what the link named.
        let scratch = Scratch::new();
        let (path, precious) = (scratch.0.join("keepalived.stats"), scratch.0.join("passwd"));
        fs::write(&precious, "root").unwrap();
        symlink(&precious, &path).unwrap();
        let error = write(&path, b"figures").unwrap_err().to_string();
        assert!(error.contains("keepalived.stats: is a symbolic link, no regular file"), "{error}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "root");
        assert_eq!(scratch.names(), ["keepalived.stats", "passwd"]);
        // Nor is one that leads nowhere.
        fs::remove_file(&precious).unwrap();
        assert!(matches!(write(&path, b"figures"), Err(WriteError::NoFile { .. })));
        assert_eq!(scratch.names(), ["keepalived.stats"]);
    }

    #[test]
    fn directories_and_fifos_are_left_alone() {
        let scratch = Scratch::new();
        let [directory, fifo] = ["directory", "fifo"].map(|name| scratch.0.join(name));
        fs::create_dir(&directory).unwrap();
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (path, what) in [(&directory, "a directory"), (&fifo, "a FIFO")] {
            let error = write(path, b"figures").unwrap_err().to_string();
            assert!(error.contains(&format!("is {what}, no regular file")), "{error}");
        }
        assert_eq!(scratch.names(), ["directory", "fifo"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_with_the_reason() {
        let error = write(Path::new("/nowhere/at/all/keepalived.json"), b"{}").unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/at/all/keepalived.json: cannot make a file beside it");
        assert_eq!(error.source().unwrap().to_string(), "No such file or directory (os error 2)");
    }

    #[test]
    fn what_somebody_else_made_is_not_ours_to_replace() {
        let path = Path::new("/tmp/keepalived.data");
        assert!(refuse_foreign(path, 0, 0).is_ok());
        let error = refuse_foreign(path, 1000, 0).unwrap_err().to_string();
        assert!(error.starts_with("/tmp/keepalived.data: belongs to user 1000, not to user 0"), "{error}");
    }
}
