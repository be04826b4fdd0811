//! An interface of a driver, with its ways in and out.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lvs_core::{Epoch, Family, Link, LinkAddress};

use crate::action::FaultReason;
use crate::demux::Demux;
use crate::driver::config::InstanceConfig;
use crate::stats::Counters;
use crate::transport::{Channel, Departures, Listen, Receiver, Sender, Transport};
use crate::types::Advertised;

/// An interface with instances on it, or that instances track.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    /// The instances that listen on it.
    pub(super) listeners: BTreeSet<usize>,
    /// The instances that send through it.
    pub(super) speakers: BTreeSet<usize>,
    pub(super) trackers: BTreeSet<usize>,
    /// Some of its instances go on while it is down.
    pub(super) is_needed_down: bool,
    pub(super) link: Option<Link>,
    /// Addresses on it that were those of virtual routers and will be taken off.
    pub(super) leaving: BTreeSet<IpAddr>,
    /// What was refused on it without being meant for an instance.
    pub(super) counters: Arc<Counters>,
    /// Somebody tells about it.
    pub(super) is_fed: bool,
    /// It has adverts that wait to leave.
    pub(super) is_loaded: bool,
    /// Something came, or may have come.
    pub(super) is_audible: bool,
    /// Its adverts were taken in this turn.
    pub(super) is_heard: bool,
    pub(super) ears: Vec<Ear>,
    pub(super) mouths: Vec<Mouth>,
    /// Why some of them are not open, as it was logged.
    pub(super) complaints: BTreeSet<String>,
    pub(super) demux: Demux,
}

impl Interface {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            listeners: BTreeSet::new(),
            speakers: BTreeSet::new(),
            trackers: BTreeSet::new(),
            is_needed_down: false,
            link: None,
            leaving: BTreeSet::new(),
            counters: Arc::default(),
            is_fed: false,
            is_loaded: false,
            is_audible: false,
            is_heard: false,
            ears: Vec::new(),
            mouths: Vec::new(),
            complaints: BTreeSet::new(),
            demux: Demux::new(),
        }
    }

    /// The instances that need it to work.
    pub(super) fn members(&self) -> BTreeSet<usize> {
        self.listeners.union(&self.speakers).copied().collect()
    }

    /// Whether no instance has to do with it.
    pub(super) fn is_unneeded(&self) -> bool {
        self.listeners.is_empty() && self.speakers.is_empty() && self.trackers.is_empty()
    }

    /// Forgets who needs it, as instances get new places; what is heard for those that have one goes there.
    pub(super) fn renumber(&mut self, moved: &[Option<usize>]) {
        for members in [&mut self.listeners, &mut self.speakers, &mut self.trackers] {
            members.clear();
        }
        self.demux.renumber(|index| moved.get(index).copied().flatten());
    }

    /// Takes what it is like now.
    pub(super) fn set_link(&mut self, link: Option<Link>) {
        self.link = link;
        let left = std::mem::take(&mut self.leaving);
        self.leave(left);
    }

    /// Takes note of addresses that are not those of virtual routers any more: as long as they are on it, they are not
    /// addresses to send from either.
    pub(super) fn leave(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        let own: BTreeSet<IpAddr> = self.own_addresses().collect();
        self.leaving.extend(addresses.into_iter().filter(|address| own.contains(address)));
    }

    /// Whether sockets of the link as it was would do for it as it is.
    pub(super) fn is_served_by_the_same(&self, link: Option<&Link>) -> bool {
        match (&self.link, link) {
            (Some(before), Some(after)) => {
                (before.index, before.up, before.mac) == (after.index, after.up, after.mac)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What is wrong with it for those that are on it.
    pub(super) fn fault(&self) -> Option<FaultReason> {
        match &self.link {
            None => Some(FaultReason::LinkMissing),
            Some(link) => (!link.up).then_some(FaultReason::LinkDown),
        }
    }

    /// What is wrong with it for those that track it.
    pub(super) fn tracked_fault(&self) -> Option<FaultReason> {
        match &self.link {
            None => Some(FaultReason::TrackedLinkMissing),
            Some(link) => (!link.up).then_some(FaultReason::TrackedLinkDown),
        }
    }

    /// Whether it lacks a way in or out that could be opened now.
    pub(super) fn lacks_ways(&self) -> bool {
        let is_up = self.link.as_ref().is_some_and(|link| link.up || self.is_needed_down);
        let is_deaf = self.ears.iter().any(|ear| ear.receiver.is_none());
        let is_mute = self.mouths.iter().any(|mouth| mouth.sender.is_none());
        is_up && (is_deaf || is_mute)
    }

    pub(super) fn hears(&self, channel: Channel) -> bool {
        self.ears.iter().any(|ear| ear.channel == channel && ear.receiver.is_some())
    }

    pub(super) fn speaks(&self, family: Family) -> bool {
        self.mouths.iter().any(|mouth| mouth.family == family && mouth.sender.is_some())
    }

    /// How long a datagram of this family may be that leaves through it, if that is known.
    pub(super) fn mtu(&self, family: Family) -> Option<u32> {
        self.mouths.iter().find(|mouth| mouth.family == family)?.sender.as_ref()?.mtu()
    }

    /// Makes the list of ways in what these are; those that stay with the same groups stay open.
    pub(super) fn listen_to(&mut self, wanted: Vec<(Channel, BTreeSet<IpAddr>)>) {
        self.ears.retain(|ear| wanted.iter().any(|(channel, groups)| ear.is(*channel, groups)));
        for (channel, groups) in wanted {
            if !self.ears.iter().any(|ear| ear.channel == channel) {
                self.ears.push(Ear { channel, groups, receiver: None });
            }
        }
    }

    /// Takes over the open ways of another one, in place of its own of the same kinds.
    pub(super) fn adopt(&mut self, other: Self) {
        for ear in other.ears.into_iter().filter(|ear| ear.receiver.is_some()) {
            self.ears.retain(|known| known.channel != ear.channel);
            self.ears.push(ear);
        }
        for mouth in other.mouths.into_iter().filter(|mouth| mouth.sender.is_some()) {
            self.mouths.retain(|known| known.family != mouth.family);
            self.mouths.push(mouth);
        }
    }

    /// Makes the list of ways out what these are.
    pub(super) fn speak(&mut self, wanted: &BTreeSet<Family>) {
        self.mouths.retain(|mouth| wanted.contains(&mouth.family));
        for &family in wanted {
            if !self.mouths.iter().any(|mouth| mouth.family == family) {
                self.mouths.push(Mouth::new(family));
            }
        }
    }

    /// Closes all ways.
    pub(super) fn close(&mut self) {
        for ear in &mut self.ears {
            ear.receiver = None;
        }
        for mouth in &mut self.mouths {
            mouth.sender = None;
        }
    }

    /// Closes the ways in of a family.
    pub(super) fn stop_hearing(&mut self, family: Family) {
        for ear in self.ears.iter_mut().filter(|ear| ear.channel.family() == family) {
            ear.receiver = None;
        }
    }

    /// Opens the ways that are not open, if it can be now; answers why some are not.
    pub(super) fn open_ways(&mut self, transport: &mut dyn Transport) -> Vec<io::Error> {
        let mut refused = Vec::new();
        let Some(Link { index, up, .. }) = self.link else { return refused };
        if !up && !self.is_needed_down {
            return refused;
        }
        let interface = &*self.name;
        for Ear { channel, groups, receiver } in self.ears.iter_mut().filter(|ear| ear.receiver.is_none()) {
            match transport.receiver(&Listen { interface, index, channel: *channel, groups }) {
                Ok(opened) => *receiver = Some(opened),
                Err(error) => refused.push(error),
            }
        }
        for mouth in self.mouths.iter_mut().filter(|mouth| mouth.sender.is_none()) {
            match transport.sender(interface, index, mouth.family) {
                Ok(opened) => mouth.sender = Some(opened),
                Err(error) => refused.push(error),
            }
        }
        refused
    }

    /// Opens the ways that are not open, and complains.
    pub(super) fn open(&mut self, transport: &mut dyn Transport) {
        if !self.lacks_ways() {
            return;
        }
        let refused = self.open_ways(transport);
        let interface = &*self.name;
        if refused.is_empty() && !self.complaints.is_empty() {
            self.complaints.clear();
            tracing::info!(interface, "sockets for adverts are open");
        }
        // It is tried again every second: said once for each reason.
        for error in refused {
            if self.complaints.insert(error.to_string()) {
                tracing::warn!(interface, %error, "open sockets for adverts");
            }
        }
    }

    pub(super) fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.link.iter().flat_map(|link| &link.addresses).map(|address| address.address)
    }

    pub(super) fn broadcasts(&self) -> Vec<Ipv4Addr> {
        self.link.iter().flat_map(|link| &link.addresses).filter_map(broadcast).collect()
    }

    /// The first address that adverts may be sent from: of the host, not of a virtual router.
    pub(super) fn primary(&self, may_be_source: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let untagged = self.link.iter().flat_map(|link| &link.addresses).filter(|address| !address.tagged);
        untagged.map(|address| address.address).find(may_be_source)
    }
}

/// The ways in that listeners on one interface need, each with its groups.
pub(super) fn needed_channels<'a>(
    listeners: impl Iterator<Item = &'a InstanceConfig>,
) -> Vec<(Channel, BTreeSet<IpAddr>)> {
    let mut channels: Vec<(Channel, BTreeSet<IpAddr>)> = Vec::new();
    for config in listeners {
        // Whoever expects authentication headers hears what comes without them too, to refuse it aloud.
        for channel in BTreeSet::from([config.channel(), Channel::of(config.family())]) {
            if !channels.iter().any(|(known, _)| *known == channel) {
                channels.push((channel, BTreeSet::new()));
            }
            for (_, groups) in channels.iter_mut().filter(|(known, _)| *known == channel) {
                groups.extend(config.group());
            }
        }
    }
    channels
}

/// A way into an interface.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) channel: Channel,
    pub(super) groups: BTreeSet<IpAddr>,
    pub(super) receiver: Option<Box<dyn Receiver>>,
}

impl Ear {
    pub(super) fn is(&self, channel: Channel, groups: &BTreeSet<IpAddr>) -> bool {
        self.channel == channel && self.groups == *groups
    }
}

/// A way out of an interface, and what waits to go.
#[derive(Debug)]
pub(super) struct Mouth {
    pub(super) family: Family,
    pub(super) sender: Option<Box<dyn Sender>>,
    pub(super) departures: Departures,
    /// Whose each of the departures is.
    pub(super) origins: Vec<Origin>,
}

impl Mouth {
    fn new(family: Family) -> Self {
        Self { family, sender: None, departures: Departures::default(), origins: Vec::new() }
    }
}

/// Whose an advert is that waits to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) member: usize,
    pub(super) advertised: Advertised,
    pub(super) epoch: Epoch,
    /// It is the first copy of an advert to several peers.
    pub(super) is_first: bool,
}

/// The broadcast address of a network; one of 31 or 32 bits has none (RFC 3021 §2.1).
fn broadcast(address: &LinkAddress) -> Option<Ipv4Addr> {
    match address.address {
        IpAddr::V4(v4) if address.prefix_len < 31 => {
            let host_bits = u32::MAX.checked_shr(address.prefix_len.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() | host_bits))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_is_the_last_of_a_network_that_has_one() {
        let of = |address: [u8; 4], prefix_len| {
            broadcast(&LinkAddress { address: address.into(), prefix_len, tagged: false })
                .map(|found| found.octets())
        };
        assert_eq!(of([10, 0, 0, 1], 24), Some([10, 0, 0, 255]));
        assert_eq!(of([10, 0, 0, 5], 30), Some([10, 0, 0, 7]));
        assert_eq!(of([10, 0, 0, 1], 0), Some([255; 4]));
        assert_eq!(of([10, 0, 0, 1], 31), None);
        assert_eq!(of([10, 0, 0, 1], 32), None);
    }
}
