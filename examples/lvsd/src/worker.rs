//! A thread with a runtime of its own that opens what it needs, waits for the word, works, and says how it ended.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

/// The thread has opened what it needs; it has changed nothing yet.
pub(crate) struct Waiting {
    go: oneshot::Sender<()>,
    running: Running,
}

impl Waiting {
    /// Lets the work begin. Dropping this instead ends the thread without a change.
    pub(crate) fn go(self) -> Running {
        // A thread that is gone shows by `Running::lost`.
        let _ = self.go.send(());
        self.running
    }
}

/// The thread at work.
pub(crate) struct Running {
    /// Whether everything was released; an error if the thread panicked. Nothing once it was received.
    ended: Option<oneshot::Receiver<bool>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Waits until the thread has ended although nobody asked it to. Safe to cancel.
    pub(crate) async fn lost(&mut self) {
        if let Some(ended) = &mut self.ended {
            let _ = ended.await;
            self.ended = None;
        }
    }

    /// Waits until the thread has ended; whether everything was released.
    pub(crate) async fn end(self) -> bool {
        let complete = match self.ended {
            Some(ended) => ended.await.unwrap_or(false),
            None => false,
        };
        // It has sent its last word, or it panicked: this does not wait.
        let _ = self.thread.join();
        complete
    }
}

/// Starts a thread of that name. `open` runs first, inside the thread's runtime; `work` follows with its result once
/// the word was given, and answers whether everything was released in the end.
///
/// # Errors
/// The thread cannot be started, or `open` failed.
pub(crate) fn start<O, Open, Work, Opened, Worked>(name: &str, open: O, work: Work) -> anyhow::Result<Waiting>
where
    O: FnOnce() -> Open + Send + 'static,
    Open: Future<Output = anyhow::Result<Opened>>,
    Work: FnOnce(Opened) -> Worked + Send + 'static,
    Worked: Future<Output = bool>,
{
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let (go, begin) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        runtime.block_on(async {
            match open().await {
                Ok(opened) => {
                    // A receiver that is gone has given up already, and so has the sender of `begin`.
                    let _ = ready.send(Ok(()));
                    if begin.await.is_ok() {
                        let _ = end.send(work(opened).await);
                    }
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        });
    })?;
    started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread ended at its start").into()))?;
    Ok(Waiting { go, running: Running { ended: Some(ended), thread } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_done_before_the_word_and_the_end_is_told() {
        let waiting = start("worker", async || Ok(7), async |opened| opened == 7).unwrap();
        assert!(waiting.go().end().await);
    }

    #[tokio::test]
    async fn a_thread_that_cannot_open_is_an_error() {
        let refused = start("worker", async || Err::<(), _>(anyhow::anyhow!("no")), async |()| true);
        assert_eq!(refused.err().map(|error| error.to_string()).as_deref(), Some("no"));
    }

    #[tokio::test]
    async fn a_panic_is_noticed_and_is_no_good_end() {
        let mut running = start("worker", async || Ok(()), async |()| panic!("on purpose")).unwrap().go();
        running.lost().await;
        assert!(!running.end().await);
    }
}
