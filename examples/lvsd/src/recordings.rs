//! Writes what virtual routers were told into files (`--vrrp-record`), so that an incident can be replayed.
//!
//! The files are written by a thread of their own, which may wait for a disk as long as it likes.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use lvs_vrrp::{Handle, Instance};
use tokio::sync::oneshot;
use tracing::warn;

/// The directory for recordings; at most two files per virtual router are in it.
#[derive(Debug, Clone)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Fails if it is none.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        // The daemon changes to the root directory later.
        let directory =
            fs::canonicalize(path).with_context(|| format!("--vrrp-record {}", path.display()))?;
        if !directory.is_dir() {
            bail!("--vrrp-record {}: is not a directory", path.display());
        }
        Ok(Self(directory))
    }

    /// What another run left is kept until the next one.
    fn set_aside(&self, instance: &str) -> io::Result<()> {
        let [current, previous] = [".vrrp", ".vrrp.old"].map(|end| self.file(instance, end));
        match fs::rename(current, previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Replaces the file of an instance, whole or not at all. It names hosts and when they failed: nobody else reads it.
    fn write(&self, instance: &str, text: &str) -> io::Result<()> {
        let [current, next] = [".vrrp", ".vrrp.new"].map(|end| self.file(instance, end));
        match fs::remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) | Ok(()) => {}
        }
        // A new file: nobody can have put a link or a file of theirs there.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
        file.write_all(text.as_bytes())?;
        fs::rename(next, current)
    }

    fn file(&self, instance: &str, end: &str) -> PathBuf {
        self.0.join(format!("{}{end}", file_name(instance)))
    }
}

/// The thread that writes recordings.
pub(crate) struct Recordings {
    wanted: SyncSender<Arc<str>>,
    ended: oneshot::Receiver<()>,
}

impl Recordings {
    /// Starts it. It ends with [`finish`](Self::finish), or when this is dropped.
    pub(crate) fn start(directory: Directory, vrrp: Handle) -> io::Result<Self> {
        let (wanted, receiver) = sync_channel(WAITING);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("recordings".into()).spawn(move || {
            // Dropped at the end of the thread, also when it panics.
            let _end = end;
            run(&directory, &vrrp, &receiver);
        })?;
        Ok(Self { wanted, ended })
    }

    /// Has the file of an instance written soon.
    pub(crate) fn want(&self, instance: &Arc<str>) {
        // If so many wait, the disk hangs: the file at the end has everything too.
        let _ = self.wanted.try_send(Arc::clone(instance));
    }

    /// Writes all files for the last time, when the routers have ended; waits at most that long.
    pub(crate) async fn finish(self, limit: Duration) {
        drop(self.wanted);
        if tokio::time::timeout(limit, self.ended).await.is_err() {
            warn!("the recordings could not be written within {limit:?}");
        }
    }
}

fn run(directory: &Directory, vrrp: &Handle, wanted: &Receiver<Arc<str>>) {
    for instance in vrrp.instances() {
        said(instance.name(), directory.set_aside(instance.name()));
    }
    let write = |instance: Instance| {
        if let Some(text) = instance.recording() {
            said(instance.name(), directory.write(instance.name(), &(text + &clocks())));
        }
    };
    while let Ok(first) = wanted.recv() {
        // What happens together is one file, and what follows within a second is in it.
        let mut names = BTreeSet::from([first]);
        let until = Instant::now() + GATHERED;
        let is_over = loop {
            match wanted.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(name) => names.extend([name]),
                Err(RecvTimeoutError::Timeout) => break false,
                Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        if is_over {
            break;
        }
        names.iter().filter_map(|name| vrrp.instance(name)).for_each(write);
    }
    vrrp.instances().for_each(write);
}

/// A comment that tells the time of day of what is in a recording.
fn clocks() -> String {
    let (boot, day) = (lvs_vrrp::clock::now().as_nanos(), SystemTime::now().duration_since(UNIX_EPOCH));
    let seconds = day.unwrap_or_default().as_secs_f64();
    format!("# at {boot} ns on the clock of `start` it was {seconds:.3} s since 1970\n")
}

fn said(instance: &str, result: io::Result<()>) {
    if let Err(error) = result {
        warn!("{instance}: its recording cannot be written: {error}");
    }
}

/// The name of an instance where it may be that of a file; two of them never become the same.
fn file_name(instance: &str) -> String {
    let mut name = String::new();
    for octet in instance.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(octet)),
            _ => name.push_str(&format!("%{octet:02x}")),
        }
    }
    name
}

/// Room for the recording of one instance in bytes: at least three hours at an interval of one second.
pub(crate) const ROOM: usize = 1 << 20;

/// Instances that can wait to be written: all of a large host.
const WAITING: usize = 4096;

const GATHERED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use lvs_core::{Link, LinkAddress};
    use lvs_vrrp::record::replay;
    use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, MemoryNetwork, Priority, Vrid};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn names_of_instances_never_leave_the_directory_and_never_meet() {
        assert_eq!(file_name("VI_1"), "VI_1");
        assert_eq!(file_name("../../etc/a b"), "%2e%2e%2f%2e%2e%2fetc%2fa%20b");
        assert_ne!(file_name("a/b"), file_name("a%2fb"));
    }

    #[test]
    fn a_directory_that_is_none_is_refused() {
        let error = Directory::open(Path::new("/nowhere/at/all")).expect_err("it does not exist");
        assert!(format!("{error:#}").starts_with("--vrrp-record /nowhere/at/all: "), "{error:#}");
        let error = Directory::open(Path::new("/dev/null")).expect_err("it is a device");
        assert_eq!(error.to_string(), "--vrrp-record /dev/null: is not a directory");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_file_of_a_router_is_there_when_wanted_and_whole_in_the_end() {
        let scratch = Scratch::new();
        fs::write(scratch.0.join("a.vrrp"), "of another run").expect("a file");
        let router = Config::new(Interval::centis(1).expect("in range"), Priority::OWNER);
        let vip = [10, 0, 0, 1].into();
        let mut config = InstanceConfig::new("a", "lan", Vrid::new(1).expect("in range"), vec![vip], router);
        config.record = Some(ROOM);
        let network = MemoryNetwork::new();
        let (driver, handle, mut events) =
            Driver::with_transport(vec![config], network.host([vip])).expect("a good configuration");
        let address = LinkAddress { address: vip, prefix_len: 24, tagged: false };
        let link = Link { name: "lan".into(), index: 1, up: true, mac: None, addresses: vec![address] };
        handle.set_link(link);
        let driver = tokio::spawn(driver.run());
        let directory = Directory::open(&scratch.0).expect("it was made");
        let recordings = Recordings::start(directory, handle.clone()).expect("a thread");
        let event = events.recv().await.expect("it becomes master");
        recordings.want(&event.instance);
        let file = scratch.0.join("a.vrrp");
        let deadline = Instant::now() + Duration::from_secs(30);
        while !file.exists() || !scratch.names().contains(&"a.vrrp.old".to_owned()) {
            assert!(Instant::now() < deadline, "{:?}", scratch.names());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }

        handle.shutdown();
        driver.await.expect("no panic").expect("no error");
        recordings.finish(Duration::from_secs(30)).await;
        assert_eq!(scratch.names(), ["a.vrrp", "a.vrrp.old"]);
        assert_eq!(fs::read_to_string(scratch.0.join("a.vrrp.old")).expect("it is kept"), "of another run");
        let mode = fs::metadata(&file).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(file).expect("it is there");
        assert!(text.contains(" disable\n# at "), "{text}");
        let transcript = replay(&text).expect("a recording").to_string();
        assert!(transcript.ends_with("    MASTER -> INIT: disabled\n"), "{transcript}");
    }
}
