//! Which announcements are still to be sent, and in which order.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::addresses::Announcement;

/// The packets that wait to be sent, in turns: one for each address, then the next for each.
///
/// It holds at most one entry for each address of an interface; what is added for an address that waits already is added
/// to its packets. Whoever sends takes a packet off once it has left, so that nothing is sent twice when sending is
/// interrupted, and the next turn is that of the address that was next before.
///
/// ```
/// use lvs_core::{Announcement, Announcements};
///
/// let packets = |last, repeat| Announcement {
///     interface: "eth0".into(),
///     address: [10, 0, 0, last].into(),
///     repeat,
/// };
/// let mut waiting = Announcements::from_iter([packets(1, 2), packets(2, 1)]);
/// waiting.extend([packets(1, 1)]);
/// let mut sent = Vec::new();
/// while let Some(next) = waiting.first() {
///     sent.push(next.address.to_string());
///     waiting.packet_sent();
/// }
/// assert_eq!(sent, ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.1"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Announcements {
    /// None of them without packets, no address of an interface twice.
    waiting: VecDeque<Announcement>,
}

impl Announcements {
    /// What is to be sent next, and how many packets are left for that address.
    #[must_use]
    pub fn first(&self) -> Option<&Announcement> {
        self.waiting.front()
    }

    /// A packet for the first address was sent: the next address is first now.
    pub fn packet_sent(&mut self) {
        let Some(mut first) = self.waiting.pop_front() else { return };
        first.repeat = first.repeat.saturating_sub(1);
        if first.repeat > 0 {
            self.waiting.push_back(first);
        }
    }

    /// Takes all packets for the first address off: they cannot be sent, or need not be.
    pub fn remove_first(&mut self) -> Option<Announcement> {
        self.waiting.pop_front()
    }

    /// Keeps those for which the answer is true.
    pub fn retain(&mut self, keep: impl FnMut(&Announcement) -> bool) {
        self.waiting.retain(keep);
    }

    /// Takes everything off.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Number of addresses that packets wait for; an address counts once for each interface.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Extend<Announcement> for Announcements {
    /// Adds packets, at most 255 for an address. An address that does not wait yet comes last; no packets are nothing.
    fn extend<T: IntoIterator<Item = Announcement>>(&mut self, announcements: T) {
        let place = |waiting: &Announcement| (waiting.interface.clone(), waiting.address);
        let mut places: BTreeMap<(String, IpAddr), usize> =
            self.waiting.iter().enumerate().map(|(index, waiting)| (place(waiting), index)).collect();
        for more in announcements.into_iter().filter(|more| more.repeat > 0) {
            let index = *places.entry(place(&more)).or_insert(self.waiting.len());
            match self.waiting.get_mut(index) {
                Some(waiting) => waiting.repeat = waiting.repeat.saturating_add(more.repeat),
                None => self.waiting.push_back(more),
            }
        }
    }
}

impl FromIterator<Announcement> for Announcements {
    fn from_iter<T: IntoIterator<Item = Announcement>>(announcements: T) -> Self {
        let mut all = Self::default();
        all.extend(announcements);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(interface: &str, last: u8, repeat: u8) -> Announcement {
        Announcement { interface: interface.into(), address: [10, 0, 0, last].into(), repeat }
    }

    #[test]
    fn what_is_added_for_a_waiting_address_keeps_its_place_and_is_bounded() {
        let mut waiting = Announcements::from_iter([packets("eth0", 1, 200), packets("eth0", 2, 1)]);
        waiting.extend([packets("eth0", 1, 200), packets("eth1", 1, 1), packets("eth1", 1, 1)]);
        waiting.extend([packets("eth0", 3, 0)]);
        let expected = [packets("eth0", 1, 255), packets("eth0", 2, 1), packets("eth1", 1, 2)];
        assert_eq!(waiting, Announcements::from_iter(expected));
    }

    #[test]
    fn an_address_that_comes_later_is_sent_before_the_next_turn_of_the_one_before_it() {
        let mut waiting = Announcements::from_iter([packets("eth0", 1, 3), packets("eth0", 2, 3)]);
        waiting.packet_sent();
        waiting.extend([packets("eth0", 3, 1)]);
        let mut sent = Vec::new();
        while let Some(first) = waiting.first() {
            sent.push(first.address);
            waiting.packet_sent();
        }
        assert_eq!(sent, [2, 1, 3, 2, 1, 2].map(|last| IpAddr::from([10, 0, 0, last])));
    }

    #[test]
    fn what_cannot_be_sent_is_taken_off_with_all_its_packets() {
        let mut waiting = Announcements::from_iter([packets("eth0", 1, 3), packets("eth0", 2, 3)]);
        assert_eq!(waiting.remove_first(), Some(packets("eth0", 1, 3)));
        waiting.retain(|announcement| announcement.address != IpAddr::from([10, 0, 0, 2]));
        assert!(waiting.is_empty() && waiting.remove_first().is_none());
        waiting.packet_sent();
        assert_eq!(waiting.len(), 0);
    }
}
