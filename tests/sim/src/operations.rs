//! What operators, fate and the script do to hosts.

use std::net::IpAddr;

use lvs_core::AddressChange;
use lvs_vrrp::record::{Recording, replay};
use lvs_vrrp::{Advertised, Config, Interval, Router, Standing, SyncGroup};

use crate::clock::{NEVER, Rate};
use crate::observer::{Input, Watch};
use crate::options::Delivers;
use crate::wire::{self, Sender};
use crate::world::{Process, World};

impl World {
    /// Starts the process of a host that has none.
    pub fn start(&mut self, host: usize) {
        if self.hosts[host].process != Process::Dead {
            return;
        }
        self.hosts[host].process = Process::Runs;
        let now = self.now;
        self.trace.note(now, 1000 + host as u64, || format!("host {host} starts"));
        for segment in 0..self.instances {
            let config = *self.node(host, segment).router.config();
            let (given, tie) = (self.options.hosts[host].given, self.options.tie);
            let there = self.hosts[host].clock.read(now);
            let room = self.options.room;
            let node = self.node_mut(host, segment);
            node.router = Router::new(config, node.sender.source);
            node.watch = Watch::new(&config, given, node.sender.source, tie);
            node.recording = (room > 0).then(|| Recording::new(there, &config, node.sender.source, room));
            // E13: what an earlier process left behind goes before any waiting.
            node.kernel.set_addresses(&node.sender.addresses);
            self.keep_addresses(host * self.instances + segment);
        }
        if self.instances > 1 {
            let first = host * self.instances;
            let standings = self.nodes[first..first + self.instances]
                .iter()
                .map(|node| Standing::of(&node.router, node.own_gate()));
            self.hosts[host].group = Some(SyncGroup::new(standings));
        }
        for segment in 0..self.instances {
            self.apply_gate(host, segment);
        }
        self.enable(host);
    }

    /// Stops the process of a host as it should be.
    pub fn stop(&mut self, host: usize) {
        self.disable(host);
        self.end(host);
    }

    /// Makes the routers of a host stop, and its process stay.
    pub fn disable(&mut self, host: usize) {
        self.resume(host);
        let now = self.now;
        self.trace.note(now, 2000 + host as u64, || format!("host {host} stops"));
        for segment in 0..self.instances {
            self.feed(host * self.instances + segment, Input::Disable);
        }
    }

    /// Makes the routers of a host take part, if they do not.
    pub fn enable(&mut self, host: usize) {
        for segment in 0..self.instances {
            self.feed(host * self.instances + segment, Input::Enable);
        }
    }

    /// Ends the process of a host without a word. Its addresses stay, unless the host loses its power.
    pub fn kill(&mut self, host: usize, loses_power: bool) {
        let now = self.now;
        self.trace.note(now, 3000 + host as u64, || format!("host {host} dies, power lost: {loses_power}"));
        if loses_power {
            for segment in 0..self.instances {
                self.node_mut(host, segment).kernel.clear();
            }
        }
        self.end(host);
    }

    fn end(&mut self, host: usize) {
        self.check_recordings(host);
        let now = self.now;
        self.hosts[host].process = Process::Dead;
        self.hosts[host].clock.set_standing_still(now, false);
        self.hosts[host].group = None;
        for segment in 0..self.instances {
            let node = self.node_mut(host, segment);
            node.processes += 1;
            node.claimed = None;
            node.backlog.clear();
            node.armed = None;
            node.recording = None;
            self.timers[host * self.instances + segment] = NEVER;
        }
    }

    /// Stops a host or its process for a while.
    pub fn pause(&mut self, host: usize, hears: bool, clock_stands_still: bool) {
        if self.hosts[host].process != Process::Runs {
            return;
        }
        let now = self.now;
        self.trace.note(now, 4000 + host as u64, || {
            format!("host {host} is paused, hears {hears}, clock stands still {clock_stands_still}")
        });
        self.hosts[host].process = Process::Paused { hears };
        self.hosts[host].clock.set_standing_still(now, clock_stands_still);
        for segment in 0..self.instances {
            self.arm(host * self.instances + segment);
        }
    }

    /// Lets a paused host go on: by the driver's contract it reads all that waits before it looks at timers.
    pub fn resume(&mut self, host: usize) {
        let Process::Paused { .. } = self.hosts[host].process else { return };
        let now = self.now;
        self.trace.note(now, 5000 + host as u64, || format!("host {host} goes on"));
        self.hosts[host].process = Process::Runs;
        self.hosts[host].clock.set_standing_still(now, false);
        let first = host * self.instances;
        for segment in 0..self.instances {
            for (_, octets) in std::mem::take(&mut self.nodes[first + segment].backlog) {
                self.receive(first + segment, &octets);
            }
        }
        for segment in 0..self.instances {
            // What happened while it could not know.
            self.apply_gate(host, segment);
            self.feed(first + segment, Input::Timeout);
            self.arm(first + segment);
        }
    }

    /// Changes the rate of a host's clock.
    pub fn set_rate(&mut self, host: usize, rate: Rate) {
        let now = self.now;
        self.trace.note(now, 6000 + host as u64, || format!("clock of host {host}: {rate:?}"));
        self.hosts[host].clock.set_rate(now, rate);
        for segment in 0..self.instances {
            let index = host * self.instances + segment;
            self.nodes[index].armed = None;
            self.timers[index] = NEVER;
            self.arm(index);
        }
    }

    /// Changes the link of an instance.
    pub fn set_link(&mut self, host: usize, segment: usize, is_up: bool) {
        self.node_mut(host, segment).link_is_up = is_up;
        self.apply_gate(host, segment);
    }

    /// Changes the configuration of all instances of a host, keeping what each has of its own.
    pub fn configure(&mut self, host: usize, change: impl Fn(Config) -> Config) {
        for segment in 0..self.instances {
            let index = host * self.instances + segment;
            let config = change(*self.nodes[index].router.config());
            if self.hosts[host].process == Process::Runs {
                self.feed(index, Input::Configured(config));
            } else {
                // It is read at the next start.
                let node = &mut self.nodes[index];
                if self.hosts[host].process == Process::Dead {
                    node.router = Router::new(config, node.sender.source);
                    let given = self.options.hosts[host].given;
                    node.watch = Watch::new(&config, given, node.sender.source, self.options.tie);
                    node.configured(&config, &self.options);
                }
            }
        }
    }

    /// The addresses are what the router's ownership asks for, edit by edit (A4).
    pub(crate) fn keep_addresses(&mut self, index: usize) -> Vec<AddressChange> {
        let node = &mut self.nodes[index];
        match node.kernel.pass(node.router.ownership()) {
            Ok(changes) => changes,
            Err(wrong) => {
                self.fail("A4", || format!("router {index}: {wrong}"));
                Vec::new()
            }
        }
    }

    /// Gives an instance of a running host another list of virtual addresses; answers what that changed there.
    pub fn change_addresses(
        &mut self,
        host: usize,
        segment: usize,
        addresses: &[IpAddr],
    ) -> Vec<AddressChange> {
        let (now, count) = (self.now, addresses.len() as u64);
        self.trace.note(now, 8000 + 100 * host as u64 + count, || {
            format!("host {host} gets the addresses {addresses:?}")
        });
        let index = host * self.instances + segment;
        let node = &mut self.nodes[index];
        node.sender.addresses = addresses.to_vec();
        let config = *node.router.config();
        node.configured(&config, &self.options);
        node.kernel.set_addresses(addresses);
        self.keep_addresses(index)
    }

    /// Gives a host the password that all have, or another one.
    pub fn set_password(&mut self, host: usize, is_right: bool) {
        if !self.options.has_password {
            return;
        }
        let now = self.now;
        self.trace.note(now, 7000 + host as u64 + 100 * u64::from(is_right), || {
            format!("password of host {host} is right: {is_right}")
        });
        for segment in 0..self.instances {
            let node = &mut self.nodes[host * self.instances + segment];
            node.sender.password = Some(if is_right { wire::PASSWORD } else { wire::WRONG_PASSWORD });
            let config = *node.router.config();
            node.configured(&config, &self.options);
        }
    }

    /// What adverts of an instance to a host are addressed to.
    pub(crate) fn destination(&self, to: usize, segment: usize) -> IpAddr {
        match self.options.delivers {
            Delivers::ToGroup => lvs_vrrp::group(self.options.family),
            Delivers::ToPeers { .. } => self.node(to, segment).sender.source,
        }
    }

    /// Replays what the routers of a host were told lately: they must be what they are (A11), and no recording may need
    /// more room than it has (A13).
    pub(crate) fn check_recordings(&mut self, host: usize) {
        for index in host * self.instances..(host + 1) * self.instances {
            self.check_recording(index);
        }
    }

    pub(crate) fn check_recording(&mut self, index: usize) {
        let node = &self.nodes[index];
        let Some(recording) = &node.recording else { return };
        let text = recording.text();
        if text.len() > self.options.room + LINES {
            let what = format!("a recording has {} octets instead of {}", text.len(), self.options.room);
            self.fail("A13", || what);
            return;
        }
        let replayed = replay(&text);
        if !replayed.as_ref().is_ok_and(|replayed| *replayed.router() == node.router) {
            let what = format!("{:?} was recorded, which replayed gives {replayed:?}", node.router);
            self.fail("A11", || what);
        }
    }

    /// Writes an advert to a host that nobody sent, as if it came from that address.
    pub fn forge(
        &mut self,
        to: usize,
        segment: usize,
        source: IpAddr,
        advertised: Advertised,
        interval: Interval,
    ) -> Vec<u8> {
        let sender = Sender { source, ..self.node(0, segment).sender.clone() };
        let (destination, mut datagram) = (self.destination(to, segment), Vec::new());
        if !sender.write(destination, advertised, interval, &mut self.buffers.packet, &mut datagram) {
            self.fail("A9", || "a forged advert cannot be written".to_owned());
        }
        datagram
    }
}

/// What a recording needs beside its room: what it begins with, and a few lines.
const LINES: usize = 3000;
