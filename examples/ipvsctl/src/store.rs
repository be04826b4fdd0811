//! Puts a text into a file in one step: whoever reads the file finds the old text or the new one, whole, whatever happens.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

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

/// Puts `text` into `file`, and keeps what was there as `file.old`.
///
/// The text is written beside it and forced to the disk before it takes the file's place, in one step. A new file can be
/// read and written by its owner and read by its group; one that was there keeps its permissions. A symbolic link is followed.
/// A file that says the same already is left alone.
///
/// # Errors
/// Nothing could be written, or not all (the disk is full): the file is as it was.
///
/// ```no_run
/// use std::path::Path;
///
/// ipvsctl::store::store(Path::new("/etc/ipvsadm.rules"), "-A -t 10.0.0.1:80 -s rr\n")?;
/// # Ok::<(), ipvsctl::store::StoreError>(())
/// ```
pub fn store(file: &Path, text: &str) -> Result<Stored, StoreError> {
    let fault = |operation, object: &Path, source| StoreError {
        operation,
        object: object.to_owned(),
        file: file.to_owned(),
        source,
    };
    // The link stays a link.
    let target = match fs::canonicalize(file) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => file.to_owned(),
        Err(error) => return Err(fault("find", file, error)),
    };
    let present = match fs::metadata(&target) {
        Ok(present) if present.is_file() => Some(present),
        Ok(_) => {
            let error =
                io::Error::other("this is no regular file; name another one, or `-` for standard output");
            return Err(fault("write", file, error));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fault("look at", &target, error)),
    };
    if present.as_ref().is_some_and(|present| is_same(&target, present.len(), text)) {
        return Ok(Stored::Unchanged);
    }
    let mode = present.as_ref().map_or(MODE, |present| present.permissions().mode() & 0o7777);
    let new = beside(&target, ".new");
    let written = write(&new, text, mode);
    if let Err(error) = written {
        // What is left of it helps nobody; if it cannot be removed, the next call does.
        let _ = fs::remove_file(&new);
        return Err(fault("write", &new, error));
    }
    let placed = match present {
        Some(_) => keep_old(&target).map_err(|error| fault("keep", &beside(&target, ".old"), error)),
        None => Ok(()),
    };
    let placed =
        placed.and_then(|()| fs::rename(&new, &target).map_err(|error| fault("put in place", &new, error)));
    if let Err(error) = placed {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    // The name of the new file is on the disk when its directory is. Where a file system cannot do that, it does so by itself.
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
    let _ = File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
    Ok(Stored::Written)
}

/// A file's name with something behind it.
fn beside(file: &Path, behind: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(behind);
    name.into()
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

fn write(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    // What an interrupted call left behind.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody reads it before it is complete.
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    written.write_all(text.as_bytes())?;
    written.set_permissions(Permissions::from_mode(mode))?;
    written.sync_all()
}

/// The file gets a second name, in one step; its first one stays until the new file takes it.
fn keep_old(file: &Path) -> io::Result<()> {
    let (old, second) = (beside(file, ".old"), beside(file, ".old.new"));
    match fs::remove_file(&second) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Not every file system has second names.
    if fs::hard_link(file, &second).is_err() {
        fs::copy(file, &second)?;
    }
    fs::rename(&second, &old)
}

const MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
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
        fs::write(place.0.join("rules.new"), "half of").unwrap();
        fs::write(place.0.join("rules.old.new"), "half of").unwrap();
        let link = place.0.join("link");
        std::os::unix::fs::symlink(place.file(), &link).unwrap();
        assert_eq!(store(&link, "two\n").unwrap(), Stored::Written);
        assert!(link.is_symlink());
        assert_eq!(place.files(), files(&[("link", "two\n"), ("rules", "two\n"), ("rules.old", "one\n")]));
        assert_eq!(mode(&place.file()), 0o604);
    }

    #[test]
    fn a_file_whose_successor_cannot_be_written_stays_as_it_was() {
        let place = Place::new("refused");
        fs::write(place.file(), "one\n").unwrap();
        fs::create_dir(place.0.join("rules.new")).unwrap();
        let error = store(&place.file(), "two\n").unwrap_err().to_string();
        let ending = format!("; {} is as it was", place.file().display());
        assert!(error.starts_with("write ") && error.ends_with(&ending), "{error}");
        assert_eq!(fs::read_to_string(place.file()).unwrap(), "one\n");
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let error = store(Path::new("/dev/null"), "one\n").unwrap_err().to_string();
        assert!(error.contains("no regular file; name another one, or `-`"), "{error}");
        let error = store(Path::new("/nowhere/at/all"), "one\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "write /nowhere/at/all.new: No such file or directory (os error 2); /nowhere/at/all is as it was"
        );
    }
}
