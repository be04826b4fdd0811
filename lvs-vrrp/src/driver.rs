//! Feeds routers from sockets and a clock, and carries out what they decide.

pub(crate) mod config;
pub(crate) mod handle;
mod links;
mod mismatch;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lvs_core::{Family, Instant, Link, LinkAddress, Ownership, Role};
use tokio::sync::{mpsc, watch};

use crate::action::{Action, FaultReason, Gate};
use crate::clock;
use crate::clock::Alarm;
use crate::delivery::{Delivery, Multicast};
use crate::demux::{Demux, Refused};
use crate::driver::config::InstanceConfig;
use crate::driver::handle::{Commands, Event, EventKind, Handle, InstanceFacts, Shared};
use crate::driver::mismatch::Mismatch;
use crate::endpoints::{Datagram, Endpoints};
use crate::error::Error;
use crate::ipv4::{Ipv4Header, TTL};
use crate::refusal::Refusal;
use crate::router::Router;
use crate::socket::Sockets;
use crate::stats::Counters;
use crate::types::Advertised;

/// The routers of one host, with their sockets and their timer.
///
/// It owns a pair of raw sockets per interface, one timer of the kernel and the routers, and nothing else: it
/// programs no addresses, runs no scripts, and waits for nobody. Adverts are never late because of other
/// work; give it a thread of its own with a current-thread runtime for the same reason. On a machine that may
/// be busy give that thread a real-time priority (`chrt`, `sched_setscheduler`) too: with six busy processes per
/// core an ordinary thread was 300 ms late, which at a short interval is longer than a backup waits; with
/// `SCHED_RR` it was 3 ms.
///
/// At each wake-up it first hands all waiting adverts to the routers, then commands, then lets timers expire.
/// So a process that was stopped for a while learns what happened before it acts on timers that expired
/// meanwhile.
///
/// What is rare and odd (errors of the kernel, refused packets: the first, second, fourth, … of a kind) is
/// logged through `tracing`; a subscriber that can block would make adverts late. Packets meant for an instance
/// are refused with a warning that says what was expected and what came; those of other virtual routers are not.
///
/// Interfaces are looked at once per second, until [`Handle::set_link`] or [`Handle::remove_link`] tells
/// about them: then that is believed alone. An interface that does not exist, is down or has no address is a
/// fault of its instances, which ends by itself; so is a tracked one that does not exist or is down.
///
/// ```no_run
/// use lvs_vrrp::{Config, Driver, InstanceConfig, Interval, Priority, Vrid};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let router = Config::new(Interval::centis(100)?, Priority::new(150)?);
///     let vip = [192, 168, 26, 10].into();
///     let (driver, handle, _events) =
///         Driver::new(vec![InstanceConfig::new("VI_1", "eth0", Vrid::new(51)?, vec![vip], router)])?;
///
///     let instance = handle.instance("VI_1").expect("it was configured above");
///     let mut ownership = instance.ownership();
///     tokio::spawn(async move {
///         while ownership.changed().await.is_ok() {
///             let now = *ownership.borrow_and_update();
///             println!("{}", now.role);
///             // Put the address on the interface or take it off, then:
///             instance.claimed(now.epoch, lvs_core::ClaimResult::Confirmed);
///         }
///     });
///     driver.run().await?; // until handle.shutdown()
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    interfaces: Vec<Interface>,
    members: Vec<Member>,
    events: Events,
    timers: BTreeSet<(Instant, Timer)>,
    buffers: Buffers,
}

impl Driver {
    /// A driver of these instances, the handle to it, and what happens to them. Nothing is opened or sent
    /// yet.
    ///
    /// The channel of events holds 1,024. When it is full, later events are lost and counted; the driver does
    /// not wait.
    ///
    /// # Errors
    /// A configuration that contradicts itself or the protocol.
    pub fn new(configs: Vec<InstanceConfig>) -> Result<(Self, Handle, mpsc::Receiver<Event>), Error> {
        config::check(&configs)?;
        let mut interfaces: Vec<Interface> = Vec::new();
        let (mut members, mut facts) = (Vec::new(), Vec::new());
        for (index, config) in configs.into_iter().enumerate() {
            let mut place_of = |name: &str| {
                let known = interfaces.iter().position(|interface| interface.name == name);
                known.unwrap_or_else(|| {
                    interfaces.push(Interface::new(name.to_owned()));
                    interfaces.len() - 1
                })
            };
            let place = place_of(&config.interface);
            let tracked: BTreeSet<usize> = config
                .tracked_interfaces
                .iter()
                .map(|name| place_of(name))
                .filter(|at| *at != place)
                .collect();
            interfaces[place].members.push(index);
            for &at in &tracked {
                interfaces[at].trackers.push(index);
            }
            facts.push(InstanceFacts {
                name: config.name.as_str().into(),
                ownership: watch::Sender::new(Ownership::default()),
                counters: Counters::default(),
                pulse: Arc::default(),
            });
            members.push(Member {
                router: Router::new(config.router, Ipv4Addr::UNSPECIFIED.into()),
                interface: place,
                tracked,
                source: None,
                silent_peers: BTreeSet::new(),
                link_fault: Some(FaultReason::LinkMissing),
                tracked_fault: None,
                application_gate: Gate::Open,
                armed: None,
                config,
            });
        }
        let with_instances = interfaces.iter().filter(|interface| !interface.members.is_empty());
        let counters =
            with_instances.map(|interface| (interface.name.clone(), Counters::default())).collect();
        let shared = Arc::new(Shared::new(facts, counters));
        let (sender, receiver) = mpsc::channel(EVENTS);
        let driver = Self {
            shared: Arc::clone(&shared),
            interfaces,
            members,
            events: Events { sender, missed: 0 },
            timers: BTreeSet::new(),
            buffers: Buffers::default(),
        };
        Ok((driver, Handle { shared }, receiver))
    }

    /// Takes part in the elections until [`Handle::shutdown`], and then resigns: it returns when every master
    /// has sent its advert of priority 0.
    ///
    /// However this future ends, dropped or by a panic too, [`Instance::ownership`](crate::Instance::ownership)
    /// then says [`Role::Initialize`], so that addresses are released. Only `shutdown` tells the other routers,
    /// though: otherwise they take over after a master down interval.
    ///
    /// # Errors
    /// The kernel has no timer for us, or waiting failed. What happens to sockets is a fault of their
    /// instances and is tried again, not an error.
    pub async fn run(mut self) -> Result<(), Error> {
        let kernel = |operation| move |source| Error::Kernel { operation, source };
        let mut alarm = Alarm::new().map_err(kernel("create timer"))?;
        self.start(clock::now());
        loop {
            alarm.set(self.timers.first().map(|(at, _)| *at)).map_err(kernel("set timer"))?;
            self.wake_up(&alarm).await.map_err(kernel("wait for adverts"))?;
            alarm.silence();
            if self.turn() {
                return Ok(());
            }
        }
    }

    fn start(&mut self, now: Instant) {
        for member in &mut self.members {
            member.router.set_gate(now, Gate::Fault(FaultReason::LinkMissing));
        }
        self.look_at_interfaces(now);
        for index in 0..self.members.len() {
            self.judge_tracked(index);
            self.members[index].router.enable(now);
            self.carry_out(index, now);
        }
    }

    /// Until an advert, a command or the timer is there.
    async fn wake_up(&self, alarm: &Alarm) -> io::Result<()> {
        let mut commanded = pin!(self.shared.wake.notified());
        poll_fn(|cx| {
            // All are polled, so that each of them will wake this task.
            let mut result = commanded.as_mut().poll(cx).map(Ok);
            let mut note = |poll: Poll<io::Result<()>>| {
                if poll.is_ready() && !matches!(result, Poll::Ready(Err(_))) {
                    result = poll;
                }
            };
            note(alarm.poll_rung(cx));
            for sockets in self.interfaces.iter().filter_map(|interface| interface.sockets.as_ref()) {
                note(sockets.poll_readable(cx));
            }
            result
        })
        .await
    }

    /// Everything that there is to do now, in the order of the driver contract; answers whether it was the
    /// last time.
    fn turn(&mut self) -> bool {
        for place in 0..self.interfaces.len() {
            self.hear(place);
        }
        let is_last = self.shared.take_commands().is_some_and(|inbox| self.obey(inbox));
        if is_last {
            self.stop();
        } else {
            self.expire(clock::now());
        }
        is_last
    }

    /// Hands all adverts that wait on an interface to the routers; bounded, in case they come faster.
    fn hear(&mut self, place: usize) {
        let mut errors = 0;
        for _ in 0..MAX_RECEIVED {
            let interface = &mut self.interfaces[place];
            let Some(sockets) = &interface.sockets else { return };
            let length = match sockets.receive(&mut self.buffers.received) {
                Ok(None) => return,
                Ok(Some(length)) => length,
                Err(error) => {
                    // "Network is down" comes once; what stays needs new sockets.
                    tracing::debug!(interface = interface.name, %error, "receive advert");
                    errors += 1;
                    if errors > MAX_RECEIVE_ERRORS {
                        self.settle(place, true);
                        return;
                    }
                    continue;
                }
            };
            let octets = self.buffers.received.get(..length).unwrap_or_default();
            let datagram = match Datagram::from_ipv4(octets) {
                Ok(datagram) => datagram,
                Err(refusal) => {
                    self.refuse_nobodys(place, None, refusal);
                    continue;
                }
            };
            match interface.demux.accept(&datagram) {
                Ok(accepted) => {
                    let now = clock::now();
                    let router = &mut self.members[accepted.id].router;
                    let configured = router.config().interval();
                    let counters = &self.shared.instances[accepted.id].counters;
                    counters.received(&accepted.advert, configured, accepted.same_addresses);
                    router.handle_advert(now, accepted.source, &accepted.advert);
                    let id = accepted.id;
                    self.carry_out(id, now);
                }
                Err(refused) => self.refuse(place, &refused, &datagram),
            }
        }
    }

    /// What was meant for an instance is worth a warning: routers that do not believe each other are all
    /// masters. Other people's virtual routers are not.
    fn refuse(&self, place: usize, refused: &Refused, datagram: &Datagram<'_>) {
        let Refused { id: Some(id), source, refusal } = *refused else {
            return self.refuse_nobodys(place, refused.source, refused.refusal);
        };
        let count = self.shared.instances[id].counters.refused(refusal) + 1;
        if is_worth_a_line(count - 1) {
            let (interface, config) = (&self.interfaces[place].name, &self.members[id].config);
            let Mismatch { expected, came } = Mismatch::new(config, refusal, datagram);
            let (instance, source) = (&config.name, source.map(tracing::field::display));
            tracing::warn!(instance, interface, source, %refusal, expected, came, count, "advert refused");
        }
    }

    fn refuse_nobodys(&self, place: usize, source: Option<IpAddr>, refusal: Refusal) {
        let interface = &self.interfaces[place].name;
        let count = self.shared.interfaces.get(interface).map_or(0, |counters| counters.refused(refusal)) + 1;
        if is_worth_a_line(count - 1) {
            let source = source.map(tracing::field::display);
            tracing::debug!(interface, source, %refusal, count, "advert refused");
        }
    }

    /// Answers whether to stop.
    fn obey(&mut self, inbox: handle::Inbox) -> bool {
        for (name, link) in inbox.links {
            if let Some(place) = self.interfaces.iter().position(|interface| interface.name == name) {
                self.interfaces[place].is_fed = true;
                self.set_link(place, link);
            }
        }
        for (index, Commands { claimed, priority, gate }) in inbox.instances {
            let now = clock::now();
            if let Some(priority) = priority {
                self.members[index].router.set_priority(now, priority);
            }
            if let Some(gate) = gate {
                self.members[index].application_gate = gate;
                self.apply_gate(index);
            }
            if let Some((epoch, result)) = claimed {
                self.members[index].router.handle_claimed(now, epoch, result);
            }
            self.carry_out(index, now);
        }
        inbox.shutdown
    }

    fn expire(&mut self, now: Instant) {
        let first_later = (now + Duration::from_nanos(1), Timer::FIRST);
        let later = self.timers.split_off(&first_later);
        for (_, timer) in std::mem::replace(&mut self.timers, later) {
            match timer {
                Timer::Look => self.look_at_interfaces(now),
                Timer::Member(index) => {
                    let now = clock::now();
                    self.members[index].armed = None;
                    self.members[index].router.handle_timeout(now);
                    self.carry_out(index, now);
                }
            }
        }
    }

    fn stop(&mut self) {
        for index in 0..self.members.len() {
            let now = clock::now();
            self.members[index].router.disable(now);
            self.carry_out(index, now);
        }
    }

    /// Does what a router has decided, and sets its timer.
    fn carry_out(&mut self, index: usize, now: Instant) {
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

    fn send(&mut self, index: usize, advertised: Advertised, now: Instant) {
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

    /// Where nobody tells about interfaces, asks the kernel; where sockets could not be opened, tries again.
    fn look_at_interfaces(&mut self, now: Instant) {
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

    fn set_link(&mut self, place: usize, link: Option<Link>) {
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
    fn judge_tracked(&mut self, index: usize) {
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
    fn settle(&mut self, place: usize, needs_new_sockets: bool) {
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

    fn apply_gate(&mut self, index: usize) {
        let now = clock::now();
        let member = &mut self.members[index];
        let tracked_fault = member.tracked_fault.map(|(_, reason)| reason);
        let gate = member.link_fault.or(tracked_fault).map_or(member.application_gate, Gate::Fault);
        member.router.set_gate(now, gate);
        self.carry_out(index, now);
    }
}

impl Drop for Driver {
    /// Nobody advertises any more, so nobody may hold addresses. Handles keep the cells alive: without this
    /// they would say for ever what was last.
    fn drop(&mut self) {
        for facts in &self.shared.instances {
            facts.ownership.send_if_modified(|last| {
                let is_over = last.role != Role::Initialize;
                *last = Ownership { epoch: last.epoch, ..Ownership::default() };
                is_over
            });
        }
    }
}

/// An instance: its router, and what stands between it and the wire.
#[derive(Debug)]
struct Member {
    config: InstanceConfig,
    router: Router,
    /// Its place among the interfaces.
    interface: usize,
    /// The places of those that it tracks.
    tracked: BTreeSet<usize>,
    source: Option<IpAddr>,
    /// Addresses of ours, to which nothing is sent if they are among the peers.
    silent_peers: BTreeSet<IpAddr>,
    link_fault: Option<FaultReason>,
    /// The first of the tracked interfaces that is not as it should be.
    tracked_fault: Option<(usize, FaultReason)>,
    application_gate: Gate,
    /// What its timer is set to.
    armed: Option<Instant>,
}

impl Member {
    fn virtual_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.config.addresses.iter().chain(&self.config.excluded_addresses).copied()
    }

    fn group(&self) -> Option<Ipv4Addr> {
        match &self.config.delivery {
            Delivery::Multicast(Multicast { group: IpAddr::V4(group), .. }) => Some(*group),
            Delivery::Multicast(_) | Delivery::Unicast(_) => None,
        }
    }
}

/// An interface with instances on it, or that instances track.
#[derive(Debug)]
struct Interface {
    name: String,
    members: Vec<usize>,
    trackers: Vec<usize>,
    link: Option<Link>,
    /// Somebody tells about it.
    is_fed: bool,
    sockets: Option<Sockets>,
    /// Why there are none, as it was logged last.
    complaint: Option<String>,
    demux: Demux,
}

impl Interface {
    fn new(name: String) -> Self {
        Self {
            name,
            members: Vec::new(),
            trackers: Vec::new(),
            link: None,
            is_fed: false,
            sockets: None,
            complaint: None,
            demux: Demux::new(),
        }
    }

    /// Whether the sockets of the link as it was would do for it as it is.
    fn is_served_by_the_same(&self, link: Option<&Link>) -> bool {
        match (&self.link, link) {
            (Some(before), Some(after)) => {
                (before.index, before.up, before.mac) == (after.index, after.up, after.mac)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What is wrong with it for those that track it.
    fn fault(&self) -> Option<FaultReason> {
        match &self.link {
            None => Some(FaultReason::TrackedLinkMissing),
            Some(link) => (!link.up).then_some(FaultReason::TrackedLinkDown),
        }
    }

    fn lacks_sockets(&self) -> bool {
        !self.members.is_empty() && self.sockets.is_none() && self.link.as_ref().is_some_and(|link| link.up)
    }

    fn open_sockets(&mut self, groups: BTreeSet<Ipv4Addr>) {
        let Some(link) = &self.link else { return };
        match Sockets::open(&self.name, link.index, groups) {
            Ok(sockets) => {
                self.sockets = Some(sockets);
                if self.complaint.take().is_some() {
                    tracing::info!(interface = self.name, "sockets for adverts are open");
                }
            }
            // It is tried again every second: said once for each reason.
            Err(error) => {
                let reason = error.to_string();
                if self.complaint.as_ref() != Some(&reason) {
                    tracing::warn!(interface = self.name, %error, "open sockets for adverts");
                    self.complaint = Some(reason);
                }
            }
        }
    }

    /// The address that an instance sends from (VR-001): the configured one, or the first that is no virtual
    /// address. The owner may have no other than its own virtual ones.
    fn source_for(
        &self,
        config: &InstanceConfig,
        virtual_addresses: &BTreeSet<IpAddr>,
    ) -> Result<IpAddr, FaultReason> {
        let link = self.link.as_ref().ok_or(FaultReason::LinkMissing)?;
        if !link.up {
            return Err(FaultReason::LinkDown);
        }
        let may_be_source = |address: &IpAddr| {
            let is_ours = config.router.priority().is_owner() && config.owns(*address);
            Family::of(address) == config.family() && (is_ours || !virtual_addresses.contains(address))
        };
        let primary = || {
            let untagged = link.addresses.iter().filter(|address| !address.tagged);
            untagged.map(|address| address.address).find(may_be_source)
        };
        config.delivery.source().or_else(primary).ok_or(FaultReason::NoAddress)
    }

    fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.link.iter().flat_map(|link| &link.addresses).map(|address| address.address)
    }

    fn broadcasts(&self) -> Vec<Ipv4Addr> {
        self.link.iter().flat_map(|link| &link.addresses).filter_map(broadcast).collect()
    }
}

/// The broadcast address of a network; one of 31 or 32 bits has none (RFC 3021 §2.1).
fn broadcast(address: &LinkAddress) -> Option<Ipv4Addr> {
    match address.address {
        IpAddr::V4(v4) if address.prefix_len < 31 => {
            let host_bits = u32::MAX.checked_shr(address.prefix_len.into()).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() | host_bits))
        }
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[derive(Debug)]
struct Events {
    sender: mpsc::Sender<Event>,
    missed: u64,
}

impl Events {
    fn push(&mut self, instance: &Arc<str>, at: Instant, kind: EventKind) {
        let event = Event { instance: Arc::clone(instance), at, kind, missed: self.missed };
        match self.sender.try_send(event) {
            Ok(()) => self.missed = 0,
            Err(_) => self.missed = self.missed.saturating_add(1),
        }
    }
}

/// Space that is used again for every packet.
#[derive(Debug)]
struct Buffers {
    received: Box<[u8]>,
    packet: Vec<u8>,
    datagram: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { received: vec![0; RECEIVED].into(), packet: Vec::new(), datagram: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Interfaces nobody tells about, and sockets that could not be opened.
    Look,
    Member(usize),
}

impl Timer {
    const FIRST: Self = Self::Look;
}

/// Whether the next thing of a kind is logged after that many of it: the first, the second, the fourth, …
const fn is_worth_a_line(before: u64) -> bool {
    before.saturating_add(1).is_power_of_two()
}

/// The longest advert is 1,036 octets, an IPv4 header at most 60; a longer datagram is cut off and refused.
const RECEIVED: usize = 2048;

/// Datagrams taken from one interface before its timers are looked at: more than the receive buffer can hold,
/// so whatever came before the wake-up is among them.
const MAX_RECEIVED: usize = 4096;

const MAX_RECEIVE_ERRORS: usize = 8;

/// A master that changes roles every 10 ms would take ten seconds to fill it.
const EVENTS: usize = 1024;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
