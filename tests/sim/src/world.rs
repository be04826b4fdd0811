//! The network as it lives: hosts with their clocks and processes, packets under way, timers, and the loop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use lvs_core::{ClaimResult, Epoch, Instant, Role};
use lvs_vrrp::{Action, Advertised, Config, Gate, Standing, SyncGroup, record};

use crate::clock::{Clock, NEVER};
use crate::coverage::Happening;
use crate::decoder::{self, Ears, Heard, Receiver};
use crate::network::{Fate, Network};
use crate::node::Node;
use crate::observer::{Input, Violation};
use crate::options::Options;
use crate::random::Random;
use crate::totals::Totals;
use crate::trace::Trace;
use crate::wire;

/// Everything there is, at one moment.
#[derive(Debug)]
pub struct World {
    /// What it was made from.
    pub options: Options,
    /// True time.
    pub now: Instant,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The links between them.
    pub network: Network,
    /// What happened.
    pub trace: Trace,
    /// What was counted.
    pub totals: Totals,
    /// The first thing that was wrong.
    pub violation: Option<Violation>,
    /// Instances of each host, each on a segment of its own.
    pub(crate) instances: usize,
    pub(crate) nodes: Vec<Node>,
    /// When each node's timer is looked at.
    pub(crate) timers: Vec<Instant>,
    agenda: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    plans: Vec<Config>,
    entries: u64,
    last_arrival: Instant,
    /// Events at this very moment.
    standstill: u64,
    lags: Random,
    claims: Random,
    probes: Random,
    pub(crate) buffers: Buffers,
}

/// A machine with its clock and one process.
#[derive(Debug)]
pub struct Host {
    /// Its clock.
    pub clock: Clock,
    /// What its process does.
    pub process: Process,
    /// How late it runs what is due at most.
    pub lag: Duration,
    pub(crate) group: Option<SyncGroup>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It runs.
    Runs,
    /// It does not run. Its sockets fill, or nothing reaches the host.
    Paused {
        /// Whether packets wait for it.
        hears: bool,
    },
    /// There is none.
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A packet reaches a node.
    Arrives { node: usize, packet: usize },
    /// The kernel is done with a claim.
    Claimed { node: usize, epoch: Epoch, process: u64 },
    /// A node gets the configuration that was planned.
    Configured { node: usize, plan: usize },
}

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) packet: Vec<u8>,
    datagram: Vec<u8>,
    actions: Vec<Action>,
    /// Packets under way, and places for more.
    packets: Vec<Vec<u8>>,
    free: Vec<usize>,
}

impl World {
    /// The network of these options, before anything runs. `keep` lines of what happened are kept.
    #[must_use]
    pub fn new(options: Options, keep: usize) -> Self {
        let instances = options.instances;
        let mut dice = Random::new(options.seed, 2);
        let now = Instant::from_nanos(1_000_000_000);
        let mut hosts = Vec::new();
        let mut nodes = Vec::new();
        for (place, host) in options.hosts.iter().enumerate() {
            let shown = Instant::from_nanos(1_000_000_000 + dice.below(1 << 50));
            hosts.push(Host {
                clock: Clock::new(now, shown, host.rate),
                process: Process::Dead,
                lag: options.lag,
                group: None,
            });
            for segment in 0..instances {
                nodes.push(Node::new(&options, place, segment, &host.config));
            }
        }
        let network = Network::new(hosts.len(), instances, options.delay, Random::new(options.seed, 3));
        Self {
            now,
            network,
            trace: Trace::new(keep),
            totals: Totals::default(),
            violation: None,
            instances,
            timers: vec![NEVER; nodes.len()],
            nodes,
            hosts,
            agenda: BinaryHeap::new(),
            plans: Vec::new(),
            entries: 0,
            last_arrival: now,
            standstill: 0,
            lags: Random::new(options.seed, 4),
            claims: Random::new(options.seed, 5),
            probes: Random::new(options.seed, 6),
            buffers: Buffers::default(),
            options,
        }
    }

    /// How many segments there are, and instances on each host.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.instances
    }

    /// The instance of a host on a segment.
    #[must_use]
    pub fn node(&self, host: usize, segment: usize) -> &Node {
        &self.nodes[host * self.instances + segment]
    }

    /// The same, to change.
    pub fn node_mut(&mut self, host: usize, segment: usize) -> &mut Node {
        &mut self.nodes[host * self.instances + segment]
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Hosts whose instance on a segment is master, whether their process runs or not.
    #[must_use]
    pub fn masters(&self, segment: usize) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&host| self.is_master(host, segment)).collect()
    }

    /// Whether the instance of a host on a segment is master.
    #[must_use]
    pub fn is_master(&self, host: usize, segment: usize) -> bool {
        self.hosts[host].process != Process::Dead && self.node(host, segment).router.role() == Role::Master
    }

    /// Whether the instance of a host hears what comes, but is neither master nor backup.
    #[must_use]
    pub fn is_idle(&self, host: usize, segment: usize) -> bool {
        let node = self.node(host, segment);
        let is_idle = matches!(node.router.role(), Role::Initialize | Role::Fault);
        is_idle && node.link_is_up && self.hosts[host].process == Process::Runs
    }

    /// When the last packet that is under way arrives.
    #[must_use]
    pub fn last_arrival(&self) -> Instant {
        self.last_arrival
    }

    /// Notes something that is wrong; only the first counts.
    pub fn fail(&mut self, rule: &'static str, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let what = what();
            self.trace.remark(self.now, || format!("!!! {rule}: {what}"));
            self.violation = Some(Violation { rule, what });
        }
    }

    /// Fails unless something holds.
    pub fn check(&mut self, rule: &'static str, holds: bool, what: impl FnOnce(&Self) -> String) {
        if !holds {
            let what = what(self);
            self.fail(rule, || what);
        }
    }

    /// Lets this time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until then.
    pub fn run_until(&mut self, end: Instant) {
        while self.violation.is_none() && self.step(end) {}
        self.pass_to(end);
    }

    /// Lets time pass until something no longer holds, but not beyond `end`; false if it still held then.
    pub fn run_while(&mut self, end: Instant, holds: impl Fn(&Self) -> bool) -> bool {
        while self.violation.is_none() && holds(self) {
            if !self.step(end) {
                self.pass_to(end);
                return false;
            }
        }
        true
    }

    fn pass_to(&mut self, moment: Instant) {
        if moment > self.now {
            let routers = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
            self.totals.router_time += (moment - self.now) * routers;
            self.now = moment;
        }
    }

    /// The next event, if it is not after `end`. Packets go before timers, as the driver has it.
    fn step(&mut self, end: Instant) -> bool {
        let timer = self.timers.iter().copied().min().unwrap_or(NEVER);
        let event = self.agenda.peek().map_or(NEVER, |Reverse((at, ..))| *at);
        let at = timer.min(event);
        if at > end || at == NEVER {
            return false;
        }
        self.standstill = if at > self.now { 0 } else { self.standstill + 1 };
        self.check("A13", self.standstill < STANDSTILL, |_| "time does not go on".to_owned());
        self.pass_to(at);
        self.totals.events += 1;
        if event <= timer {
            if let Some(Reverse((_, _, event))) = self.agenda.pop() {
                self.handle(event);
            }
        } else if let Some(node) = self.timers.iter().position(|&timer| timer == at) {
            self.timers[node] = NEVER;
            self.nodes[node].armed = None;
            self.feed(node, Input::Timeout);
        }
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrives { node, packet } => {
                let octets = std::mem::take(&mut self.buffers.packets[packet]);
                match self.hosts[node / self.instances].process {
                    Process::Runs => self.receive(node, &octets),
                    Process::Paused { hears } => {
                        if hears {
                            self.nodes[node].wait_for_reader(&octets);
                        }
                    }
                    Process::Dead => {}
                }
                self.buffers.packets[packet] = octets;
                self.buffers.free.push(packet);
            }
            Event::Claimed { node, epoch, process } => self.claim_is_done(node, epoch, process),
            Event::Configured { node, plan } => {
                let config = self.plans[plan];
                self.feed(node, Input::Configured(config));
            }
        }
    }

    /// A datagram is read from a socket: judged by the demultiplexer and by the second decoder.
    pub(crate) fn receive(&mut self, index: usize, octets: &[u8]) {
        let node = &mut self.nodes[index];
        if !node.link_is_up {
            return;
        }
        let heard = decoder::read(octets, &node.receiver);
        let datagram = wire::split(self.options.family, octets);
        let accepted = datagram.map(|datagram| node.demux.accept(&datagram));
        match (accepted, heard) {
            (Some(Ok(accepted)), Some(heard)) => {
                let says = Heard {
                    source: accepted.source,
                    priority: accepted.advert.advertised().octet(),
                    interval: nanos(accepted.advert.interval().duration()),
                    count: u8::try_from(accepted.advert.addresses().len()).unwrap_or(u8::MAX),
                };
                if says != heard {
                    self.fail("A9", || format!("{octets:?} was read as {says:?}, but says {heard:?}"));
                    return;
                }
                let there = self.hosts[index / self.instances].clock.read(self.now);
                if let Some(recording) = &mut node.recording {
                    let input = record::Input::advert(accepted.source, &accepted.advert);
                    recording.note(there, &input, &node.router);
                }
                node.router.handle_advert(there, accepted.source, &accepted.advert);
                self.probe_duplicate(index, there, octets);
                self.carry_out(index, Input::Advert(heard));
            }
            (None | Some(Err(_)), None) => {
                self.totals.refused += 1;
                node.watch.cover_happening(Happening::Refused, &mut self.totals.coverage);
                let now = self.now;
                self.trace.remark(now, || format!("{index} refuses {octets:?}"));
            }
            (Some(Ok(accepted)), None) => {
                let what = format!("{octets:?} must be refused, was accepted as {accepted:?}");
                self.fail("A8", || what);
            }
            (refused @ (None | Some(Err(_))), Some(heard)) => {
                let what = format!("{octets:?} says {heard:?}, but was refused: {refused:?}");
                self.fail("A8", || what);
            }
        }
    }

    /// A8: the same packet at the same instant once more changes nothing. Tried on a copy, now and then.
    fn probe_duplicate(&mut self, index: usize, there: Instant, octets: &[u8]) {
        if !self.probes.happens(PROBES) {
            return;
        }
        let node = &mut self.nodes[index];
        let Some(datagram) = wire::split(self.options.family, octets) else { return };
        let Ok(accepted) = node.demux.accept(&datagram) else { return };
        let mut once = node.router.clone();
        while once.poll_action().is_some() {}
        let mut twice = once.clone();
        twice.handle_advert(there, accepted.source, &accepted.advert);
        let more = std::iter::from_fn(|| twice.poll_action())
            .find(|action| !matches!(action, Action::Announce { .. }));
        let is_same = once.role() == twice.role() && once.master_interval() == twice.master_interval();
        // A resignation that is heard twice at once by a master asks for one answer, and a second in time.
        let same_timer = once.poll_timeout() == twice.poll_timeout() || once.role() == Role::Master;
        if more.is_some() || !is_same || !same_timer {
            let what = format!("{octets:?} once more made {once:?} do {more:?} and be {twice:?}");
            self.fail("A8", || what);
        }
    }

    /// Gives a router an input, unless its process does not run, and does all that follows.
    pub fn feed(&mut self, index: usize, input: Input) {
        let host = index / self.instances;
        if self.hosts[host].process != Process::Runs {
            return;
        }
        let there = self.hosts[host].clock.read(self.now);
        let probes = matches!(input, Input::Timeout) && self.probes.happens(PROBES);
        let node = &mut self.nodes[index];
        if let (Some(recording), Some(input)) = (&mut node.recording, recorded(input)) {
            recording.note(there, &input, &node.router);
        }
        match input {
            Input::Enable => node.router.enable(there),
            Input::Disable => node.router.disable(there),
            Input::Gate(gate) => node.router.set_gate(there, gate),
            Input::Claimed(epoch, result) => node.router.handle_claimed(there, epoch, result),
            Input::Timeout => {
                if probes {
                    self.probe_early(index, there);
                }
                self.nodes[index].router.handle_timeout(there);
            }
            Input::Configured(config) => {
                node.router.reconfigure(there, config);
                node.configured(&config, &self.options);
            }
            Input::Address(address) => {
                node.router.set_address(address);
                node.sender.source = address;
                let config = *node.router.config();
                node.configured(&config, &self.options);
            }
            Input::Advert(_) => {}
        }
        self.carry_out(index, input);
    }

    /// A10: too early, again, or with a time that went back, nothing happens.
    fn probe_early(&mut self, index: usize, there: Instant) {
        let node = &self.nodes[index];
        let Some(deadline) = node.router.poll_timeout() else { return };
        let mut router = node.router.clone();
        let early = deadline - Duration::from_nanos(1);
        for now in [early.min(there), deadline - Duration::from_secs(1), Instant::ORIGIN] {
            if now < deadline {
                router.handle_timeout(now);
            }
        }
        if router != node.router {
            let what = format!("{:?} at {there:?} became {router:?} too early", node.router);
            self.fail("A10", || what);
        }
    }

    /// Does what a router decided, has it judged, and sets its timer.
    fn carry_out(&mut self, index: usize, input: Input) {
        let mut actions = std::mem::take(&mut self.buffers.actions);
        actions.clear();
        let host = index / self.instances;
        let there = self.hosts[host].clock.read(self.now);
        let node = &mut self.nodes[index];
        actions.extend(std::iter::from_fn(|| node.router.poll_action()));
        // A13.
        let is_bounded = actions.len() <= MOST_ACTIONS;
        let now = self.now;
        self.trace.note(now, code(index, input), || format!("{index} {input:?} -> {actions:?}"));
        if let Err(Violation { rule, what }) =
            node.watch.judge(there, input, &actions, &node.router, &mut self.totals.coverage)
        {
            self.fail(rule, || format!("router {index} at its {there:?}: {what}"));
        }
        self.check("A13", is_bounded, |_| format!("{input:?} led to {actions:?}"));
        for &action in &actions {
            self.act(index, action);
        }
        self.buffers.actions = actions;
        if self.options.room > 0 && self.probes.happens(PROBES) {
            self.check_recording(index);
        }
        self.arm(index);
        self.settle_group(host, index);
    }

    fn act(&mut self, index: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Advertise(advertised) => self.send(index, advertised),
            Action::Claim { epoch } => {
                self.totals.takeovers += 1;
                let node = &mut self.nodes[index];
                let is_second = node.claimed.replace(epoch).is_some();
                node.master_since = now;
                node.masterships += 1;
                self.check("A4", !is_second, |_| format!("router {index} claims twice"));
                let delay = self.claims.time(self.options.claim);
                self.await_claim(delay, index, epoch);
            }
            Action::Release { epoch } => {
                let node = &mut self.nodes[index];
                let was = node.claimed.take();
                self.keep_addresses(index);
                self.check("A4", was == Some(epoch), |_| {
                    format!("router {index} releases {epoch} of {was:?}")
                });
            }
            Action::Announce { epoch, .. } => {
                let node = &mut self.nodes[index];
                node.rounds += 1;
                let holds = node.claimed == Some(epoch);
                self.check("A3", holds, |_| format!("router {index} announces what it does not have"));
            }
            Action::Changed(_) | Action::Conflict(_) | Action::WantsMaster => {}
        }
    }

    /// Puts an advert on the wire, and on all links.
    fn send(&mut self, index: usize, advertised: Advertised) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if let Advertised::Running(_) = advertised {
            node.adverts += 1;
            node.advertised_at = now;
        }
        if !node.link_is_up {
            return;
        }
        self.totals.sent += 1;
        let (from, segment) = (index / self.instances, index % self.instances);
        let mut octets = std::mem::take(&mut self.buffers.datagram);
        let mut written = None;
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            let destination = self.destination(to, segment);
            if written.replace(destination) != Some(destination) {
                self.write(index, advertised, destination, &mut octets);
            }
            match self.network.carry(now, segment, from, to) {
                Fate::Lost => self.totals.lost += 1,
                Fate::Arrives(at) => self.deliver(at, to, segment, &octets),
                Fate::Twice(first, second) => {
                    self.totals.doubled += 1;
                    self.deliver(first, to, segment, &octets);
                    self.deliver(second, to, segment, &octets);
                }
            }
        }
        self.buffers.datagram = octets;
    }

    /// A9: what is sent is what is configured, as the second decoder reads it.
    fn write(&mut self, index: usize, advertised: Advertised, destination: IpAddr, octets: &mut Vec<u8>) {
        let node = &self.nodes[index];
        let interval = node.router.config().interval();
        let is_written =
            node.sender.write(destination, advertised, interval, &mut self.buffers.packet, octets);
        let expected = Heard {
            source: node.sender.source,
            priority: match advertised {
                Advertised::Resigning => 0,
                Advertised::Running(_) => node.watch.rules().priority,
            },
            interval: node.watch.rules().interval,
            count: u8::try_from(node.sender.addresses.len()).unwrap_or(u8::MAX),
        };
        let ears = match node.receiver.ears {
            Ears::Group(group) => Ears::Group(group),
            Ears::Own(..) => Ears::Own(destination, None),
        };
        let says = decoder::read(octets, &Receiver { own_address: None, ears, ..node.receiver });
        if !is_written || says != Some(expected) {
            let what = format!("router {index} sent {octets:?}: {says:?}, expected {expected:?}");
            self.fail("A9", || what);
        }
    }

    /// Lets a packet reach a host then.
    pub fn deliver(&mut self, at: Instant, host: usize, segment: usize, octets: &[u8]) {
        let packets = &mut self.buffers.packets;
        let packet = self.buffers.free.pop().unwrap_or_else(|| {
            packets.push(Vec::new());
            packets.len() - 1
        });
        packets[packet].clear();
        packets[packet].extend_from_slice(octets);
        self.last_arrival = self.last_arrival.max(at);
        self.enter(at, Event::Arrives { node: host * self.instances + segment, packet });
    }

    /// The same for one that is to be refused: it is not counted among those under way.
    pub fn deliver_damaged(&mut self, at: Instant, host: usize, segment: usize, octets: &[u8]) {
        let before = self.last_arrival;
        self.deliver(at, host, segment, octets);
        self.last_arrival = before;
    }

    /// What an instance demands of a packet.
    #[must_use]
    pub fn receiver(&self, host: usize, segment: usize) -> &Receiver {
        &self.node(host, segment).receiver
    }

    /// Gives an instance another configuration then, before a timer that is due at the same moment.
    pub fn configure_later(&mut self, at: Instant, host: usize, segment: usize, config: Config) {
        self.plans.push(config);
        let (node, plan) = (host * self.instances + segment, self.plans.len() - 1);
        self.enter(at, Event::Configured { node, plan });
    }

    fn await_claim(&mut self, delay: Duration, node: usize, epoch: Epoch) {
        let process = self.nodes[node].processes;
        self.enter(self.now + delay, Event::Claimed { node, epoch, process });
    }

    fn claim_is_done(&mut self, index: usize, epoch: Epoch, of: u64) {
        let process = self.hosts[index / self.instances].process;
        let node = &mut self.nodes[index];
        if node.processes != of || process == Process::Dead {
            return;
        }
        if node.claimed != Some(epoch) {
            // An answer that comes too late: it must change nothing.
            let result =
                if epoch.value().is_multiple_of(2) { ClaimResult::Confirmed } else { ClaimResult::Missing };
            self.feed(index, Input::Claimed(epoch, result));
            return;
        }
        if let Process::Paused { .. } = process {
            // The applier does not run either: it answers a little after the end of the pause.
            self.await_claim(RETRY, index, epoch);
            return;
        }
        let result = if node.claims_fail { ClaimResult::Missing } else { ClaimResult::Confirmed };
        if result == ClaimResult::Confirmed {
            self.keep_addresses(index);
        }
        if result == ClaimResult::Missing {
            self.await_claim(RETRY, index, epoch);
        }
        self.feed(index, Input::Claimed(epoch, result));
    }

    /// The applier looks at the addresses again: they were taken, or can be had again.
    pub fn look_at_addresses(&mut self, host: usize, segment: usize) {
        let node = host * self.instances + segment;
        if let Some(epoch) = self.nodes[node].claimed {
            if self.nodes[node].claims_fail {
                self.nodes[node].kernel.clear();
            }
            self.await_claim(Duration::ZERO, node, epoch);
        }
    }

    /// Sets the timer of a node by the clock of its host, and late by the lag of the host.
    pub(crate) fn arm(&mut self, index: usize) {
        let host = &self.hosts[index / self.instances];
        let node = &mut self.nodes[index];
        let timer = if host.process == Process::Runs { node.router.poll_timeout() } else { None };
        if node.armed == timer {
            return;
        }
        node.armed = timer;
        self.timers[index] = match timer {
            None => NEVER,
            Some(deadline) => {
                let due = host.clock.when(deadline).max(self.now);
                if host.lag > Duration::ZERO { due + self.lags.time(host.lag) } else { due }
            }
        };
    }

    /// All members of a group are master or none is (A12).
    fn settle_group(&mut self, host: usize, changed: usize) {
        let Some(mut group) = self.hosts[host].group.take() else { return };
        let first = host * self.instances;
        let own = self.nodes[changed].own_gate();
        group.handle_standing(changed - first, Standing::of(&self.nodes[changed].router, own));
        let mut turns = 0;
        while let Some((member, gate)) = group.poll_gate() {
            let index = first + member;
            let own = self.nodes[index].own_gate();
            self.feed(index, Input::Gate(own.and(gate)));
            group.handle_standing(member, Standing::of(&self.nodes[index].router, own));
            turns += 1;
            self.check("A13", turns <= 3 * self.instances, |_| "the group does not settle".to_owned());
        }
        let masters = (0..self.instances).filter(|&segment| self.is_master(host, segment)).count();
        self.check("A12", masters == 0 || masters == self.instances, |world| {
            format!("{masters} of {} members of host {host} are master", world.instances)
        });
        self.hosts[host].group = Some(group);
    }

    /// Sets the gate of an instance to what its link, its application and its group say.
    pub fn apply_gate(&mut self, host: usize, segment: usize) {
        let index = host * self.instances + segment;
        if self.hosts[host].process != Process::Runs {
            return;
        }
        let own = self.nodes[index].own_gate();
        let gate = match self.hosts[host].group.as_mut() {
            None => own,
            Some(group) => {
                group.handle_standing(segment, Standing::of(&self.nodes[index].router, own));
                own.and(group.gate(segment))
            }
        };
        self.feed(index, Input::Gate(gate));
    }

    /// The address that a host sends from on a segment.
    #[must_use]
    pub fn source(&self, host: usize, segment: usize) -> IpAddr {
        self.node(host, segment).sender.source
    }

    /// Whether addresses of a segment are on a host.
    #[must_use]
    pub fn has_addresses(&self, host: usize, segment: usize) -> bool {
        self.node(host, segment).kernel.has_any()
    }

    fn enter(&mut self, at: Instant, event: Event) {
        self.entries += 1;
        self.agenda.push(Reverse((at, self.entries, event)));
    }
}

/// What an input is in a recording; adverts are taken down where they are read.
fn recorded(input: Input) -> Option<record::Input> {
    Some(match input {
        Input::Enable => record::Input::Enable,
        Input::Disable => record::Input::Disable,
        Input::Gate(gate) => record::Input::Gate(gate),
        Input::Claimed(epoch, result) => record::Input::Claimed { epoch, result },
        Input::Timeout => record::Input::Timeout,
        Input::Configured(config) => record::Input::Config(config),
        Input::Address(address) => record::Input::Address(address),
        Input::Advert(_) => return None,
    })
}

/// What an input is in the trace.
fn code(index: usize, input: Input) -> u64 {
    let what = match input {
        Input::Enable => 1,
        Input::Disable => 2,
        Input::Gate(Gate::Open) => 3,
        Input::Gate(Gate::Held) => 4,
        Input::Gate(Gate::Fault(_)) => 5,
        Input::Claimed(epoch, result) => {
            6 + (epoch.value() << 8) + (u64::from(result == ClaimResult::Missing) << 7)
        }
        Input::Advert(heard) => 7 + (last_octet(heard.source) << 24) + (u64::from(heard.priority) << 16),
        Input::Timeout => 8,
        Input::Configured(config) => 9 + (u64::from(config.priority().get()) << 8),
        Input::Address(_) => 10,
    };
    what + ((index as u64) << 60)
}

fn last_octet(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.octets()[3]),
        IpAddr::V6(address) => u64::from(address.octets()[15]),
    }
}

/// A time in nanoseconds.
#[must_use]
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The longest list of actions of one input: an advert, the release, the ends of four conflicts, the change.
const MOST_ACTIONS: usize = 7;

/// More events at one moment than all hosts, packets and timers of a network are good for.
const STANDSTILL: u64 = 100_000;

/// How often the applier tries again.
const RETRY: Duration = Duration::from_millis(500);

/// Of a thousand inputs, how many are tried on a copy as well.
const PROBES: u64 = 20;
