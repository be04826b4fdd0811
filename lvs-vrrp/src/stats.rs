//! What an instance has sent, heard, refused and become, counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use lvs_core::Role;

use crate::action::Transition;
use crate::packet::Advert;
use crate::refusal::Refusal;
use crate::types::{Advertised, ChecksumForm, Interval};

/// The counters of an instance or an interface at one moment; they grow from 0 at the start, or from the last
/// [`Instance::clear_stats`](crate::Instance::clear_stats).
///
/// Where they stand in the MIBs, as objects `vrrpv3Statistics…` of RFC 6527 (those of RFC 2787 are called
/// `vrrpStats…`), and in keepalived's `/tmp/keepalived.stats`:
///
/// | here | RFC 6527 | keepalived |
/// | --- | --- | --- |
/// | `became_master` | `MasterTransitions` | Became master |
/// | `released_master` | – | Released master |
/// | `adverts_received`, `adverts_sent` | `RcvdAdvertisements`, – | Advertisements: Received, Sent |
/// | `resignations_received`, `resignations_sent` | `RcvdPriZeroPackets`, `SentPriZeroPackets` | Priority Zero: Received, Sent |
/// | [`Refusal::Ttl`] | `IpTtlErrors` | Packet Errors: TTL |
/// | [`Refusal::Length`] | `PacketLengthErrors` | Packet Errors: Length |
/// | [`Refusal::Type`] | `RcvdInvalidTypePackets` | Packet Errors: Invalid Type |
/// | `interval_differences`, [`Refusal::IntervalMismatch`], [`Refusal::IntervalZero`] | `AdvIntervalErrors` | Packet Errors: Advertisement Interval |
/// | `address_list_differences` | `AddressListErrors` | Packet Errors: Address List |
/// | [`Refusal::AuthType`] | – (`vrrpStatsAuthTypeMismatch`) | Authentication Errors: Type Mismatch |
/// | [`Refusal::AuthData`], [`Refusal::AhHeader`], [`Refusal::Replay`] | – (`vrrpStatsAuthFailures`) | Authentication Errors: Failure |
/// | [`Refusal::Checksum`] | `vrrpv3RouterChecksumErrors` | – |
/// | [`Refusal::Version`] | `vrrpv3RouterVersionErrors` | – |
/// | [`Refusal::UnknownVrid`], of the interface | `vrrpv3RouterVrIdErrors` | – |
///
/// With the feature `serde` it can be serialised: a map of the fields by their names, and `refused`, a map of the
/// refusals that occurred by their texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Adverts sent, priority 0 among them; one to several peers counts once.
    pub adverts_sent: u64,
    /// Adverts of priority 0 sent.
    pub resignations_sent: u64,
    /// Adverts that the kernel refused to send.
    pub send_errors: u64,
    /// Adverts accepted, priority 0 among them.
    pub adverts_received: u64,
    /// Adverts of priority 0 accepted.
    pub resignations_received: u64,
    /// Adverts of version 3 accepted whose checksum covers the message alone (RFC 9568).
    pub message_only_checksums: u64,
    /// Adverts of version 3 accepted whose checksum is that of old unicast
    /// ([`ChecksumForm::OldUnicast`]).
    pub old_unicast_checksums: u64,
    /// Adverts accepted whose list of addresses is not ours.
    pub address_list_differences: u64,
    /// Adverts of IPv6 accepted whose first address is not link-local
    /// ([`InstanceConfig::takes_any_first_address`](crate::InstanceConfig::takes_any_first_address)).
    pub not_link_local_first: u64,
    /// Adverts of version 3 accepted whose interval is not the configured one.
    pub interval_differences: u64,
    /// How often the role became master.
    pub became_master: u64,
    /// How often the role ceased to be master.
    pub released_master: u64,
    /// How often another router was found to be master at the same time.
    pub conflicts: u64,
    refused: [u64; Refusal::ALL.len()],
}

impl Stats {
    /// Packets refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused.get(reason.index()).copied().unwrap_or(0)
    }

    /// The reasons for which packets were refused, and how many for each; without those that never occurred.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        let counts = Refusal::ALL.iter().map(|reason| (*reason, self.refused(*reason)));
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Stats {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;

        /// The refusals that occurred, by their texts.
        struct Refusals<'a>(&'a Stats);

        impl serde::Serialize for Refusals<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.refusals().map(|(refusal, count)| (refusal.as_str(), count)))
            }
        }

        let fields = [
            ("adverts_sent", self.adverts_sent),
            ("resignations_sent", self.resignations_sent),
            ("send_errors", self.send_errors),
            ("adverts_received", self.adverts_received),
            ("resignations_received", self.resignations_received),
            ("message_only_checksums", self.message_only_checksums),
            ("old_unicast_checksums", self.old_unicast_checksums),
            ("address_list_differences", self.address_list_differences),
            ("not_link_local_first", self.not_link_local_first),
            ("interval_differences", self.interval_differences),
            ("became_master", self.became_master),
            ("released_master", self.released_master),
            ("conflicts", self.conflicts),
        ];
        let mut map = serializer.serialize_map(Some(fields.len() + 1))?;
        for (name, count) in fields {
            map.serialize_entry(name, &count)?;
        }
        map.serialize_entry("refused", &Refusals(self))?;
        map.end()
    }
}

/// Counters that one thread writes and others read.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    adverts_sent: AtomicU64,
    resignations_sent: AtomicU64,
    send_errors: AtomicU64,
    adverts_received: AtomicU64,
    resignations_received: AtomicU64,
    message_only_checksums: AtomicU64,
    old_unicast_checksums: AtomicU64,
    address_list_differences: AtomicU64,
    not_link_local_first: AtomicU64,
    interval_differences: AtomicU64,
    became_master: AtomicU64,
    released_master: AtomicU64,
    conflicts: AtomicU64,
    /// There from the first refusal on: most instances of a network that is in order have none.
    refused: OnceLock<Box<[AtomicU64; Refusal::ALL.len()]>>,
}

impl Counters {
    pub(crate) fn sent(&self, advertised: Advertised) {
        add(&self.adverts_sent);
        match advertised {
            Advertised::Resigning => {
                add(&self.resignations_sent);
            }
            Advertised::Running(_) => {}
        }
    }

    /// Answers how many there were before.
    pub(crate) fn send_failed(&self) -> u64 {
        add(&self.send_errors)
    }

    /// Answers how many there were before.
    pub(crate) fn not_link_local_first(&self) -> u64 {
        add(&self.not_link_local_first)
    }

    pub(crate) fn received(&self, advert: &Advert<'_>, configured: Interval, same_addresses: bool) {
        add(&self.adverts_received);
        match advert.advertised() {
            Advertised::Resigning => {
                add(&self.resignations_received);
            }
            Advertised::Running(_) => {}
        }
        if !same_addresses {
            add(&self.address_list_differences);
        }
        if advert.interval() != configured {
            add(&self.interval_differences);
        }
        match (advert.interval(), advert.checksum()) {
            (Interval::Centis(_), ChecksumForm::MessageOnly) => {
                add(&self.message_only_checksums);
            }
            (Interval::Centis(_), ChecksumForm::OldUnicast) => {
                add(&self.old_unicast_checksums);
            }
            (Interval::Centis(_), ChecksumForm::PseudoHeader) | (Interval::Seconds(_), _) => {}
        }
    }

    /// Answers how many there were before.
    pub(crate) fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get_or_init(Box::default).get(refusal.index()).map_or(0, add)
    }

    pub(crate) fn changed(&self, transition: &Transition) {
        if transition.to == Role::Master {
            add(&self.became_master);
        }
        if transition.from == Role::Master {
            add(&self.released_master);
        }
    }

    pub(crate) fn conflict(&self) {
        add(&self.conflicts);
    }

    /// Takes off what was read of them. What was counted since then stays, and so does 0.
    pub(crate) fn take_off(&self, seen: &Stats) {
        let Stats {
            adverts_sent,
            resignations_sent,
            send_errors,
            adverts_received,
            resignations_received,
            message_only_checksums,
            old_unicast_checksums,
            address_list_differences,
            interval_differences,
            not_link_local_first,
            became_master,
            released_master,
            conflicts,
            refused,
        } = seen;
        let counters = [
            (&self.adverts_sent, adverts_sent),
            (&self.resignations_sent, resignations_sent),
            (&self.send_errors, send_errors),
            (&self.adverts_received, adverts_received),
            (&self.resignations_received, resignations_received),
            (&self.message_only_checksums, message_only_checksums),
            (&self.old_unicast_checksums, old_unicast_checksums),
            (&self.address_list_differences, address_list_differences),
            (&self.interval_differences, interval_differences),
            (&self.not_link_local_first, not_link_local_first),
            (&self.became_master, became_master),
            (&self.released_master, released_master),
            (&self.conflicts, conflicts),
        ];
        let refusals = self.refused.get().into_iter().flat_map(|all| all.iter().zip(refused));
        for (counter, seen) in counters.into_iter().chain(refusals) {
            let rest = |count: u64| Some(count.saturating_sub(*seen));
            // It never fails: there is a rest for every count.
            let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = self.refused.get();
        Stats {
            adverts_sent: read(&self.adverts_sent),
            resignations_sent: read(&self.resignations_sent),
            send_errors: read(&self.send_errors),
            adverts_received: read(&self.adverts_received),
            resignations_received: read(&self.resignations_received),
            message_only_checksums: read(&self.message_only_checksums),
            old_unicast_checksums: read(&self.old_unicast_checksums),
            address_list_differences: read(&self.address_list_differences),
            not_link_local_first: read(&self.not_link_local_first),
            interval_differences: read(&self.interval_differences),
            became_master: read(&self.became_master),
            released_master: read(&self.released_master),
            conflicts: read(&self.conflicts),
            refused: std::array::from_fn(|place| refused.and_then(|all| all.get(place)).map_or(0, read)),
        }
    }
}

fn add(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_taken_off_what_came_since_stays_and_nothing_falls_below_zero() {
        let counters = Counters::default();
        counters.sent(Advertised::Resigning);
        counters.refused(Refusal::Ttl);
        let seen = counters.snapshot();
        counters.refused(Refusal::Ttl);
        counters.conflict();
        counters.take_off(&seen);
        let rest = counters.snapshot();
        assert_eq!((rest.adverts_sent, rest.resignations_sent), (0, 0));
        assert_eq!((rest.refused(Refusal::Ttl), rest.conflicts), (1, 1));
        counters.take_off(&rest);
        counters.take_off(&seen);
        assert_eq!(counters.snapshot(), Stats::default());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serialised_figures_are_those_that_were_counted() {
        let counters = Counters::default();
        for _ in 0..3 {
            counters.sent(Advertised::Resigning);
        }
        counters.refused(Refusal::Ttl);
        counters.conflict();
        let json = serde_json::to_value(counters.snapshot()).unwrap();
        assert_eq!((&json["adverts_sent"], &json["resignations_sent"]), (&3.into(), &3.into()));
        assert_eq!((&json["conflicts"], &json["adverts_received"]), (&1.into(), &0.into()));
        assert_eq!(json["refused"], serde_json::json!({ Refusal::Ttl.as_str(): 1 }));
        // Every counter of the type is there: the map and its 13 neighbours.
        let numbers = size_of::<Stats>() / size_of::<u64>() - Refusal::ALL.len();
        assert_eq!(json.as_object().map(|map| map.len()), Some(numbers + 1));
    }
}
