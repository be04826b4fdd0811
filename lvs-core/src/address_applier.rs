//! Keeps the host's virtual addresses equal to what the virtual routers own: observe, edit, confirm, announce, repeat.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tracing::{debug, info, warn};

use crate::addresses::{AddressError, Addresses, Announcement};
use crate::claims::{AddressSet, ClaimEvent, Claims};
use crate::complaint::Complaint;
use crate::ownership::{Ownership, Role};

/// The addresses of one instance, and the cell that says who owns them.
#[derive(Debug)]
pub struct OwnedAddresses {
    /// Which addresses.
    pub set: AddressSet,
    /// Who owns them now; once it is closed, nobody does.
    pub ownership: watch::Receiver<Ownership>,
}

/// Every address is looked at again after this time, whatever the monitor reported.
const FULL_CHECK: Duration = Duration::from_secs(60);

/// The least time between two passes that only repair what others did: a fight over an address stays slow.
const REPAIR_SPACING: Duration = Duration::from_millis(100);

/// First and longest pause after a failure.
const RETRIES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Announcements handed out in one call; between two calls changes of ownership are looked at.
const ANNOUNCED_AT_ONCE: usize = 256;

/// Edits of one pass that are logged one by one; a larger pass is one line.
const LOGGED_EDITS: usize = 16;

/// Failed passes in a row after which a closing applier gives up.
const LAST_TRIES: u32 = 5;

/// Keeps the addresses as the ownership cells say until `stop` is ready; then releases everything, trying a few times if
/// that fails, and answers the addresses.
///
/// `changed` is rung when the host's addresses or interfaces changed (a monitor saw it). Answers to claims and repairs go
/// to `events`; that channel needs room for two events per instance and is never waited for: what does not fit is logged.
///
/// Owns the addresses. Cancelling it is safe: the next run observes first.
pub async fn keep_addresses<A: Addresses>(
    mut addresses: A,
    mut owned: Vec<OwnedAddresses>,
    changed: Arc<Notify>,
    events: mpsc::Sender<ClaimEvent>,
    stop: impl Future<Output = ()>,
) -> A {
    let mut claims = Claims::new(owned.iter().map(|owned| owned.set.clone()).collect());
    let mut failures = 0u32;
    let mut complaint = Complaint::default();
    let mut stop = pin!(stop);
    let mut stopping = false;
    // Announcements that wait: many addresses take a while, and a change of ownership comes first.
    let mut waiting: VecDeque<Announcement> = VecDeque::new();
    loop {
        let stopped = stopping;
        for (index, owned) in owned.iter_mut().enumerate() {
            let open = owned.ownership.has_changed().is_ok() && !stopping;
            let latest = *owned.ownership.borrow_and_update();
            let nobody = Ownership { role: Role::Initialize, ..latest };
            claims.set_ownership(index, if open { latest } else { nobody });
        }
        let complete = match pass(&mut addresses, &mut claims, &events, &mut complaint).await {
            Ok((complete, announcements)) => {
                claims.retain_held(&mut waiting);
                waiting.extend(announcements);
                complete
            }
            Err(error) => {
                complaint.update(Some(&error.to_string()), "");
                false
            }
        };
        if complete {
            complaint.update(None, "the addresses are as they should be again");
        }
        failures = if complete { 0 } else { failures.saturating_add(1) };
        if stopping && (complete || failures > LAST_TRIES) {
            return addresses;
        }
        while !waiting.is_empty() && !stopping && !any_news(&owned) {
            let now = waiting.drain(..waiting.len().min(ANNOUNCED_AT_ONCE)).collect();
            tokio::select! {
                biased;
                () = &mut stop => {
                    stopping = true;
                    failures = 0;
                }
                results = addresses.announce(now) => {
                    for error in results.into_iter().filter_map(Result::err) {
                        warn!("{error}");
                    }
                }
            }
        }
        if stopping != stopped {
            continue;
        }
        let pause = if failures == 0 {
            FULL_CHECK
        } else {
            (RETRIES.0 * 2u32.pow((failures - 1).min(16))).min(RETRIES.1)
        };
        tokio::select! {
            () = &mut stop, if !stopping => {
                stopping = true;
                failures = 0;
            }
            () = any_changed(&mut owned), if !stopping => {}
            () = changed.notified(), if !stopping => {
                tokio::select! {
                    () = any_changed(&mut owned) => {}
                    () = tokio::time::sleep(REPAIR_SPACING) => {}
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether an ownership changed since it was last looked at.
fn any_news(owned: &[OwnedAddresses]) -> bool {
    owned.iter().any(|owned| owned.ownership.has_changed().unwrap_or(false))
}

/// Waits until an ownership changes or its owner is gone; only open channels count.
async fn any_changed(owned: &mut [OwnedAddresses]) {
    let mut waits: Vec<_> = owned
        .iter_mut()
        .filter(|owned| owned.ownership.has_changed().is_ok())
        .map(|owned| Box::pin(owned.ownership.changed()))
        .collect();
    std::future::poll_fn(|context| {
        for wait in &mut waits {
            if wait.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(());
            }
        }
        std::task::Poll::Pending
    })
    .await;
}

/// One pass; whether everything that was to be done was done, and what is to be announced.
async fn pass<A: Addresses>(
    addresses: &mut A,
    claims: &mut Claims,
    events: &mpsc::Sender<ClaimEvent>,
    complaint: &mut Complaint,
) -> Result<(bool, Vec<Announcement>), AddressError> {
    let before = addresses.observe().await?;
    let changes = claims.changes(&before);
    let mut complete = true;
    let after = if changes.is_empty() {
        before.clone()
    } else {
        // The first speaks for all.
        let mut failure = None;
        let mut done = 0;
        for (change, result) in changes.iter().zip(addresses.apply(changes.clone()).await) {
            match result {
                Ok(()) if changes.len() <= LOGGED_EDITS => info!("{change}: done"),
                Ok(()) => done += 1,
                Err(error) => {
                    debug!("{error}");
                    failure.get_or_insert(error);
                }
            }
        }
        if done > 0 {
            info!("{done} of {} edits of addresses done", changes.len());
        }
        if let Some(error) = &failure {
            complete = false;
            complaint.update(Some(&error.to_string()), "");
        }
        addresses.observe().await?
    };
    for event in claims.confirm(&before, &after) {
        if let Err(error) = events.try_send(event) {
            warn!("the answer to a claim was not taken: {error}");
        }
    }
    let announcements = claims.announcements(&after);
    if !announcements.is_empty() {
        debug!("announcing {} addresses", announcements.len());
    }
    Ok((complete && claims.is_settled(), announcements))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::VirtualAddress;
    use crate::claims::Bursts;
    use crate::fakes::FakeAddresses;
    use crate::ownership::{ClaimResult, Epoch};

    fn vip() -> VirtualAddress {
        VirtualAddress::new("eth0", [10, 0, 0, 100].into(), 32)
    }

    struct Run {
        fake: FakeAddresses,
        ownership: watch::Sender<Ownership>,
        changed: Arc<Notify>,
        events: mpsc::Receiver<ClaimEvent>,
        stop: tokio::sync::oneshot::Sender<()>,
        task: tokio::task::JoinHandle<FakeAddresses>,
    }

    fn start(fake: FakeAddresses) -> Run {
        let (ownership, receiver) = watch::channel(Ownership::default());
        let (sender, events) = mpsc::channel(4);
        let changed = Arc::new(Notify::new());
        let set = AddressSet {
            instance: "VI_1".into(),
            addresses: vec![vip()],
            owner: false,
            bursts: Bursts::default(),
        };
        let owned = vec![OwnedAddresses { set, ownership: receiver }];
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let ended = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(keep_addresses(fake.clone(), owned, changed.clone(), sender, ended));
        Run { fake, ownership, changed, events, stop, task }
    }

    fn master(announcements: u32) -> Ownership {
        Ownership { epoch: Epoch::NONE.next(), role: Role::Master, announcements }
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_is_confirmed_after_the_kernel_has_the_address_and_released_at_the_end() {
        let mut run = start(FakeAddresses::with_interfaces(["eth0"]));
        run.ownership.send_replace(master(0));
        let event = run.events.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Confirmed, .. }));
        assert!(run.fake.installed().addresses.contains_key(&vip().key));

        run.stop.send(()).unwrap();
        run.task.await.unwrap();
        assert!(run.fake.installed().addresses.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_on_a_missing_interface_is_answered_and_fulfilled_when_the_interface_comes() {
        let mut run = start(FakeAddresses::default());
        run.ownership.send_replace(master(1));
        let event = run.events.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Missing, .. }));

        run.fake.edit(|installed| {
            installed.interfaces.insert("eth0".into());
        });
        run.changed.notify_one();
        let event = run.events.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Confirmed, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_address_is_put_back_when_the_monitor_rings() {
        let mut run = start(FakeAddresses::with_interfaces(["eth0"]));
        run.ownership.send_replace(master(1));
        run.events.recv().await.unwrap();
        run.fake.edit(|installed| installed.addresses.clear());
        run.changed.notify_one();
        let event = run.events.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Restored { .. }));
        assert!(run.fake.installed().addresses.contains_key(&vip().key));
    }
}
