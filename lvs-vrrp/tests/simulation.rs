//! Several routers on one network with delay, loss, partitions and crashes, on a virtual clock.
//!
//! Each test plays one situation of the project's list of bounds (E1 to E6) over many seeds; a failure names
//! its seed.
#![allow(clippy::unwrap_used)] // A value that cannot be had is a failed test.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{Action, Advert, Advertised, Config, Interval, Preempt, Priority, Router, Vrid, timing};

/// Longest delay of a packet on the way: less than the skews of neighbouring priorities differ by, or the
/// lower of the two could be first for a moment.
const DELAY: Duration = Duration::from_micros(300);
/// How long the kernel of a host takes for its addresses.
const CLAIM: Duration = Duration::from_millis(5);
const SEEDS: u64 = 200;

#[test]
fn e1_a_cold_start_ends_with_the_best_as_the_only_master() {
    for_each_network(|network| {
        network.start_all();
        let last_start = network.latest_start();
        network.run_until(last_start + network.slowest_down() + network.shortest_interval() + DELAY * 2);
        let best = network.best();
        network.assert_only_master(best);
    });
}

#[test]
fn e2_after_a_silent_crash_the_next_best_takes_over_within_its_master_down_interval() {
    for_each_network(|network| {
        network.settle();
        let master = network.best();
        let crashed_at = network.now;
        network.crash(master);
        let next = network.best();
        let bound = network.nodes[next].down();
        network.run_while(|network| network.masters().is_empty());
        assert_eq!(network.masters(), [next], "{network}");
        let took = network.now - crashed_at;
        let interval = network.nodes[next].router.config().interval().duration();
        assert!(took >= bound - interval && took <= bound + DELAY, "took {took:?} of {bound:?}: {network}");
        network.run_for(network.slowest_down());
        network.assert_only_master(next);
        assert_eq!(network.nodes[next].became_master, 1, "{network}");
    });
}

#[test]
fn e3_after_a_resignation_the_next_best_takes_over_within_its_skew_time() {
    for_each_network(|network| {
        network.settle();
        let master = network.best();
        let resigned_at = network.now;
        network.shut_down(master);
        let next = network.best();
        let skew = network.nodes[next].skew();
        network.run_while(|network| network.masters().is_empty());
        assert_eq!(network.masters(), [next], "{network}");
        assert!(network.now - resigned_at <= skew + DELAY, "{network}");
        network.run_for(network.slowest_down());
        network.assert_only_master(next);
    });
}

#[test]
fn e3_a_resignation_that_is_lost_is_a_crash() {
    for_each_network(|network| {
        network.settle();
        let master = network.best();
        network.loss = 100;
        network.shut_down(master);
        network.loss = 0;
        let next = network.best();
        let bound = network.nodes[next].down() + DELAY;
        network.run_for(bound);
        network.assert_only_master(next);
    });
}

#[test]
fn e4_a_better_router_that_joins_takes_over_after_its_master_down_interval_and_hardly_ever_are_there_two() {
    for_each_network(|network| {
        let best = network.best();
        network.nodes[best].alive = false;
        network.settle();
        network.nodes[best].alive = true;
        network.start(best);
        let joined_at = network.now;
        network.run_while(|network| network.nodes[best].router.role() != Role::Master);
        assert!(network.now - joined_at <= network.nodes[best].down(), "{network}");
        let both_since = network.now;
        network.run_while(|network| network.masters().len() > 1);
        assert!(
            network.now - both_since <= DELAY,
            "two masters for {:?}: {network}",
            network.now - both_since
        );
        network.run_for(network.slowest_down());
        network.assert_only_master(best);
    });
}

#[test]
fn e5_a_better_router_that_does_not_preempt_never_takes_over_from_a_living_master() {
    for_each_network(|network| {
        let best = network.best();
        network.nodes[best].alive = false;
        network.settle();
        let incumbent = network.masters()[0];
        let node = &mut network.nodes[best];
        node.alive = true;
        node.router =
            Router::new((*node.router.config()).with_preempt(Preempt::Never), node.router.address());
        network.start(best);
        network.run_for(network.slowest_down() * 20);
        if network.nodes[best].router.config().priority().is_owner() {
            network.assert_only_master(best);
        } else {
            network.assert_only_master(incumbent);
        }
    });
}

#[test]
fn e6_after_a_partition_heals_one_master_remains_within_an_interval() {
    for_each_network(|network| {
        network.settle();
        for (index, node) in network.nodes.iter_mut().enumerate() {
            node.side = index % 2;
        }
        network.run_for(network.slowest_down() * 2);
        assert_eq!(network.masters().len(), 2, "{network}");
        for node in &mut network.nodes {
            node.side = 0;
        }
        network.run_for(network.shortest_interval() + DELAY * 2);
        let best = network.best();
        network.assert_only_master(best);
    });
}

#[test]
fn e9_two_lost_adverts_in_a_row_never_cause_a_takeover() {
    for_each_network(|network| {
        network.settle();
        let master = network.best();
        let interval = network.nodes[master].router.config().interval().duration();
        for _ in 0..5 {
            // Begin right after an advert, so that exactly two are lost.
            let sent = network.nodes[master].adverts;
            network.run_while(|network| network.nodes[master].adverts == sent);
            network.run_for(DELAY);
            network.loss = 100;
            network.run_for(interval * 2);
            network.loss = 0;
            network.run_for(interval * 2);
            network.assert_only_master(master);
        }
        assert_eq!(network.nodes[master].became_master, 1, "{network}");
    });
}

#[test]
fn e8_a_master_that_is_paused_and_replaced_yields_and_sends_at_most_one_late_advert() {
    for_each_network(|network| {
        network.settle();
        let master = network.best();
        network.nodes[master].paused = true;
        network.run_for(network.slowest_down() * 2);
        let replaced_by = network.masters().into_iter().find(|&index| index != master);
        assert!(replaced_by.is_some(), "{network}");
        let before = network.nodes[master].adverts;
        network.resume(master);
        assert!(network.nodes[master].adverts - before <= 1, "{network}");
        network.run_for(network.shortest_interval() + DELAY * 2);
        let best = network.best();
        network.assert_only_master(best);
    });
}

#[test]
fn trouble_of_every_kind_ends_with_one_master_when_it_ends() {
    for_each_network(|network| {
        network.start_all();
        for _ in 0..60 {
            let node = network.random.place(network.nodes.len());
            match network.random.below(8) {
                0 => network.loss = 50,
                1 => network.loss = 0,
                2 => network.nodes[node].side ^= 1,
                3 => network.crash(node),
                4 if network.nodes[node].alive => network.shut_down(node),
                5 if !network.nodes[node].alive => {
                    network.nodes[node].alive = true;
                    network.start(node);
                }
                6 => network.nodes[node].paused = true,
                7 => network.resume(node),
                _ => {}
            }
            let pause = Duration::from_millis(network.random.below(2000));
            network.run_for(pause);
        }
        network.loss = 0;
        for node in 0..network.nodes.len() {
            network.nodes[node].side = 0;
            network.resume(node);
            if !network.nodes[node].alive {
                network.nodes[node].alive = true;
                network.start(node);
            }
        }
        network.run_for(network.slowest_down() + network.shortest_interval() + DELAY * 2);
        let best = network.best();
        network.assert_only_master(best);
    });
}

/// Plays a situation on networks of 2 to 4 routers, of both versions and several intervals.
fn for_each_network(play: impl Fn(&mut Network)) {
    for seed in 0..SEEDS {
        play(&mut Network::new(seed));
    }
}

struct Network {
    seed: u64,
    random: Random,
    now: Instant,
    nodes: Vec<Node>,
    /// In order of arrival; of what arrives at the same time, in order of sending.
    arrivals: BTreeMap<(Instant, u64), Arrival>,
    sent: u64,
    /// Packets that get lost, in percent.
    loss: u64,
}

struct Node {
    router: Router,
    alive: bool,
    paused: bool,
    /// Only nodes of the same side hear each other.
    side: usize,
    holds_addresses: bool,
    adverts: u64,
    became_master: u64,
    started_at: Instant,
    /// What came while it was paused.
    backlog: Vec<(IpAddr, Advertised, Interval)>,
}

enum Arrival {
    Advert { from: usize, to: usize, advertised: Advertised, interval: Interval },
    Claimed { by: usize, epoch: Epoch },
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let interval = match random.below(4) {
            0 => Interval::seconds(1).expect("in range"),
            1 => Interval::centis(10).expect("in range"),
            2 => Interval::centis(100).expect("in range"),
            _ => Interval::centis(37).expect("in range"),
        };
        let mut priorities = vec![255, 254, 200, 150, 149, 100, 2, 1];
        let nodes = (0..2 + random.below(3))
            .map(|index| {
                // All different: equal priorities are the business of the router's own tests.
                let place = random.place(priorities.len());
                let priority = Priority::new(priorities.remove(place)).expect("in range");
                let address = Ipv4Addr::new(10, 0, 0, 1 + u8::try_from(index).expect("in range"));
                Node {
                    router: Router::new(Config::new(interval, priority), address.into()),
                    alive: true,
                    paused: false,
                    side: 0,
                    holds_addresses: false,
                    adverts: 0,
                    became_master: 0,
                    started_at: Instant::ORIGIN,
                    backlog: Vec::new(),
                }
            })
            .collect();
        let now = Instant::from_nanos(1_000_000_000);
        Self { seed, random, now, nodes, arrivals: BTreeMap::new(), sent: 0, loss: 0 }
    }

    fn start_all(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].alive {
                self.start(index);
                let pause = Duration::from_millis(self.random.below(500));
                self.run_for(pause);
            }
        }
    }

    /// All started, and long enough ago that the best is the only master.
    fn settle(&mut self) {
        self.start_all();
        self.run_for(self.slowest_down() * 2);
        let best = self.best();
        self.assert_only_master(best);
        for node in &mut self.nodes {
            node.became_master = node.became_master.min(u64::from(node.router.role() == Role::Master));
        }
    }

    fn start(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.started_at = now;
        node.router.enable(now);
        self.carry_out(index);
    }

    fn shut_down(&mut self, index: usize) {
        self.nodes[index].router.disable(self.now);
        self.carry_out(index);
        self.nodes[index].alive = false;
    }

    /// Without a word; the addresses go with the host.
    fn crash(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.alive = false;
        node.paused = false;
        node.holds_addresses = false;
        node.backlog.clear();
        node.router = Router::new(*node.router.config(), node.router.address());
    }

    /// What waited in its sockets first, then its timers.
    fn resume(&mut self, index: usize) {
        self.nodes[index].paused = false;
        for (source, advertised, interval) in std::mem::take(&mut self.nodes[index].backlog) {
            self.deliver(index, source, advertised, interval);
        }
        self.nodes[index].router.handle_timeout(self.now);
        self.carry_out(index);
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn run_until(&mut self, end: Instant) {
        while self.step(end) {}
        self.now = self.now.max(end);
    }

    /// To the first event after which it no longer holds.
    fn run_while(&mut self, holds: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(3600);
        while holds(self) {
            assert!(self.step(end), "never ends: {self}");
        }
    }

    /// The next event, if it is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.arrivals.first_key_value().map(|((at, _), _)| *at);
        let timer = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.alive && !node.paused)
            .filter_map(|(index, node)| node.router.poll_timeout().map(|at| (at, index)))
            .min();
        // Packets before timers, as the driver has it.
        match (arrival, timer) {
            (Some(at), timer) if timer.is_none_or(|(timer, _)| at <= timer) && at <= end => {
                self.now = self.now.max(at);
                let (_, arrival) = self.arrivals.pop_first().expect("it was seen above");
                self.arrive(arrival);
                true
            }
            (_, Some((at, index))) if at <= end => {
                self.now = self.now.max(at);
                self.nodes[index].router.handle_timeout(self.now);
                self.carry_out(index);
                true
            }
            _ => false,
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Advert { from, to, advertised, interval } => {
                let source = self.nodes[from].router.address();
                let node = &mut self.nodes[to];
                if node.paused {
                    node.backlog.push((source, advertised, interval));
                } else if node.alive {
                    self.deliver(to, source, advertised, interval);
                }
            }
            Arrival::Claimed { by, epoch } => {
                if self.nodes[by].alive {
                    self.nodes[by].router.handle_claimed(self.now, epoch, ClaimResult::Confirmed);
                    self.carry_out(by);
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, source: IpAddr, advertised: Advertised, interval: Interval) {
        let vips = [Ipv4Addr::new(10, 0, 0, 100)];
        let advert =
            Advert::new(Vrid::new(1).expect("in range"), advertised, interval, &vips).expect("in range");
        self.nodes[to].router.handle_advert(self.now, source, &advert);
        self.carry_out(to);
    }

    fn carry_out(&mut self, from: usize) {
        while let Some(action) = self.nodes[from].router.poll_action() {
            let interval = self.nodes[from].router.config().interval();
            match action {
                Action::Advertise(advertised) => {
                    self.nodes[from].adverts += 1;
                    for to in 0..self.nodes.len() {
                        let lost = self.random.happens(self.loss);
                        if to != from && self.nodes[to].side == self.nodes[from].side && !lost {
                            let delay = Duration::from_nanos(self.random.below(300_001));
                            self.send(delay, Arrival::Advert { from, to, advertised, interval });
                        }
                    }
                }
                Action::Claim { epoch } => {
                    self.nodes[from].holds_addresses = true;
                    self.nodes[from].became_master += 1;
                    self.send(CLAIM, Arrival::Claimed { by: from, epoch });
                }
                Action::Release { .. } => self.nodes[from].holds_addresses = false,
                Action::Announce { .. } => assert!(self.nodes[from].holds_addresses, "A3: {self}"),
                Action::Changed(_) | Action::Conflict(_) | Action::WantsMaster => {}
            }
        }
        let node = &self.nodes[from];
        assert_eq!(node.holds_addresses, node.router.role() == Role::Master, "A4: {self}");
    }

    fn send(&mut self, delay: Duration, arrival: Arrival) {
        self.sent += 1;
        self.arrivals.insert((self.now + delay, self.sent), arrival);
    }

    fn masters(&self) -> Vec<usize> {
        let is_master = |node: &Node| node.alive && node.router.role() == Role::Master;
        (0..self.nodes.len()).filter(|&index| is_master(&self.nodes[index])).collect()
    }

    fn assert_only_master(&self, expected: usize) {
        assert_eq!(self.masters(), [expected], "{self}");
    }

    fn best(&self) -> usize {
        let living = (0..self.nodes.len()).filter(|&index| self.nodes[index].alive);
        living.max_by_key(|&index| self.nodes[index].router.config().priority()).expect("somebody lives")
    }

    fn living(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.alive)
    }

    fn slowest_down(&self) -> Duration {
        self.living().map(Node::down).max().expect("somebody lives")
    }

    fn shortest_interval(&self) -> Duration {
        let interval = |node: &Node| node.router.config().interval().duration();
        self.living().map(interval).min().expect("somebody lives")
    }

    fn latest_start(&self) -> Instant {
        self.living().map(|node| node.started_at).max().expect("somebody lives")
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {} at {:?}", self.seed, self.now)?;
        for node in &self.nodes {
            let (config, role) = (node.router.config(), node.router.role());
            write!(f, "; {} {role} alive {} side {}", config.priority(), node.alive, node.side)?;
        }
        Ok(())
    }
}

impl Node {
    fn down(&self) -> Duration {
        let config = self.router.config();
        timing::master_down_interval(config.interval(), config.priority())
    }

    fn skew(&self) -> Duration {
        let config = self.router.config();
        timing::skew_time(config.interval(), config.priority())
    }
}

/// SplitMix64: the same numbers from the same seed on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).expect("less than a length")
    }

    /// Whether something of this probability happens.
    fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
