//! How adverts travel: multicast or unicast, from where, to whom.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU8;

use lvs_core::Family;

use super::super::{Cx, global};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::{Checksum, Delivery};
use crate::conf::source::Span;

impl Draft {
    pub(super) fn delivery(&mut self, cx: &mut Cx<'_>, family: Family, global: &global::Draft) -> Delivery {
        let peers: Vec<_> = std::mem::take(&mut self.peers).into_iter().map(|(peer, _)| peer).collect();
        if peers.is_empty() && self.unicast_fault_no_peer.is_none() {
            return self.multicast(cx, family, global);
        }
        if let Some(at) = self.unicast_fault_no_peer.filter(|_| peers.is_empty()) {
            cx.report(
                Diagnostic::warning(
                    Code::MissingKeyword,
                    at,
                    "no `unicast_peer` is given: the instance is at fault, as this word asks for",
                )
                .label("it will not become master")
                .help("add `unicast_peer { ADDRESS }`"),
            );
        }
        if let Some(at) = self.mcast_source.said {
            cx.report(
                Diagnostic::warning(Code::Conflict, at, "`mcast_src_ip` beside `unicast_peer`")
                    .label("used as source of unicast adverts only if there is no `unicast_src_ip`"),
            );
        }
        if let Some(at) = self.group.said {
            cx.report(
                Diagnostic::warning(
                    Code::Conflict,
                    at,
                    "`mcast_dst_ip` beside `unicast_peer`: it is left out",
                )
                .label("adverts go to the peers only"),
            );
        }
        let limited = peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
        Delivery::Unicast {
            source: self.unicast_source.value.or(self.mcast_source.value),
            check_source: limited || self.check_unicast_src.is_some() || global.check_unicast_src,
            peers,
            ttl: self.unicast_ttl.value.unwrap_or(255),
        }
    }

    fn multicast(&self, cx: &mut Cx<'_>, family: Family, global: &global::Draft) -> Delivery {
        if let Some(at) = self.word_of_unicast() {
            cx.report(
                Diagnostic::warning(
                    Code::Conflict,
                    at,
                    "no `unicast_peer` is given: adverts go by multicast, as in keepalived",
                )
                .label("a word of unicast")
                .help("add `unicast_peer { ADDRESS }`, or remove this"),
            );
        }
        let usual = match family {
            Family::Ipv4 => global.mcast_group4.unwrap_or(IPV4_GROUP).into(),
            Family::Ipv6 => global.mcast_group6.unwrap_or(IPV6_GROUP).into(),
        };
        let source = self.mcast_source.value.or(self.unicast_source.value);
        Delivery::Multicast { group: self.group.value.unwrap_or(usual), source }
    }

    fn word_of_unicast(&self) -> Option<Span> {
        let source = self.unicast_source.get().map(|(_, at)| at);
        let ttl = self.unicast_ttl.get().map(|(_, at)| at);
        let checksum = self.old_unicast_checksum.get().map(|(_, at)| at);
        source.or(self.peers_at).or(ttl).or(checksum).or(self.check_unicast_src)
    }

    /// Two ways of summing cannot be had at once.
    pub(super) fn checksum(&self, cx: &mut Cx<'_>, delivery: &Delivery, global: &global::Draft) -> Checksum {
        let old = match (self.old_unicast_checksum.get(), delivery) {
            (Some((OldChecksum::Sent, at)), Delivery::Unicast { .. }) => Some(at),
            _ => None,
        };
        match (old, self.plain_checksum) {
            (Some(at), Some(true)) => {
                cx.report(
                    Diagnostic::error(
                        Code::Conflict,
                        at,
                        "`old_unicast_checksum` and `v3_checksum_as_v2` are two ways of summing",
                    )
                    .label("adverts have one checksum")
                    .help("remove the one that the other routers do not use"),
                );
                Checksum::OldUnicast
            }
            (Some(_), Some(false) | None) => Checksum::OldUnicast,
            (None, plain) if plain.unwrap_or(global.plain_checksum) => Checksum::MessageAlone,
            (None, _) => Checksum::WithAddresses,
        }
    }

    /// The address that adverts come from has to stay where it is; a backup removes the virtual ones.
    ///
    /// Differs from keepalived: it takes such a file (2.2.7, `-t`).
    pub(super) fn own_addresses(&self, cx: &mut Cx<'_>, delivery: &Delivery, priority: NonZeroU8) {
        let (Delivery::Multicast { source, .. } | Delivery::Unicast { source, .. }) = delivery;
        let Some(source) = source.filter(|_| priority != NonZeroU8::MAX) else { return };
        let from = [&self.unicast_source, &self.mcast_source];
        let Some(source_at) =
            from.into_iter().find(|said| said.value == Some(source)).and_then(|said| said.said)
        else {
            return;
        };
        for vip in self.addresses.iter().chain(&self.excluded).filter(|vip| vip.address() == source) {
            cx.report(
                Diagnostic::error(
                    Code::Conflict,
                    vip.at,
                    format!("{source} is the source of adverts and a virtual address at once"),
                )
                .label("a backup would remove its own address")
                .also(source_at, "adverts come from here")
                .help("name an address that stays on this router, or write `priority 255` if it owns the address"),
            );
        }
    }
}

/// `old_unicast_checksum`. Adverts with any of the checksums are accepted in either case.
#[derive(Clone, Copy)]
pub(super) enum OldChecksum {
    /// Adverts are sent with it.
    Sent,
    /// They never are.
    Never,
}

/// RFC 9568 §5.1.1.2
const IPV4_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// RFC 9568 §5.1.2.2
const IPV6_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
