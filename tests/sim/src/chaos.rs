//! War: faults of every kind that is on, one after the other and on top of each other, and their end.

mod forged;
mod punctual;

use std::time::Duration;

use lvs_core::{Instant, Role};
use lvs_vrrp::{Interval, Preempt, Version};

use crate::clock::Rate;
use crate::fault::Fault;
use crate::network::Link;
use crate::options::priority;
use crate::random::Random;
use crate::wire;
use crate::world::{Process, World};

/// The script of the faults.
#[derive(Debug)]
pub struct Chaos {
    random: Random,
    /// Of what is wrong with packets, so that leaving these out changes nothing else (A8).
    damage: Random,
    /// Whether damaged packets are really sent.
    pub sends_damaged: bool,
    ends: Vec<(Instant, End)>,
}

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum End {
    Links,
    Host(usize),
    Node(usize, usize),
    Lag(usize),
    Priority(usize),
    Password(usize),
}

impl Chaos {
    /// The script of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed, 10),
            damage: Random::new(seed, 11),
            sends_damaged: true,
            ends: Vec::new(),
        }
    }

    /// That many faults.
    pub fn rage(&mut self, world: &mut World, faults: u64) {
        let kinds: Vec<Fault> = world.options.faults.iter().collect();
        for _ in 0..faults {
            let Some(fault) = self.random.one_of(&kinds) else { return };
            if world.violation.is_some() {
                return;
            }
            let now = world.now;
            world.trace.remark(now, || format!("fault: {fault}"));
            world.totals.faults[fault.index()] += 1;
            self.inject(world, fault);
            let gap = match self.random.below(10) {
                0 => Duration::ZERO,
                // On top of each other.
                1..=4 => world.options.shortest_interval() * 3,
                5 => world.options.gap * 6,
                _ => world.options.gap * 3,
            };
            let gap = self.random.time(gap);
            self.let_pass(world, gap);
        }
    }

    /// Lets time pass, in which faults end.
    fn let_pass(&mut self, world: &mut World, time: Duration) {
        let end = world.now + time;
        while let Some(place) = self.first_end(end) {
            let (at, what) = self.ends.swap_remove(place);
            world.run_until(at);
            Self::end(world, what);
        }
        world.run_until(end);
    }

    fn first_end(&self, until: Instant) -> Option<usize> {
        let ends = self.ends.iter().enumerate().filter(|(_, (at, _))| *at <= until);
        ends.min_by_key(|(place, (at, _))| (*at, *place)).map(|(place, _)| place)
    }

    fn end(world: &mut World, end: End) {
        match end {
            End::Links => world.network.repair(),
            End::Host(host) => {
                world.resume(host);
                world.start(host);
                world.enable(host);
            }
            End::Node(host, segment) => {
                world.node_mut(host, segment).claims_fail = false;
                world.node_mut(host, segment).is_held = false;
                world.node_mut(host, segment).tracked_is_down = false;
                world.look_at_addresses(host, segment);
                world.set_link(host, segment, true);
            }
            End::Password(host) => world.set_password(host, true),
            End::Lag(host) => world.hosts[host].lag = world.options.lag,
            End::Priority(host) => {
                let base = world.options.hosts[host].config.priority();
                world.configure(host, |config| config.with_priority(base));
            }
        }
    }

    /// Peace: whatever is wrong ends now, and everything is configured as in the beginning. Clocks keep their
    /// rates.
    pub fn cease(&mut self, world: &mut World) {
        if world.violation.is_some() {
            return;
        }
        self.ends.clear();
        world.network.repair();
        for host in 0..world.hosts.len() {
            world.hosts[host].lag = world.options.lag;
            for segment in 0..world.segments() {
                let node = world.node_mut(host, segment);
                (node.claims_fail, node.is_held, node.link_is_up) = (false, false, true);
                node.tracked_is_down = false;
            }
            world.resume(host);
            for segment in 0..world.segments() {
                world.look_at_addresses(host, segment);
                world.apply_gate(host, segment);
            }
            let config = world.options.hosts[host].config;
            world.configure(host, |_| config);
            world.set_password(host, true);
            world.start(host);
            world.enable(host);
        }
    }

    fn inject(&mut self, world: &mut World, fault: Fault) {
        let count = world.hosts.len();
        let segment = self.random.place(world.segments());
        let host = self.victim(world, segment);
        let interval = world.options.hosts[host].config.interval().duration();
        let longest = if self.random.happens(150) { interval * 40 } else { interval * 8 };
        let lasts = self.random.time(longest);
        let until = world.now + lasts;
        match fault {
            Fault::Loss => {
                let permille = self.random.one_of(&[10, 50, 200, 500, 900, 1000]).unwrap_or(1000);
                self.spoil(world, segment, until, |link| link.loss = permille);
            }
            Fault::Delay => {
                let delay = self.random.time(interval * 2);
                self.spoil(world, segment, until, |link| link.delay = delay);
            }
            Fault::Jitter => {
                let jitter = self.random.time(interval * 4);
                self.spoil(world, segment, until, |link| link.jitter = jitter);
            }
            Fault::Reorder => {
                let jitter = self.random.time(interval * 4);
                self.spoil(world, segment, until, |link| {
                    link.jitter = jitter;
                    link.reorders = true;
                });
            }
            Fault::Duplicate => {
                let permille = self.random.one_of(&[50, 500, 1000]).unwrap_or(1000);
                self.spoil(world, segment, until, |link| link.doubled = permille);
            }
            Fault::OneWay => {
                let to = self.random.place(count);
                if let Some(link) = world.network.link(segment, host, to) {
                    link.is_cut = true;
                }
                self.ends.push((until, End::Links));
            }
            Fault::Partition => {
                let sides = self.random.number();
                for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
                    if (sides >> from) & 1 != (sides >> to) & 1
                        && let Some(link) = world.network.link(segment, from, to)
                    {
                        link.is_cut = true;
                    }
                }
                self.ends.push((until, End::Links));
            }
            Fault::PauseProcess => self.stop_for(world, host, until, |world| world.pause(host, true, false)),
            Fault::PauseHost => self.stop_for(world, host, until, |world| world.pause(host, false, false)),
            Fault::FreezeHost => self.stop_for(world, host, until, |world| world.pause(host, false, true)),
            Fault::Overload => {
                world.hosts[host].lag = self.random.time(interval * 2);
                self.ends.push((until, End::Lag(host)));
            }
            Fault::ClockRate => {
                let most = self.random.one_of(&[100, 10_000, 200_000]).unwrap_or(100);
                let ppm = i32::try_from(self.random.below(2 * most + 1)).unwrap_or(0)
                    - i32::try_from(most).unwrap_or(0);
                world.set_rate(host, Rate::ppm(ppm));
            }
            Fault::PowerLoss => self.stop_for(world, host, until, |world| world.kill(host, true)),
            Fault::Kill => self.stop_for(world, host, until, |world| world.kill(host, false)),
            Fault::ShutDown => {
                let process_stays = self.random.happens(500);
                self.stop_for(world, host, until, |world| {
                    if process_stays {
                        world.disable(host);
                    } else if world.hosts[host].process != Process::Dead {
                        world.stop(host);
                    }
                });
            }
            Fault::Interval => self.change_interval(world, host),
            Fault::Preempt => {
                let preempt = match self.random.below(3) {
                    0 => Preempt::Always,
                    1 => Preempt::Never,
                    _ => Preempt::After(self.random.time(interval * 6)),
                };
                world.configure(host, |config| config.with_preempt(preempt));
            }
            Fault::Priority => {
                let others = world.options.hosts[self.random.place(count)].config.priority().get();
                let any = u8::try_from(self.random.below(255) + 1).unwrap_or(1);
                let number = if self.random.happens(500) { others } else { any };
                world.configure(host, |config| config.with_priority(priority(number)));
                self.ends.push((until, End::Priority(host)));
            }
            Fault::Claims => {
                world.node_mut(host, segment).claims_fail = true;
                world.look_at_addresses(host, segment);
                self.ends.push((until + interval * 3, End::Node(host, segment)));
            }
            // With something else that is tracked the packets still come.
            Fault::LinkDown if self.random.happens(500) => {
                world.node_mut(host, segment).tracked_is_down = true;
                world.apply_gate(host, segment);
                self.ends.push((until, End::Node(host, segment)));
            }
            Fault::LinkDown => {
                world.set_link(host, segment, false);
                self.ends.push((until, End::Node(host, segment)));
            }
            Fault::Held => {
                world.node_mut(host, segment).is_held = true;
                world.apply_gate(host, segment);
                self.ends.push((until, End::Node(host, segment)));
            }
            Fault::Hostile => {
                for _ in 0..3 {
                    self.forge(world, segment, 1);
                }
            }
            Fault::Flood => self.forge(world, segment, 20),
            Fault::Password => {
                world.set_password(host, false);
                self.ends.push((until, End::Password(host)));
            }
            Fault::Punctual => self.be_punctual(world, segment),
            Fault::Damaged => self.damage(world, host, segment),
            Fault::Address => {
                let last = u8::try_from(10 + self.random.below(8) + 8 * (host as u64 + 1)).unwrap_or(200);
                let index = host * world.segments() + segment;
                let address = wire::address(world.options.family, segment, last);
                world.feed(index, crate::observer::Input::Address(address));
            }
        }
    }

    /// One link, those from a host, or all.
    fn spoil(&mut self, world: &mut World, segment: usize, until: Instant, spoil: impl Fn(&mut Link)) {
        let count = world.hosts.len();
        let (from, to) = (self.random.place(count), self.random.place(count));
        match self.random.below(3) {
            0 => world.network.link(segment, from, to).into_iter().for_each(spoil),
            1 => {
                for to in 0..count {
                    world.network.link(segment, from, to).into_iter().for_each(&spoil);
                }
            }
            _ => world.network.links().for_each(spoil),
        }
        self.ends.push((until, End::Links));
    }

    fn stop_for(&mut self, world: &mut World, host: usize, until: Instant, stop: impl FnOnce(&mut World)) {
        stop(world);
        self.ends.push((until, End::Host(host)));
    }

    /// In version 2 all routers must have the same, so all change; in version 3 each may have its own.
    fn change_interval(&mut self, world: &mut World, host: usize) {
        match world.options.version {
            Version::V2 => {
                let seconds = 1 + u8::try_from(self.random.below(3)).unwrap_or(0);
                let Ok(interval) = Interval::seconds(seconds) else { return };
                for host in 0..world.hosts.len() {
                    world.configure(host, |config| config.with_interval(interval));
                }
            }
            Version::V3 => {
                let base = world.options.hosts[host].config.interval().duration().as_millis() / 10;
                let base = u64::try_from(base).unwrap_or(1);
                let centis = u16::try_from(1 + self.random.below(base * 4)).unwrap_or(4095).min(4095);
                let Ok(interval) = Interval::centis(centis) else { return };
                world.configure(host, |config| config.with_interval(interval));
            }
        }
    }

    /// Backups are many: half of the time somebody else, if there is one.
    fn victim(&mut self, world: &World, segment: usize) -> usize {
        let any = self.random.place(world.hosts.len());
        let is_backup = |host: &usize| world.node(*host, segment).router.role() == Role::Backup;
        let others: Vec<usize> = (0..world.hosts.len()).filter(|host| !is_backup(host)).collect();
        let other = self.random.one_of(&others).unwrap_or(any);
        if self.random.happens(500) { other } else { any }
    }
}
