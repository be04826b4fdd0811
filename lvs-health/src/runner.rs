//! Runs the checks that the scheduler says are due, on a tokio runtime.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lvs_core::Instant;
use lvs_core::check::{Check, Failure, Success};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use crate::policy::Policy;
use crate::schedule::{CheckId, Event, Probe, Report, Scheduler};

/// Drives a [`Scheduler`] with real probes.
///
/// [`run`](Self::run) is the task. It owns the scheduler and one task per probe that is out; nothing else. It is told
/// what to check through a [`RunnerHandle`] and says what changed through [`HealthEvents`]. A reader that is slow or
/// absent never delays a probe and never loses a state: what it did not read yet is merged by the scheduler.
///
/// * A probe that does not end by itself is dropped 100 ms after its deadline ([`Policy::timeout`]) and has failed.
/// * A check that panics has failed (needs `panic = "unwind"`); it is logged and counted.
/// * At most [`concurrency`](RunnerBuilder::concurrency) probes are out at once. Beyond that probes wait, longest
///   overdue first; [`Stats`] shows by how much. Each probe of a built-in check
///   uses a file descriptor, so the process's limit (`RLIMIT_NOFILE`, often 1,024 at first) has to exceed it.
/// * A check must not block its thread: with a current-thread runtime it would stop all others.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use lvs_core::check::{Check, Failure, Success};
/// use lvs_health::{CheckId, Health, Policy, Runner};
///
/// struct Disk;
///
/// #[async_trait::async_trait]
/// impl Check for Disk {
///     async fn check(&self) -> Result<Success, Failure> {
///         Err(Failure::new("disk full"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), lvs_health::RunnerStopped> {
/// let (runner, handle, mut events) = Runner::new();
/// let task = tokio::spawn(runner.run());
/// let policy = Policy::every(Duration::from_secs(5)).expect("not zero");
/// handle.insert(CheckId::new(1), policy, Duration::ZERO, Arc::new(Disk)).await?;
///
/// let event = events.recv().await.expect("the runner runs");
/// assert_eq!((event.id, event.change.health()), (CheckId::new(1), Health::Down));
/// handle.shutdown().await?;
/// task.await.expect("it ended by itself");
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    scheduler: Scheduler,
    checks: HashMap<CheckId, Arc<dyn Check>>,
    tasks: JoinSet<Result<Success, Failure>>,
    /// The permits of the tasks, kept outside of them: no way of ending loses one.
    out: HashMap<tokio::task::Id, Probe>,
    /// The task of a check that may still be asking.
    asking: HashMap<CheckId, AbortHandle>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    clock: Box<dyn Fn() -> Instant + Send>,
    concurrency: usize,
    started: u64,
    panicked: u64,
    latest_start: Duration,
}

impl Runner {
    /// A runner with the defaults of [`RunnerBuilder`].
    #[must_use]
    pub fn new() -> (Self, RunnerHandle, HealthEvents) {
        Self::builder().build()
    }

    /// Other limits, another clock.
    #[must_use]
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder { concurrency: DEFAULT_CONCURRENCY, clock: None }
    }

    /// Runs until [`RunnerHandle::shutdown`] or until every handle is dropped. Probes that are out are dropped with it.
    ///
    /// Cancelling it is safe and has the same effect.
    pub async fn run(mut self) {
        let events = self.events.clone();
        let mut heard = true;
        loop {
            // Outcomes come before time: after a stall an answer that is here must not wait behind new probes.
            while let Some(joined) = self.tasks.try_join_next_with_id() {
                self.finish(joined);
            }
            self.start_due();
            let pause = self.pause();
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    if command.is_none_or(|command| self.obey(command).is_break()) {
                        break;
                    }
                }
                Some(joined) = self.tasks.join_next_with_id() => self.finish(joined),
                // The event is chosen when there is room for it, so what waits is always the latest.
                slot = events.reserve(), if heard && self.scheduler.has_events() => match slot {
                    Ok(slot) => {
                        if let Some(event) = self.scheduler.poll_event() {
                            slot.send(event);
                        }
                    }
                    Err(_) => heard = false,
                },
                () = sleep(pause) => {}
            }
        }
        self.tasks.shutdown().await;
    }

    /// Starts what is due, as far as the limit allows.
    fn start_due(&mut self) {
        let now = (self.clock)();
        while self.out.len() < self.concurrency {
            let Some(probe) = self.scheduler.poll_probe(now) else { return };
            let id = probe.id();
            let Some(check) = self.checks.get(&id).map(Arc::clone) else {
                self.scheduler.handle_outcome(now, probe, Err(Failure::new("the check is gone")));
                continue;
            };
            self.started = self.started.saturating_add(1);
            self.latest_start = self.latest_start.max(now - probe.due());
            let limit = probe.deadline() - probe.started();
            let task = self.tasks.spawn(async move {
                match tokio::time::timeout(limit.saturating_add(GRACE), check.check()).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(Failure::new(format!("the check did not end within {limit:?}"))),
                }
            });
            self.out.insert(task.id(), probe);
            self.asking.insert(id, task);
        }
    }

    /// How long nothing can be due; `None` if only an outcome or a command changes that.
    fn pause(&self) -> Option<Duration> {
        if self.out.len() >= self.concurrency {
            return None;
        }
        let due = self.scheduler.poll_timeout()?;
        Some((due - (self.clock)()).min(LONGEST_SLEEP))
    }

    fn finish(&mut self, joined: Result<(tokio::task::Id, Result<Success, Failure>), JoinError>) {
        let (task, outcome) = match joined {
            Ok((task, outcome)) => (task, outcome),
            Err(error) => (error.id(), Err(self.explain(error))),
        };
        let Some(probe) = self.out.remove(&task) else { return };
        let id = probe.id();
        if self.asking.get(&id).is_some_and(|asking| asking.id() == task) {
            self.asking.remove(&id);
        }
        match &outcome {
            Ok(success) => tracing::trace!(check = %id, seen = success.seen(), "probe passed"),
            Err(failure) => tracing::debug!(check = %id, why = failure.why(), "probe failed"),
        }
        self.scheduler.handle_outcome((self.clock)(), probe, outcome);
    }

    fn explain(&mut self, error: JoinError) -> Failure {
        let task = error.id();
        match error.try_into_panic() {
            Ok(panic) => {
                self.panicked = self.panicked.saturating_add(1);
                let what = panic_text(panic.as_ref());
                let check = self.out.get(&task).map(|probe| probe.id().as_u64());
                tracing::error!(check, what, "a check panicked");
                Failure::new(format!("the check panicked: {what}"))
            }
            // Its check was removed, replaced or suspended; the scheduler ignores this.
            Err(_) => Failure::new("cancelled"),
        }
    }

    fn obey(&mut self, command: Command) -> std::ops::ControlFlow<()> {
        match command {
            Command::Insert { id, policy, offset, check } => {
                self.cancel(id);
                self.checks.insert(id, check);
                self.scheduler.insert(id, policy, offset, (self.clock)());
            }
            Command::Remove { id } => {
                self.cancel(id);
                self.checks.remove(&id);
                self.scheduler.remove(id);
            }
            Command::SetPolicy { id, policy } => {
                self.scheduler.set_policy(id, policy, (self.clock)());
            }
            Command::Suspend { id } => {
                self.cancel(id);
                self.scheduler.suspend(id);
            }
            Command::Resume { id, offset } => {
                self.scheduler.resume(id, offset, (self.clock)());
            }
            // A caller that no longer waits is no error.
            Command::Reports(reply) => drop(reply.send(self.scheduler.reports().collect())),
            Command::Stats(reply) => drop(reply.send(self.stats())),
            Command::Shutdown => return std::ops::ControlFlow::Break(()),
        }
        std::ops::ControlFlow::Continue(())
    }

    /// Ends the probe of a check that is out.
    fn cancel(&mut self, id: CheckId) {
        if let Some(task) = self.asking.remove(&id) {
            task.abort();
        }
    }

    fn stats(&mut self) -> Stats {
        let now = (self.clock)();
        Stats {
            checks: self.scheduler.len(),
            out: self.out.len(),
            started: self.started,
            panicked: self.panicked,
            superseded: self.scheduler.superseded(),
            latest_start: std::mem::take(&mut self.latest_start),
            overdue: self.scheduler.poll_timeout().map_or(Duration::ZERO, |due| now - due),
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("checks", &self.scheduler.len())
            .field("out", &self.out.len())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// The limits and the clock of a [`Runner`].
pub struct RunnerBuilder {
    concurrency: NonZeroUsize,
    clock: Option<Box<dyn Fn() -> Instant + Send>>,
}

impl RunnerBuilder {
    /// How many probes are out at once at most; 1,024 by default. It should exceed the number of servers that can be
    /// silent at the same time: they hold their place until their timeout, and what is due meanwhile waits.
    #[must_use]
    pub const fn concurrency(mut self, probes: NonZeroUsize) -> Self {
        self.concurrency = probes;
        self
    }

    /// The clock that decides what is due, and whose instants the events carry.
    ///
    /// By default it is tokio's, counted from [`build`](Self::build): `CLOCK_MONOTONIC` on Linux, or the virtual clock
    /// of a test. Pass one that reads `CLOCK_BOOTTIME`, as the drivers of the sibling crates use, to compare instants
    /// with theirs and to check at once after the machine was suspended. It is read at least once a second.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Instant + Send + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// The runner, its remote control, and what it says.
    #[must_use]
    pub fn build(self) -> (Runner, RunnerHandle, HealthEvents) {
        let (to_runner, commands) = mpsc::channel(COMMANDS);
        let (events, from_runner) = mpsc::channel(EVENTS);
        let clock = self.clock.unwrap_or_else(|| {
            let origin = tokio::time::Instant::now();
            Box::new(move || Instant::ORIGIN + origin.elapsed())
        });
        let runner = Runner {
            scheduler: Scheduler::new(),
            checks: HashMap::new(),
            tasks: JoinSet::new(),
            out: HashMap::new(),
            asking: HashMap::new(),
            commands,
            events,
            clock,
            concurrency: self.concurrency.get(),
            started: 0,
            panicked: 0,
            latest_start: Duration::ZERO,
        };
        (runner, RunnerHandle { commands: to_runner }, HealthEvents { events: from_runner })
    }
}

impl fmt::Debug for RunnerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnerBuilder").field("concurrency", &self.concurrency).finish_non_exhaustive()
    }
}

/// Tells a [`Runner`] what to check. Clones control the same runner.
///
/// Commands are carried out in the order in which one handle gave them. All fail only if the runner ended.
#[derive(Clone, Debug)]
pub struct RunnerHandle {
    commands: mpsc::Sender<Command>,
}

impl RunnerHandle {
    /// Adds a check, first asked after `offset` ([`scatter`](crate::scatter) computes one). One with the same id is
    /// replaced: its probe is dropped and its state forgotten, without an event.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn insert(
        &self,
        id: CheckId,
        policy: Policy,
        offset: Duration,
        check: Arc<dyn Check>,
    ) -> Result<(), RunnerStopped> {
        self.send(Command::Insert { id, policy, offset, check }).await
    }

    /// Drops a check and its probe. An event that the runner sent before may still be read.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn remove(&self, id: CheckId) -> Result<(), RunnerStopped> {
        self.send(Command::Remove { id }).await
    }

    /// Gives a check another policy; its health stays.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn set_policy(&self, id: CheckId, policy: Policy) -> Result<(), RunnerStopped> {
        self.send(Command::SetPolicy { id, policy }).await
    }

    /// Stops asking, drops the probe, keeps the health.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn suspend(&self, id: CheckId) -> Result<(), RunnerStopped> {
        self.send(Command::Suspend { id }).await
    }

    /// Asks again, the first time after `offset`. Nothing happens if it was not suspended.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn resume(&self, id: CheckId, offset: Duration) -> Result<(), RunnerStopped> {
        self.send(Command::Resume { id, offset }).await
    }

    /// What is known of every check, by id.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn reports(&self) -> Result<Vec<Report>, RunnerStopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Reports(reply)).await?;
        answer.await.map_err(|_| RunnerStopped)
    }

    /// How the runner does.
    ///
    /// # Errors
    /// The runner ended.
    pub async fn stats(&self) -> Result<Stats, RunnerStopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Stats(reply)).await?;
        answer.await.map_err(|_| RunnerStopped)
    }

    /// Ends the runner after the commands before this one; probes that are out are dropped.
    ///
    /// # Errors
    /// The runner ended already.
    pub async fn shutdown(&self) -> Result<(), RunnerStopped> {
        self.send(Command::Shutdown).await
    }

    async fn send(&self, command: Command) -> Result<(), RunnerStopped> {
        self.commands.send(command).await.map_err(|_| RunnerStopped)
    }
}

/// What changed, in order.
///
/// Events of one check alternate, starting with the one that differs from its policy's initial health. They are states:
/// a reader that is slower than the servers flap sees fewer of them, and always the last.
#[derive(Debug)]
pub struct HealthEvents {
    events: mpsc::Receiver<Event>,
}

impl HealthEvents {
    /// The next change; `None` when the runner ended. Cancelling it loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next change that is here already.
    #[must_use]
    pub fn try_recv(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// How a runner does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Checks, suspended ones included.
    pub checks: usize,
    /// Probes that are out.
    pub out: usize,
    /// Probes started so far.
    pub started: u64,
    /// Probes that ended in a panic so far.
    pub panicked: u64,
    /// Changes of health that were overtaken before they could be sent.
    pub superseded: u64,
    /// By how much the latest probe since the last call was late.
    pub latest_start: Duration,
    /// For how long the next probe has been due; above zero for long, the concurrency is too low.
    pub overdue: Duration,
}

/// The runner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the health check runner has ended")]
pub struct RunnerStopped;

enum Command {
    Insert { id: CheckId, policy: Policy, offset: Duration, check: Arc<dyn Check> },
    Remove { id: CheckId },
    SetPolicy { id: CheckId, policy: Policy },
    Suspend { id: CheckId },
    Resume { id: CheckId, offset: Duration },
    Reports(oneshot::Sender<Vec<Report>>),
    Stats(oneshot::Sender<Stats>),
    Shutdown,
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Enough for a thousand silent servers; 1,024 tasks and sockets cost a few MiB.
const DEFAULT_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// A check that keeps its own timeout knows better what it waited for, so it gets this long to say it.
const GRACE: Duration = Duration::from_millis(100);
/// The caller's clock may jump; tokio's sleep would not notice.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Room for the burst of a reload; a caller waits when it is full.
const COMMANDS: usize = 1024;
/// Small on purpose: what is in the channel cannot be merged any more.
const EVENTS: usize = 16;

#[cfg(test)]
mod tests;
