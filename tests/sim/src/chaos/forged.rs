//! Packets that nobody sent, and packets that are wrong.

use lvs_vrrp::{Advertised, Interval, Version};

use super::Chaos;
use crate::decoder::{self, Receiver};
use crate::options::Delivers;
use crate::wire;
use crate::world::{World, nanos};

impl Chaos {
    /// Adverts that nobody sent, to one host or to all.
    pub(super) fn forge(&mut self, world: &mut World, segment: usize, count: u64) {
        let idle: Vec<usize> = (0..world.hosts.len()).filter(|host| world.is_idle(*host, segment)).collect();
        let host = match self.random.one_of(&idle) {
            Some(idle) if self.random.happens(600) => idle,
            _ => self.victim(world, segment),
        };
        let own = *world.node(host, segment).router.config();
        let interval = match (world.options.version, self.random.below(4)) {
            (Version::V3, 0) => {
                let longest = u64::try_from(own.interval().duration().as_millis() / 10 * 8).unwrap_or(1);
                Interval::centis(1 + u16::try_from(self.random.below(longest.min(4094))).unwrap_or(0))
            }
            _ => Ok(own.interval()),
        };
        let interval = interval.unwrap_or(own.interval());
        let number = match self.random.below(5) {
            0 => 255,
            1 => 1,
            2 => 0,
            _ => own.priority().get(),
        };
        let number = if count > 1 { number.clamp(0, 1) } else { number };
        let is_echo = count == 1 && self.random.happens(400);
        let number = if is_echo { own.priority().get() } else { number };
        let advertised = Advertised::from_octet(number);
        let source = match self.random.below(3) {
            _ if is_echo => world.source(host, segment),
            0 => world.source(host, segment),
            1 => wire::address(world.options.family, segment, 1),
            // Who refuses strangers believes it from one of the others only.
            _ if world.options.delivers != Delivers::ToGroup => {
                world.source(self.random.place(world.hosts.len()), segment)
            }
            _ => wire::address(world.options.family, segment, 250),
        };
        let to_all = self.random.happens(500);
        // More of them than are kept account of.
        let are_many = count > 1 && world.options.delivers == Delivers::ToGroup && self.random.happens(500);
        for turn in 0..count {
            let source = if are_many {
                wire::address(world.options.family, segment, 220 + u8::try_from(turn % 6).unwrap_or(0))
            } else {
                source
            };
            let after = self.random.time(own.interval().duration());
            let at = if is_echo { world.now } else { world.now + after };
            for to in 0..world.hosts.len() {
                if to_all || to == host {
                    let octets = world.forge(to, segment, source, advertised, interval);
                    world.deliver(at, to, segment, &octets);
                }
            }
        }
    }

    /// Packets that are wrong in some respect, of a number of its own.
    pub(super) fn damage(&mut self, world: &mut World, host: usize, segment: usize) {
        let own = world.options.hosts[host].config;
        let header = if world.options.family == lvs_core::Family::Ipv4 { 20 } else { 40 };
        for _ in 0..10 {
            let source = wire::address(world.options.family, segment, 240);
            let number = u8::try_from(self.damage.below(256)).unwrap_or(0);
            let mut octets =
                world.forge(host, segment, source, Advertised::from_octet(number), own.interval());
            match self.damage.below(6) {
                0 => octets.truncate(self.damage.place(octets.len())),
                1 => octets.push(0),
                2 => octets.clear(),
                3 => {
                    for octet in octets.iter_mut().skip(header) {
                        *octet = u8::try_from(self.damage.below(256)).unwrap_or(0);
                    }
                }
                // One bit; those that do not matter (type of service, identification, TTL is one that does)
                // make a packet that is right, and would not be damage.
                _ => {
                    let place = header + self.damage.place(octets.len().saturating_sub(header));
                    if let Some(octet) = octets.get_mut(place) {
                        *octet ^= 1 << self.damage.below(8);
                    }
                }
            }
            let at = world.now + self.damage.time(own.interval().duration());
            // Whatever interval or password it may have been changed to when it arrives.
            let receiver = Receiver { own_address: None, ..*world.receiver(host, segment) };
            let is_right = [1, 2, 3]
                .into_iter()
                .map(|seconds| seconds * 1_000_000_000)
                .chain([receiver.interval])
                .chain([nanos(own.interval().duration())])
                .flat_map(|interval| {
                    [None, Some(wire::PASSWORD), Some(wire::WRONG_PASSWORD)].map(|password| Receiver {
                        interval,
                        password,
                        ..receiver
                    })
                })
                .any(|receiver| decoder::read(&octets, &receiver).is_some());
            if self.sends_damaged && !is_right {
                world.deliver_damaged(at, host, segment, &octets);
            }
        }
    }
}
