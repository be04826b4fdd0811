//! The thread that runs VRRP and nothing else: adverts never wait.

use std::thread::{self, JoinHandle};

use lvs_vrrp::{Driver, Event, Handle, Setup};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use crate::conf::model::Scheduling;
use crate::scheduling;

/// The running virtual routers.
pub(crate) struct Routers {
    /// Commands them.
    pub(crate) handle: Handle,
    /// What happens to them.
    pub(crate) events: mpsc::Receiver<Event>,
    /// Ready when the thread has ended, for whatever reason.
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// Virtual routers that wait for their start.
pub(crate) struct Ready {
    driver: Driver,
    handle: Handle,
    events: mpsc::Receiver<Event>,
    scheduling: Scheduling,
}

impl Ready {
    /// Checks the configuration; opens and sends nothing.
    pub(crate) fn new(setup: Setup, scheduling: Scheduling) -> Result<Self, lvs_vrrp::Error> {
        let (driver, handle, events) = Driver::new(setup)?;
        Ok(Self { driver, handle, events, scheduling })
    }

    /// Commands the routers once they run.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Starts the thread.
    pub(crate) fn start(self) -> anyhow::Result<Routers> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let (driver, wanted) = (self.driver, self.scheduling);
        let thread = thread::Builder::new().name("vrrp".into()).spawn(move || {
            // Dropped at the end of the thread, also when it panics.
            let _end = end;
            scheduling::apply(&wanted);
            if let Err(failure) = runtime.block_on(driver.run()) {
                error!("VRRP ended: {failure}");
            }
        })?;
        Ok(Routers { handle: self.handle, events: self.events, ended, thread })
    }
}

impl Routers {
    /// Every master resigns; then the thread ends. The events that are left can still be read.
    pub(crate) async fn stop(self) -> mpsc::Receiver<Event> {
        self.handle.shutdown();
        // An error means that the sender is gone: the thread has ended.
        let _ = self.ended.await;
        let _ = self.thread.join();
        self.events
    }
}
