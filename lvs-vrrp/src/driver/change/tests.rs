//! Random sequences of setups for one driver, against what is to become of each instance.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lvs_core::LinkAddress;
use proptest::prelude::*;

use super::*;
use crate::action::Gate;
use crate::config::Config;
use crate::delivery::{Delivery, Multicast};
use crate::driver::difference::Changes;
use crate::driver::handle::{Handle, Instance};
use crate::driver::setup::{GroupConfig, Setup};
use crate::endpoints::{Datagram, Endpoints};
use crate::ipv4::TTL;
use crate::packet::Advert;
use crate::router::Router;
use crate::transport::memory::{MemoryNetwork, MemoryTransport};
use crate::transport::{Arrivals, Departures, Listen, Receiver, Sender, Transport};
use crate::types::{Advertised, Interval, Priority, Vrid};

/// Counts what is open, and opens nothing on one interface if it is told so.
struct Counting {
    inner: MemoryTransport,
    open: Arc<AtomicUsize>,
    refuses: Arc<AtomicUsize>,
}

/// The interface on which nothing can be opened while the counter is not 0.
const FRAGILE: &str = "lan2";

#[derive(Debug)]
struct Counted<T> {
    inner: T,
    open: Arc<AtomicUsize>,
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Counting {
    fn count<T>(&self, interface: &str, inner: T) -> io::Result<Counted<T>> {
        if interface == FRAGILE && self.refuses.load(Ordering::SeqCst) != 0 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(Counted { inner, open: Arc::clone(&self.open) })
    }
}

impl Transport for Counting {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        let inner = self.inner.receiver(listen)?;
        Ok(Box::new(self.count(listen.interface, inner)?))
    }

    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        let inner = self.inner.sender(interface, index, family)?;
        Ok(Box::new(self.count(interface, inner)?))
    }
}

impl Receiver for Counted<Box<dyn Receiver>> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_readable(cx)
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        self.inner.receive(arrivals)
    }
}

impl Sender for Counted<Box<dyn Sender>> {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        self.inner.send(departures, failed);
    }
}

/// A driver whose turns are taken by hand.
struct World {
    driver: Driver,
    handle: Handle,
    open: Arc<AtomicUsize>,
    refuses: Arc<AtomicUsize>,
}

const LANS: [&str; 3] = ["lan0", "lan1", FRAGILE];

impl World {
    fn new() -> Self {
        let (open, refuses) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let inner = MemoryNetwork::new().host([own_address()]);
        let transport = Counting { inner, open: Arc::clone(&open), refuses: Arc::clone(&refuses) };
        let (mut driver, handle, _) = Driver::with_transport(Vec::new(), transport).unwrap();
        for lan in LANS {
            handle.set_link(link(lan, true));
        }
        assert!(!driver.start());
        Self { driver, handle, open, refuses }
    }

    fn apply(&mut self, setup: Setup) -> Result<Changes, Error> {
        let mut applied = pin!(self.handle.apply(setup));
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = applied.as_mut().poll(&mut cx) {
            return result;
        }
        assert!(!self.driver.turn());
        match applied.as_mut().poll(&mut cx) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("it is answered in the next turn"),
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.driver.members.iter().position(|member| member.config.name == name)
    }

    fn photo(&self) -> Photo {
        let instance = |instance: Instance| {
            let member = &self.driver.members[self.index(instance.name()).unwrap()];
            let router = member.router.clone();
            (instance.name().to_owned(), Known { id: member.facts.id, router, instance })
        };
        Photo {
            setup: self.handle.setup(),
            known: self.handle.instances().map(instance).collect(),
            open: self.open.load(Ordering::SeqCst),
        }
    }

    /// What is always true between two turns.
    fn check(&self) {
        let Driver { members, interfaces, groups, timers, indices, .. } = &self.driver;
        let setup = self.handle.setup();
        let configs: Vec<_> = members.iter().map(|member| (*member.config).clone()).collect();
        assert_eq!(configs, setup.instances);
        let names: BTreeSet<&str> = setup.instances.iter().flat_map(|config| config.interfaces()).collect();
        assert_eq!(interfaces.iter().map(|one| &*one.name).collect::<BTreeSet<_>>(), names);
        assert_eq!(interfaces.len(), names.len());
        let mut open = 0;
        for (place, interface) in interfaces.iter().enumerate() {
            let those = |is: &dyn Fn(&Member) -> bool| {
                (0..members.len()).filter(|&index| is(&members[index])).collect()
            };
            assert_eq!(interface.listeners, those(&|member| member.config.interface == interface.name));
            assert_eq!(interface.speakers, those(&|member| member.config.outlet() == interface.name));
            let tracks = |member: &Member| member.config.tracked_interfaces.contains(&interface.name);
            let is_own = |member: &Member| member.interface == place || member.outlet == place;
            assert_eq!(interface.trackers, those(&|member| tracks(member) && !is_own(member)));
            assert!(interface.is_fed, "somebody told about {} before", interface.name);
            let (channels, families) = self.driver.needed_ways(place);
            assert_eq!(interface.ears.len(), channels.len());
            for (channel, groups) in &channels {
                assert!(interface.ears.iter().any(|ear| ear.is(*channel, groups)));
                let counters = self.handle.interface_stats(&interface.name);
                assert!(counters.is_some(), "{} is listened on", interface.name);
            }
            let mouths: BTreeSet<Family> = interface.mouths.iter().map(|mouth| mouth.family).collect();
            assert_eq!(mouths, families);
            open += interface.ears.iter().filter(|ear| ear.receiver.is_some()).count();
            open += interface.mouths.iter().filter(|mouth| mouth.sender.is_some()).count();
            if interface.fault().is_none() && self.refuses.load(Ordering::SeqCst) == 0 {
                assert!(!interface.lacks_ways() && interface.demux.numbers() == interface.listeners);
            }
            assert!(interface.demux.numbers().is_subset(&interface.listeners));
        }
        assert_eq!(self.open.load(Ordering::SeqCst), open, "nothing is open that nobody has");
        for (index, member) in members.iter().enumerate() {
            assert_eq!(timers.get(index + 1), member.router.poll_timeout());
            assert_eq!(indices.get(&member.facts.id), Some(&index));
            let group_gate = member.group.map(|(group, place)| groups[group].machine.clone().gate(place));
            let gate = member.own_gate().and(group_gate.unwrap_or(Gate::Open));
            assert_eq!(member.router.gate(), gate, "{}", member.config.name);
            assert_ne!(member.router.role(), Role::Initialize);
            let told = *member.ownership.borrow();
            assert_eq!(told, member.router.ownership());
            assert_eq!(member.facts.status().role, told.role);
        }
        assert_eq!(indices.len(), members.len());
        assert_eq!(groups.len(), setup.groups.len());
        for ((place, group), config) in groups.iter().enumerate().zip(&setup.groups) {
            let of_it = |(at, &index): (usize, &usize)| {
                assert_eq!(members[index].group, Some((place, at)));
                members[index].config.name.clone()
            };
            assert_eq!(group.members.iter().enumerate().map(of_it).collect::<Vec<_>>(), config.members);
            // A12.
            let masters =
                group.members.iter().filter(|&&index| members[index].router.role() == Role::Master).count();
            assert!(masters == 0 || masters == group.members.len(), "{}: {masters} masters", group.name);
            assert_eq!(group.role, group.machine.role(), "{} was told", group.name);
        }
    }
}

/// How everything stood.
#[derive(Debug)]
struct Photo {
    setup: Setup,
    known: BTreeMap<String, Known>,
    open: usize,
}

#[derive(Debug)]
struct Known {
    id: u64,
    router: Router,
    instance: Instance,
}

impl Photo {
    fn config(&self, name: &str) -> &InstanceConfig {
        self.setup.instances.iter().find(|config| config.name == name).unwrap()
    }

    fn group_of(&self, name: &str) -> Option<&GroupConfig> {
        self.setup.groups.iter().find(|group| group.members.iter().any(|member| member == name))
    }
}

/// Looks whether what became of each instance is what the two setups say.
fn compare(before: &Photo, after: &Photo, changes: &Changes) {
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    for (name, now) in &after.known {
        let config = after.config(name);
        let is_another = |was: &InstanceConfig| was.vrid != config.vrid || was.interface != config.interface;
        let old = before.known.get(name).filter(|_| !is_another(before.config(name)));
        assert_eq!(has(&changes.added, name), old.is_none(), "{name}");
        let Some(old) = old else {
            assert!(before.known.values().all(|known| known.id != now.id), "{name} is another one");
            continue;
        };
        assert_eq!(old.id, now.id, "{name} is the same one");
        let is_same = before.config(name) == config;
        assert_eq!((has(&changes.kept, name), has(&changes.reconfigured, name)), (is_same, !is_same));
        // E14 to E16: mastership goes on, whatever else is changed, unless a group gets a member that is not master, or
        // somebody tracks what may be down.
        let goes_on = |member: &str| {
            let tracked = |photo: &Photo| photo.config(member).tracked_interfaces.clone();
            !has(&changes.added, member) && tracked(before) == tracked(after)
        };
        let group = after.group_of(name);
        let is_grouped_as_before = before.group_of(name) == group
            && goes_on(name)
            && group.is_none_or(|group| group.members.iter().all(|member| goes_on(member)));
        if is_grouped_as_before {
            assert_eq!(now.router.ownership().epoch, old.router.ownership().epoch);
            assert_eq!(now.router.role(), old.router.role(), "{name}");
            if is_same {
                // Its state, its timers, what it learnt, and its priority.
                assert_eq!(now.router, old.router, "{name}");
            } else {
                assert_eq!(now.router.config(), &config.router);
            }
        }
    }
    for (name, old) in &before.known {
        let has_ended = after.known.values().all(|known| known.id != old.id);
        assert_eq!(has(&changes.removed, name), has_ended);
        if has_ended {
            let told = *old.instance.ownership().borrow();
            assert_eq!((told.role, told.announcements), (Role::Initialize, 0));
            assert_eq!(old.instance.status().role, Role::Initialize);
            let resigned = u64::from(old.router.role() == Role::Master);
            let stats = old.instance.stats();
            // Whoever is master can send; each mastership has ended with an advert of priority 0.
            assert!(stats.resignations_sent >= resigned && stats.released_master >= resigned);
            assert_eq!(stats.became_master, stats.released_master, "{name}");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Apply(Setup),
    /// As `Apply`, while nothing can be opened on one of the interfaces.
    Refused(Setup),
    /// A backup hears a master with another interval.
    Hear(usize),
    Gate(usize, Gate),
    Priority(usize),
    Link(&'static str, bool),
}

fn own_address() -> IpAddr {
    [10, 0, 0, 1].into()
}

fn link(name: &str, up: bool) -> Link {
    let address = LinkAddress { address: own_address(), prefix_len: 24, tagged: false };
    Link { name: name.to_owned(), index: 7, up, mac: None, addresses: vec![address] }
}

/// One of few: so that the same comes again. Nothing that is timed happens within the time of a test.
fn config(place: u8) -> impl Strategy<Value = InstanceConfig> {
    let parts = (0usize..3, 1u8..4, any::<bool>(), 0u8..3, any::<bool>(), any::<bool>());
    parts.prop_map(move |(lan, vrid, is_owner, kind, is_tracking, has_other_group)| {
        let priority = if is_owner { Priority::OWNER } else { Priority::new(100 + kind).unwrap() };
        let router = Config::new(Interval::centis(4000).unwrap(), priority)
            .with_claim_timeout(Duration::from_secs(3600));
        let vip = [10, 0, 1 + place, kind].into();
        let vrid = Vrid::new(3 * place + vrid).unwrap();
        let mut config = InstanceConfig::new(format!("VI_{place}"), LANS[lan], vrid, vec![vip], router);
        if is_tracking {
            config.tracked_interfaces = vec![LANS[(lan + 1) % 3].to_owned()];
        }
        if has_other_group {
            config.delivery = Delivery::Multicast(Multicast::to([224, 0, 0, 200].into()));
        }
        config
    })
}

/// Of up to five instances, in any order, some in groups; some contradict themselves.
fn setup() -> impl Strategy<Value = Setup> {
    let one = |place| (proptest::option::weighted(0.7, config(place)), 0usize..5);
    let all = [0, 1, 2, 3, 4].map(one);
    (all, any::<bool>(), 0usize..5, 0u8..20).prop_map(|(all, is_reversed, turn, flaw)| {
        let mut chosen: Vec<(InstanceConfig, usize)> =
            all.into_iter().filter_map(|(config, group)| Some((config?, group))).collect();
        if is_reversed {
            chosen.reverse();
        }
        let turn = turn.min(chosen.len());
        chosen.rotate_left(turn);
        let mut setup = Setup::from(chosen.iter().map(|(config, _)| config.clone()).collect::<Vec<_>>());
        for group in ["red", "blue"] {
            let number = group.len();
            let members = chosen.iter().filter(|(_, of)| *of + 2 == number).map(|(config, _)| &*config.name);
            let members: Vec<&str> = members.collect();
            if !members.is_empty() {
                setup.groups.push(GroupConfig::new(group, members));
            }
        }
        match flaw {
            0 => setup.instances.extend(setup.instances.first().cloned()),
            1 => setup.groups.push(GroupConfig::new("grey", ["nobody"])),
            _ => {}
        }
        setup
    })
}

fn step() -> impl Strategy<Value = Step> {
    let gate = prop_oneof![Just(Gate::Open), Just(Gate::Held)];
    prop_oneof![
        6 => setup().prop_map(Step::Apply),
        2 => setup().prop_map(Step::Refused),
        3 => (0usize..5).prop_map(Step::Hear),
        2 => (0usize..5, gate).prop_map(|(index, gate)| Step::Gate(index, gate)),
        1 => (0usize..5).prop_map(Step::Priority),
        1 => (0usize..3, any::<bool>()).prop_map(|(lan, up)| Step::Link(LANS[lan], up)),
    ]
}

impl World {
    fn take(&mut self, step: Step) {
        let nth = |index: usize, handle: &Handle| {
            let count = handle.instances().count();
            (count > 0).then(|| handle.instances().nth(index % count)).flatten()
        };
        match step {
            Step::Apply(setup) => self.apply_and_compare(setup),
            Step::Refused(setup) => {
                self.refuses.store(1, Ordering::SeqCst);
                self.apply_and_compare(setup);
                self.refuses.store(0, Ordering::SeqCst);
                // As it is done every second.
                self.driver.look_at_interfaces(clock::now());
                self.driver.settle_groups();
                self.driver.flush();
            }
            Step::Hear(index) if !self.driver.members.is_empty() => {
                let index = index % self.driver.members.len();
                let now = clock::now();
                let member = &mut self.driver.members[index];
                let running = Advertised::Running(Priority::new(254).unwrap());
                let vips = [std::net::Ipv4Addr::new(10, 0, 0, 100)];
                let interval = Interval::centis(3000).unwrap();
                let advert = Advert::new(member.config.vrid, running, interval, &vips).unwrap();
                member.tell(now, &Input::advert([10, 0, 0, 2].into(), &advert));
                self.driver.carry_out(index, now);
                assert!(!self.driver.turn());
            }
            Step::Hear(_) => {}
            Step::Gate(index, gate) => {
                nth(index, &self.handle).into_iter().for_each(|instance| instance.set_gate(gate));
                assert!(!self.driver.turn());
            }
            Step::Priority(index) => {
                let priority = Priority::new(33).unwrap();
                nth(index, &self.handle).into_iter().for_each(|instance| instance.set_priority(priority));
                assert!(!self.driver.turn());
            }
            Step::Link(lan, up) => {
                self.handle.set_link(link(lan, up));
                assert!(!self.driver.turn());
            }
        }
        self.check();
    }

    fn apply_and_compare(&mut self, setup: Setup) {
        let before = self.photo();
        let result = self.apply(setup.clone());
        let after = self.photo();
        match result {
            Ok(changes) => {
                assert_eq!(after.setup, setup);
                compare(&before, &after, &changes);
                // Once more is once too often, and harmless.
                let again = self.apply(setup).unwrap();
                assert_eq!(again.kept.len(), after.known.len());
                for (name, known) in self.photo().known {
                    assert_eq!(known.router, after.known[&name].router);
                }
            }
            Err(error) => {
                let is_flawed = setup.check().is_err();
                let is_refused = matches!(error, Error::Sockets { .. });
                assert!(is_flawed != is_refused, "{error}");
                assert_eq!((&after.setup, after.open), (&before.setup, before.open));
                for (name, known) in after.known {
                    let old = &before.known[&name];
                    assert_eq!((known.id, &known.router), (old.id, &old.router));
                }
            }
        }
    }
}

#[test]
fn what_has_come_through_a_receiver_is_heard_before_another_takes_its_place() {
    let network = MemoryNetwork::new();
    let (mut driver, handle, _) = Driver::with_transport(Vec::new(), network.host([own_address()])).unwrap();
    handle.set_link(link("lan0", true));
    assert!(!driver.start());
    let router = Config::new(Interval::centis(4000).unwrap(), Priority::DEFAULT);
    let instance = |name: &str, vrid| {
        InstanceConfig::new(name, "lan0", Vrid::new(vrid).unwrap(), vec![[10, 0, 0, 100].into()], router)
    };
    let mut other_group = instance("b", 2);
    other_group.delivery = Delivery::Multicast(Multicast::to([224, 0, 0, 200].into()));
    let mut apply = |setup: Vec<InstanceConfig>| {
        let mut applied = pin!(handle.apply(setup));
        assert!(applied.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // Without having been woken by what came.
        assert!(!driver.turn());
    };
    apply(vec![instance("a", 1)]);
    let mut packet = Vec::new();
    let endpoints = Endpoints::v4([10, 0, 0, 2].into(), [224, 0, 0, 18].into());
    let running = Advertised::Running(Priority::new(200).unwrap());
    instance("a", 1).advert(running, 1).unwrap().write_to(&endpoints, &mut packet);
    let mut departures = Departures::default();
    departures.push(&Datagram::new(endpoints, TTL, &packet));
    let mut theirs = network.host([[10, 0, 0, 2].into()]).sender("lan0", 1, Family::Ipv4).unwrap();
    theirs.send(&departures, &mut Vec::new());
    apply(vec![instance("a", 1), other_group]);
    assert_eq!(handle.instance("a").unwrap().stats().adverts_received, 1);
}

#[test]
fn nothing_is_sent_from_an_address_that_a_former_instance_has_not_taken_off_yet() {
    // VR-001.
    let (mut driver, handle, _) =
        Driver::with_transport(Vec::new(), MemoryNetwork::new().host([own_address()])).unwrap();
    let vip = IpAddr::from([10, 0, 0, 100]);
    let addresses = |all: &[IpAddr]| {
        let address = |&address: &IpAddr| LinkAddress { address, prefix_len: 24, tagged: false };
        Link { addresses: all.iter().map(address).collect(), ..link("lan0", true) }
    };
    handle.set_link(addresses(&[vip, own_address()]));
    assert!(!driver.start());
    let instance = |number: u8| {
        let router = Config::new(Interval::centis(4000).unwrap(), Priority::DEFAULT);
        let vip = [10, 0, 0, 99 + number].into();
        InstanceConfig::new(format!("VI_{number}"), "lan0", Vrid::new(number).unwrap(), vec![vip], router)
    };
    let mut take = |setup: Option<Vec<InstanceConfig>>| {
        let mut applied = setup.map(|setup| Box::pin(handle.apply(setup)));
        if let Some(applied) = &mut applied {
            assert!(applied.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert!(!driver.turn());
        driver.members.last().and_then(|member| member.source)
    };
    assert_eq!(take(Some(vec![instance(1), instance(2)])), Some(own_address()));
    assert_eq!(take(Some(vec![instance(2)])), Some(own_address()));
    // Once it is off, it is an address like any other.
    for (all, source) in [(&[own_address()][..], own_address()), (&[vip, own_address()], vip)] {
        handle.set_link(addresses(all));
        assert_eq!(take(None), Some(source));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_setups_follow_each_other_those_that_stay_go_on_and_those_that_go_resign(
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        // A12, E14, E15, E16.
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
    }
}
