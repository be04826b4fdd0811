//! The thread that looks at what instances track, and moves their priorities and gates accordingly.

mod files;
mod judge;
mod processes;
mod scripts;

use std::collections::BTreeMap;

use lvs_vrrp::{Fact, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

pub(crate) use files::WatchedFile;
pub(crate) use judge::{Judge, TrackedInstance};
pub(crate) use processes::{Pattern, WatchedProcess};
pub(crate) use scripts::WatchedScript;

use crate::worker::{self, Waiting};
use files::Files;
use processes::Processes;

/// What is looked at; nothing twice.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Each runs by itself.
    pub(crate) scripts: Vec<(Object, WatchedScript)>,
    /// All are counted together.
    pub(crate) processes: Vec<(Object, WatchedProcess)>,
    /// All share the kernel's notices.
    pub(crate) files: Vec<(Object, WatchedFile)>,
    /// Names of interfaces.
    pub(crate) interfaces: Vec<(Object, String)>,
}

/// The place of a tracked object in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Object(pub(crate) usize);

/// Which of the tracked interfaces are up; nothing of those that nobody spoke of yet.
pub(crate) type Links = BTreeMap<String, Option<bool>>;

/// What the thread works on.
pub(crate) struct Trackers {
    pub(crate) watched: Watched,
    pub(crate) judge: Judge,
    /// The driver that owns the instances.
    pub(crate) vrrp: Handle,
    pub(crate) links: watch::Receiver<Links>,
    /// Ends the work; scripts that run are killed. Also when the sender is dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

impl Watched {
    /// The interfaces, of which nothing is known yet.
    pub(crate) fn links(&self) -> Links {
        self.interfaces.iter().map(|(_, name)| (name.clone(), None)).collect()
    }

    fn is_empty(&self) -> bool {
        let Self { scripts, processes, files, interfaces } = self;
        scripts.is_empty() && processes.is_empty() && files.is_empty() && interfaces.is_empty()
    }
}

impl Trackers {
    /// Opens the thread, if there is anything to look at: what is known at once is known, and the instances have heard of
    /// it, when this returns. It ends when it is told to stop.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(self) -> anyhow::Result<Option<Waiting>> {
        if self.watched.is_empty() {
            return Ok(None);
        }
        self.open().map(Some)
    }

    fn open(self) -> anyhow::Result<Waiting> {
        let Self { watched, mut judge, vrrp, links, stop } = self;
        let (ready, opened) = std::sync::mpsc::sync_channel(1);
        let Watched { scripts, processes, files, interfaces } = watched;
        worker::start(
            "trackers",
            async move || {
                let (files, contents) = Files::open(files)?;
                let (processes, counts) = Processes::open(processes);
                for (object, fact) in contents.into_iter().chain(counts) {
                    judge.set_fact(object, fact);
                }
                for (object, script) in &scripts {
                    judge.set_fact(*object, script.fact_at_first());
                }
                judge.tell_all(&vrrp);
                // Whoever opened it waits for this.
                let _ = ready.send((files, processes, scripts, judge, vrrp));
                Ok(opened)
            },
            async move |opened| {
                let Ok((files, processes, scripts, judge, vrrp)) = opened.recv() else { return false };
                let mut tasks = JoinSet::new();
                let (facts, news) = mpsc::channel(NEWS);
                for (object, script) in scripts {
                    tasks.spawn(script.keep_running(object, facts.clone()));
                }
                tasks.spawn(files.keep_watching(facts.clone()));
                tasks.spawn(processes.keep_counting(facts.clone()));
                tasks.spawn(keep_links(interfaces, links, facts));
                tokio::select! {
                    _ = stop => {}
                    () = judge.keep(news, vrrp) => {}
                }
                // Scripts are killed here.
                tasks.shutdown().await;
                true
            },
        )
    }
}

/// Hands on what becomes of tracked interfaces. Ends when nobody tells about interfaces any more. Safe to cancel.
async fn keep_links(
    interfaces: Vec<(Object, String)>,
    mut links: watch::Receiver<Links>,
    facts: mpsc::Sender<(Object, Fact)>,
) {
    let mut known: BTreeMap<Object, bool> = BTreeMap::new();
    loop {
        let now: Vec<(Object, bool)> = {
            let links = links.borrow_and_update();
            let up = |name| links.get(name).copied().flatten();
            interfaces.iter().filter_map(|(object, name)| Some((*object, up(name)?))).collect()
        };
        for (object, up) in now {
            if known.insert(object, up) != Some(up) {
                let fact = if up { Fact::Up } else { Fact::Down };
                if facts.send((object, fact)).await.is_err() {
                    return;
                }
            }
        }
        if links.changed().await.is_err() {
            return;
        }
    }
}

/// Facts that wait while the priorities are moved, which takes microseconds.
const NEWS: usize = 64;
