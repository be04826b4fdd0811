//! Starts the program that reads a FIFO, says when it ends, and ends it when nothing more is written.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::scripts::{self, Script};

/// How long a reader may go on after the end of its FIFO before it is asked to end with SIGTERM.
const END_BY_ITSELF: Duration = Duration::from_secs(1);

/// A program that reads a FIFO.
pub(super) struct Reader {
    command: String,
    running: scripts::Running,
}

impl Reader {
    /// Starts it; the path of the FIFO is its last argument.
    pub(super) fn start(script: &Script, fifo: &Path) -> io::Result<Self> {
        let mut script = script.clone();
        script.command.push(fifo.to_string_lossy().into_owned());
        let running = scripts::spawn(&script)?;
        info!("the reader of the FIFO {} runs: {:?}", fifo.display(), script.command);
        Ok(Self { command: script.command.first().cloned().unwrap_or_default(), running })
    }

    /// Waits until it ends by itself, which is worth a word, or until `over` says that nothing more is written; then it
    /// is ended with everything that it started. Cancelling kills it.
    pub(super) async fn watch(mut self, over: oneshot::Receiver<()>) {
        let Self { command, running } = &mut self;
        tokio::select! {
            biased;
            status = running.wait() => {
                // As keepalived: one that puts itself into the background ends too, and must not run twice.
                match status {
                    Ok(status) => warn!("{command}, which reads a FIFO, ended: {status}; it is not started again"),
                    Err(error) => warn!("{command}, which reads a FIFO, is lost: {error}"),
                }
                return;
            }
            // Also if nobody is left to say it.
            _ = over => {}
        }
        if tokio::time::timeout(END_BY_ITSELF, running.wait()).await.is_err()
            && let Err(error) = running.end().await
        {
            warn!("{command}, which reads a FIFO, cannot be ended: {error}");
        }
    }
}
