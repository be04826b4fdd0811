//! Feeds routers from sockets and a clock, and carries out what they decide.

mod change;
pub(crate) mod config;
pub(crate) mod difference;
mod events;
pub(crate) mod handle;
mod hear;
mod interface;
mod links;
mod member;
mod mismatch;
mod recorder;
pub(crate) mod registry;
mod send;
mod settle;
pub(crate) mod setup;
pub(crate) mod shared;
pub(crate) mod status;
mod timers;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lvs_core::{Instant, Link, Ownership, Role};
use tokio::sync::mpsc;

use crate::clock;
use crate::clock::Alarm;
use crate::driver::config::InstanceConfig;
use crate::driver::events::Events;
use crate::driver::handle::{Event, Handle};
use crate::driver::interface::Interface;
use crate::driver::member::Member;
use crate::driver::registry::{Plan, Registry};
use crate::driver::send::News;
use crate::driver::setup::Setup;
use crate::driver::shared::{Commands, Inbox, MAX_LINKS, Shared};
use crate::driver::timers::Timers;
use crate::error::Error;
use crate::record::Input;
use crate::sync_group::SyncGroup;
use crate::transport::raw::RawTransport;
use crate::transport::{Arrivals, Transport};
use crate::types::Advertised;

/// The routers of one host, with their sockets and their timer.
///
/// It owns two raw sockets per interface and address family, one timer of the kernel and the routers, and nothing
/// else: it programs no addresses, runs no scripts, and waits for nobody. Adverts are never late because of other
/// work; give it a thread of its own with a current-thread runtime for the same reason. On a machine that may
/// be busy give that thread a real-time priority (`chrt`, `sched_setscheduler`) too: with six busy processes per
/// core an ordinary thread was 300 ms late, which at a short interval is longer than a backup waits; with
/// `SCHED_RR` it was 3 ms.
///
/// At each wake-up it first hands all waiting adverts to the routers, then commands, then lets timers expire.
/// So a process that was stopped for a while learns what happened before it acts on timers that expired
/// meanwhile. Then all adverts that are due leave together, and after them ownership and events are told. Nothing
/// of this allocates memory while no role changes.
///
/// Instances and groups come and go while it runs: see [`Handle::apply`].
///
/// # How it ends
///
/// [`run`](Self::run) returns after [`Handle::shutdown`], when every master has resigned. Cancelling it, by dropping
/// its future, is safe at any time, though no other router hears of it: what the driver owns is closed, and
/// [`Instance::ownership`](crate::Instance::ownership) says [`Role::Initialize`], so that addresses are released, and is
/// closed. The same happens when it panics, and when a driver is dropped that never ran.
///
/// # What it depends on
///
/// What is rare and odd (errors of the kernel, refused packets: the first, second, fourth, … of a kind) is
/// logged through `tracing`; a subscriber that can block would make adverts late. Packets meant for an instance
/// are refused with a warning that says what was expected and what came; those of other virtual routers are not.
///
/// Interfaces are looked at once per second, until [`Handle::set_link`] or [`Handle::remove_link`] tells
/// about them: then that is believed alone. Whoever tells about interfaces that no instance needs is expected to tell
/// about all: an instance may be configured to send from the address of any. An interface that does not exist, is down or
/// has no address is a fault of its instances, which ends by itself; so is a source address that no interface of the host
/// has, and a tracked interface that does not exist or is down.
///
/// ```no_run
/// use lvs_vrrp::{ClaimResult, Config, Driver, InstanceConfig, Interval, Priority, Vrid};
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
///         // It is closed when the instance or the driver has ended.
///         while ownership.changed().await.is_ok() {
///             let now = *ownership.borrow_and_update();
///             println!("{}", now.role);
///             // Put the address on the interface or take it off, then:
///             instance.claimed(now.epoch, ClaimResult::Confirmed);
///         }
///     });
///     driver.run().await?; // until handle.shutdown()
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Driver {
    shared: Arc<Shared>,
    transport: AnyTransport,
    interfaces: Vec<Interface>,
    members: Vec<Member>,
    groups: Vec<Group>,
    /// The places of the instances by their numbers.
    indices: BTreeMap<u64, usize>,
    /// Interfaces that were told about and that nobody needs, in case that somebody will.
    strangers: BTreeMap<String, Link>,
    /// Other interfaces that were seen, of which nobody told.
    passers_by: BTreeMap<String, Link>,
    logs_unknown_vrids: bool,
    /// Its instances take part.
    is_started: bool,
    events: Events,
    /// That of place [`LOOK`], and those of the members in the places behind it.
    timers: Timers,
    space: Space,
}

impl Driver {
    /// A driver of these instances, with raw sockets; the handle to it, and what happens to them. Nothing is
    /// opened or sent yet.
    ///
    /// The channel of events holds 1,024. When it is full, later events are lost and counted; the driver does
    /// not wait.
    ///
    /// # Errors
    /// A configuration that contradicts itself or the protocol.
    pub fn new(setup: impl Into<Setup>) -> Result<(Self, Handle, mpsc::Receiver<Event>), Error> {
        Self::with_transport(setup, RawTransport)
    }

    /// As [`new`](Self::new), with another way to carry adverts.
    ///
    /// # Errors
    /// A configuration that contradicts itself or the protocol.
    pub fn with_transport(
        setup: impl Into<Setup>,
        transport: impl Transport + 'static,
    ) -> Result<(Self, Handle, mpsc::Receiver<Event>), Error> {
        let Plan { registry, difference } = Registry::default().plan(setup.into(), clock::now())?;
        let shared = Arc::new(Shared::new());
        let (sender, receiver) = mpsc::channel(EVENTS);
        let mut driver = Self {
            shared: Arc::clone(&shared),
            transport: AnyTransport(Box::new(transport)),
            interfaces: Vec::new(),
            members: Vec::new(),
            groups: Vec::new(),
            indices: BTreeMap::new(),
            strangers: BTreeMap::new(),
            passers_by: BTreeMap::new(),
            logs_unknown_vrids: false,
            is_started: false,
            events: Events { sender, missed: 0 },
            timers: Timers::new(1),
            space: Space::default(),
        };
        driver.install(registry, &difference, &mut BTreeMap::new());
        Ok((driver, Handle { shared }, receiver))
    }

    /// The place of an interface among ours, of which it is from now on; that of one which nobody needs any more, if
    /// there is such a place.
    fn place_of(&mut self, name: &str) -> usize {
        let known = self.interfaces.iter().position(|interface| interface.name == name);
        known.unwrap_or_else(|| {
            let link = self.strangers.remove(name);
            let is_fed = link.is_some();
            let interface = Interface { link, is_fed, ..Interface::new(name.to_owned()) };
            match self.interfaces.iter().position(Interface::is_unneeded) {
                Some(place) => {
                    self.interfaces[place] = interface;
                    place
                }
                None => {
                    self.interfaces.push(interface);
                    self.interfaces.len() - 1
                }
            }
        })
    }

    /// Makes the interfaces that an instance tracks those of its configuration.
    fn track(&mut self, index: usize) {
        let config = Arc::clone(&self.members[index].config);
        let (interface, outlet) = (self.members[index].interface, self.members[index].outlet);
        for place in std::mem::take(&mut self.members[index].tracked) {
            if !config.tracked_interfaces.contains(&self.interfaces[place].name) {
                self.interfaces[place].trackers.remove(&index);
            }
        }
        for name in &config.tracked_interfaces {
            let place = self.place_of(name);
            if place != interface && place != outlet {
                self.interfaces[place].trackers.insert(index);
                self.members[index].tracked.insert(place);
            }
        }
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
    ///
    /// # Panics
    /// Outside of a tokio runtime, and in one that does no I/O (`Builder::enable_io`, which `enable_all` includes).
    pub async fn run(mut self) -> Result<(), Error> {
        let kernel = |operation| move |source| Error::Kernel { operation, source };
        let mut alarm = Alarm::new().map_err(kernel("create timer"))?;
        let mut is_over = self.start();
        let mut turns = 0;
        while !is_over {
            alarm.set(self.timers.first()).map_err(kernel("set timer"))?;
            let has_waited = self.wake_up(&mut alarm).await.map_err(kernel("wait for adverts"))?;
            turns = if has_waited { 0 } else { turns + 1 };
            if turns == MAX_TURNS {
                // Whatever is always ready must not keep the rest of the runtime from running.
                tokio::task::yield_now().await;
                turns = 0;
            }
            is_over = self.turn();
        }
        Ok(())
    }

    /// Answers whether it was told to stop already.
    fn start(&mut self) -> bool {
        for index in 0..self.members.len() {
            self.apply_gate(index);
        }
        if self.shared.take_commands().is_some_and(|inbox| self.obey(inbox)) {
            return true;
        }
        self.look_at_interfaces(clock::now());
        self.is_started = true;
        self.judge_sources();
        for index in 0..self.members.len() {
            self.judge_tracked(index);
            let now = clock::now();
            self.members[index].tell(now, &Input::Enable);
            self.carry_out(index, now);
        }
        for group in 0..self.groups.len() {
            self.mark_group(group);
        }
        self.settle_groups();
        self.flush();
        false
    }

    /// Until an advert, a command or the timer is there. Answers whether that took any time.
    async fn wake_up(&mut self, alarm: &mut Alarm) -> io::Result<bool> {
        let mut has_waited = false;
        let mut commanded = pin!(self.shared.wake.notified());
        let interfaces = &mut self.interfaces;
        poll_fn(|cx| {
            // All are polled, so that each of them will wake this task.
            let mut result = commanded.as_mut().poll(cx).map(Ok);
            let mut note = |poll: Poll<io::Result<()>>| {
                if poll.is_ready() && !matches!(result, Poll::Ready(Err(_))) {
                    result = poll;
                }
            };
            note(alarm.poll_rung(cx));
            for interface in interfaces.iter_mut() {
                interface.is_heard = false;
                for receiver in interface.ears.iter_mut().filter_map(|ear| ear.receiver.as_mut()) {
                    let readable = receiver.poll_readable(cx);
                    interface.is_audible |= readable.is_ready();
                    note(readable);
                }
            }
            has_waited |= result.is_pending();
            result
        })
        .await?;
        Ok(has_waited)
    }

    /// Everything that there is to do now, in the order of the driver contract; answers whether it was the
    /// last time.
    fn turn(&mut self) -> bool {
        for place in 0..self.interfaces.len() {
            if std::mem::take(&mut self.interfaces[place].is_audible) {
                self.hear(place);
            }
        }
        let is_last = self.shared.take_commands().is_some_and(|inbox| self.obey(inbox));
        if is_last {
            self.stop();
        } else {
            self.expire(clock::now());
        }
        self.settle_groups();
        self.flush();
        is_last
    }

    /// Answers whether to stop.
    fn obey(&mut self, inbox: Inbox) -> bool {
        for (name, link) in inbox.links {
            self.passers_by.remove(&name);
            match (self.interfaces.iter().position(|interface| interface.name == name), link) {
                (Some(place), link) => {
                    self.interfaces[place].is_fed = true;
                    self.set_link(place, link);
                }
                (None, Some(link)) => {
                    if self.strangers.len() < MAX_LINKS || self.strangers.contains_key(&name) {
                        self.strangers.insert(name, link);
                    }
                }
                (None, None) => {
                    self.strangers.remove(&name);
                }
            }
        }
        self.command(inbox.instances);
        // Whoever asks for a change of what ends hears that it has ended.
        if let (Some(change), false) = (inbox.change, inbox.shutdown) {
            let later = self.change(*change);
            self.command(later);
        }
        self.judge_sources();
        self.look_soon(clock::now());
        inbox.shutdown
    }

    fn command(&mut self, instances: BTreeMap<u64, Commands>) {
        for (id, Commands { config, claimed, priority, gate }) in instances {
            // One that has ended is not told anything.
            let Some(&index) = self.indices.get(&id) else { continue };
            if let Some(config) = config {
                self.reconfigure(index, config);
            }
            let now = clock::now();
            if let Some(priority) = priority {
                self.members[index].tell(now, &Input::Priority(priority));
            }
            if let Some(gate) = gate {
                self.members[index].application_gate = gate;
                self.apply_gate(index);
            }
            if let Some((epoch, result)) = claimed {
                self.members[index].tell(now, &Input::Claimed { epoch, result });
            }
            self.carry_out(index, now);
        }
    }

    /// Changes an instance as it runs; what cannot change was refused before.
    fn reconfigure(&mut self, index: usize, config: Arc<InstanceConfig>) {
        let router = config.router;
        self.members[index].set_config(config);
        self.track(index);
        self.find_sources();
        self.look_soon(clock::now());
        self.judge_tracked(index);
        let (interface, outlet) = (self.members[index].interface, self.members[index].outlet);
        self.settle(interface, false);
        if outlet != interface {
            self.settle(outlet, false);
        }
        // Only now, since it may advertise at once.
        let now = clock::now();
        self.members[index].tell(now, &Input::Config(router));
        self.carry_out(index, now);
    }

    fn expire(&mut self, now: Instant) {
        // A timer that is set anew to a time that has passed can wait for the next turn.
        for _ in 0..=self.members.len() {
            let Some((at, timer)) = self.timers.expired(now) else { return };
            let Some(index) = timer.checked_sub(LOOK + 1) else {
                self.look_at_interfaces(now);
                continue;
            };
            let Member { router, interface, .. } = &self.members[index];
            let place = *interface;
            // A master that is on time needs no news to advertise. Whoever is late, or would become master, does:
            // adverts may have come since the wake-up, above all if the process was stopped in between.
            let needs_news = router.role() != Role::Master || now - at > LATE;
            if needs_news && !self.interfaces[place].is_heard {
                self.hear(place);
            }
            let now = clock::now();
            self.members[index].tell(now, &Input::Timeout);
            self.carry_out(index, now);
        }
    }

    fn stop(&mut self) {
        for index in 0..self.members.len() {
            let now = clock::now();
            self.members[index].tell(now, &Input::Disable);
            self.carry_out(index, now);
        }
    }
}

impl Drop for Driver {
    /// Nobody advertises any more, so nobody may hold addresses. Handles keep the cells alive: without this
    /// they would say for ever what was last.
    fn drop(&mut self) {
        self.members.iter_mut().for_each(Member::finish_record);
        for member in &self.members {
            member.ownership.send_if_modified(|last| {
                let is_over = last.role != Role::Initialize;
                *last = Ownership { epoch: last.epoch, ..Ownership::default() };
                is_over
            });
        }
        self.shared.end();
    }
}

/// A group of instances.
#[derive(Debug)]
struct Group {
    name: Arc<str>,
    /// Places of the instances.
    members: Vec<usize>,
    machine: SyncGroup,
    /// As it was told last.
    role: Role,
    is_unsettled: bool,
}

struct AnyTransport(Box<dyn Transport>);

impl std::fmt::Debug for AnyTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

/// Space that is used again in every turn.
#[derive(Debug, Default)]
struct Space {
    arrivals: Arrivals,
    packet: Vec<u8>,
    /// With its headers.
    #[cfg(feature = "ah")]
    datagram: Vec<u8>,
    /// Departures that did not leave.
    failed: Vec<(usize, io::Error)>,
    /// What was too long to leave, and whose it was.
    too_long: Vec<(usize, Advertised)>,
    /// Places of the interfaces with adverts that wait to leave.
    loaded: Vec<usize>,
    /// Places of the groups whose members may not go together.
    unsettled: Vec<usize>,
    /// Places of the instances of which the application does not know the latest.
    changed: Vec<usize>,
    /// What it has to be told.
    news: Vec<News>,
}

/// Whether the next thing of a kind is logged after that many of it: the first, the second, the fourth, …
const fn is_worth_a_line(before: u64) -> bool {
    before.saturating_add(1).is_power_of_two()
}

/// A master that changes roles every 10 ms would take ten seconds to fill it.
const EVENTS: usize = 1024;

/// The timer for interfaces nobody tells about, and for sockets that could not be opened.
const LOOK: usize = 0;

/// Turns without waiting before other tasks of the runtime have theirs.
const MAX_TURNS: u32 = 64;

/// More than a machine that is not overloaded is late by.
const LATE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
