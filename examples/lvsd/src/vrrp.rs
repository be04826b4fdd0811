//! The thread that runs VRRP and nothing else: adverts never wait.

use std::io;
use std::thread::{self, JoinHandle};

use lvs_vrrp::scheduling::{set_niceness, set_realtime};
use lvs_vrrp::{Driver, Event, Handle, Setup};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::Pid;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use crate::conf::model::Scheduling;

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
}

impl Ready {
    /// Checks the configuration; opens and sends nothing.
    pub(crate) fn new(setup: Setup) -> Result<Self, lvs_vrrp::Error> {
        let (driver, handle, events) = Driver::new(setup)?;
        Ok(Self { driver, handle, events })
    }

    /// Commands the routers once they run.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Starts the thread, which runs as that says if the kernel lets it.
    pub(crate) fn start(self, scheduling: Scheduling) -> anyhow::Result<Routers> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let driver = self.driver;
        let thread = thread::Builder::new().name("vrrp".into()).spawn(move || {
            // Dropped at the end of the thread, also when it panics.
            let _end = end;
            ask_for(&scheduling);
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

/// Asks the kernel to run this thread as configured. What it refuses is said, and goes without.
fn ask_for(scheduling: &Scheduling) {
    let complain = |keyword, result: io::Result<()>| {
        if let Err(error) = result {
            warn!("{keyword}: {error}; VRRP runs without it");
        }
    };
    if let Some(niceness) = scheduling.niceness {
        complain("vrrp_priority", set_niceness(niceness));
    }
    if let Some(limit) = scheduling.realtime_limit {
        // The whole process has the limit; it counts for threads in real time only.
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        let limited = setrlimit(Resource::RLIMIT_RTTIME, micros, micros);
        complain("vrrp_rlimit_rttime", limited.map_err(io::Error::from));
    }
    if let Some(priority) = scheduling.realtime {
        complain("vrrp_rt_priority", set_realtime(priority));
    }
    if !scheduling.processors.is_empty() {
        complain("vrrp_cpu_affinity", run_on(&scheduling.processors));
    }
    if scheduling.no_swap {
        // Of the whole process: pages are not a thread's.
        let locked = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE);
        complain("vrrp_no_swap", locked.map_err(io::Error::from));
    }
}

fn run_on(processors: &[u16]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &processor in processors {
        set.set(processor.into())?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
