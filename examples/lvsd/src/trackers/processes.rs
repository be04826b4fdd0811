//! Counts running processes, and decides whether there are as many as there should be.

mod connector;
mod settling;
mod table;

use std::ops::RangeInclusive;
use std::time::Duration;

use lvs_vrrp::Fact;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use super::Object;
use connector::{Connector, News};
use settling::Settling;
pub(crate) use table::Pattern;
use table::Table;

/// Processes that are counted.
#[derive(Clone, Debug)]
pub(crate) struct WatchedProcess {
    /// Its name in the configuration.
    pub(crate) name: String,
    pub(crate) pattern: Pattern,
    /// How many there should be.
    pub(crate) quorum: RangeInclusive<u32>,
    /// How long there have to be enough before it is up.
    pub(crate) fork_delay: Duration,
    /// How long there have to be too few or too many before it is down.
    pub(crate) terminate_delay: Duration,
}

impl WatchedProcess {
    fn fact(&self, count: usize) -> Fact {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if self.quorum.contains(&count) { Fact::Up } else { Fact::Down }
    }
}

/// All watched processes.
pub(super) struct Processes {
    watched: Vec<Counted>,
    table: Table,
}

struct Counted {
    object: Object,
    process: WatchedProcess,
    settling: Settling,
}

impl Processes {
    /// Counts for the first time.
    pub(super) fn open(processes: Vec<(Object, WatchedProcess)>) -> (Self, Vec<(Object, Fact)>) {
        let mut table = Table::new(processes.iter().map(|(_, process)| process.pattern.clone()).collect());
        if let (false, Err(error)) = (processes.is_empty(), table.scan()) {
            warn!("processes cannot be listed: {error}");
        }
        let counted = |(place, (object, process)): (usize, (Object, WatchedProcess))| {
            let settling =
                Settling::new(process.fact(table.count(place)), process.fork_delay, process.terminate_delay);
            Counted { object, process, settling }
        };
        let watched: Vec<Counted> = processes.into_iter().enumerate().map(counted).collect();
        let facts = watched.iter().map(|counted| (counted.object, counted.settling.fact())).collect();
        (Self { watched, table }, facts)
    }

    /// Counts for ever. Safe to cancel.
    pub(super) async fn keep_counting(mut self, facts: mpsc::Sender<(Object, Fact)>) {
        if self.watched.is_empty() {
            return;
        }
        let mut notices = Notices::open();
        let mut complaint = None;
        let mut look_at = Instant::now();
        loop {
            let settled = self.watched.iter().filter_map(|counted| counted.settling.settles_at()).min();
            let must_look = tokio::select! {
                news = notices.next() => news.into_iter().any(|news| self.hear(news)),
                () = tokio::time::sleep_until(look_at) => true,
                () = until(settled) => false,
            };
            if must_look {
                look_at = Instant::now() + notices.pause();
            }
            match if must_look { self.table.scan() } else { Ok(()) } {
                Ok(()) => complaint = None,
                Err(error) => {
                    let error = error.to_string();
                    if complaint.as_ref() != Some(&error) {
                        warn!("processes cannot be listed: {error}");
                        complaint = Some(error);
                    }
                }
            }
            for news in self.judge(Instant::now()) {
                if facts.send(news).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Takes what the kernel said; whether all processes have to be looked at.
    fn hear(&mut self, news: News) -> bool {
        match news {
            News::Changed(pid) => {
                self.table.look_at(pid);
                false
            }
            // What happened before it began to tell is not known.
            News::Answer(_) | News::Lost => true,
        }
    }

    fn judge(&mut self, now: Instant) -> Vec<(Object, Fact)> {
        let mut news = Vec::new();
        for (place, Counted { object, process, settling }) in self.watched.iter_mut().enumerate() {
            let count = self.table.count(place);
            if let Some(fact) = settling.settle(now, process.fact(count)) {
                let name = &process.name;
                match fact {
                    Fact::Up => info!("process {name}: up: there are {count}"),
                    _ => warn!("process {name}: down: there are {count}"),
                }
                news.push((*object, fact));
            }
        }
        news
    }
}

/// What the kernel tells, where it does.
struct Notices {
    connector: Option<Connector>,
    /// It has said that it will.
    promised: bool,
}

impl Notices {
    fn open() -> Self {
        let connector = Connector::open();
        if let Err(error) = &connector {
            info!("the kernel does not tell about processes here ({error}): they are listed every second");
        }
        Self { connector: connector.ok(), promised: false }
    }

    /// For ever pending where the kernel tells nothing. Safe to cancel.
    async fn next(&mut self) -> Vec<News> {
        let Some(connector) = &mut self.connector else { return std::future::pending().await };
        let refusal = match connector.next().await {
            Ok(news) => {
                let answer = news.iter().find_map(|news| match news {
                    News::Answer(error) => Some(*error),
                    News::Changed(_) | News::Lost => None,
                });
                match answer {
                    Some(0) | None => {
                        self.promised |= answer.is_some();
                        return news;
                    }
                    Some(error) => format!("error {error}"),
                }
            }
            Err(error) => error.to_string(),
        };
        warn!("the kernel does not tell about processes any more ({refusal}): they are listed every second");
        (self.connector, self.promised) = (None, false);
        vec![News::Lost]
    }

    /// How long to rely on it.
    fn pause(&self) -> Duration {
        if self.promised { LOOK_TO_BE_SURE } else { LOOK_AGAIN }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How often the processes are listed where the kernel does not tell about them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// And where it does.
const LOOK_TO_BE_SURE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::tracking::ArgumentMatch;

    #[tokio::test]
    async fn process_that_starts_and_ends_is_noticed() {
        // A name that no other process has: 15 bytes are kept.
        let directory = std::env::temp_dir().join(format!("lvsd-test-{}-process", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let name = format!("t{:x}", std::process::id());
        let program = directory.join(&name);
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let process = WatchedProcess {
            name: "p".to_owned(),
            pattern: Pattern::new(vec![name, "60".to_owned()], Some(ArgumentMatch::Exact), false),
            quorum: 1..=1,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
        };
        let (processes, first) = Processes::open(vec![(Object(4), process)]);
        assert_eq!(first, [(Object(4), Fact::Down)]);
        let (facts, mut news) = mpsc::channel(1);
        let task = tokio::spawn(processes.keep_counting(facts));
        let mut next = async || tokio::time::timeout(Duration::from_secs(30), news.recv()).await.unwrap();
        let start = || tokio::process::Command::new(&program).arg("60").kill_on_drop(true).spawn().unwrap();
        let mut one = start();
        assert_eq!(next().await, Some((Object(4), Fact::Up)));
        // Too many.
        let mut two = start();
        assert_eq!(next().await, Some((Object(4), Fact::Down)));
        one.kill().await.unwrap();
        assert_eq!(next().await, Some((Object(4), Fact::Up)));
        two.kill().await.unwrap();
        assert_eq!(next().await, Some((Object(4), Fact::Down)));
        task.abort();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
