//! An instance of a driver: its router, and what stands between it and the wire.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lvs_core::{Instant, Ownership};
use tokio::sync::watch;

use crate::action::{FaultReason, Gate};
#[cfg(feature = "ah")]
use crate::ah::AhSender;
use crate::driver::config::InstanceConfig;
use crate::driver::recorder::Recorder;
use crate::driver::registry::InstanceFacts;
use crate::driver::status::Status;
use crate::record::Input;
use crate::router::Router;
#[cfg(feature = "ah")]
use crate::types::Authentication;

/// An instance: its router, and what stands between it and the wire.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) config: Arc<InstanceConfig>,
    /// What handles know of it.
    pub(super) facts: Arc<InstanceFacts>,
    /// Tells whoever holds the addresses; it ends with the instance.
    pub(super) ownership: watch::Sender<Ownership>,
    pub(super) router: Router,
    /// When the router was told something the last time.
    told_at: Instant,
    /// Takes down what the router is told, if that is wanted.
    recorder: Option<Box<Recorder>>,
    /// Puts authentication headers in front of its adverts, where it has a key.
    #[cfg(feature = "ah")]
    pub(super) ah: Option<AhSender>,
    /// The place of the interface that it listens on.
    pub(super) interface: usize,
    /// The place of the one that it sends through; usually the same.
    pub(super) outlet: usize,
    /// The places of those that it tracks.
    pub(super) tracked: BTreeSet<usize>,
    /// The place of its group, and its own among the members of that.
    pub(super) group: Option<(usize, usize)>,
    pub(super) source: Option<IpAddr>,
    /// How many of its addresses its adverts list: as many as fit.
    pub(super) listed: usize,
    /// Addresses of ours, to which nothing is sent if they are among the peers.
    pub(super) silent_peers: BTreeSet<IpAddr>,
    pub(super) link_fault: Option<FaultReason>,
    /// It was said that this host does not have the address that it is to send from.
    pub(super) lacks_source: bool,
    /// The first of the tracked interfaces that is not as it should be.
    pub(super) tracked_fault: Option<(usize, FaultReason)>,
    pub(super) application_gate: Gate,
    /// It has come into a group, or out of one, and was not told its gate since.
    pub(super) is_regrouped: bool,
    /// It decided something that the application was not told yet.
    pub(super) has_news: bool,
    /// As it was told last.
    pub(super) status: Status,
}

impl Member {
    pub(super) fn new(
        config: Arc<InstanceConfig>,
        facts: Arc<InstanceFacts>,
        interface: usize,
        outlet: usize,
        now: Instant,
    ) -> Self {
        let router = Router::new(config.router, NO_ADDRESS);
        Self {
            status: Status::new(&router, now),
            router,
            told_at: now,
            recorder: facts.record.clone().map(|recording| Box::new(Recorder::new(recording))),
            #[cfg(feature = "ah")]
            ah: sender(config.authentication),
            interface,
            outlet,
            tracked: BTreeSet::new(),
            group: None,
            source: None,
            listed: config.addresses.len(),
            silent_peers: BTreeSet::new(),
            link_fault: Some(FaultReason::LinkMissing),
            lacks_source: false,
            tracked_fault: None,
            application_gate: Gate::Open,
            has_news: false,
            is_regrouped: false,
            config,
            ownership: facts.take_owner(),
            facts,
        }
    }

    /// Tells the router: the only way, so that a recording lacks nothing and never goes back in time. Arrivals of one
    /// batch have one time, and what the first of them led to may have been told later.
    #[inline]
    pub(super) fn tell(&mut self, now: Instant, input: &Input) {
        self.told_at = self.told_at.max(now);
        let now = self.told_at;
        if let Some(recorder) = &mut self.recorder {
            recorder.note(now, input, &self.router);
        }
        input.tell(&mut self.router, now);
    }

    /// Nothing more is told.
    pub(super) fn finish_record(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
    }

    /// Takes another configuration, of which the router is still to be told.
    pub(super) fn set_config(&mut self, config: Arc<InstanceConfig>) {
        // Numbers go on only with the same key, as another one has nothing to do with them.
        #[cfg(feature = "ah")]
        if self.config.authentication != config.authentication {
            self.ah = sender(config.authentication);
        }
        self.config = config;
    }

    pub(super) fn virtual_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.config.addresses.iter().chain(&self.config.excluded_addresses).copied()
    }

    /// What its gate would be without a group.
    pub(super) fn own_gate(&self) -> Gate {
        let tracked_fault = self.tracked_fault.map(|(_, reason)| reason);
        self.link_fault.or(tracked_fault).map_or(self.application_gate, Gate::Fault)
    }
}

/// What a router sends from before its interface is known.
pub(crate) const NO_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(feature = "ah")]
fn sender(authentication: Authentication) -> Option<AhSender> {
    match authentication {
        Authentication::Ah(key) => Some(AhSender::new(key)),
        Authentication::None | Authentication::Password(_) => None,
    }
}
