//! Makes sockets, source addresses and gates follow what the interfaces are like.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{Family, Instant, Link};

use super::Driver;
use crate::action::{FaultReason, Gate};
use crate::clock;
use crate::driver::links;
use crate::driver::member::Member;
use crate::driver::timers::Timer;

impl Driver {
    /// Where nobody tells about interfaces, asks the kernel; where sockets could not be opened, tries again.
    pub(super) fn look_at_interfaces(&mut self, now: Instant) {
        if self.interfaces.iter().any(|interface| !interface.is_fed) {
            match links::interfaces() {
                Ok(mut links) => {
                    for place in 0..self.interfaces.len() {
                        if !self.interfaces[place].is_fed {
                            let link = links.remove(&self.interfaces[place].name);
                            self.set_link(place, link);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "list interfaces"),
            }
        }
        for place in 0..self.interfaces.len() {
            if self.interfaces[place].lacks_sockets() {
                self.settle(place, false);
            }
        }
        self.timers.insert((now + LOOK_AGAIN, Timer::Look));
    }

    pub(super) fn set_link(&mut self, place: usize, link: Option<Link>) {
        let interface = &mut self.interfaces[place];
        if interface.link != link {
            let needs_new_sockets = !interface.is_served_by_the_same(link.as_ref());
            interface.link = link;
            self.settle(place, needs_new_sockets);
            for index in self.interfaces[place].trackers.clone() {
                self.judge_tracked(index);
            }
        }
    }

    /// Makes the gate of an instance follow what the interfaces that it tracks are like.
    pub(super) fn judge_tracked(&mut self, index: usize) {
        let member = &self.members[index];
        let fault = member.tracked.iter().find_map(|&place| Some((place, self.interfaces[place].fault()?)));
        if member.tracked_fault != fault {
            if let Some((place, reason)) = fault {
                let (instance, interface) = (&member.config.name, &self.interfaces[place].name);
                tracing::info!(instance, interface, "{reason}");
            }
            self.members[index].tracked_fault = fault;
        }
        self.apply_gate(index);
    }

    /// Makes sockets, source addresses and gates of an interface follow what it is like.
    pub(super) fn settle(&mut self, place: usize, needs_new_sockets: bool) {
        let members = self.interfaces[place].members.clone();
        // An owner's are the interface's own, from which the other instances may send (RFC 9568 §4.2).
        let virtual_addresses: BTreeSet<IpAddr> = members
            .iter()
            .map(|&index| &self.members[index])
            .filter(|member| !member.config.router.priority().is_owner())
            .flat_map(Member::virtual_addresses)
            .collect();
        let judge = |driver: &Self, index: usize| {
            let member: &Member = &driver.members[index];
            driver.interfaces[place].source_for(&member.config, &virtual_addresses)
        };
        // First those that cannot go on, while the old sockets may still carry their resignation.
        for &index in &members {
            self.members[index].link_fault = judge(self, index).err();
            if self.members[index].link_fault.is_some() {
                self.apply_gate(index);
            }
        }
        if needs_new_sockets {
            self.interfaces[place].sockets = None;
        }
        if self.interfaces[place].lacks_sockets() {
            let groups = members.iter().filter_map(|&index| self.members[index].group());
            self.interfaces[place].open_sockets(groups.collect());
        }
        for &index in &members {
            let Ok(source) = judge(self, index) else { continue };
            let interface = &mut self.interfaces[place];
            let member = &mut self.members[index];
            member.source = Some(source);
            member.silent_peers = interface.own_addresses().chain([source]).collect();
            member.router.set_address(source);
            let listener = member.config.listener(source).with_broadcasts(interface.broadcasts());
            interface.demux.insert(index, listener);
            let is_deaf = interface.sockets.is_none() || member.config.family() == Family::Ipv6;
            member.link_fault = is_deaf.then_some(FaultReason::Socket);
            self.apply_gate(index);
        }
    }

    pub(super) fn apply_gate(&mut self, index: usize) {
        let now = clock::now();
        let member = &mut self.members[index];
        let tracked_fault = member.tracked_fault.map(|(_, reason)| reason);
        let gate = member.link_fault.or(tracked_fault).map_or(member.application_gate, Gate::Fault);
        member.router.set_gate(now, gate);
        self.carry_out(index, now);
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(1);
