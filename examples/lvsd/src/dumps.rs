//! Writes state and counters of the virtual routers into files when signals ask for them.
//!
//! A thread of its own looks and writes, and may wait for a disk as long as it likes. What is asked for while it writes is
//! done once, afterwards.

mod data;
mod json;
mod picture;
mod private;
mod stats;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use anyhow::Context as _;
use lvs_vrrp::Handle;
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

use crate::conf::model::{self, JsonVersion, VrrpInstance};
use crate::conf::tracking::SyncGroup;
use crate::trackers::{Known, Running, SharedJudge};
use picture::{InstancePicture, Picture};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dump {
    /// How everything stands.
    Data,
    /// The counters.
    Stats,
    /// The counters, which begin again at 0 once they are written.
    StatsClear,
    /// Both in JSON.
    Json,
}

/// What is looked at.
pub(crate) struct Source {
    pub(crate) config: model::Config,
    /// The virtual routers, if they run.
    pub(crate) vrrp: Option<Handle>,
    /// What is known of tracked objects.
    pub(crate) judge: SharedJudge,
    /// Whether tracked scripts run at the moment, by name.
    pub(crate) scripts: BTreeMap<String, Running>,
}

/// The thread that writes.
pub(crate) struct Dumps {
    requests: Requests,
    ended: oneshot::Receiver<()>,
}

impl Dumps {
    /// Starts it. It ends with [`finish`](Self::finish), or when this is dropped.
    pub(crate) fn start(source: Source) -> io::Result<Self> {
        let requests = Requests(Arc::default());
        let waiting = requests.clone();
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("dumps".into()).spawn(move || {
            // Dropped at the end of the thread, also when it panics.
            let _end = end;
            let files = Files::of(&source.config.global.dumps, &default_directory());
            while let Some(wanted) = waiting.next() {
                source.write(&files, wanted);
            }
        })?;
        Ok(Self { requests, ended })
    }

    /// Where to ask.
    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Ends the thread once it has written what it was asked for; waits at most that long.
    pub(crate) async fn finish(mut self, limit: Duration) {
        self.requests.end();
        if tokio::time::timeout(limit, &mut self.ended).await.is_err() {
            warn!("a dump could not be written within {limit:?}");
        }
    }
}

impl Drop for Dumps {
    fn drop(&mut self) {
        self.requests.end();
    }
}

/// Asks the thread; never waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Requests(Arc<(Mutex<Wanted>, Condvar)>);

/// What was asked for and is not begun yet. There is nothing to grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    data: bool,
    stats: bool,
    clear: bool,
    json: bool,
    is_over: bool,
}

impl Requests {
    /// Has something written soon; once, however often it is asked for until it begins.
    pub(crate) fn want(&self, dump: Dump) {
        let mut wanted = self.wanted();
        match dump {
            Dump::Data => wanted.data = true,
            Dump::Stats => wanted.stats = true,
            Dump::StatsClear => wanted.clear = true,
            Dump::Json => wanted.json = true,
        }
        self.0.1.notify_one();
    }

    fn end(&self) {
        self.wanted().is_over = true;
        self.0.1.notify_one();
    }

    /// Waits for something to do; nothing after the end.
    fn next(&self) -> Option<Wanted> {
        let is_idle = |wanted: &mut Wanted| *wanted == Wanted::default();
        let mut wanted = self.0.1.wait_while(self.wanted(), is_idle).unwrap_or_else(PoisonError::into_inner);
        let is_over = wanted.is_over;
        let taken = std::mem::replace(&mut *wanted, Wanted { is_over, ..Wanted::default() });
        let is_empty = taken == Wanted { is_over: true, ..Wanted::default() };
        (!is_empty).then_some(taken)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // Nothing is done under this lock that could leave it half done.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Writes what is wanted. What fails is logged; the counters are cleared only if they were written.
    fn write(&self, files: &Files, wanted: Wanted) {
        let picture = self.look();
        if wanted.data {
            report(&files.data, || Ok(private::write(&files.data, data::text(&picture).as_bytes())?));
        }
        if wanted.stats || wanted.clear {
            let is_written =
                report(&files.stats, || Ok(private::write(&files.stats, stats::text(&picture).as_bytes())?));
            if wanted.clear && is_written {
                self.clear(&picture);
            }
        }
        if wanted.json {
            report(&files.json, || {
                let text = json::text(&picture, files.json_version).context("the text cannot be made")?;
                Ok(private::write(&files.json, &text)?)
            });
        }
    }

    fn look(&self) -> Picture<'_> {
        let Known { facts, explanations } = self.judge.known();
        let running = self.scripts.iter().filter(|(_, running)| running.is_running());
        let mut picture = Picture {
            config: &self.config,
            instances: Vec::new(),
            interfaces: BTreeMap::new(),
            facts,
            running: running.map(|(name, _)| &**name).collect(),
            now: lvs_core::Instant::ORIGIN,
            wall: Duration::ZERO,
        };
        if let Some(vrrp) = &self.vrrp {
            picture.instances = self.instances(vrrp, explanations);
            for name in picture.instances.iter().map(|instance| &*instance.config.interface) {
                if !picture.interfaces.contains_key(name)
                    && let Some(stats) = vrrp.interface_stats(name)
                {
                    picture.interfaces.insert(name, stats);
                }
            }
        }
        // Nothing of what was seen is later than that.
        picture.now = lvs_vrrp::clock::now();
        picture.wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        picture
    }

    fn instances(
        &self,
        vrrp: &Handle,
        mut explanations: BTreeMap<String, String>,
    ) -> Vec<InstancePicture<'_>> {
        let groups = self.config.groups.iter();
        let groups: BTreeMap<&str, &SyncGroup> =
            groups.flat_map(|group| group.members.iter().map(move |name| (&**name, group))).collect();
        let configs = self.config.instances.iter();
        let configs: BTreeMap<&str, &VrrpInstance> = configs.map(|config| (&*config.name, config)).collect();
        vrrp.instances()
            .filter_map(|instance| {
                let config = *configs.get(instance.name())?;
                let ownership = *instance.ownership().borrow();
                Some(InstancePicture {
                    config,
                    group: groups.get(&*config.name).copied(),
                    status: instance.status(),
                    stats: instance.stats(),
                    // Announced is only what the host was seen to have.
                    is_set: ownership.is_master() && ownership.announcements > 0,
                    explanation: explanations.remove(&config.name),
                })
            })
            .collect()
    }

    /// Takes off the counters what was written.
    fn clear(&self, picture: &Picture<'_>) {
        let Some(vrrp) = &self.vrrp else { return };
        let seen = picture.instances.iter();
        let seen: BTreeMap<&str, _> = seen.map(|seen| (&*seen.config.name, &seen.stats)).collect();
        for instance in vrrp.instances() {
            if let Some(seen) = seen.get(instance.name()) {
                instance.clear_stats(seen);
            }
        }
        for (name, seen) in &picture.interfaces {
            vrrp.clear_interface_stats(name, seen);
        }
    }
}

/// Logs how it went; whether it went well.
fn report(path: &Path, write: impl FnOnce() -> anyhow::Result<()>) -> bool {
    let result = write();
    match &result {
        Ok(()) => debug!("{} is written", path.display()),
        Err(failure) => error!("a dump is not written: {failure:#}"),
    }
    result.is_ok()
}

/// Where everything goes.
#[derive(Debug, PartialEq, Eq)]
struct Files {
    data: PathBuf,
    stats: PathBuf,
    json: PathBuf,
    json_version: JsonVersion,
}

impl Files {
    fn of(wanted: &model::DumpFiles, default: &Path) -> Self {
        let place = |wanted: &Option<PathBuf>, name: &str| {
            // A path that ends with a slash is a directory's.
            let is_directory = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(b"/");
            match wanted {
                Some(path) if is_directory(path) => path.join(name),
                Some(path) => path.clone(),
                None => default.join(name),
            }
        };
        Self {
            data: place(&wanted.data, "keepalived.data"),
            stats: place(&wanted.stats, "keepalived.stats"),
            json: place(&wanted.json, "keepalived.json"),
            json_version: wanted.json_version,
        }
    }
}

/// keepalived's: programs look there.
fn default_directory() -> PathBuf {
    let named = std::env::var_os("TMPDIR").map(PathBuf::from).filter(|path| path.is_absolute());
    named.unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// What stands for passwords and keys.
const MASK: &str = "********";

#[cfg(test)]
mod tests;
