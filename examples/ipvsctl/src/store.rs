//! Puts a text into a file in one step: whoever reads the file finds the old text or the new one, whole, whatever happens.

use std::fs::{self, DirEntry, File, Metadata, OpenOptions, Permissions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

/// Why a file is as it was.
#[derive(Debug, Error)]
#[error("{operation} {}: {source}; {} is as it was", .object.display(), .file.display())]
pub struct StoreError {
    operation: &'static str,
    object: PathBuf,
    file: PathBuf,
    source: io::Error,
}

/// What became of it. The set is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The text is there.
    Written,
    /// It was there already.
    Unchanged,
}

/// A file that this process is about to replace. Whoever else wants to by [`Claim::of`] waits until this is dropped, so what is
/// read after the claim and then stored is never older than what was there.
///
/// ```no_run
/// use std::path::Path;
/// use ipvsctl::store::Claim;
///
/// Claim::of(Path::new("/etc/ipvsadm.rules"))?.store("-A -t 10.0.0.1:80 -s rr\n")?;
/// # Ok::<(), ipvsctl::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct Claim {
    /// As it was named.
    file: PathBuf,
    /// Behind all symbolic links.
    target: PathBuf,
    /// Nothing where the file system has no locks: then two at once both store all of their text, one after the other.
    lock: Option<Lock>,
}

impl Claim {
    /// Claims a file, there or not, and waits for whoever claimed it before. A symbolic link is followed, also to a file that is
    /// not there yet.
    ///
    /// # Errors
    /// It is no regular file, or cannot be looked at.
    pub fn of(file: &Path) -> Result<Self, StoreError> {
        let fault = |operation, object: &Path, source| StoreError {
            operation,
            object: object.to_owned(),
            file: file.to_owned(),
            source,
        };
        let target = behind_links(file).map_err(|error| fault("find", file, error))?;
        match fs::metadata(&target) {
            Ok(present) if !present.is_file() => {
                let error =
                    io::Error::other("this is no regular file; name another one, or `-` for standard output");
                Err(fault("write", &target, error))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("look at", &target, error)),
            _ => {
                Ok(Self { lock: Lock::take(beside(&target, ".saving")).ok(), file: file.to_owned(), target })
            }
        }
    }

    /// The file as it was named.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Puts `text` into the file, and keeps what was there as `file.old`.
    ///
    /// The text is written beside it and forced to the disk before it takes the file's place, in one step. A new file can be
    /// read and written by its owner and read by its group; one that was there keeps its permissions, and its owner and group
    /// where this process may give them. A file that says the same already is left alone.
    ///
    /// # Errors
    /// Nothing could be written, or not all (the disk is full): the file is as it was.
    pub fn store(&self, text: &str) -> Result<Stored, StoreError> {
        let target = &self.target;
        let fault = |operation, object: &Path, source| StoreError {
            operation,
            object: object.to_owned(),
            file: self.file.clone(),
            source,
        };
        let present = match fs::metadata(target) {
            Ok(present) => Some(present),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(fault("look at", target, error)),
        };
        if present.as_ref().is_some_and(|present| is_same(target, present.len(), text)) {
            return Ok(Stored::Unchanged);
        }
        if self.lock.is_some() {
            remove_leftovers(target);
        }
        let new = beside(target, &format!(".{:016x}.new", random()));
        let placed = write(&new, text, present.as_ref())
            .map_err(|error| fault("write beside", target, error))
            .and_then(|()| match present {
                Some(_) => keep_old(target).map_err(|error| fault("keep", &beside(target, ".old"), error)),
                None => Ok(()),
            })
            .and_then(|()| fs::rename(&new, target).map_err(|error| fault("put in place", &new, error)));
        if let Err(error) = placed {
            // What is left of it helps nobody; if it cannot be removed, the next call does.
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        // The name of the new file is on the disk when its directory is. Where a file system cannot do that, it does so by itself.
        let _ = File::open(directory(target)).and_then(|directory| directory.sync_all());
        Ok(Stored::Written)
    }
}

/// An empty file that one process at a time holds. Nobody but the owner of the file can hold it up. It goes when it is dropped.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    /// The lock ends with it.
    _file: File,
}

impl Lock {
    fn take(path: PathBuf) -> io::Result<Self> {
        loop {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            // Who held it before has removed it, and the next one may be in its place.
            let mine = file.metadata()?;
            let is_there = fs::symlink_metadata(&path)
                .is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()));
            if is_there {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If it stays the next one takes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The file itself, where its name is one of symbolic links, whether it is there or not.
fn behind_links(file: &Path) -> io::Result<PathBuf> {
    let mut target = file.to_owned();
    loop {
        match fs::canonicalize(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The kernel ends a circle.
            found => return found,
        }
        match fs::read_link(&target) {
            Ok(link) => target = directory(&target).join(link),
            Err(_) => return Ok(target),
        }
    }
}

fn directory(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file's name with something behind it.
fn beside(file: &Path, behind: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(behind);
    name.into()
}

/// Another number each time, in each process.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Removes what interrupted calls left behind; who holds the lock knows that nobody uses it.
fn remove_leftovers(target: &Path) {
    let Some(name) = target.file_name().map(OsStrExt::as_bytes) else { return };
    let is_leftover = |entry: &DirEntry| {
        let other = entry.file_name();
        let behind = other.as_bytes().strip_prefix(name).and_then(|behind| behind.strip_prefix(b"."));
        let number = behind.and_then(|behind| behind.strip_suffix(b".new").or(behind.strip_suffix(b".old")));
        number.is_some_and(|number| number.len() == 16 && number.iter().all(u8::is_ascii_hexdigit))
    };
    let entries = fs::read_dir(directory(target)).into_iter().flatten().flatten();
    for leftover in entries.filter(is_leftover) {
        // One that stays is in nobody's way.
        let _ = fs::remove_file(leftover.path());
    }
}

fn is_same(file: &Path, length: u64, text: &str) -> bool {
    if u64::try_from(text.len()) != Ok(length) {
        return false;
    }
    let mut present = Vec::with_capacity(text.len());
    let read =
        File::open(file).and_then(|file| file.take(length.saturating_add(1)).read_to_end(&mut present));
    read.is_ok() && present == text.as_bytes()
}

fn write(file: &Path, text: &str, present: Option<&Metadata>) -> io::Result<()> {
    // Nobody reads it before it is complete.
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    written.write_all(text.as_bytes())?;
    let mut mode = MODE;
    if let Some(present) = present {
        let (owner, group) = (present.uid(), present.gid());
        // Only root gives files away; a group of one's own is less.
        let _ = fchown(&written, Some(owner), Some(group)).or_else(|_| fchown(&written, None, Some(group)));
        mode = present.permissions().mode() & 0o7777;
    }
    written.set_permissions(Permissions::from_mode(mode))?;
    written.sync_all()
}

/// The file gets a second name, in one step; its first one stays until the new file takes it.
fn keep_old(file: &Path) -> io::Result<()> {
    let second = beside(file, &format!(".{:016x}.old", random()));
    // Not every file system has second names.
    let kept = match fs::hard_link(file, &second) {
        Ok(()) => Ok(()),
        Err(_) => fs::copy(file, &second).map(drop),
    };
    let kept = kept.and_then(|()| fs::rename(&second, beside(file, ".old")));
    if kept.is_err() {
        let _ = fs::remove_file(&second);
    }
    kept
}

const MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory of its own, which goes with it.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ipvsctl-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("rules")
        }

        /// The names and texts of all files.
        fn files(&self) -> Vec<(String, String)> {
            let files = fs::read_dir(&self.0).unwrap().map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            });
            let mut files: Vec<_> = files.collect();
            files.sort();
            files
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o7777
    }

    fn store(file: &Path, text: &str) -> Result<Stored, StoreError> {
        Claim::of(file)?.store(text)
    }

    #[test]
    fn the_old_text_is_kept_once_and_a_text_that_is_there_is_not_written_again() {
        let place = Place::new("kept");
        assert_eq!(store(&place.file(), "one\n").unwrap(), Stored::Written);
        assert_eq!(mode(&place.file()), 0o640);
        assert_eq!(place.files(), files(&[("rules", "one\n")]));
        assert_eq!(store(&place.file(), "two\n").unwrap(), Stored::Written);
        assert_eq!(store(&place.file(), "two\n").unwrap(), Stored::Unchanged);
        assert_eq!(place.files(), files(&[("rules", "two\n"), ("rules.old", "one\n")]));
        assert_eq!(store(&place.file(), "three\n").unwrap(), Stored::Written);
        assert_eq!(place.files(), files(&[("rules", "three\n"), ("rules.old", "two\n")]));
    }

    #[test]
    fn permissions_links_and_what_an_interrupted_call_left_behind_are_taken_care_of() {
        let place = Place::new("links");
        fs::write(place.file(), "one\n").unwrap();
        fs::set_permissions(place.file(), Permissions::from_mode(0o604)).unwrap();
        for leftover in ["rules.0123456789abcdef.new", "rules.fedcba9876543210.old", "rules.saving"] {
            fs::write(place.0.join(leftover), "half of").unwrap();
        }
        fs::write(place.0.join("rules.new"), "somebody's").unwrap();
        let link = place.0.join("link");
        symlink(place.file(), &link).unwrap();
        assert_eq!(store(&link, "two\n").unwrap(), Stored::Written);
        assert!(link.is_symlink());
        let somebodys = ("rules.new", "somebody's");
        let expected = [("link", "two\n"), ("rules", "two\n"), somebodys, ("rules.old", "one\n")];
        assert_eq!(place.files(), files(&expected));
        assert_eq!(mode(&place.file()), 0o604);
    }

    #[test]
    fn a_link_to_a_file_that_is_not_there_makes_it() {
        let place = Place::new("dangling");
        symlink("second", place.0.join("first")).unwrap();
        symlink("rules", place.0.join("second")).unwrap();
        assert_eq!(store(&place.0.join("first"), "one\n").unwrap(), Stored::Written);
        assert!(place.0.join("first").is_symlink() && place.0.join("second").is_symlink());
        assert!(!place.file().is_symlink());
        assert_eq!(fs::read_to_string(place.file()).unwrap(), "one\n");

        symlink("circle", place.0.join("circle")).unwrap();
        let error = store(&place.0.join("circle"), "one\n").unwrap_err().to_string();
        assert!(error.starts_with("find "), "{error}");
    }

    #[test]
    fn the_owner_stays_where_this_process_may_give_files_away() {
        let place = Place::new("owner");
        fs::write(place.file(), "one\n").unwrap();
        let before = if fchown(File::open(place.file()).unwrap(), Some(12_345), Some(54_321)).is_ok() {
            (12_345, 54_321)
        } else {
            let mine = fs::metadata(place.file()).unwrap();
            (mine.uid(), mine.gid())
        };
        store(&place.file(), "two\n").unwrap();
        for file in [place.file(), place.0.join("rules.old")] {
            let file = fs::metadata(file).unwrap();
            assert_eq!((file.uid(), file.gid()), before);
        }
    }

    #[test]
    fn who_stores_at_the_same_time_loses_nothing() {
        let place = Place::new("together");
        let file = place.file();
        fs::write(&file, "0").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let claim = Claim::of(&file).unwrap();
                        let number: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
                        assert_eq!(claim.store(&(number + 1).to_string()).unwrap(), Stored::Written);
                    }
                });
            }
        });
        let [last, before] = [THREADS * ROUNDS, THREADS * ROUNDS - 1].map(|number| number.to_string());
        assert_eq!(place.files(), files(&[("rules", &last), ("rules.old", &before)]));
    }

    const THREADS: u32 = 4;
    const ROUNDS: u32 = 10;

    #[test]
    fn a_file_whose_old_text_cannot_be_kept_stays_as_it_was() {
        let place = Place::new("refused");
        fs::write(place.file(), "one\n").unwrap();
        fs::create_dir(place.0.join("rules.old")).unwrap();
        let error = store(&place.file(), "two\n").unwrap_err().to_string();
        let ending = format!("; {} is as it was", place.file().display());
        assert!(error.starts_with("keep ") && error.ends_with(&ending), "{error}");
        fs::remove_dir(place.0.join("rules.old")).unwrap();
        assert_eq!(place.files(), files(&[("rules", "one\n")]));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let error = store(Path::new("/dev/null"), "one\n").unwrap_err().to_string();
        assert!(error.contains("no regular file; name another one, or `-`"), "{error}");
        let error = store(Path::new("/nowhere/at/all"), "one\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "write beside /nowhere/at/all: No such file or directory (os error 2); /nowhere/at/all is as it was"
        );
    }
}
