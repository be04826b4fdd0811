//! Makes sockets, source addresses and gates follow what the interfaces are like.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lvs_core::{Family, Instant, Link};

use super::{Driver, LOOK};
use crate::action::FaultReason;
use crate::clock;
use crate::delivery::{Delivery, Unicast};
use crate::driver::config::InstanceConfig;
use crate::driver::interface::{Interface, needed_channels};
use crate::driver::links;
use crate::driver::member::Member;
use crate::record::Input;
use crate::sync_group::Standing;
use crate::transport::Channel;

impl Driver {
    /// Where nobody tells about interfaces, asks the kernel; where sockets could not be opened, tries again.
    pub(super) fn look_at_interfaces(&mut self, now: Instant) {
        if self.must_look()
            && let Some(mut links) = self.look_around()
        {
            for place in 0..self.interfaces.len() {
                if !self.interfaces[place].is_fed {
                    let link = links.remove(&self.interfaces[place].name);
                    self.set_link(place, link);
                }
            }
            self.judge_sources();
        }
        for place in 0..self.interfaces.len() {
            if self.interfaces[place].lacks_ways() {
                self.settle(place, false);
            }
        }
        // Nothing to look at, nothing to wake up for.
        let is_needed = self.must_look() || self.interfaces.iter().any(Interface::lacks_ways);
        self.timers.set(LOOK, is_needed.then(|| now + LOOK_AGAIN));
    }

    /// Whether something is of interest that nobody tells about: an interface of ours, or which one has the address that
    /// an instance is to send from. Whoever tells about interfaces that nobody needs tells about all.
    pub(super) fn must_look(&self) -> bool {
        let is_told = |source| self.told_links().any(|link| has(link, source));
        self.interfaces.iter().any(|interface| !interface.is_fed)
            || self.strangers.is_empty() && self.sources().any(|(_, source)| !is_told(source))
    }

    /// Asks the kernel for all interfaces; remembers those that are not ours and of which nobody told, and answers ours.
    pub(super) fn look_around(&mut self) -> Option<BTreeMap<String, Link>> {
        let links = links::interfaces();
        let links = links.inspect_err(|error| tracing::debug!(%error, "list interfaces")).ok()?;
        let is_ours = |name: &str| self.interfaces.iter().any(|interface| interface.name == name);
        let (ours, others) = links.into_iter().partition(|(name, _)| is_ours(name));
        self.passers_by = others;
        self.passers_by.retain(|name, _| !self.strangers.contains_key(name));
        Some(ours)
    }

    /// The interfaces of ours, and those that we are told about.
    fn told_links(&self) -> impl Iterator<Item = &Link> {
        self.interfaces.iter().filter_map(|interface| interface.link.as_ref()).chain(self.strangers.values())
    }

    /// Before instances are judged that may have got another address to send from.
    pub(super) fn find_sources(&mut self) {
        if self.is_started && self.sources().any(|(_, source)| !self.is_own_address(source)) {
            let _ = self.look_around();
        }
    }

    /// The instances that are to send from a certain address that the host may lack, and that.
    fn sources(&self) -> impl Iterator<Item = (usize, IpAddr)> + '_ {
        let members = self.members.iter().enumerate();
        let sources = members.filter_map(|(index, member)| Some((index, member.config.delivery.source()?)));
        sources.filter(|(_, source)| !source.is_loopback())
    }

    /// Makes the instances that are to send from a certain address follow where that is now, and says so.
    pub(super) fn judge_sources(&mut self) {
        // At the start not all interfaces are known.
        if !self.is_started {
            return;
        }
        let sources: Vec<(usize, IpAddr)> = self.sources().collect();
        for (index, source) in sources {
            let place = self.members[index].interface;
            let fault = self.source_for(&self.members[index], &self.virtual_addresses(place)).err();
            let missing = Some(FaultReason::SourceMissing);
            if (fault == missing) != (self.members[index].link_fault == missing) {
                self.settle(place, false);
            }
            let member = &mut self.members[index];
            let instance = &member.config.name;
            match (fault == missing, std::mem::replace(&mut member.lacks_source, fault == missing)) {
                (true, false) if member.config.tracks_source => tracing::warn!(
                    instance, address = %source, interface = self.interfaces[place].name,
                    "its interface does not have the address that it is to send from; it is at fault until the address \
                     is added there, or another one configured"
                ),
                (true, false) => tracing::warn!(
                    instance, address = %source,
                    "this host does not have the address that it is to send from; it is at fault until the address is \
                     added, or another one configured (is this the configuration of another node?)"
                ),
                (false, true) => {
                    tracing::info!(instance, address = %source, "the address that it is to send from is there");
                }
                (true, true) | (false, false) => {}
            }
        }
    }

    /// Whether an interface of this host has the address, of all that are known.
    fn is_own_address(&self, address: IpAddr) -> bool {
        // Of 127.0.0.0/8 every host has all.
        address.is_loopback()
            || self.told_links().chain(self.passers_by.values()).any(|link| has(link, address))
    }

    /// Takes what an interface is like now.
    pub(super) fn set_link(&mut self, place: usize, link: Option<Link>) {
        let interface = &self.interfaces[place];
        if interface.link == link {
            return;
        }
        let needs_new_ways = !interface.is_served_by_the_same(link.as_ref());
        let virtual_addresses = self.virtual_addresses(place);
        let interface = &mut self.interfaces[place];
        // An address that is added or removed on a takeover is of no interest to the instances.
        let is_the_same = !needs_new_ways
            && hosts(interface.link.as_ref(), &virtual_addresses)
                .eq(hosts(link.as_ref(), &virtual_addresses));
        let has = |link: Option<&Link>, family| {
            hosts(link, &virtual_addresses).any(|(address, _)| Family::of(&address) == family)
        };
        let returned = [Family::Ipv4, Family::Ipv6]
            .map(|family| (family, !has(interface.link.as_ref(), family) && has(link.as_ref(), family)));
        interface.set_link(link);
        if is_the_same {
            return;
        }
        // A family may have been gone from the interface, for an MTU below 1,280 as an example, and the kernel has forgotten
        // then which groups it had joined.
        for (family, _) in returned.into_iter().filter(|(_, returned)| *returned) {
            interface.stop_hearing(family);
        }
        self.settle(place, needs_new_ways);
        // At the start not all interfaces are known: they are judged when they are.
        if self.is_started {
            for index in self.interfaces[place].trackers.clone() {
                self.judge_tracked(index);
            }
        }
    }

    /// Makes the gate of an instance follow what the interfaces that it tracks are like.
    pub(super) fn judge_tracked(&mut self, index: usize) {
        let member = &self.members[index];
        let fault = |&place: &usize| Some((place, self.interfaces[place].tracked_fault()?));
        let fault = member.tracked.iter().find_map(fault);
        if member.tracked_fault != fault {
            if let Some((place, reason)) = fault {
                let (instance, interface) = (&member.config.name, &self.interfaces[place].name);
                tracing::info!(instance, interface, "{reason}");
            }
            self.members[index].tracked_fault = fault;
        }
        self.apply_gate(index);
    }

    /// Makes the ways in and out, source addresses and gates of an interface follow what it is like.
    pub(super) fn settle(&mut self, place: usize, needs_new_ways: bool) {
        let members = self.interfaces[place].members();
        let virtual_addresses = self.virtual_addresses(place);
        // First those that cannot go on, while the old sockets may still carry their resignation.
        for &index in &members {
            if let Err(fault) = self.source_for(&self.members[index], &virtual_addresses) {
                if fault == FaultReason::SourceMissing {
                    // Nothing more leaves from an address that may be another host's by now, a resignation neither.
                    self.members[index].source = None;
                }
                self.members[index].link_fault = Some(fault);
                self.apply_gate(index);
            }
        }
        self.settle_groups();
        self.flush();
        if needs_new_ways {
            self.interfaces[place].close();
        }
        let is_needed_down = members.iter().any(|&index| self.members[index].config.ignores_link_state);
        self.interfaces[place].is_needed_down = is_needed_down;
        let (channels, families) = self.needed_ways(place);
        self.interfaces[place].listen_to(channels);
        self.interfaces[place].speak(&families);
        self.interfaces[place].open(&mut *self.transport.0);
        for &index in &members {
            self.settle_member(index, &virtual_addresses);
        }
        if self.interfaces[place].lacks_ways() && !self.timers.is_set(LOOK) {
            self.timers.set(LOOK, Some(clock::now() + LOOK_AGAIN));
        }
    }

    fn settle_member(&mut self, index: usize, virtual_addresses: &BTreeSet<IpAddr>) {
        self.list_what_fits(index);
        let member = &self.members[index];
        let Ok(source) = self.source_for(member, virtual_addresses) else { return };
        let family = member.config.family();
        let (listens_on, sends_through) =
            (&self.interfaces[member.interface], &self.interfaces[member.outlet]);
        let is_cut_off = !listens_on.hears(member.config.channel()) || !sends_through.speaks(family);
        let is_excused = member.config.ignores_link_state
            && [listens_on, sends_through].iter().any(|interface| interface.fault().is_some());
        let silent_peers = match &member.config.delivery {
            Delivery::Multicast(_) => BTreeSet::new(),
            Delivery::Unicast(_) => match self.transport.0.address(family) {
                Some(address) => BTreeSet::from([address, source]),
                None => {
                    listens_on.own_addresses().chain(sends_through.own_addresses()).chain([source]).collect()
                }
            },
        };
        let member = &mut self.members[index];
        let interface = &mut self.interfaces[member.interface];
        let listener = member.config.listener(source, member.listed).with_broadcasts(interface.broadcasts());
        interface.demux.insert(index, listener);
        member.source = Some(source);
        let was_alone = is_alone(&member.config.delivery, &member.silent_peers);
        let is_alone = is_alone(&member.config.delivery, &silent_peers);
        member.silent_peers = silent_peers;
        if is_alone && !was_alone {
            let (instance, interface) = (&member.config.name, &interface.name);
            tracing::warn!(
                instance,
                interface,
                "all of its unicast peers are addresses of its own: nobody hears its adverts"
            );
        }
        if member.router.address() != source {
            member.tell(clock::now(), &Input::Address(source));
        }
        member.link_fault = match &member.config.delivery {
            Delivery::Unicast(unicast) if unicast.peers.is_empty() => Some(FaultReason::NoPeers),
            Delivery::Unicast(_) if is_alone && member.config.is_faulty_without_peers => {
                Some(FaultReason::NoPeers)
            }
            // Without carrier the ways are closed, and it goes on all the same.
            Delivery::Multicast(_) | Delivery::Unicast(_) if is_excused => None,
            Delivery::Multicast(_) | Delivery::Unicast(_) => is_cut_off.then_some(FaultReason::Socket),
        };
        self.apply_gate(index);
    }

    /// Makes an instance list as many addresses as fit an advert now; answers whether they are fewer than before.
    fn list_what_fits(&mut self, index: usize) -> bool {
        let member = &mut self.members[index];
        let outlet = &self.interfaces[member.outlet];
        let mtu = outlet.mtu(member.config.family());
        let (listed, all) = (member.config.fitting(mtu), member.config.addresses.len());
        let before = std::mem::replace(&mut member.listed, listed);
        if listed < all && listed != before {
            let (instance, interface) = (&member.config.name, &outlet.name);
            tracing::warn!(instance, interface, mtu, listed, all, "not all virtual addresses fit an advert");
        }
        listed < before
    }

    /// An advert of this instance was too long to leave: the MTU of its interface has changed. Answers whether it is
    /// shorter now.
    pub(super) fn shorten(&mut self, index: usize) -> bool {
        let is_shorter = self.list_what_fits(index);
        if is_shorter {
            let virtual_addresses = self.virtual_addresses(self.members[index].interface);
            self.settle_member(index, &virtual_addresses);
        }
        is_shorter
    }

    /// What the instances of an interface need: the ways in, each with its groups, and the ways out.
    pub(super) fn needed_ways(&self, place: usize) -> (Vec<(Channel, BTreeSet<IpAddr>)>, BTreeSet<Family>) {
        let interface = &self.interfaces[place];
        let config = |index: &usize| &*self.members[*index].config;
        let channels = needed_channels(interface.listeners.iter().map(config));
        (channels, interface.speakers.iter().map(|index| config(index).family()).collect())
    }

    /// The virtual addresses of an interface's instances, and those of former ones that are still there. An owner's
    /// are the interface's own, from which the other instances may send (RFC 9568 §4.2).
    pub(super) fn virtual_addresses(&self, place: usize) -> BTreeSet<IpAddr> {
        let members = self.interfaces[place].members();
        let members = members.into_iter().map(|index| &self.members[index]);
        members
            .filter(|member| !member.config.router.priority().is_owner())
            .flat_map(Member::virtual_addresses)
            .chain(self.interfaces[place].leaving.iter().copied())
            .collect()
    }

    /// The address that an instance sends from: the configured one, if it is an address of this host, or that at which the
    /// transport listens, or the first of the interface that is no virtual address (VR-001), in IPv6 a link-local one (VR-005). The owner may have no other than its own
    /// virtual ones.
    fn source_for(
        &self,
        member: &Member,
        virtual_addresses: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, FaultReason> {
        let config = &member.config;
        let (listens_on, sends_through) =
            (&self.interfaces[member.interface], &self.interfaces[member.outlet]);
        for interface in [listens_on, sends_through] {
            match interface.fault() {
                // What was found while it was up is still good.
                Some(FaultReason::LinkDown) if config.ignores_link_state => {
                    return member.source.ok_or(FaultReason::LinkDown);
                }
                Some(fault) => return Err(fault),
                None => {}
            }
        }
        if let Some(source) = config.delivery.source() {
            let is_there = if config.tracks_source {
                listens_on.own_addresses().chain(sends_through.own_addresses()).any(|own| own == source)
            } else {
                self.is_own_address(source)
            };
            return is_there.then_some(source).ok_or(FaultReason::SourceMissing);
        }
        let may_be_source = |address: &IpAddr| {
            let is_ours = config.router.priority().is_owner() && config.owns(*address);
            fits(config, address) && (is_ours || !virtual_addresses.contains(address))
        };
        let is_there = |address: &IpAddr| {
            let mut own = listens_on.own_addresses().chain(sends_through.own_addresses());
            address.is_loopback() || own.any(|own| own == *address)
        };
        let listened_at = self.transport.0.address(config.family());
        if let Some(address) = listened_at.filter(|address| may_be_source(address) && is_there(address)) {
            return Ok(address);
        }
        let of_the_outlet = match config.family() {
            Family::Ipv4 => None,
            Family::Ipv6 => sends_through.primary(may_be_source),
        };
        // Rather than none at all.
        let is_left = |address: &IpAddr| fits(config, address) && listens_on.leaving.contains(address);
        of_the_outlet
            .or_else(|| listens_on.primary(may_be_source))
            .or_else(|| listens_on.primary(is_left))
            .ok_or(FaultReason::NoAddress)
    }

    pub(super) fn apply_gate(&mut self, index: usize) {
        let now = clock::now();
        let member = &mut self.members[index];
        let own = member.own_gate();
        let gate = match member.group {
            Some((group, place)) => {
                let machine = &mut self.groups[group].machine;
                machine.handle_standing(place, Standing::of(&member.router, own));
                own.and(machine.gate(place))
            }
            None => own,
        };
        member.tell(now, &Input::Gate(gate));
        self.carry_out(index, now);
    }
}

/// Whether an address is of the kind that an instance sends from: the link-local one in IPv6, except to peers that
/// have other addresses.
fn fits(config: &InstanceConfig, address: &IpAddr) -> bool {
    let is_link_local = |address: &Ipv6Addr| address.is_unicast_link_local();
    match (address, config.family()) {
        (IpAddr::V4(_), Family::Ipv4) => true,
        (IpAddr::V6(address), Family::Ipv6) => match &config.delivery {
            Delivery::Multicast(_) => is_link_local(address),
            Delivery::Unicast(unicast) => {
                let peers = unicast.peers.iter().map(|peer| peer.address);
                let is_far = |peer: IpAddr| matches!(peer, IpAddr::V6(peer) if !is_link_local(&peer));
                is_link_local(address) != peers.into_iter().any(is_far)
            }
        },
        (IpAddr::V4(_), Family::Ipv6) | (IpAddr::V6(_), Family::Ipv4) => false,
    }
}

/// Whether there are peers, and all of them are ourselves.
fn is_alone(delivery: &Delivery, silent_peers: &BTreeSet<IpAddr>) -> bool {
    match delivery {
        Delivery::Multicast(_) => false,
        Delivery::Unicast(Unicast { peers, .. }) => {
            !peers.is_empty() && peers.iter().all(|peer| silent_peers.contains(&peer.address))
        }
    }
}

fn has(link: &Link, address: IpAddr) -> bool {
    link.addresses.iter().any(|own| own.address == address)
}

/// The addresses of a link that are not those of virtual routers, in order.
fn hosts<'a>(
    link: Option<&'a Link>,
    virtual_addresses: &'a BTreeSet<IpAddr>,
) -> impl Iterator<Item = (IpAddr, u8)> + 'a {
    let addresses = link.into_iter().flat_map(|link| &link.addresses);
    addresses
        .filter(|address| !address.tagged && !virtual_addresses.contains(&address.address))
        .map(|address| (address.address, address.prefix_len))
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
