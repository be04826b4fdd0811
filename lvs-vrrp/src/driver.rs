//! Feeds routers from sockets and a clock, and carries out what they decide.

pub(crate) mod config;
mod events;
pub(crate) mod handle;
mod hear;
mod interface;
mod links;
mod member;
mod mismatch;
mod send;
mod settle;
mod timers;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use lvs_core::{Instant, Ownership, Role};
use tokio::sync::{mpsc, watch};

use crate::action::{FaultReason, Gate};
use crate::clock;
use crate::clock::Alarm;
use crate::driver::config::InstanceConfig;
use crate::driver::events::Events;
use crate::driver::handle::{Commands, Event, Handle, InstanceFacts, Shared};
use crate::driver::interface::Interface;
use crate::driver::member::Member;
use crate::driver::timers::Timer;
use crate::error::Error;
use crate::router::Router;
use crate::stats::Counters;

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

/// Whether the next thing of a kind is logged after that many of it: the first, the second, the fourth, …
const fn is_worth_a_line(before: u64) -> bool {
    before.saturating_add(1).is_power_of_two()
}

/// The longest advert is 1,036 octets, an IPv4 header at most 60; a longer datagram is cut off and refused.
const RECEIVED: usize = 2048;

/// A master that changes roles every 10 ms would take ten seconds to fill it.
const EVENTS: usize = 1024;

#[cfg(test)]
mod tests;
