//! What a router decided goes out: adverts to the wire, ownership and events to the application.

use std::net::IpAddr;

use lvs_core::Instant;

use super::{Buffers, Driver, is_worth_a_line};
use crate::action::Action;
use crate::delivery::Delivery;
use crate::driver::handle::EventKind;
use crate::driver::timers::Timer;
use crate::endpoints::Endpoints;
use crate::ipv4::{Ipv4Header, TTL};
use crate::types::Advertised;

impl Driver {
    /// Does what a router has decided, and sets its timer.
    pub(super) fn carry_out(&mut self, index: usize, now: Instant) {
        while let Some(action) = self.members[index].router.poll_action() {
            let facts = &self.shared.instances[index];
            let kind = match action {
                Action::Advertise(advertised) => {
                    self.send(index, advertised, now);
                    continue;
                }
                Action::Claim { .. } | Action::Announce { .. } | Action::Release { .. } => None,
                Action::Changed(transition) => {
                    facts.counters.changed(&transition);
                    tracing::debug!(instance = &*facts.name, %transition, "role changed");
                    Some(EventKind::Changed(transition))
                }
                Action::Conflict(conflict) => {
                    facts.counters.conflict();
                    Some(EventKind::Conflict(conflict))
                }
                Action::WantsMaster => Some(EventKind::WantsMaster),
            };
            let ownership = self.members[index].router.ownership();
            facts.ownership.send_if_modified(|before| {
                let changed = *before != ownership;
                *before = ownership;
                changed
            });
            if let Some(kind) = kind {
                self.events.push(&facts.name, now, kind);
            }
        }
        let member = &mut self.members[index];
        let at = member.router.poll_timeout();
        if member.armed != at {
            if let Some(before) = member.armed {
                self.timers.remove(&(before, Timer::Member(index)));
            }
            self.timers.extend(at.map(|at| (at, Timer::Member(index))));
            member.armed = at;
        }
    }

    pub(super) fn send(&mut self, index: usize, advertised: Advertised, now: Instant) {
        let member = &self.members[index];
        let facts = &self.shared.instances[index];
        let sockets = self.interfaces[member.interface].sockets.as_ref();
        let (Some(sockets), Some(source), Some(advert)) =
            (sockets, member.source, member.config.advert(advertised))
        else {
            facts.counters.send_failed();
            return;
        };
        let Buffers { packet, datagram, .. } = &mut self.buffers;
        let mut left = false;
        let mut send_to = |destination: IpAddr, ttl: u8| {
            // TODO(correctness): IPv6 has no sockets yet, RFC 9568 §5.1.2.
            let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { return };
            advert.write_to(&Endpoints::v4(source, destination), packet);
            Ipv4Header { source, destination, ttl }.write_to(packet, datagram);
            match sockets.send(datagram, destination) {
                Ok(()) => left = true,
                // Never a change of state: the next one is due soon.
                Err(error) => {
                    let before = facts.counters.send_failed();
                    if is_worth_a_line(before) {
                        let (instance, count) = (&*facts.name, before + 1);
                        tracing::warn!(instance, %destination, %error, count, "send advert");
                    }
                }
            }
        };
        match &member.config.delivery {
            Delivery::Multicast(multicast) => send_to(multicast.group, TTL),
            Delivery::Unicast(unicast) => {
                for peer in &unicast.peers {
                    if !member.silent_peers.contains(&peer.address) {
                        send_to(peer.address, unicast.ttl);
                    }
                }
            }
        }
        if left {
            facts.counters.sent(advertised);
            match advertised {
                Advertised::Running(_) => facts.pulse.beat(member.router.ownership().epoch, now),
                Advertised::Resigning => {}
            }
        }
    }
}
