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
pub(crate) use judge::{Judge, Known, SharedJudge, TrackedInstance};
pub(crate) use processes::{Pattern, WatchedProcess};
pub(crate) use scripts::{Running, WatchedScript};

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
    pub(crate) judge: SharedJudge,
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
        let Self { watched, judge, vrrp, links, stop } = self;
        let (ready, opened) = std::sync::mpsc::sync_channel(1);
        let Watched { scripts, processes, files, interfaces } = watched;
        worker::start(
            "trackers",
            async move || {
                let (files, contents) = Files::open(files)?;
                let (processes, counts) = Processes::open(processes);
                {
                    let mut judge = judge.lock();
                    for (object, fact) in contents.into_iter().chain(counts) {
                        judge.set_fact(object, fact);
                    }
                    for (object, script) in &scripts {
                        judge.set_fact(*object, script.fact_at_first());
                    }
                    judge.tell_all(&vrrp);
                }
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
                let is_good = tokio::select! {
                    _ = stop => true,
                    () = judge.keep(news, vrrp) => true,
                    // What is not looked at any more must not keep its last state.
                    () = a_panic(&mut tasks) => false,
                };
                // Scripts are killed here.
                tasks.shutdown().await;
                is_good
            },
        )
    }
}

/// Until one of the tasks panics. Safe to cancel.
async fn a_panic(tasks: &mut JoinSet<()>) {
    while let Some(end) = tasks.join_next().await {
        if end.is_err_and(|error| error.is_panic()) {
            return;
        }
    }
    std::future::pending().await
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn task_that_panics_is_noticed_and_one_that_ends_is_not() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        assert!(tokio::time::timeout(Duration::from_millis(50), a_panic(&mut tasks)).await.is_err());
        tasks.spawn(async { panic!("on purpose") });
        a_panic(&mut tasks).await;
    }

    #[tokio::test]
    async fn interface_is_told_when_something_is_known_of_it_and_when_it_changes() {
        let watched = Watched { interfaces: vec![(Object(2), "eth1".to_owned())], ..Watched::default() };
        let (links, linked) = watch::channel(watched.links());
        let (facts, mut news) = mpsc::channel(4);
        let task = tokio::spawn(keep_links(watched.interfaces, linked, facts));
        for (up, fact) in [(false, Fact::Down), (true, Fact::Up)] {
            links.send_modify(|links| _ = links.insert("eth1".to_owned(), Some(up)));
            assert_eq!(news.recv().await, Some((Object(2), fact)));
        }
        // Another interface, and the same again.
        links.send_modify(|links| _ = links.insert("eth2".to_owned(), Some(true)));
        links.send_modify(|links| _ = links.insert("eth1".to_owned(), Some(true)));
        drop(links);
        assert_eq!(news.recv().await, None);
        task.await.unwrap();
    }
}
