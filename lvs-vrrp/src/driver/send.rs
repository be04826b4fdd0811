//! What a router decided goes out: adverts to the wire, then ownership and events to the application.

use std::io;
use std::net::IpAddr;

use lvs_core::{Instant, Role};

use super::{Driver, is_worth_a_line};
use crate::action::Action;
use crate::clock;
use crate::conflict::ConflictEvent;
use crate::delivery::Delivery;
use crate::driver::handle::EventKind;
use crate::driver::interface::{Mouth, Origin};
use crate::endpoints::{Datagram, Endpoints};
#[cfg(feature = "ah")]
use crate::ipv4::Ipv4Header;
use crate::ipv4::TTL;
use crate::record::Input;
use crate::sync_group::Standing;
use crate::types::Advertised;

/// Something that happened to whom the application knows by a name.
#[derive(Debug)]
pub(super) struct News {
    pub(super) whose: Whose,
    pub(super) at: Instant,
    pub(super) kind: EventKind,
}

/// An instance or a group, by its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Whose {
    Instance(usize),
    Group(usize),
}

impl Driver {
    /// Takes what a router has decided and sets its timer. Adverts and news leave with the next
    /// [`flush`](Self::flush).
    pub(super) fn carry_out(&mut self, index: usize, now: Instant) {
        let mut is_news = false;
        while let Some(action) = self.members[index].router.poll_action() {
            let facts = &self.members[index].facts;
            let kind = match action {
                Action::Advertise(advertised) => {
                    self.queue(index, advertised);
                    continue;
                }
                Action::Claim { .. } | Action::Announce { .. } | Action::Release { .. } => None,
                Action::Changed(transition) => {
                    facts.counters.changed(&transition);
                    tracing::debug!(instance = &*facts.name, %transition, "role changed");
                    Some(EventKind::Changed(transition))
                }
                Action::Conflict(event) => {
                    match event {
                        ConflictEvent::Began(_) => facts.counters.conflict(),
                        ConflictEvent::Unheard(_) | ConflictEvent::Ended(..) => {}
                    }
                    Some(EventKind::Conflict(event))
                }
                Action::WantsMaster => Some(EventKind::WantsMaster),
            };
            is_news = true;
            self.space.news.extend(kind.map(|kind| News { whose: Whose::Instance(index), at: now, kind }));
        }
        let member = &mut self.members[index];
        self.timers.set(index + 1, member.router.poll_timeout());
        let before = member.status.priority;
        is_news |= member.status.follow(&member.router, now);
        if member.status.priority != before {
            let kind = EventKind::PriorityChanged(member.status.priority);
            self.space.news.push(News { whose: Whose::Instance(index), at: now, kind });
        }
        if is_news && !member.has_news {
            member.has_news = true;
            self.space.changed.push(index);
        }
        if let Some((group, place)) = member.group {
            let standing = Standing::of(&member.router, member.own_gate());
            self.groups[group].machine.handle_standing(place, standing);
            self.mark_group(group);
        }
    }

    /// Has a group settled before the turn is over.
    pub(super) fn mark_group(&mut self, group: usize) {
        if !self.groups[group].is_unsettled {
            self.groups[group].is_unsettled = true;
            self.space.unsettled.push(group);
        }
    }

    /// Makes the gates of the members of groups follow each other.
    pub(super) fn settle_groups(&mut self) {
        while let Some(&group) = self.space.unsettled.last() {
            while let Some((place, gate)) = self.groups[group].machine.poll_gate() {
                let index = self.groups[group].members[place];
                let now = clock::now();
                let member = &mut self.members[index];
                let own = member.own_gate();
                member.tell(now, &Input::Gate(own.and(gate)));
                self.carry_out(index, now);
            }
            let members = &self.groups[group].members;
            let is_over = members.iter().all(|&index| self.members[index].router.role() == Role::Initialize);
            let role = if is_over { Role::Initialize } else { self.groups[group].machine.role() };
            let last = std::mem::replace(&mut self.groups[group].role, role);
            if last != role {
                let (whose, at, kind) = (Whose::Group(group), clock::now(), EventKind::GroupChanged(role));
                self.space.news.push(News { whose, at, kind });
            }
            // Its own members mark it again while it settles.
            self.groups[group].is_unsettled = false;
            self.space.unsettled.retain(|&other| other != group);
        }
    }

    /// Puts an advert among those that leave together.
    fn queue(&mut self, index: usize, advertised: Advertised) {
        let member = &mut self.members[index];
        let family = member.config.family();
        let outlet = &mut self.interfaces[member.outlet];
        if !outlet.is_loaded {
            outlet.is_loaded = true;
            self.space.loaded.push(member.outlet);
        }
        let mouths = &mut outlet.mouths;
        let mouth = mouths.iter_mut().find(|mouth| mouth.family == family && mouth.sender.is_some());
        let (Some(mouth), Some(source), Some(advert)) =
            (mouth, member.source, member.config.advert(advertised, member.listed))
        else {
            member.facts.counters.send_failed();
            return;
        };
        let epoch = member.router.ownership().epoch;
        let (packet, mut is_first) = (&mut self.space.packet, true);
        #[cfg(feature = "ah")]
        let (ah, datagram) = (&mut member.ah, &mut self.space.datagram);
        let mut push = |destination: IpAddr, ttl: u8| {
            // The configuration is of one family, and so is the source that was found for it.
            let Some(endpoints) = Endpoints::new(source, destination) else { return };
            advert.write_to(&endpoints, packet);
            #[cfg(feature = "ah")]
            if let (Some(ah), Endpoints::V4 { source, destination }) = (&mut *ah, endpoints) {
                let header = Ipv4Header { source, destination, ttl };
                ah.write_to(&header, packet, datagram);
                mouth.departures.push_whole(&header, datagram);
                mouth.origins.push(Origin { member: index, advertised, epoch, is_first });
                is_first = false;
                return;
            }
            mouth.departures.push(&Datagram::new(endpoints, ttl, packet));
            mouth.origins.push(Origin { member: index, advertised, epoch, is_first });
            is_first = false;
        };
        match &member.config.delivery {
            Delivery::Multicast(multicast) => push(multicast.group, TTL),
            Delivery::Unicast(unicast) => {
                for peer in &unicast.peers {
                    if !member.silent_peers.contains(&peer.address) {
                        push(peer.address, unicast.ttl);
                    }
                }
            }
        }
        if mouth.departures.len() >= MOST_WAITING {
            self.flush();
        }
    }

    /// Lets all adverts leave, and then tells the application what happened: an old master has to hear the
    /// advert before the new one announces addresses (VR-009).
    pub(super) fn flush(&mut self) {
        let now = clock::now();
        while let Some(place) = self.space.loaded.pop() {
            let interface = &mut self.interfaces[place];
            interface.is_loaded = false;
            for mouth in &mut interface.mouths {
                let Mouth { sender: Some(sender), departures, origins, .. } = mouth else { continue };
                if departures.is_empty() {
                    continue;
                }
                sender.send(departures, &mut self.space.failed);
                let failed = &self.space.failed;
                let mut left = false;
                for (place, origin) in origins.iter().enumerate() {
                    let facts = &self.members[origin.member].facts;
                    left &= !origin.is_first;
                    match failed.iter().find(|(failure, _)| *failure == place) {
                        // Several copies count once.
                        None if left => {}
                        None => {
                            left = true;
                            facts.counters.sent(origin.advertised);
                            match origin.advertised {
                                Advertised::Running(_) => facts.pulse.beat(origin.epoch, now),
                                Advertised::Resigning => {}
                            }
                        }
                        // Never a change of state: the next one is due soon.
                        Some((_, error)) => {
                            if error.raw_os_error() == Some(libc::EMSGSIZE) {
                                self.space.too_long.push((origin.member, origin.advertised));
                            }
                            complain(&facts.name, facts.counters.send_failed(), departures.get(place), error);
                        }
                    }
                }
                self.space.failed.clear();
                departures.clear();
                origins.clear();
            }
        }
        self.send_shorter();
        self.tell();
    }

    /// Sends what was too long once more, if it can be made shorter.
    fn send_shorter(&mut self) {
        while let Some((index, advertised)) = self.space.too_long.pop() {
            // Copies for several peers are too long together. Shorter ones cannot become shorter for ever.
            if !self.shorten(index) {
                continue;
            }
            match advertised {
                // It may have ceased to be meanwhile.
                Advertised::Running(_) if self.members[index].router.role() != Role::Master => {}
                Advertised::Running(_) | Advertised::Resigning => self.queue(index, advertised),
            }
        }
        if !self.space.loaded.is_empty() {
            self.flush();
        }
    }

    /// Tells the application what it does not know yet.
    fn tell(&mut self) {
        while let Some(index) = self.space.changed.pop() {
            let member = &mut self.members[index];
            member.has_news = false;
            let facts = &member.facts;
            let ownership = member.router.ownership();
            member.ownership.send_if_modified(|before| {
                let changed = *before != ownership;
                *before = ownership;
                changed
            });
            facts.tell_status(&member.status);
        }
        for News { whose, at, kind } in self.space.news.drain(..) {
            let name = match whose {
                Whose::Instance(index) => &self.members[index].facts.name,
                Whose::Group(index) => &self.groups[index].name,
            };
            self.events.push(name, at, kind);
        }
        // All instances may have changed their roles at once.
        self.space.news.shrink_to(MOST_WAITING);
    }
}

fn complain(instance: &str, before: u64, datagram: Option<Datagram<'_>>, error: &io::Error) {
    if is_worth_a_line(before) {
        let count = before + 1;
        let destination = datagram.map(|datagram| tracing::field::display(datagram.endpoints.destination()));
        tracing::warn!(instance, destination, %error, count, "send advert");
    }
}

/// As many adverts as may wait for others of the same turn.
const MOST_WAITING: usize = 64;
