//! One instance on one host: the router under test, its ears and its mouth, and what the host has.

use std::collections::VecDeque;
use std::net::IpAddr;

use lvs_core::{Epoch, Instant};
use lvs_vrrp::record::Recording;
use lvs_vrrp::{
    AddressList, AuthPass, Authentication, Config, Delivery, Demux, FaultReason, Gate, Listener, Priority,
    Router, Unicast,
};

use crate::decoder::{self, Ears, Receiver};
use crate::kernel::Kernel;
use crate::observer::Watch;
use crate::options::{Delivers, Options};
use crate::wire::{self, Sender};
use crate::world::nanos;

/// One instance on one host.
#[derive(Debug)]
pub struct Node {
    /// The machine under test.
    pub router: Router,
    /// What it must be.
    pub watch: Watch,
    /// Whether the link is up.
    pub link_is_up: bool,
    /// Whether something that the application tracks is down.
    pub tracked_is_down: bool,
    /// Whether the application holds it back.
    pub is_held: bool,
    /// Whether the kernel refuses the addresses.
    pub claims_fail: bool,
    /// Which virtual addresses the host has.
    pub kernel: Kernel,
    /// Adverts with a priority that it sent.
    pub adverts: u64,
    /// Announcement rounds of it.
    pub rounds: u64,
    /// When it sent the last advert with a priority, in true time.
    pub advertised_at: Instant,
    /// When it became master last.
    pub master_since: Instant,
    /// How often it became master.
    pub masterships: u64,
    pub(crate) demux: Demux,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    /// How many processes there were, which do not get each other's answers.
    pub(crate) processes: u64,
    /// For this mastership the addresses are wanted.
    pub(crate) claimed: Option<Epoch>,
    /// What waits in the sockets, and whether it will be believed.
    pub(crate) backlog: VecDeque<(bool, Vec<u8>)>,
    /// What its timer was when it was set.
    pub(crate) armed: Option<Instant>,
    /// What its router was told lately, if that is taken down.
    pub(crate) recording: Option<Recording>,
    /// The peers to which it speaks, if it speaks to each by itself.
    peers: Vec<IpAddr>,
}

impl Node {
    pub(crate) fn new(options: &Options, host: usize, segment: usize, config: &Config) -> Self {
        let mut sender = Sender::new(options.family, segment, host, options.addresses);
        sender.password = options.has_password.then_some(wire::PASSWORD);
        let source = sender.source;
        let others = (0..options.hosts.len()).filter(|other| *other != host);
        let peers = others.map(|other| Sender::new(options.family, segment, other, 0).source).collect();
        let mut node = Self {
            router: Router::new(*config, source),
            watch: Watch::new(config, options.hosts[host].given, source, options.tie),
            link_is_up: true,
            tracked_is_down: false,
            is_held: false,
            claims_fail: false,
            kernel: Kernel::new(&sender.addresses),
            adverts: 0,
            rounds: 0,
            advertised_at: Instant::ORIGIN,
            master_since: Instant::ORIGIN,
            masterships: 0,
            demux: Demux::new(),

            receiver: Receiver {
                version: config.interval().version(),
                vrid: sender.vrid.get(),
                interval: nanos(config.interval().duration()),
                ears: Ears::Group(lvs_vrrp::group(options.family)),
                password: None,
                own_address: None,
            },
            sender,
            processes: 0,
            claimed: None,
            backlog: VecDeque::new(),
            armed: None,
            recording: None,
            peers,
        };
        node.configured(config, options);
        node
    }

    /// Makes its ears follow its configuration.
    pub(crate) fn configured(&mut self, config: &Config, options: &Options) {
        let (delivery, ears) = match options.delivers {
            Delivers::ToGroup => {
                (Delivery::to_group(options.family), Ears::Group(lvs_vrrp::group(options.family)))
            }
            Delivers::ToPeers { refuses_strangers } => {
                let mut unicast = Unicast::to(self.peers.iter().copied());
                unicast.check_source = refuses_strangers;
                let mut known = [None; 8];
                known.iter_mut().zip(&self.peers).for_each(|(place, peer)| *place = Some(*peer));
                (
                    Delivery::Unicast(unicast),
                    Ears::Own(self.sender.source, refuses_strangers.then_some(known)),
                )
            }
        };
        let listener = Listener::new(self.sender.vrid, config.interval(), delivery);
        let listener = match self.sender.password.map(AuthPass::from_octets) {
            Some(password) => listener.with_authentication(Authentication::Password(password)),
            None => listener,
        };
        let listener = match AddressList::of(&self.sender.addresses) {
            Some(addresses) => listener.with_addresses(addresses),
            None => listener,
        };
        let own_address = options.knows_own_address.then_some(self.sender.source);
        let listener = match own_address {
            Some(address) => listener.with_own_address(address),
            None => listener,
        };
        self.demux.insert(0, listener);
        self.receiver.interval = nanos(config.interval().duration());
        self.receiver.own_address = own_address;
        self.receiver.ears = ears;
        self.receiver.password = self.sender.password;
    }

    /// A13: a socket holds only so much. Packets that will be refused are counted apart, so that a run without
    /// them is the same (A8).
    pub(crate) fn wait_for_reader(&mut self, octets: &[u8]) {
        let is_good = decoder::read(octets, &self.receiver).is_some();
        let waiting = self.backlog.iter().filter(|(good, _)| *good == is_good).count();
        if self.link_is_up && waiting < BACKLOG {
            self.backlog.push_back((is_good, octets.to_vec()));
        }
    }

    /// What its gate would be without its group.
    pub(crate) fn own_gate(&self) -> Gate {
        match (self.link_is_up, self.tracked_is_down, self.is_held) {
            (false, _, _) => Gate::Fault(FaultReason::LinkDown),
            (true, true, _) => Gate::Fault(FaultReason::Tracked),
            (true, false, true) => Gate::Held,
            (true, false, false) => Gate::Open,
        }
    }

    /// Its priority now.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.router.config().priority()
    }
}

/// Datagrams that a socket holds.
const BACKLOG: usize = 256;
