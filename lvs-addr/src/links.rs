//! What is known of the links, what of it was reported, and so what is to be reported next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use lvs_core::{Link, LinkAddress};

use crate::rtnl::{AddressFact, LinkFact};

/// A fact about an interface. The set is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// The interface is new or something of it changed: this is how it is now. After notifications were lost every
    /// interface is reported like this, changed or not.
    Changed(Link),
    /// The interface is gone, or has another name now: then its `Changed` with the same index follows. One that is
    /// created again under the same name has another index. If another interface took the name over, its `Changed`
    /// comes after this.
    Removed {
        /// Its last name.
        name: String,
        /// Its index.
        index: u32,
    },
    /// An address is no longer on the interface, which is still there. If it had been reported, the `Changed` without
    /// it follows.
    AddressRemoved {
        /// Name of the interface.
        interface: String,
        /// Its index.
        index: u32,
        /// The address.
        address: LinkAddress,
    },
}

/// The state behind a monitor, without any I/O.
///
/// Link messages carry all that matters of the link. Address messages only mark the link's addresses as outdated:
/// their order, which decides the primary one, is the kernel's, so they are read again.
#[derive(Debug, Default)]
pub(crate) struct Links {
    known: BTreeMap<u32, Link>,
    reported: BTreeMap<u32, Link>,
    /// Links that may differ from what was reported.
    dirty: BTreeSet<u32>,
    /// Links whose addresses must be read again.
    outdated: BTreeSet<u32>,
    /// Addresses whose removal was announced since their link's were read: some were never reported as present.
    removed: BTreeMap<u32, BTreeMap<(IpAddr, u8), LinkAddress>>,
    /// Links that are reported even if nothing of them changed.
    again: BTreeSet<u32>,
    events: VecDeque<LinkEvent>,
}

impl Links {
    pub(crate) fn handle_link(&mut self, fact: LinkFact) {
        let LinkFact { index, name, up, mac, .. } = fact;
        match self.known.get_mut(&index) {
            Some(link) => {
                link.name = name;
                link.up = up;
                link.mac = mac;
                self.dirty.insert(index);
            }
            None => {
                self.known.insert(index, Link { name, index, up, mac, addresses: Vec::new() });
                // Reported together with its addresses.
                self.outdated.insert(index);
            }
        }
    }

    pub(crate) fn handle_link_removed(&mut self, index: u32) {
        self.known.remove(&index);
        self.outdated.remove(&index);
        self.removed.remove(&index);
        self.dirty.insert(index);
    }

    pub(crate) fn handle_address(&mut self, fact: AddressFact) {
        if self.known.contains_key(&fact.index) {
            self.outdated.insert(fact.index);
        }
    }

    pub(crate) fn handle_address_removed(&mut self, fact: AddressFact) {
        if self.known.contains_key(&fact.index) {
            self.outdated.insert(fact.index);
            let removed = self.removed.entry(fact.index).or_default();
            if removed.len() < REMOVED {
                removed.insert(place(&fact.address), fact.address);
            }
        }
    }

    /// Notifications were lost: what came and went meanwhile is not known, so every link is reported again.
    pub(crate) fn handle_resync(&mut self) {
        self.again.extend(self.known.keys());
        self.dirty.extend(self.known.keys());
    }

    /// Everything anew.
    pub(crate) fn handle_dump(&mut self, links: Vec<LinkFact>, addresses: &[AddressFact]) {
        self.dirty.extend(self.known.keys());
        let mut known = BTreeMap::new();
        for LinkFact { index, name, up, mac, .. } in links {
            known.insert(index, Link { name, index, up, mac, addresses: Vec::new() });
        }
        for fact in addresses.iter().filter(|fact| !fact.tentative) {
            if let Some(link) = known.get_mut(&fact.index) {
                link.addresses.push(fact.address);
            }
        }
        self.known = known;
        self.dirty.extend(self.known.keys());
        self.outdated.clear();
    }

    /// The addresses of all outdated links, read again; those of other links may be among them.
    pub(crate) fn handle_addresses(&mut self, addresses: &[AddressFact]) {
        let outdated = std::mem::take(&mut self.outdated);
        for index in &outdated {
            if let Some(link) = self.known.get_mut(index) {
                link.addresses.clear();
            }
        }
        for fact in addresses.iter().filter(|fact| !fact.tentative && outdated.contains(&fact.index)) {
            if let Some(link) = self.known.get_mut(&fact.index) {
                link.addresses.push(fact.address);
            }
        }
        self.dirty.extend(outdated);
    }

    /// Links whose addresses must be read again.
    pub(crate) fn outdated(&self) -> &BTreeSet<u32> {
        &self.outdated
    }

    /// All links that were reported.
    pub(crate) fn reported(&self) -> impl Iterator<Item = &Link> {
        self.reported.values()
    }

    pub(crate) fn poll_event(&mut self) -> Option<LinkEvent> {
        if self.events.is_empty() {
            // Names that became free come first: another link may have taken one over, and who goes by names
            // must not take the end of its former bearer for its own.
            for index in self.dirty.clone() {
                self.report_lost_name(index);
            }
            for index in std::mem::take(&mut self.dirty) {
                self.compare(index);
            }
        }
        self.events.pop_front()
    }

    fn report_lost_name(&mut self, index: u32) {
        let name_now = self.known.get(&index).map(|link| &link.name);
        let Some(before) = self.reported.get(&index).filter(|before| Some(&before.name) != name_now) else {
            return;
        };
        // A dump is not of one moment: another link may have been reported under this name already.
        let bearers = self.reported.values().filter(|link| link.name == before.name && link.index != index);
        for bearer in bearers.map(|link| link.index) {
            self.dirty.insert(bearer);
            self.again.insert(bearer);
        }
        self.events.push_back(LinkEvent::Removed { name: before.name.clone(), index });
    }

    fn compare(&mut self, index: u32) {
        let again = self.again.remove(&index);
        let Some(now) = self.known.get(&index) else {
            self.reported.remove(&index);
            return;
        };
        let before = self.reported.get(&index);
        // What an outdated link's addresses are is not known yet.
        let mut gone = match self.outdated.contains(&index) {
            true => BTreeMap::new(),
            false => self.removed.remove(&index).unwrap_or_default(),
        };
        let reported = before.iter().flat_map(|link| &link.addresses);
        gone.extend(reported.map(|address| (place(address), *address)));
        for address in &now.addresses {
            gone.remove(&place(address));
        }
        self.events.extend(gone.into_values().map(|address| LinkEvent::AddressRemoved {
            interface: now.name.clone(),
            index,
            address,
        }));
        if again || before != Some(now) {
            self.events.push_back(LinkEvent::Changed(now.clone()));
            self.reported.insert(index, now.clone());
        }
    }
}

fn place(address: &LinkAddress) -> (IpAddr, u8) {
    (address.address, address.prefix_len)
}

/// Most announced removals of a link that are remembered until its addresses are read; more are found by what was
/// reported.
const REMOVED: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, up: bool) -> LinkFact {
        LinkFact { index, name: name.to_owned(), up, mac: None, has_neighbours: true, router: false }
    }

    fn address(index: u32, last: u8) -> AddressFact {
        let address = LinkAddress { address: [10, 0, 0, last].into(), prefix_len: 24, tagged: last >= 100 };
        AddressFact { index, address, tentative: false }
    }

    fn drain(links: &mut Links) -> Vec<LinkEvent> {
        std::iter::from_fn(|| links.poll_event()).collect()
    }

    fn changed(name: &str, index: u32, up: bool, addresses: &[AddressFact]) -> LinkEvent {
        let addresses = addresses.iter().map(|fact| fact.address).collect();
        LinkEvent::Changed(Link { name: name.to_owned(), index, up, mac: None, addresses })
    }

    fn removed(name: &str, fact: AddressFact) -> LinkEvent {
        LinkEvent::AddressRemoved { interface: name.to_owned(), index: fact.index, address: fact.address }
    }

    /// What is left for a reader who goes by names alone.
    fn by_name(events: &[LinkEvent]) -> BTreeMap<&str, u32> {
        let mut names = BTreeMap::new();
        for event in events {
            match event {
                LinkEvent::Changed(link) => names.insert(link.name.as_str(), link.index),
                LinkEvent::Removed { name, .. } => names.remove(name.as_str()),
                LinkEvent::AddressRemoved { .. } => None,
            };
        }
        names
    }

    fn known() -> Links {
        let mut links = Links::default();
        links.handle_dump(vec![link(2, "eth0", true)], &[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), [changed("eth0", 2, true, &[address(2, 1), address(2, 100)])]);
        links
    }

    #[test]
    fn a_dump_that_shows_nothing_new_is_not_reported() {
        let mut links = known();
        links.handle_dump(vec![link(2, "eth0", true)], &[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), []);
    }

    #[test]
    fn a_link_that_goes_down_is_reported_at_once_with_the_addresses_it_had() {
        let mut links = known();
        links.handle_address(address(2, 1));
        links.handle_link(link(2, "eth0", false));
        assert_eq!(drain(&mut links), [changed("eth0", 2, false, &[address(2, 1), address(2, 100)])]);
    }

    #[test]
    fn an_address_that_vanished_is_reported_whether_by_notification_or_by_dump() {
        for by_dump in [false, true] {
            let mut links = known();
            if by_dump {
                links.handle_dump(vec![link(2, "eth0", true)], &[address(2, 1)]);
            } else {
                links.handle_address_removed(address(2, 100));
                assert_eq!(drain(&mut links), [], "not before the addresses were read");
                links.handle_addresses(&[address(2, 1), address(7, 9)]);
            }
            let expected = [removed("eth0", address(2, 100)), changed("eth0", 2, true, &[address(2, 1)])];
            assert_eq!(drain(&mut links), expected);
        }
    }

    #[test]
    fn a_link_deleted_and_created_again_is_removed_and_new() {
        let mut links = known();
        links.handle_link_removed(2);
        links.handle_link(link(9, "eth0", true));
        links.handle_address(address(9, 1));
        assert_eq!(drain(&mut links), [LinkEvent::Removed { name: "eth0".to_owned(), index: 2 }]);
        links.handle_addresses(&[address(9, 1)]);
        assert_eq!(drain(&mut links), [changed("eth0", 9, true, &[address(9, 1)])]);
    }

    #[test]
    fn a_link_that_a_dump_no_longer_shows_is_removed() {
        let mut links = known();
        links.handle_dump(vec![], &[]);
        assert_eq!(drain(&mut links), [LinkEvent::Removed { name: "eth0".to_owned(), index: 2 }]);
        assert_eq!(links.reported().count(), 0);
    }

    #[test]
    fn a_link_that_came_and_went_unreported_is_not_mentioned() {
        let mut links = known();
        links.handle_link(link(3, "tmp", true));
        links.handle_link_removed(3);
        assert_eq!(drain(&mut links), []);
    }

    #[test]
    fn a_renamed_link_is_gone_under_its_old_name_and_keeps_its_index() {
        let mut links = known();
        links.handle_link(link(2, "wan", true));
        let gone = LinkEvent::Removed { name: "eth0".to_owned(), index: 2 };
        assert_eq!(drain(&mut links), [gone, changed("wan", 2, true, &[address(2, 1), address(2, 100)])]);
    }

    #[test]
    fn a_name_is_free_before_another_link_bears_it() {
        for (former, heir) in [(20, 5), (5, 20)] {
            let mut links = Links::default();
            links.handle_dump(vec![link(former, "eth0", true), link(heir, "new", true)], &[]);
            drain(&mut links);
            links.handle_link(link(former, "old", true));
            links.handle_link(link(heir, "eth0", true));
            let events = drain(&mut links);
            assert_eq!(by_name(&events), BTreeMap::from([("eth0", heir), ("old", former)]), "{events:?}");
            assert_eq!(drain(&mut links), [], "told once");
        }
    }

    #[test]
    fn of_two_links_with_one_name_the_one_that_keeps_it_is_reported_last() {
        let mut links = Links::default();
        links.handle_dump(vec![link(5, "eth0", true), link(20, "eth0", true)], &[]);
        drain(&mut links);
        links.handle_link(link(20, "old", true));
        let events = drain(&mut links);
        assert_eq!(by_name(&events), BTreeMap::from([("eth0", 5), ("old", 20)]), "{events:?}");
    }

    #[test]
    fn an_address_that_came_and_went_unreported_is_reported_as_removed() {
        let mut links = known();
        links.handle_address(address(2, 101));
        links.handle_address_removed(address(2, 101));
        links.handle_link(link(2, "eth0", true));
        assert_eq!(drain(&mut links), [], "not before the addresses were read");
        links.handle_addresses(&[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), [removed("eth0", address(2, 101))]);
        links.handle_address(address(2, 1));
        links.handle_addresses(&[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), [], "told once");
    }

    #[test]
    fn an_address_that_was_replaced_is_still_there() {
        let mut links = known();
        links.handle_address_removed(address(2, 100));
        links.handle_address(address(2, 100));
        links.handle_addresses(&[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), []);
    }

    #[test]
    fn after_lost_notifications_every_link_is_reported_once_more() {
        let mut links = known();
        links.handle_dump(vec![link(2, "eth0", true)], &[address(2, 1), address(2, 100)]);
        links.handle_resync();
        assert_eq!(drain(&mut links), [changed("eth0", 2, true, &[address(2, 1), address(2, 100)])]);
        links.handle_dump(vec![link(2, "eth0", true)], &[address(2, 1), address(2, 100)]);
        assert_eq!(drain(&mut links), []);
    }

    #[test]
    fn an_address_under_duplicate_detection_is_not_there_yet() {
        let mut links = known();
        links.handle_address(address(2, 1));
        let detecting = AddressFact { tentative: true, ..address(2, 2) };
        links.handle_addresses(&[address(2, 1), address(2, 100), detecting]);
        assert_eq!(drain(&mut links), []);
    }
}
