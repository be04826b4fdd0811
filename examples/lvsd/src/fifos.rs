//! The thread that tells FIFOs what changes, as keepalived does: it may wait for a file system, nobody waits for it.

mod line;
mod pipe;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::warn;

use crate::conf::model::FifoScope;
use crate::scripts::Script;
use crate::worker::{self, Running};
use line::Line;
pub(crate) use line::{News, Tastes};
use pipe::Pipe;
pub(crate) use pipe::check;
use reader::Reader;

/// Lines that wait while the thread is held up; beyond that they are lost and counted.
const WAITING: usize = 1024;

/// How long what is in a FIFO may be read when the daemon stops.
const LAST_READ: Duration = Duration::from_secs(1);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A FIFO as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedFifo {
    pub(crate) scope: FifoScope,
    pub(crate) path: PathBuf,
    /// User and group ids that it is made for; this process's own if none are given.
    pub(crate) owner: Option<(u32, u32)>,
    /// What is started to read it.
    pub(crate) reader: Option<Script>,
}

/// The running thread.
pub(crate) struct Fifos {
    lines: mpsc::Sender<Line>,
    tastes: Tastes,
    lost: Arc<AtomicU64>,
    thread: Running,
}

impl Fifos {
    /// Makes and opens the FIFOs and starts their readers; nothing if none are wanted. One that cannot be made is tried
    /// again with each line.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(wanted: Vec<WantedFifo>, tastes: Tastes) -> anyhow::Result<Option<Self>> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let (lines, waiting) = mpsc::channel(WAITING);
        let open = async move || Ok(wanted.into_iter().map(Told::open).collect());
        let thread = worker::start("fifos", open, async move |fifos| {
            write_all(fifos, waiting).await;
            true
        })?;
        Ok(Some(Self { lines, tastes, lost: Arc::default(), thread: thread.go() }))
    }

    /// Tells the FIFOs that want to know; never waits.
    pub(crate) fn tell(&self, news: &News) {
        let Some(line) = Line::of(news, &self.tastes) else { return };
        if let Err(error) = self.lines.try_send(line) {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if lost.is_power_of_two() {
                warn!("{lost} lines for FIFOs are lost, as they cannot be written: {error}");
            }
        }
    }

    /// Waits until the thread has ended although nobody asked it to. Safe to cancel.
    pub(crate) async fn lost(&mut self) {
        self.thread.lost().await;
    }

    /// Has the last lines written and read, ends the readers, and removes the FIFOs; waits at most `limit`.
    pub(crate) async fn finish(self, limit: Duration) {
        drop(self.lines);
        if tokio::time::timeout(limit, self.thread.end()).await.is_err() {
            warn!("the FIFOs were not read and removed within {limit:?}");
        }
    }
}

/// A FIFO that is told, and what reads it.
struct Told {
    scope: FifoScope,
    pipe: Pipe,
    reader: Option<Script>,
}

impl Told {
    fn open(wanted: WantedFifo) -> Self {
        let WantedFifo { scope, path, owner, reader } = wanted;
        Self { scope, pipe: Pipe::new(path, owner), reader }
    }
}

/// Writes lines until nobody sends any more; then ends the readers, and with the FIFOs' owner the FIFOs that were made
/// here. Cancelling kills the readers.
async fn write_all(mut fifos: Vec<Told>, mut lines: mpsc::Receiver<Line>) {
    let mut readers = JoinSet::new();
    let mut ends = Vec::new();
    for fifo in &mut fifos {
        let Some(script) = fifo.reader.take() else { continue };
        match Reader::start(&script, fifo.pipe.path()) {
            Ok(reader) => {
                let (end, over) = oneshot::channel();
                ends.push(end);
                readers.spawn(reader.watch(over));
            }
            Err(error) => warn!("{:?}, which reads a FIFO, cannot run: {error}", script.command),
        }
    }
    while let Some(line) = lines.recv().await {
        for fifo in fifos.iter_mut().filter(|fifo| line.is_for(fifo.scope)) {
            fifo.pipe.write(&line.text);
        }
    }
    if !readers.is_empty() {
        // Closing throws away what a reader that was just started has not read.
        let drained = async {
            while !fifos.iter().all(|fifo| fifo.pipe.is_drained()) {
                tokio::time::sleep(LOOK).await;
            }
        };
        // Who does not read cannot be waited for longer.
        let _ = tokio::time::timeout(LAST_READ, drained).await;
    }
    fifos.iter_mut().for_each(|fifo| fifo.pipe.close());
    drop(ends);
    readers.join_all().await;
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use lvs_core::{Notice, Role};

    use super::*;

    fn wanted(path: &Path, reader: &str) -> WantedFifo {
        let command = ["sh", "-c", reader].map(str::to_owned).to_vec();
        WantedFifo {
            scope: FifoScope::All,
            path: path.to_owned(),
            owner: None,
            reader: Some(Script { command, identity: None }),
        }
    }

    fn news(priority: u8) -> News {
        News::Instance(Notice::Role { instance: "V".to_owned(), role: Role::Backup, priority })
    }

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lvsd-test-{}-fifos-{name}", std::process::id()))
    }

    #[tokio::test]
    async fn reader_gets_every_line_in_order_and_the_end_before_it_is_ended() {
        let (fifo, said) = (place("reader"), place("reader-said"));
        // With `-c` the appended path is the script's $0.
        let reader = format!("while read -r line; do echo \"$line\"; done < $0 > {}", said.display());
        let fifos = Fifos::start(vec![wanted(&fifo, &reader)], Tastes::default()).unwrap().unwrap();
        (1..=200).for_each(|priority| fifos.tell(&news(priority)));
        fifos.finish(Duration::from_secs(30)).await;
        let expected: String =
            (1..=200).map(|priority| format!("INSTANCE \"V\" BACKUP {priority}\n")).collect();
        assert_eq!(std::fs::read_to_string(&said).unwrap(), expected);
        assert!(!fifo.exists());
        std::fs::remove_file(said).unwrap();
    }

    #[tokio::test]
    async fn reader_that_does_not_read_is_ended_and_one_that_died_is_no_harm() {
        let (hangs, died, pid) = (place("hangs"), place("died"), place("hangs-pid"));
        let hanging = format!("echo $$ > {}; sleep 1000 & wait", pid.display());
        let fifos = vec![wanted(&hangs, &hanging), wanted(&died, "exit 3")];
        let fifos = Fifos::start(fifos, Tastes::default()).unwrap().unwrap();
        fifos.tell(&news(1));
        let started = || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'));
        while !started() {
            tokio::time::sleep(LOOK).await;
        }
        fifos.finish(Duration::from_secs(30)).await;
        let text = std::fs::read_to_string(&pid).unwrap();
        assert!(!Path::new("/proc").join(text.trim()).exists());
        assert!(!hangs.exists() && !died.exists());
        std::fs::remove_file(pid).unwrap();
    }

    #[tokio::test]
    async fn no_fifos_are_no_thread() {
        assert!(Fifos::start(Vec::new(), Tastes::default()).unwrap().is_none());
    }
}
