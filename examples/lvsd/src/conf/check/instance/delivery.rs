//! How adverts travel: multicast or unicast, from where, to whom.

use std::net::Ipv4Addr;
use std::num::NonZeroU8;

use super::super::{Cx, global};
use super::Draft;
use crate::conf::diagnostic::{Code, Diagnostic};
use crate::conf::model::Transport;

impl Draft {
    pub(super) fn transport(&mut self, cx: &mut Cx<'_>, global: &global::Draft) -> Transport {
        let peers = self.peers.value.take().unwrap_or_default();
        let group = global.mcast_group4.unwrap_or(Ipv4Addr::new(224, 0, 0, 18));
        if peers.is_empty() {
            let source = self.unicast_source.said.filter(|_| self.unicast_source.value.is_some());
            let ttl = self.unicast_ttl.said.filter(|_| self.unicast_ttl.value.is_some());
            let unicast = source.or(self.peers.said).or(ttl);
            if let Some(at) = unicast {
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
            let source = self.mcast_source.value.or(self.unicast_source.value);
            return Transport::Multicast { group, source };
        }
        if let Some(at) = self.mcast_source.said {
            cx.report(
                Diagnostic::warning(Code::Conflict, at, "`mcast_src_ip` beside `unicast_peer`")
                    .label("used as source of unicast adverts only if there is no `unicast_src_ip`"),
            );
        }
        let limited = peers.iter().any(|peer| peer.min_ttl.is_some() || peer.max_ttl.is_some());
        Transport::Unicast {
            source: self.unicast_source.value.or(self.mcast_source.value),
            check_source: limited || self.check_unicast_src.is_some() || global.check_unicast_src,
            peers,
            ttl: self.unicast_ttl.value.unwrap_or(255),
        }
    }

    /// The address that adverts come from has to stay where it is; a backup removes the virtual ones.
    ///
    /// Differs from keepalived: it takes such a file (2.2.7, `-t`).
    pub(super) fn own_addresses(&self, cx: &mut Cx<'_>, transport: &Transport, priority: NonZeroU8) {
        let (Transport::Multicast { source, .. } | Transport::Unicast { source, .. }) = transport;
        let Some(source) = source.filter(|_| priority != NonZeroU8::MAX) else { return };
        let from = [&self.unicast_source, &self.mcast_source];
        let Some(source_at) =
            from.into_iter().find(|said| said.value == Some(source)).and_then(|said| said.said)
        else {
            return;
        };
        for vip in self.addresses.iter().filter(|vip| vip.address() == source) {
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
