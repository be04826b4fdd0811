//! Keeps a data plane equal to the desired table: the loop that carries out what a [`Reconciler`] decides.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::complaint::Complaint;
use crate::dataplane::{Dataplane, DataplaneError, Scope};
use crate::reconciler::{Action, DrainProgress, Event, Reconciler, Repairs};
use crate::service::{ServerKey, ServiceKey};
use crate::table::{Change, Table};
use crate::time::Instant;

pub use crate::reconciler::{ApplierOptions, Foreign};

/// What the applier reports whenever it has nothing to do; the latest value wins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ApplierStatus {
    /// How often it had something to do.
    pub passes: u64,
    /// Whether the data plane was equal to the desired table when it was last read or edited. Servers that drain do not
    /// count.
    pub in_sync: bool,
    /// Whether the data plane could ever be read; if not, nothing was changed in it.
    pub reached: bool,
    /// Edits that were made.
    pub edits: u64,
    /// Edits that were made although nothing new was desired: somebody else had changed the table.
    pub repairs: u64,
    /// The same by what they did.
    pub repaired: Repairs,
    /// How often something had to be repaired: a flushed table is one incident.
    pub incidents: u64,
    /// Edits that were refused and wait for their next try.
    pub refused: usize,
    /// How far each server is that is to drain; an entry stays for as long as the drain is desired.
    pub drains: BTreeMap<(ServiceKey, ServerKey), DrainProgress>,
    /// Why the data plane is not as desired: the first reason of perhaps many.
    pub error: Option<String>,
}

/// Keeps `dataplane` equal to the latest value of `desired` until that channel closes; then applies the last value,
/// trying a few times if it fails, waits for the servers that it drains, and answers the data plane.
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
    let begin = tokio::time::Instant::now();
    let now = || Instant::ORIGIN + begin.elapsed();
    let mut reconciler = Reconciler::new(options);
    reconciler.set_desired(now(), desired.borrow_and_update().clone());
    let mut complaint = Complaint::default();
    loop {
        while let Some(action) = reconciler.poll_action(now()) {
            match action {
                Action::Observe(scope) => {
                    let result = dataplane.observe(scope).await;
                    reconciler.handle_observed(now(), scope, result);
                }
                Action::Apply(changes) => {
                    let results = dataplane.apply(changes.clone()).await;
                    log_edits(&changes, &results);
                    reconciler.handle_applied(now(), changes, results);
                }
                Action::Count(service) => {
                    let result = dataplane.statistics(Scope::Service(service)).await;
                    reconciler.handle_counted(now(), service, result);
                }
            }
            // A new desire does not wait until all has been done, nor does the end of desires.
            match desired.has_changed() {
                Ok(true) => reconciler.set_desired(now(), desired.borrow_and_update().clone()),
                Err(_) if !reconciler.is_closed() => {
                    reconciler.set_desired(now(), desired.borrow_and_update().clone());
                    reconciler.close();
                }
                Ok(false) | Err(_) => {}
            }
            // A data plane that always answers at once must not keep other tasks from running.
            tokio::task::consume_budget().await;
        }
        complaint.update(reconciler.error(), "the table is as desired again");
        status.send_modify(|status| report(&mut reconciler, status));
        if reconciler.is_finished() {
            return dataplane;
        }
        let closed = desired.has_changed().is_err();
        if closed && !reconciler.is_closed() {
            reconciler.set_desired(now(), desired.borrow_and_update().clone());
            reconciler.close();
            continue;
        }
        let pause = async {
            match reconciler.poll_timeout() {
                Some(at) => tokio::time::sleep_until(begin + (at - Instant::ORIGIN)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = desired.changed(), if !closed => {
                if changed.is_ok() {
                    reconciler.set_desired(now(), desired.borrow_and_update().clone());
                }
            }
            () = pause => {}
        }
    }
}

fn report(reconciler: &mut Reconciler, status: &mut ApplierStatus) {
    while let Some(event) = reconciler.poll_event() {
        match event {
            Event::Repaired(repairs) => {
                warn!("somebody else had changed the table; repaired: {repairs}");
                status.incidents += 1;
                status.repairs += repairs.total();
                status.repaired += repairs;
            }
            Event::Drained { service, server, end } => log_drain(&service, &server, end),
        }
    }
    status.passes += 1;
    status.in_sync = reconciler.in_sync();
    status.reached = reconciler.reached();
    status.edits = reconciler.edits();
    status.refused = reconciler.refused();
    status.drains =
        reconciler.drains().iter().map(|(service, server, progress)| ((service, server), progress)).collect();
    status.error = reconciler.error().map(str::to_owned);
}

fn log_edits(changes: &[Change], results: &[Result<(), DataplaneError>]) {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        debug!(kind = ?error.kind(), "{error}");
    }
    if changes.len() > LOGGED_EDITS {
        let done = results.iter().filter(|result| result.is_ok()).count();
        info!("{done} of {} edits of the table done", changes.len());
        return;
    }
    for (change, _) in changes.iter().zip(results).filter(|(_, result)| result.is_ok()) {
        info!("{change}: done");
    }
}

fn log_drain(service: &ServiceKey, server: &ServerKey, end: DrainProgress) {
    match end {
        DrainProgress::Idle => info!("{service}: server {server} has drained"),
        DrainProgress::Expired(Some(active)) => {
            warn!("{service}: server {server} leaves with {active} connections: its time to drain is up");
        }
        DrainProgress::Expired(None) => {
            warn!(
                "{service}: server {server} leaves: its time to drain is up, its connections are not known"
            );
        }
        DrainProgress::Absent => info!("{service}: server {server} is not there to drain"),
        DrainProgress::Waiting(_) => {}
    }
}

/// Edits of one batch that are logged one by one; a larger batch is one line.
const LOGGED_EDITS: usize = 16;

#[cfg(test)]
mod tests;
