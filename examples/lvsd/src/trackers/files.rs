//! Watches files that hold a number: written, replaced, removed, or not there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvs_vrrp::Fact;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::Object;

/// A file that holds a number.
#[derive(Clone, Debug)]
pub(crate) struct WatchedFile {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// Absolute.
    pub(crate) path: PathBuf,
    /// A number to write at the start, and whether to write it into a file that is there already.
    pub(crate) init: Option<(i64, bool)>,
}

/// All watched files.
pub(super) struct Files {
    kernel: AsyncFd<Watches>,
    directories: Vec<Directory>,
}

/// The files of one directory, which is what is watched: so a file can be replaced.
struct Directory {
    path: PathBuf,
    /// Nothing while it does not exist.
    watch: Option<WatchDescriptor>,
    files: Vec<Known>,
}

struct Known {
    object: Object,
    file: WatchedFile,
    content: Content,
    /// Where the links lead that its path is.
    hops: Vec<Hop>,
    /// A directory on the way does not exist.
    is_lost: bool,
}

/// What a symbolic link names: in a directory that is watched for it.
struct Hop {
    watch: WatchDescriptor,
    name: OsString,
}

/// What a file holds; missing and unreadable ones count as 0, as in keepalived.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Number(i64),
    Missing,
    Unreadable(String),
}

impl Content {
    fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Missing | Self::Unreadable(_) => 0,
        }
    }
}

impl Files {
    /// Initialises and reads the files; what they hold now.
    ///
    /// # Errors
    /// The kernel has no notices for us.
    pub(super) fn open(files: Vec<(Object, WatchedFile)>) -> anyhow::Result<(Self, Vec<(Object, Fact)>)> {
        let kernel = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let mut directories: BTreeMap<PathBuf, Vec<Known>> = BTreeMap::new();
        for (object, file) in files {
            if let Some((value, overwrite)) = file.init
                && let Err(error) = initialise(&file.path, value, overwrite)
            {
                warn!("file {}: {value} cannot be written to {}: {error}", file.name, file.path.display());
            }
            let parent = file.path.parent().unwrap_or(Path::new("/")).to_path_buf();
            let content = Content::Missing;
            let known = Known { object, file, content, hops: Vec::new(), is_lost: false };
            directories.entry(parent).or_default().push(known);
        }
        let directories =
            directories.into_iter().map(|(path, files)| Directory { path, watch: None, files }).collect();
        #[allow(deprecated, reason = "its successor, AsyncFd::register, needs a newer tokio than we ask for")]
        let kernel = AsyncFd::new(Watches(kernel))?;
        let mut opened = Self { kernel, directories };
        opened.watch();
        let mut facts = Vec::new();
        for directory in &mut opened.directories {
            // What a file holds at first is news in any case.
            directory.read(&opened.kernel.get_ref().0, |_| true);
            facts.extend(directory.files.iter().map(|known| (known.object, known.fact())));
        }
        Ok((opened, facts))
    }

    /// Tells what changes, for ever. Safe to cancel.
    pub(super) async fn keep_watching(mut self, facts: mpsc::Sender<(Object, Fact)>) {
        loop {
            let mut news = match self.is_blind() {
                false => self.changed().await,
                // A directory that does not exist gives no notice.
                true => tokio::time::timeout(LOOK_AGAIN, self.changed()).await.unwrap_or_default(),
            };
            news.extend(self.watch());
            for fact in news {
                if facts.send(fact).await.is_err() {
                    return;
                }
            }
        }
    }

    fn is_blind(&self) -> bool {
        self.directories
            .iter()
            .any(|directory| directory.watch.is_none() || directory.files.iter().any(|known| known.is_lost))
    }

    /// Watches directories that were not there before; what is new in them.
    fn watch(&mut self) -> Vec<(Object, Fact)> {
        let kernel = &self.kernel.get_ref().0;
        let mut news = Vec::new();
        for directory in &mut self.directories {
            if directory.watch.is_some() {
                news.extend(directory.read(kernel, |known| known.is_lost));
                continue;
            }
            directory.watch = kernel.add_watch(&directory.path, NOTICES).ok();
            if directory.watch.is_some() {
                news.extend(directory.read(kernel, |_| true));
            }
        }
        news
    }

    /// What is watched at present.
    fn watches(&self) -> BTreeSet<WatchDescriptor> {
        let hops = |directory: &Directory| {
            directory.files.iter().flat_map(|known| &known.hops).map(|hop| hop.watch).collect::<Vec<_>>()
        };
        self.directories
            .iter()
            .flat_map(|directory| directory.watch.into_iter().chain(hops(directory)))
            .collect()
    }

    /// Waits for notices; what is new.
    async fn changed(&mut self) -> Vec<(Object, Fact)> {
        let Ok(mut ready) = self.kernel.readable().await else {
            // Only while the runtime ends.
            return std::future::pending().await;
        };
        let events = match ready.get_inner().0.read_events() {
            Ok(events) => events,
            Err(nix::Error::EAGAIN) => {
                ready.clear_ready();
                return Vec::new();
            }
            Err(error) => {
                ready.clear_ready();
                warn!("notices about tracked files: {error}");
                return Vec::new();
            }
        };
        let lost = events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW));
        let before = self.watches();
        let is_news = |watch: WatchDescriptor, name: &OsStr| {
            events.iter().any(|event| {
                event.wd == watch && (event.mask.intersects(GONE) || event.name.as_deref() == Some(name))
            })
        };
        let mut news = Vec::new();
        for directory in &mut self.directories {
            let watch = directory.watch;
            if watch.is_some_and(|watch| {
                events.iter().any(|event| event.wd == watch && event.mask.intersects(GONE))
            }) {
                // It may have another name now: its notices are of no use.
                directory.watch = None;
            }
            news.extend(directory.read(&self.kernel.get_ref().0, |known| {
                lost || watch.is_some_and(|watch| is_news(watch, known.name()))
                    || known.hops.iter().any(|hop| is_news(hop.watch, &hop.name))
            }));
        }
        for unused in before.difference(&self.watches()) {
            let _ = self.kernel.get_ref().0.rm_watch(*unused);
        }
        news
    }
}

impl Directory {
    /// Reads some of the files; what is new.
    fn read(&mut self, kernel: &Inotify, wanted: impl Fn(&Known) -> bool) -> Vec<(Object, Fact)> {
        let wanted = self.files.iter_mut().filter(|known| wanted(known));
        wanted.filter_map(|known| known.read(kernel)).collect()
    }
}

impl Known {
    fn fact(&self) -> Fact {
        Fact::Value(self.content.number())
    }

    fn name(&self) -> &OsStr {
        self.file.path.file_name().unwrap_or_default()
    }

    /// Watches whatever the path leads to, if it is a symbolic link.
    ///
    /// Differs from keepalived, which watches what a link leads to at first and does not see that the link changes.
    fn follow(&mut self, kernel: &Inotify) {
        self.hops.clear();
        self.is_lost = false;
        let mut path = self.file.path.clone();
        while let Ok(target) = std::fs::read_link(&path) {
            path = path.parent().unwrap_or(Path::new("/")).join(target);
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
            match kernel.add_watch(parent, NOTICES) {
                Ok(watch) => self.hops.push(Hop { watch, name: name.to_owned() }),
                Err(_) => self.is_lost = true,
            }
            // The kernel goes no further, either (path_resolution(7)).
            if self.is_lost || self.hops.len() > MOST_LINKS {
                return;
            }
        }
    }

    /// Reads it; the fact, if it changed.
    fn read(&mut self, kernel: &Inotify) -> Option<(Object, Fact)> {
        // Watched first, so that nothing happens unseen between the two.
        self.follow(kernel);
        let before = std::mem::replace(&mut self.content, read(&self.file.path));
        if before == self.content {
            return None;
        }
        let (name, path) = (&self.file.name, self.file.path.display());
        match &self.content {
            Content::Number(number) => info!("file {name}: {path} holds {number}"),
            Content::Missing => info!("file {name}: there is no {path}; taken as 0"),
            Content::Unreadable(reason) => warn!("file {name}: {path} {reason}; taken as 0"),
        }
        (before.number() != self.content.number()).then_some((self.object, self.fact()))
    }
}

fn read(path: &Path) -> Content {
    match first_bytes(path) {
        Ok(Some(bytes)) => number(&String::from_utf8_lossy(&bytes)),
        Ok(None) => Content::Unreadable("is no regular file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Missing,
        Err(error) => Content::Unreadable(format!("cannot be read: {error}")),
    }
}

/// Enough of a regular file for any number. A pipe is not waited for.
fn first_bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_NUMBER).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The number that a text begins with; what follows does not matter, as in keepalived. An empty text is 0.
fn number(text: &str) -> Content {
    let text = text.trim_start();
    let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let head = text.get(..sign + digits).unwrap_or_default();
    match head.parse() {
        Ok(number) => Content::Number(number),
        Err(_) if text.is_empty() => Content::Number(0),
        Err(_) if digits == 0 => Content::Unreadable("holds no number".to_owned()),
        Err(_) => Content::Unreadable("holds a number that is too large".to_owned()),
    }
}

fn initialise(path: &Path, value: i64, overwrite: bool) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let options = if overwrite { options.create(true).truncate(true) } else { options.create_new(true) };
    match options.open(path) {
        Ok(mut file) => writeln!(file, "{value}"),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The kernel's notices, in the form that the runtime takes.
struct Watches(Inotify);

impl AsRawFd for Watches {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A file that is there is read when it is complete, not while it is being written: so a number is never taken for a
/// shorter one.
const NOTICES: AddWatchFlags = AddWatchFlags::IN_CLOSE_WRITE
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_MOVED_FROM)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_ONLYDIR);

/// The directory itself is not where it was.
const GONE: AddWatchFlags = AddWatchFlags::IN_DELETE_SELF
    .union(AddWatchFlags::IN_MOVE_SELF)
    .union(AddWatchFlags::IN_IGNORED)
    .union(AddWatchFlags::IN_UNMOUNT);

/// How often a directory is looked for that does not exist.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Links that the kernel follows one after the other.
const MOST_LINKS: usize = 40;

/// Sign and digits of 64 bits, with room for spaces before.
const LONGEST_NUMBER: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn watched(path: PathBuf) -> (Object, WatchedFile) {
        (Object(0), WatchedFile { name: "f".to_owned(), path, init: None })
    }

    async fn next(news: &mut mpsc::Receiver<(Object, Fact)>) -> Fact {
        let next = tokio::time::timeout(Duration::from_secs(30), news.recv()).await;
        next.expect("news in time").expect("the watch goes on").1
    }

    #[test]
    fn number_is_what_the_text_begins_with() {
        for (text, expected) in [
            ("5\n", Content::Number(5)),
            (" -12 abc", Content::Number(-12)),
            ("+7", Content::Number(7)),
            ("", Content::Number(0)),
            ("9223372036854775807", Content::Number(i64::MAX)),
        ] {
            assert_eq!(number(text), expected, "{text:?}");
        }
        for text in ["abc", "-", "99999999999999999999", "é5"] {
            assert!(matches!(number(text), Content::Unreadable(_)), "{text:?}");
        }
    }

    #[tokio::test]
    async fn every_way_of_changing_a_file_is_noticed() {
        let scratch = Scratch::new();
        let path = scratch.0.join("f");
        let (files, first) = Files::open(vec![watched(path.clone())]).unwrap();
        assert_eq!(first, [(Object(0), Fact::Value(0))]);
        let (facts, mut news) = mpsc::channel(1);
        let task = tokio::spawn(files.keep_watching(facts));
        std::fs::write(&path, "5\n").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(5));
        std::fs::write(&path, "-6\n").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(-6));
        let other = scratch.0.join("other");
        std::fs::write(&other, "7").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(7));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(0));
        task.abort();
    }

    #[tokio::test]
    async fn what_a_symbolic_link_leads_to_is_watched_and_so_is_the_link() {
        use std::os::unix::fs::symlink;

        let scratch = Scratch::new();
        let far = scratch.0.join("far");
        std::fs::create_dir(&far).unwrap();
        let (link, second) = (scratch.0.join("link"), far.join("second"));
        std::fs::write(far.join("one"), "3").unwrap();
        symlink("one", &second).unwrap();
        symlink("far/second", &link).unwrap();
        let (files, first) = Files::open(vec![watched(link.clone())]).unwrap();
        assert_eq!(first, [(Object(0), Fact::Value(3))]);
        let (facts, mut news) = mpsc::channel(1);
        let task = tokio::spawn(files.keep_watching(facts));
        // What it leads to is written, replaced, and removed.
        std::fs::write(far.join("one"), "4").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(4));
        std::fs::write(far.join("new"), "5").unwrap();
        std::fs::rename(far.join("new"), far.join("one")).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(5));
        std::fs::remove_file(far.join("one")).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(0));
        // A link on the way leads elsewhere, where there is nothing yet.
        symlink("elsewhere/two", far.join("new")).unwrap();
        std::fs::rename(far.join("new"), &second).unwrap();
        std::fs::create_dir(far.join("elsewhere")).unwrap();
        std::fs::write(far.join("elsewhere/two"), "6").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(6));
        // The first link is replaced, by another one and then by a file.
        std::fs::write(far.join("one"), "7").unwrap();
        symlink("far/one", scratch.0.join("new")).unwrap();
        std::fs::rename(scratch.0.join("new"), &link).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(7));
        std::fs::write(far.join("one"), "8").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(8));
        std::fs::remove_file(&link).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(0));
        std::fs::write(&link, "9").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(9));
        task.abort();
    }

    #[tokio::test]
    async fn links_in_a_circle_count_as_0() {
        let scratch = Scratch::new();
        let (one, other) = (scratch.0.join("one"), scratch.0.join("other"));
        std::os::unix::fs::symlink(&one, &other).unwrap();
        std::os::unix::fs::symlink(&other, &one).unwrap();
        let (_files, first) = Files::open(vec![watched(one)]).unwrap();
        assert_eq!(first, [(Object(0), Fact::Value(0))]);
    }

    #[tokio::test]
    async fn file_in_a_directory_that_comes_and_goes_is_found() {
        let scratch = Scratch::new();
        let directory = scratch.0.join("later");
        let path = directory.join("f");
        let (files, _) = Files::open(vec![watched(path.clone())]).unwrap();
        let (facts, mut news) = mpsc::channel(1);
        let task = tokio::spawn(files.keep_watching(facts));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&path, "5").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(5));
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(0));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(&path, "6").unwrap();
        assert_eq!(next(&mut news).await, Fact::Value(6));
        task.abort();
    }

    #[tokio::test]
    async fn file_is_initialised_and_a_link_or_a_pipe_does_no_harm() {
        let scratch = Scratch::new();
        let path = scratch.0.join("f");
        let init = |value, overwrite| {
            let (object, file) = watched(path.clone());
            let files = vec![(object, WatchedFile { init: Some((value, overwrite)), ..file })];
            Files::open(files).unwrap().1[0].1
        };
        assert_eq!(init(7, false), Fact::Value(7));
        assert_eq!(init(8, false), Fact::Value(7));
        assert_eq!(init(8, true), Fact::Value(8));
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(init(9, true), Fact::Value(0));
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(init(9, false), Fact::Value(0));
    }
}
