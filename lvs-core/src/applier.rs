//! Keeps a data plane equal to the desired table: observe, apply the difference, repeat.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::complaint::Complaint;
use crate::dataplane::{Dataplane, DataplaneError, Scope};
use crate::service::ServiceKey;
use crate::table::{Change, Table};

/// What the applier does with services that were never desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Foreign {
    /// Leave them alone; somebody else made them.
    #[default]
    Keep,
    /// Remove them; the data plane belongs to this process.
    Remove,
}

/// How the applier works; begin with the default and change fields.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ApplierOptions {
    /// What to do with services that were never desired.
    pub foreign: Foreign,
    /// How often the whole table is read to find what others changed.
    pub drift_interval: Duration,
    /// First pause after a failure; doubles with every further one.
    pub first_retry: Duration,
    /// Longest pause after a failure.
    pub longest_retry: Duration,
}

impl Default for ApplierOptions {
    /// Foreign services stay; the table is read every 5 s; failures are retried after 100 ms to 5 s.
    fn default() -> Self {
        Self {
            foreign: Foreign::Keep,
            drift_interval: Duration::from_secs(5),
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(5),
        }
    }
}

/// What the applier reports after each pass; the latest value wins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ApplierStatus {
    /// Passes that were made.
    pub passes: u64,
    /// Whether the data plane was equal to the desired table after the last pass.
    pub in_sync: bool,
    /// Whether the data plane could ever be read; if not, nothing was changed in it.
    pub reached: bool,
    /// Edits that were made.
    pub edits: u64,
    /// Edits that were made although nothing new was desired: somebody else had changed the table.
    pub repairs: u64,
    /// The first error of the last pass.
    pub error: Option<String>,
}

/// Keeps `dataplane` equal to the latest value of `desired` until that channel closes; then applies the last value,
/// trying a few times if it fails, and answers the data plane.
///
/// So a process that ends sends an empty table (if its services are to go) and drops the sender.
///
/// Owns the data plane. Cancelling it is safe between the awaits of the data plane: the next run observes first.
pub async fn keep_applied<D: Dataplane>(
    mut dataplane: D,
    mut desired: watch::Receiver<Table>,
    options: ApplierOptions,
    status: watch::Sender<ApplierStatus>,
) -> D {
    let mut reconciler =
        Reconciler { options, owned: BTreeSet::new(), believed: None, reached: false, failures: 0 };
    let mut complaint = Complaint::default();
    // Only reading the whole table moves it: a table that changes all the time is read all the same.
    let mut next_look = Instant::now();
    let mut closed = false;
    loop {
        let closing = desired.has_changed().is_err();
        if closing && !closed {
            // The last value gets all its tries.
            closed = true;
            reconciler.failures = 0;
        }
        if Instant::now() >= next_look {
            reconciler.believed = None;
        }
        let looks = reconciler.believed.is_none();
        let wanted = desired.borrow_and_update().clone();
        let pass = reconciler.pass(&mut dataplane, &wanted).await;
        complaint.update(pass.error.as_deref(), "the table is as desired again");
        status.send_modify(|status| pass.record(status));
        // What was never there to be read has nothing of ours.
        let given_up = reconciler.failures > LAST_TRIES || !reconciler.reached;
        if closing && (reconciler.failures == 0 || given_up) {
            return dataplane;
        }
        if looks || reconciler.failures > 0 {
            next_look = Instant::now() + reconciler.pause();
        }
        tokio::select! {
            // Once closed it is ready for ever: then only the pause counts.
            _ = desired.changed(), if !closing => {}
            () = tokio::time::sleep_until(next_look) => {}
        }
    }
}

/// Failed passes in a row after which a closing applier gives up.
const LAST_TRIES: u32 = 5;

/// Edits of one pass that are logged one by one; a larger pass is one line.
const LOGGED_EDITS: usize = 16;

struct Reconciler {
    options: ApplierOptions,
    /// The services that are desired, and those that were and are not known to be gone: ours to remove.
    owned: BTreeSet<ServiceKey>,
    /// What the data plane has, as far as known; nothing when it has to be read first.
    believed: Option<Table>,
    /// Whether the data plane could ever be read.
    reached: bool,
    /// Passes that failed since the last good one.
    failures: u32,
}

impl Reconciler {
    /// One pass: what is believed (or observed), the difference, the edits.
    async fn pass<D: Dataplane>(&mut self, dataplane: &mut D, wanted: &Table) -> Pass {
        self.owned.extend(wanted.keys());
        let mut pass = Pass::default();
        // A second round only when the first found that somebody else had edited the table meanwhile.
        for _ in 0..2 {
            let observed = self.believed.is_none();
            let present = match self.believed.take() {
                Some(believed) => believed,
                None => match self.observe(dataplane).await {
                    Ok(table) => {
                        self.reached = true;
                        table
                    }
                    Err(error) => {
                        pass.fail(&error);
                        break;
                    }
                },
            };
            let changes = present.changes_to(wanted);
            if changes.is_empty() {
                self.settle(wanted, &mut pass);
                break;
            }
            if observed {
                pass.repairs += changes.len() as u64;
            }
            if self.apply(dataplane, changes, &mut pass).await {
                self.settle(wanted, &mut pass);
                break;
            }
        }
        pass.reached = self.reached;
        if pass.in_sync {
            self.failures = 0;
            pass.error = None;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
        pass
    }

    /// The data plane is as wanted: nothing else is ours any more.
    fn settle(&mut self, wanted: &Table, pass: &mut Pass) {
        self.believed = Some(wanted.clone());
        self.owned = wanted.keys().copied().collect();
        pass.in_sync = true;
    }

    async fn observe<D: Dataplane>(&self, dataplane: &mut D) -> Result<Table, DataplaneError> {
        let mut table = dataplane.observe(Scope::Everything).await?;
        if self.options.foreign == Foreign::Keep {
            table.retain(|key| self.owned.contains(key));
        }
        Ok(table)
    }

    /// Whether every edit was made.
    async fn apply<D: Dataplane>(&self, dataplane: &mut D, changes: Vec<Change>, pass: &mut Pass) -> bool {
        let results = dataplane.apply(changes.clone()).await;
        let mut complete = results.len() == changes.len();
        let edits_before = pass.edits;
        for (change, result) in changes.iter().zip(results) {
            match result {
                Ok(()) => {
                    pass.edits += 1;
                    if changes.len() <= LOGGED_EDITS {
                        info!("{change}: done");
                    }
                }
                Err(error) => {
                    complete = false;
                    pass.fail(&error);
                }
            }
        }
        if changes.len() > LOGGED_EDITS {
            info!("{} of {} edits of the table done", pass.edits - edits_before, changes.len());
        }
        complete
    }

    /// Until the table is read again.
    fn pause(&self) -> Duration {
        if self.failures == 0 {
            return self.options.drift_interval;
        }
        let doublings = (self.failures - 1).min(16);
        (self.options.first_retry * 2u32.pow(doublings)).min(self.options.longest_retry)
    }
}

/// What one pass did.
#[derive(Default)]
struct Pass {
    in_sync: bool,
    reached: bool,
    edits: u64,
    repairs: u64,
    error: Option<String>,
}

impl Pass {
    fn fail(&mut self, error: &DataplaneError) {
        // The first speaks for all: thousands of edits can fail for one reason.
        debug!(kind = ?error.kind(), "{error}");
        if self.error.is_none() {
            self.error = Some(error.to_string());
        }
    }

    fn record(self, status: &mut ApplierStatus) {
        // The first pass fills an empty table: that is no repair.
        if status.passes > 0 {
            status.repairs += self.repairs;
        }
        status.passes += 1;
        status.in_sync = self.in_sync;
        status.reached = self.reached;
        status.edits += self.edits;
        status.error = self.error;
    }
}

#[cfg(test)]
mod tests;
