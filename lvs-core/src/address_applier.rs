//! Keeps the host's virtual addresses equal to what the virtual routers own: observe, edit, confirm, announce, repeat.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::addresses::{AddressChange, AddressError, Addresses};
use crate::announcements::Announcements;
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

/// The addresses after the work, and how it ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Released<A> {
    /// What was worked on.
    pub addresses: A,
    /// Whether everything that was to be released is gone.
    pub complete: bool,
}

/// Every address is looked at again after this time, whatever the monitor reported.
const FULL_CHECK: Duration = Duration::from_secs(60);

/// The shortest and the longest time from a report of the monitor to the pass that repairs what others did. It doubles
/// with every pass that had to, so that a fight over an address stays slow.
const REPAIR_SPACING: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Without a repair for this time the spacing is the shortest again.
const PEACE: Duration = Duration::from_secs(10);

/// First and longest pause after a failure.
const RETRIES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Edits of one pass that are logged one by one; a larger pass is one line.
const LOGGED_EDITS: usize = 16;

/// Failed passes in a row after which a closing applier gives up.
const LAST_TRIES: u32 = 5;

/// Keeps the addresses as the ownership cells say until `stop` is ready; then releases everything, trying a few times if
/// that fails, and answers the addresses.
///
/// `changed` is rung when the host's addresses or interfaces changed (a monitor saw it). Answers to claims and repairs go
/// to `events`; that channel needs room for three events per instance and is never waited for: an answer that does not fit
/// is given again later.
///
/// Owns the addresses. Cancelling it is safe: the next run observes first.
pub async fn keep_addresses<A: Addresses>(
    addresses: A,
    owned: Vec<OwnedAddresses>,
    changed: Arc<Notify>,
    events: mpsc::Sender<ClaimEvent>,
    stop: impl Future<Output = ()>,
) -> Released<A> {
    let (sets, mut owners): (_, Vec<_>) = owned.into_iter().map(|owned| (owned.set, owned.ownership)).unzip();
    let mut keeper = Keeper {
        addresses,
        claims: Claims::new(sets),
        events,
        waiting: Announcements::default(),
        complaint: Complaint::default(),
        spacing: REPAIR_SPACING.0,
        last_repair: None,
    };
    let mut failures = 0u32;
    let mut stop = pin!(stop);
    let mut stopping = false;
    loop {
        for (index, owner) in owners.iter_mut().enumerate() {
            let open = owner.has_changed().is_ok() && !stopping;
            let latest = *owner.borrow_and_update();
            let nobody = Ownership { role: Role::Initialize, ..latest };
            keeper.claims.set_ownership(index, if open { latest } else { nobody });
        }
        let complete = keeper.pass().await;
        failures = if complete { 0 } else { failures.saturating_add(1) };
        if stopping {
            if complete || failures > LAST_TRIES {
                return Released { addresses: keeper.addresses, complete };
            }
            tokio::time::sleep(retry_pause(failures)).await;
            continue;
        }
        tokio::select! {
            biased;
            () = &mut stop => {
                stopping = true;
                failures = 0;
            }
            // What has failed for others so far must not slow the tries of a new master.
            () = any_changed(&mut owners) => failures = 0,
            () = keeper.announce_and_wait(&changed, failures) => {}
        }
    }
}

fn retry_pause(failures: u32) -> Duration {
    (RETRIES.0 * 2u32.pow(failures.saturating_sub(1).min(16))).min(RETRIES.1)
}

/// Everything but the ownership cells.
struct Keeper<A> {
    addresses: A,
    claims: Claims,
    events: mpsc::Sender<ClaimEvent>,
    /// Announcements that wait: many packets take a while, and a change of ownership comes first.
    waiting: Announcements,
    complaint: Complaint,
    /// From a report of the monitor to the next pass.
    spacing: Duration,
    last_repair: Option<Instant>,
}

impl<A: Addresses> Keeper<A> {
    /// Sends the announcements that wait, then waits until the next pass is due. Safe to cancel: what
    /// was not sent then is sent by the next call.
    async fn announce_and_wait(&mut self, changed: &Notify, failures: u32) {
        if !self.waiting.is_empty() {
            let failures = self.addresses.announce(&mut self.waiting).await;
            // With its room: there are many only when many masters are new.
            self.waiting = Announcements::default();
            if let Some((first, more)) = failures.split_first() {
                warn!("{first} (and {} more)", more.len());
            }
        }
        let pause = if failures == 0 { FULL_CHECK } else { retry_pause(failures) };
        let mut due = Instant::now() + pause;
        loop {
            tokio::select! {
                () = changed.notified() => due = due.min(Instant::now() + self.spacing),
                () = tokio::time::sleep_until(due) => return,
            }
        }
    }

    /// Observes, edits, confirms; whether everything that was to be done was done.
    async fn pass(&mut self) -> bool {
        match self.try_pass().await {
            Ok(true) => {
                self.complaint.update(None, "the virtual addresses are as they should be");
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.complaint.update(Some(&error.to_string()), "");
                false
            }
        }
    }

    async fn try_pass(&mut self) -> Result<bool, AddressError> {
        let before = self.addresses.observe().await?;
        let changes = self.claims.changes(&before);
        let mut complete = true;
        let edited;
        let after = if changes.is_empty() {
            &before
        } else {
            complete = self.edit(changes).await;
            edited = self.addresses.observe().await?;
            &edited
        };
        for event in self.claims.confirm(&before, after) {
            complete &= self.report(event);
        }
        self.claims.retain_held(&mut self.waiting);
        let announcements = self.claims.announcements(after);
        if !announcements.is_empty() {
            debug!("announcing {} addresses", announcements.len());
        }
        self.waiting.extend(announcements);
        Ok(complete && self.claims.is_settled())
    }

    /// Whether every edit was made.
    async fn edit(&mut self, changes: Vec<AddressChange>) -> bool {
        let count = changes.len();
        let shown = if count <= LOGGED_EDITS { changes.clone() } else { Vec::new() };
        let mut shown = shown.iter();
        // The first failure speaks for all.
        let mut failure = None;
        let mut done = 0;
        for result in self.addresses.apply(changes).await {
            match (result, shown.next()) {
                (Ok(()), Some(change)) => info!("{change}: done"),
                (Ok(()), None) => done += 1,
                (Err(error), _) => {
                    debug!("{error}");
                    failure.get_or_insert(error);
                }
            }
        }
        if done > 0 {
            info!("{done} of {count} edits of addresses done");
        }
        if let Some(error) = &failure {
            self.complaint.update(Some(&error.to_string()), "");
        }
        failure.is_none()
    }

    /// Whether the event was taken.
    fn report(&mut self, event: ClaimEvent) -> bool {
        let instance = match &event {
            ClaimEvent::Claimed { instance, .. } | ClaimEvent::Lacking { instance, .. } => instance.clone(),
            ClaimEvent::Restored { instance, .. } => {
                self.slow_down();
                instance.clone()
            }
        };
        let taken = self.events.try_send(event);
        if let Err(error) = &taken {
            debug!("an event of {instance} was not taken: {error}");
            self.claims.forget_answer(&instance);
        }
        taken.is_ok()
    }

    /// Somebody else takes addresses away: the more often, the longer the next repair waits.
    fn slow_down(&mut self) {
        let now = Instant::now();
        let fight = self.last_repair.is_some_and(|last| now - last < PEACE);
        self.spacing = if fight { (self.spacing * 2).min(REPAIR_SPACING.1) } else { REPAIR_SPACING.0 };
        self.last_repair = Some(now);
    }
}

/// Waits until an ownership changes or its owner is gone; only open channels count.
async fn any_changed(owners: &mut [watch::Receiver<Ownership>]) {
    let mut waits: Vec<_> = owners
        .iter_mut()
        .filter(|owner| owner.has_changed().is_ok())
        .map(|owner| Box::pin(owner.changed()))
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::addresses::{Installed, VirtualAddress};
    use crate::fakes::FakeAddresses;
    use crate::ownership::{ClaimResult, Epoch};

    fn vip() -> VirtualAddress {
        VirtualAddress::new("eth0", [10, 0, 0, 100].into(), 32)
    }

    /// Addresses that take a while for each packet, and note which left.
    struct Slow {
        fake: FakeAddresses,
        spacing: Duration,
        sent: Arc<Mutex<Vec<IpAddr>>>,
    }

    #[async_trait]
    impl Addresses for Slow {
        async fn observe(&mut self) -> Result<Installed, AddressError> {
            self.fake.observe().await
        }

        async fn apply(&mut self, changes: Vec<AddressChange>) -> Vec<Result<(), AddressError>> {
            self.fake.apply(changes).await
        }

        async fn announce(&mut self, waiting: &mut Announcements) -> Vec<AddressError> {
            while let Some(first) = waiting.first() {
                tokio::time::sleep(self.spacing).await;
                self.sent.lock().unwrap().push(first.address);
                waiting.packet_sent();
            }
            Vec::new()
        }
    }

    struct Run {
        fake: FakeAddresses,
        ownership: watch::Sender<Ownership>,
        changed: Arc<Notify>,
        events: mpsc::Receiver<ClaimEvent>,
        stop: tokio::sync::oneshot::Sender<()>,
        task: tokio::task::JoinHandle<Released<FakeAddresses>>,
    }

    fn start(fake: FakeAddresses) -> Run {
        let (ownership, receiver) = watch::channel(Ownership::default());
        let (sender, events) = mpsc::channel(4);
        let changed = Arc::new(Notify::new());
        let set =
            AddressSet { instance: "VI_1".into(), addresses: vec![vip()], beside: Vec::new(), owner: false };
        let owned = vec![OwnedAddresses { set, ownership: receiver }];
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let ended = async { stopped.await.unwrap_or_default() };
        let task = tokio::spawn(keep_addresses(fake.clone(), owned, changed.clone(), sender, ended));
        Run { fake, ownership, changed, events, stop, task }
    }

    fn master(announcements: u64) -> Ownership {
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
        assert!(run.task.await.unwrap().complete);
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

    #[tokio::test(start_paused = true)]
    async fn a_fight_over_an_address_stays_slow() {
        let mut run = start(FakeAddresses::with_interfaces(["eth0"]));
        run.ownership.send_replace(master(1));
        run.events.recv().await.unwrap();
        let begin = Instant::now();
        for _ in 0..20 {
            run.fake.edit(|installed| installed.addresses.clear());
            run.changed.notify_one();
            let event = run.events.recv().await.unwrap();
            assert!(matches!(event, ClaimEvent::Restored { .. }));
        }
        assert!(begin.elapsed() > Duration::from_secs(15), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_that_overlap_send_each_address_as_often_as_was_asked_for() {
        // A13: the second round is asked for while the first one goes on, and a third one while both do.
        for second_round in [150, 900, 1000, 1001, 1500, 5000].map(Duration::from_millis) {
            let other = VirtualAddress::new("eth0", [10, 0, 0, 101].into(), 32);
            let set = AddressSet {
                instance: "VI_1".into(),
                addresses: vec![vip(), other.clone()],
                beside: Vec::new(),
                owner: false,
            };
            let (ownership, receiver) = watch::channel(master(4));
            let owned = vec![OwnedAddresses { set, ownership: receiver }];
            let (events, _answers) = mpsc::channel(4);
            let sent = Arc::new(Mutex::new(Vec::new()));
            let slow = Slow {
                fake: FakeAddresses::with_interfaces(["eth0"]),
                spacing: Duration::from_millis(200),
                sent: sent.clone(),
            };
            let stop = std::future::pending();
            let task = tokio::spawn(keep_addresses(slow, owned, Arc::default(), events, stop));
            tokio::time::sleep(second_round).await;
            ownership.send_replace(master(8));
            tokio::time::sleep(Duration::from_millis(50)).await;
            ownership.send_replace(master(9));
            tokio::time::sleep(Duration::from_secs(20)).await;
            task.abort();

            let sent = sent.lock().unwrap().clone();
            let count = |address| sent.iter().filter(|sent| **sent == address).count();
            assert_eq!((count(vip().key.address), count(other.key.address)), (9, 9), "{second_round:?}");
            let turns = sent.chunks(2).all(|pair| pair == [vip().key.address, other.key.address]);
            assert!(turns, "after {second_round:?} the addresses do not take turns: {sent:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_master_keeps_trying_what_is_beside_its_own_addresses_without_slowing_others() {
        let beside = VirtualAddress::new("eth0", "2001:db8::100".parse().unwrap(), 64);
        let fake = FakeAddresses::with_interfaces(["eth0"]);
        fake.refuse([beside.key.address]);
        let set = |name: &str, addresses, beside| AddressSet {
            instance: name.into(),
            addresses,
            beside,
            owner: false,
        };
        let other = VirtualAddress::new("eth0", [10, 0, 0, 101].into(), 32);
        let (first, first_seen) = watch::channel(master(1));
        let (second, second_seen) = watch::channel(Ownership::default());
        let owned = vec![
            OwnedAddresses { set: set("VI_1", vec![vip()], vec![beside.clone()]), ownership: first_seen },
            OwnedAddresses { set: set("VI_2", vec![other.clone()], vec![]), ownership: second_seen },
        ];
        let (events, mut answers) = mpsc::channel(6);
        let stop = std::future::pending();
        let task = tokio::spawn(keep_addresses(fake.clone(), owned, Arc::default(), events, stop));
        let event = answers.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Confirmed, .. }), "{event:?}");
        let lacking = ClaimEvent::Lacking { instance: "VI_1".into(), missing: vec![beside.key.clone()] };
        assert_eq!(answers.recv().await.unwrap(), lacking);

        // After a minute of failures another master's address is tried again soon, too.
        tokio::time::sleep(Duration::from_secs(60)).await;
        fake.refuse([beside.key.address, other.key.address]);
        second.send_replace(master(0));
        let event = answers.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Missing, .. }), "{event:?}");
        let begin = Instant::now();
        fake.refuse([beside.key.address]);
        let event = answers.recv().await.unwrap();
        assert!(matches!(event, ClaimEvent::Claimed { result: ClaimResult::Confirmed, .. }), "{event:?}");
        assert!(begin.elapsed() <= RETRIES.0, "{:?}", begin.elapsed());

        fake.refuse([]);
        let there = ClaimEvent::Lacking { instance: "VI_1".into(), missing: vec![] };
        assert_eq!(answers.recv().await.unwrap(), there);
        assert!(fake.installed().addresses.contains_key(&beside.key));
        assert!(fake.announced().iter().any(|announced| announced.address == beside.key.address));
        task.abort();
        drop(first);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_cannot_be_removed_is_reported_at_the_end() {
        let mut run = start(FakeAddresses::with_interfaces(["eth0"]));
        run.ownership.send_replace(master(0));
        run.events.recv().await.unwrap();
        run.fake.set_failing(true);
        run.stop.send(()).unwrap();
        assert!(!run.task.await.unwrap().complete);
    }
}
