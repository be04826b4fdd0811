//! What happens at the very moment at which a router decides something, or a nanosecond before or after: there every
//! comparison of times shows whether it is the right one.

use std::net::IpAddr;
use std::time::Duration;

use lvs_core::Instant;
use lvs_vrrp::{Advertised, Interval, Version};

use super::Chaos;
use crate::options::{Delivers, priority};
use crate::world::{Process, World};

impl Chaos {
    /// Mostly to the master: it decides at most moments. Or to a backup that puts up with a lower master.
    pub(super) fn be_punctual(&mut self, world: &mut World, segment: usize) {
        let masters = world.masters(segment);
        let is_patient = |host: &usize| world.node(*host, segment).watch.patient_until().is_some();
        let patient: Vec<usize> = (0..world.hosts.len()).filter(is_patient).collect();
        let host = match (self.random.one_of(&patient), self.random.one_of(&masters), self.random.below(8)) {
            (Some(patient), _, 0..=2) => patient,
            (_, Some(master), 0..=5) => master,
            _ => self.random.place(world.hosts.len()),
        };
        // What is decided at one moment may be about what was decided at another.
        for _ in 0..=self.random.below(3) {
            if world.hosts[host].process != Process::Runs || world.violation.is_some() {
                return;
            }
            self.be_punctual_once(world, host, segment);
        }
    }

    fn be_punctual_once(&mut self, world: &mut World, host: usize, segment: usize) {
        if self.random.happens(400) {
            self.send_to(world, host, segment, world.now);
            world.run_until(world.now);
        }
        let Some(at) = self.moment(world, host, segment) else { return };
        match self.random.below(8) {
            // Nothing is sent meanwhile, and nobody looks at a timer.
            0..=2 => {
                if self.random.happens(500) {
                    let now = world.now;
                    let meanwhile = now + self.random.time(at - now);
                    self.send_to(world, host, segment, meanwhile);
                }
                let hears = self.random.happens(700);
                self.stop_for(world, host, at, |world| world.pause(host, hears, false));
            }
            3 => {
                Self::configure_at(world, host, segment, at);
                let until = at - world.now;
                self.let_pass(world, until);
            }
            // Again before the pause after an answer is over, and shortly after that.
            4 => {
                let gap = world.rules(host).interval / 10;
                self.send_to(world, host, segment, at);
                let later = at + Duration::from_nanos(gap / 2);
                self.send_to(world, host, segment, later);
                let later = at + Duration::from_nanos(gap + gap / 2);
                self.send_to(world, host, segment, later);
            }
            _ => self.send_to(world, host, segment, at),
        }
        // Or something else comes between.
        if self.random.happens(700) {
            let until = at - world.now;
            self.let_pass(world, until);
        }
    }

    /// A moment of decision of an instance that is not far, or the nanosecond before or after, in true time.
    fn moment(&mut self, world: &World, host: usize, segment: usize) -> Option<Instant> {
        let node = world.node(host, segment);
        let clock = &world.hosts[host].clock;
        let there = clock.read(world.now).as_nanos();
        let horizon = there + node.watch.rules().interval * 8 + 3_000_000_000;
        let mut moments = node.watch.moments();
        moments.retain(|moment| (there + 2..horizon).contains(moment));
        moments.sort_unstable();
        let any = self.random.one_of(&moments)?;
        let moment = if self.random.happens(300) { *moments.first()? } else { any };
        let moment = moment - 1 + self.random.one_of(&[0, 1, 1, 1, 2])?;
        let at = clock.when(Instant::from_nanos(moment));
        (at >= world.now).then_some(at)
    }

    /// An advert of which nothing is far from what this router has and is itself.
    fn send_to(&mut self, world: &mut World, host: usize, segment: usize, at: Instant) {
        let node = world.node(host, segment);
        let (own, source) = (*node.router.config(), node.sender.source);
        let (lowest, mine) = (priority(1), own.priority());
        let advertised = match self.random.below(8) {
            0 => Advertised::Resigning,
            1 => Advertised::Running(priority(mine.get().saturating_add(1))),
            2 | 3 => Advertised::Running(mine),
            4 => Advertised::Running(lowest),
            _ => Advertised::Running(priority(mine.get().saturating_sub(1).max(1))),
        };
        // Of equal priorities the address decides: the next lower one, the next higher one.
        let step = self.random.one_of(&[-1, -1, 1]).unwrap_or(-1);
        let source = match world.options.delivers {
            _ if node.receiver.own_address.is_none() && self.random.happens(100) => source,
            // Strangers may be refused.
            Delivers::ToPeers { .. } => world.source(self.random.place(world.hosts.len()), segment),
            Delivers::ToGroup => neighbour(source, step),
        };
        let interval = match own.interval() {
            Interval::Centis(centis) if self.random.happens(300) => {
                let centis = centis.get();
                // The limits too, but nobody is to wait for hours of adverts.
                let choices = [1, centis - 1, centis + 1, centis * 8];
                let centis = self.random.one_of(&choices).unwrap_or(centis).clamp(1, 4095);
                Interval::centis(centis).unwrap_or(own.interval())
            }
            same => same,
        };
        let octets = world.forge(host, segment, source, advertised, interval);
        world.deliver(at, host, segment, &octets);
    }

    /// Another interval at that moment, but before a timer that is due then.
    fn configure_at(world: &mut World, host: usize, segment: usize, at: Instant) {
        let config = *world.node(host, segment).router.config();
        let interval = match (world.options.version, config.interval()) {
            (Version::V2, Interval::Seconds(seconds)) => Interval::seconds(seconds.get() % 3 + 1),
            (Version::V3, Interval::Centis(centis)) => Interval::centis(centis.get() % 4095 + 1),
            (Version::V2 | Version::V3, other) => Ok(other),
        };
        if let Ok(interval) = interval {
            world.configure_later(at, host, segment, config.with_interval(interval));
        }
    }
}

fn neighbour(address: IpAddr, step: i8) -> IpAddr {
    let moved = |last: u8| last.saturating_add_signed(step);
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, last] = address.octets();
            IpAddr::from([a, b, c, moved(last)])
        }
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[15] = moved(octets[15]);
            IpAddr::from(octets)
        }
    }
}
