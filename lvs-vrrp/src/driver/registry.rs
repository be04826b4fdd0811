//! Who there is in a driver, as driver and handles know it, and what another setup would make of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use lvs_core::{Instant, Ownership};
use tokio::sync::watch;

use crate::driver::config;
use crate::driver::config::InstanceConfig;
use crate::driver::difference::{Difference, Fate};
use crate::driver::handle::PulseCell;
use crate::driver::member::NO_ADDRESS;
use crate::driver::recorder::SharedRecording;
use crate::driver::setup::{GroupConfig, Setup};
use crate::driver::shared::lock;
use crate::driver::status::Status;
use crate::error::Error;
use crate::record::Recording;
use crate::router::Router;
use crate::stats::Counters;

/// The instances and groups as they are configured now. A value: a change is another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    /// In the order of the setup, and in the places that they have in the driver.
    pub(crate) instances: Vec<Registered>,
    /// Counters of the interfaces that instances listen on.
    pub(crate) interfaces: BTreeMap<String, Arc<Counters>>,
    pub(crate) groups: Vec<GroupConfig>,
    pub(crate) logs_unknown_vrids: bool,
}

/// An instance of a driver.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) config: Arc<InstanceConfig>,
    pub(crate) facts: Arc<InstanceFacts>,
}

/// What is to be done for another setup.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) difference: Difference,
    pub(crate) registry: Arc<Registry>,
}

impl Registry {
    pub(crate) fn setup(&self) -> Setup {
        let mut setup =
            Setup::from(self.instances.iter().map(|known| (*known.config).clone()).collect::<Vec<_>>());
        setup.groups.clone_from(&self.groups);
        setup.logs_unknown_vrids = self.logs_unknown_vrids;
        setup
    }

    /// What this would become, and how.
    pub(crate) fn plan(&self, setup: Setup, now: Instant) -> Result<Plan, Error> {
        let difference = Difference::between(self, &setup)?;
        let register = |(config, fate): (InstanceConfig, &Fate)| match *fate {
            Fate::Added => {
                let facts = Arc::new(InstanceFacts::new(&config, now));
                Registered { config: Arc::new(config), facts }
            }
            Fate::Kept(place) => self.instances[place].clone(),
            Fate::Changed(place) => {
                Registered { config: Arc::new(config), facts: Arc::clone(&self.instances[place].facts) }
            }
        };
        let mut instances: Vec<Registered> =
            setup.instances.into_iter().zip(&difference.instances).map(register).collect();
        // It may have taken over the room of the configurations.
        instances.shrink_to_fit();
        let names: BTreeSet<&str> = instances.iter().map(|known| &*known.config.interface).collect();
        let counters = |name: &str| (name.to_owned(), self.interfaces.get(name).cloned().unwrap_or_default());
        let interfaces = names.into_iter().map(counters).collect();
        let (groups, logs_unknown_vrids) = (setup.groups, setup.logs_unknown_vrids);
        let registry = Arc::new(Self { instances, interfaces, groups, logs_unknown_vrids });
        Ok(Plan { difference, registry })
    }

    /// Takes another configuration of an instance.
    pub(crate) fn reconfigure(
        &mut self,
        facts: &InstanceFacts,
        config: &Arc<InstanceConfig>,
    ) -> Result<(), Error> {
        let ended = || Error::UnknownInstance(facts.name.to_string());
        let place = self.instances.iter().position(|known| known.facts.id == facts.id).ok_or_else(ended)?;
        let others = self.instances.iter().enumerate().filter(|(other, _)| *other != place);
        let known = &self.instances[place].config;
        config::check_change(known, others.map(|(_, other)| &*other.config), config)?;
        self.instances[place].config = Arc::clone(config);
        Ok(())
    }
}

/// What is known of an instance to whoever has a handle to it, also when it has ended.
#[derive(Debug)]
pub(crate) struct InstanceFacts {
    /// No other instance of this process has it.
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    ownership: watch::Receiver<Ownership>,
    /// Until the driver takes it.
    owner: Mutex<Option<watch::Sender<Ownership>>>,
    pub(crate) counters: Counters,
    pub(crate) pulse: PulseCell,
    pub(crate) record: Option<SharedRecording>,
    status: Mutex<Status>,
}

impl InstanceFacts {
    pub(crate) fn new(config: &InstanceConfig, now: Instant) -> Self {
        let router = Router::new(config.router, NO_ADDRESS);
        let record = config.record.map(|room| {
            let recording = Recording::new(now, &config.router, NO_ADDRESS, room);
            Arc::new(Mutex::new(recording))
        });
        let (owner, ownership) = watch::channel(Ownership::default());
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: config.name.as_str().into(),
            ownership,
            owner: Mutex::new(Some(owner)),
            counters: Counters::default(),
            pulse: PulseCell::default(),
            record,
            status: Mutex::new(Status::new(&router, now)),
        }
    }

    /// What tells of the ownership: once, to the one who tells. When that is dropped, every receiver is closed.
    pub(crate) fn take_owner(&self) -> watch::Sender<Ownership> {
        lock(&self.owner).take().unwrap_or_else(|| watch::Sender::new(Ownership::default()))
    }

    pub(crate) fn ownership(&self) -> watch::Receiver<Ownership> {
        let mut ownership = self.ownership.clone();
        // What was before is no news to whoever asks now.
        ownership.mark_unchanged();
        ownership
    }

    pub(crate) fn tell_status(&self, status: &Status) {
        *self.status() = *status;
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        lock(&self.status)
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);
