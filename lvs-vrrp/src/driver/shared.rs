//! What driver and handles share: who there is, and the commands that were not taken yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvs_core::{ClaimResult, Epoch, Link};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use crate::action::Gate;
use crate::driver::config::InstanceConfig;
use crate::driver::registry::{InstanceFacts, Plan, Registry};
use crate::error::Error;
use crate::types::Priority;

/// What driver and handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) wake: Notify,
    registry: Mutex<Arc<Registry>>,
    /// Changes of the registry come one after the other.
    turn: Arc<Semaphore>,
    inbox: Mutex<Inbox>,
    /// Whether the inbox has anything, so that the driver need not lock to find out.
    has_mail: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            wake: Notify::new(),
            registry: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            inbox: Mutex::default(),
            has_mail: AtomicBool::new(false),
        }
    }

    /// Who there is now.
    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&lock(&self.registry))
    }

    /// Called by the driver only, on behalf of whoever has the turn.
    pub(crate) fn set_registry(&self, registry: Arc<Registry>) {
        let before = std::mem::replace(&mut *lock(&self.registry), registry);
        // Not under the lock.
        drop(before);
    }

    /// Changes an instance as it runs.
    pub(crate) fn reconfigure(&self, facts: &InstanceFacts, config: InstanceConfig) -> Result<(), Error> {
        let _turn = self.turn.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits => Error::Busy,
            TryAcquireError::Closed => Error::Ended,
        })?;
        let config = Arc::new(config);
        Arc::make_mut(&mut *lock(&self.registry)).reconfigure(facts, &config)?;
        let mut inbox = self.inbox();
        let commands = inbox.commands(facts.id);
        commands.config = Some(config);
        // It was set before.
        commands.priority = None;
        drop(inbox);
        self.wake.notify_one();
        Ok(())
    }

    /// Waits for the turn to change the registry.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Error::Ended)
    }

    /// Asks for a change; the answer comes when it is over.
    pub(crate) fn post(
        &self,
        plan: Plan,
        turn: OwnedSemaphorePermit,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (answer, answered) = oneshot::channel();
        let mut inbox = self.inbox();
        if inbox.is_over {
            return Err(Error::Ended);
        }
        inbox.change = Some(Box::new(Change { plan, later: BTreeMap::new(), answer, turn }));
        drop(inbox);
        self.wake.notify_one();
        Ok(answered)
    }

    /// Takes all commands that came since the last time.
    pub(crate) fn take_commands(&self) -> Option<Inbox> {
        // Taken back before the commands are read: one that comes meanwhile sets it again.
        self.has_mail.swap(false, Ordering::SeqCst).then(|| std::mem::take(&mut *lock(&self.inbox)))
    }

    /// There is no driver any more: whoever waits for a change need not.
    pub(crate) fn end(&self) {
        self.turn.close();
        let mut inbox = lock(&self.inbox);
        inbox.is_over = true;
        let change = inbox.change.take();
        inbox.links.clear();
        drop(inbox);
        drop(change);
    }

    /// Takes note of what an interface is like, unless nobody will ask.
    pub(crate) fn tell_link(&self, name: String, link: Option<Link>) {
        let mut inbox = self.inbox();
        if inbox.is_over {
            return;
        }
        if inbox.links.len() >= MAX_LINKS && !inbox.links.contains_key(&name) {
            let registry = self.registry();
            let mut needed = registry.instances.iter().flat_map(|instance| instance.config.interfaces());
            if !needed.any(|needed| needed == name) {
                return;
            }
        }
        inbox.links.insert(name, link);
        drop(inbox);
        self.wake.notify_one();
    }

    pub(crate) fn inbox(&self) -> Mail<'_> {
        Mail { inbox: lock(&self.inbox), has_mail: &self.has_mail }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is done under these locks that could leave it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Interfaces that nobody needs and that are remembered all the same.
pub(crate) const MAX_LINKS: usize = 65_536;

/// Commands not yet taken: at most one of each kind for each interface and instance, and one change.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) links: BTreeMap<String, Option<Link>>,
    /// By the number of the instance; those that came before the change.
    pub(crate) instances: BTreeMap<u64, Commands>,
    pub(crate) change: Option<Box<Change>>,
    pub(crate) shutdown: bool,
    is_over: bool,
}

impl Inbox {
    /// The commands to an instance that come behind all others so far.
    pub(crate) fn commands(&mut self, id: u64) -> &mut Commands {
        let map = self.change.as_mut().map_or(&mut self.instances, |change| &mut change.later);
        map.entry(id).or_default()
    }
}

/// What an instance is to be told.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) config: Option<Arc<InstanceConfig>>,
    pub(crate) claimed: Option<(Epoch, ClaimResult)>,
    pub(crate) priority: Option<Priority>,
    pub(crate) gate: Option<Gate>,
}

/// A change of the instances and groups that somebody waits for.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) plan: Plan,
    /// Commands that came behind it.
    pub(crate) later: BTreeMap<u64, Commands>,
    pub(crate) answer: oneshot::Sender<Result<(), Error>>,
    /// To be dropped before the answer, so that whoever hears it may ask for the next.
    pub(crate) turn: OwnedSemaphorePermit,
}

/// The locked inbox; flags the mail when it is let go.
pub(crate) struct Mail<'a> {
    inbox: MutexGuard<'a, Inbox>,
    has_mail: &'a AtomicBool,
}

impl std::ops::Deref for Mail<'_> {
    type Target = Inbox;

    fn deref(&self) -> &Inbox {
        &self.inbox
    }
}

impl std::ops::DerefMut for Mail<'_> {
    fn deref_mut(&mut self) -> &mut Inbox {
        &mut self.inbox
    }
}

impl Drop for Mail<'_> {
    fn drop(&mut self) {
        self.has_mail.store(true, Ordering::SeqCst);
    }
}
