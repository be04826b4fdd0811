//! Drivers that hear each other in memory or by UDP on the loopback interface, without privileges.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic)] // What cannot be had is a failed test.

mod running;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use lvs_core::{Family, Link, Role};
use lvs_vrrp::record::replay;
use lvs_vrrp::{
    Action, Advertised, Delivery, Departures, Driver, Event, EventKind, FaultReason, Gate, GroupConfig,
    InstanceConfig, Listen, MemoryNetwork, MemoryTransport, Multicast, Priority, Reason, Receiver, Sender,
    Setup, Transport, UdpTransport, Unicast, clock,
};

use crate::running::{Running, host, instance, link, until};

#[tokio::test(flavor = "current_thread")]
async fn of_two_hosts_the_better_is_master_and_the_other_takes_over_when_it_stops() {
    let network = MemoryNetwork::new();
    let run = |number, priority| {
        let address = host(number);
        let config = instance("a", "lan", 1, priority, 5);
        Running::start(vec![config], network.host([address]), &[link("lan", &[address])])
    };
    let (better, worse) = (run(1, 150), run(2, 100));
    better.wait_for("a", Role::Master).await;
    let heard = worse.handle.instance("a").unwrap();
    until("the backup knows its master", || heard.status().master == Some(host(1))).await;
    assert_eq!(heard.status().role, Role::Backup);

    better.handle.shutdown();
    worse.wait_for("a", Role::Master).await;
    let status = heard.status();
    assert_eq!((status.role, status.master), (Role::Master, Some(host(2))));
    assert!(status.since <= clock::now());
    assert_eq!(heard.stats().became_master, 1);
    assert!(heard.stats().resignations_received > 0);
}

#[tokio::test(flavor = "current_thread")]
async fn what_two_recorded_drivers_did_in_a_takeover_is_what_the_replays_of_their_recordings_do() {
    let network = MemoryNetwork::new();
    let run = |number, priority| {
        let address = host(number);
        let mut config = instance("a", "lan", 1, priority, 5);
        config.record = Some(1 << 20);
        let unrecorded = instance("b", "lan", 2, priority, 5);
        Running::start(vec![config, unrecorded], network.host([address]), &[link("lan", &[address])])
    };
    let (mut better, mut worse) = (run(1, 150), run(2, 100));
    better.wait_for("a", Role::Master).await;
    let heard = worse.handle.instance("a").unwrap();
    until("the backup knows its master", || heard.status().master == Some(host(1))).await;
    let text = heard.recording().expect("it is recorded while it runs");
    assert!(text.contains(" advert 10.0.0.1 150 5cs\n"), "{text}");

    // Inputs of every kind; then the end of one, and of the other.
    heard.set_priority(Priority::new(120).unwrap());
    heard.set_gate(Gate::Held);
    until("the backup knows its priority", || heard.status().priority.get() == 120).await;
    let mut shorter = instance("a", "lan", 1, 130, 4);
    shorter.record = Some(1 << 20);
    heard.reconfigure(shorter).unwrap();
    until("the backup knows its configuration", || heard.status().priority.get() == 130).await;
    better.handle.shutdown();
    let mut seen = worse.events_of("a", |kind| kind == EventKind::WantsMaster).await;
    heard.set_gate(Gate::Open);
    worse.wait_for("a", Role::Master).await;
    until("it announced its addresses", || heard.ownership().borrow().announcements > 0).await;
    worse.handle.shutdown();
    // The channels close when the drivers are gone, and then the recordings are whole.
    seen.extend(worse.events_of("a", |_| false).await);
    let seen_by_the_better = better.events_of("a", |_| false).await;
    for (running, number, seen) in [(better, 1, seen_by_the_better), (worse, 2, seen)] {
        let instance = running.handle.instance("a").unwrap();
        // A change of the priority is an input.
        let seen: Vec<EventKind> =
            seen.into_iter().filter(|kind| !matches!(kind, EventKind::PriorityChanged(_))).collect();
        let replayed = replay(&instance.recording().unwrap()).unwrap();
        let of_a_change = |action| match action {
            Action::Changed(transition) => Some(EventKind::Changed(transition)),
            Action::Conflict(conflict) => Some(EventKind::Conflict(conflict)),
            Action::WantsMaster => Some(EventKind::WantsMaster),
            _ => None,
        };
        assert_eq!(replayed.actions().filter_map(of_a_change).collect::<Vec<_>>(), seen, "{replayed}");
        let count = |wanted: fn(&Action) -> bool| replayed.actions().filter(wanted).count() as u64;
        let stats = instance.stats();
        assert_eq!(count(|action| matches!(action, Action::Claim { .. })), stats.became_master);
        assert_eq!(
            count(|action| *action == Action::Advertise(Advertised::Resigning)),
            stats.resignations_sent
        );
        assert_eq!(count(|action| matches!(action, Action::Advertise(_))), stats.adverts_sent);
        let router = replayed.router();
        assert_eq!((router.role(), router.address()), (instance.status().role, host(number)), "{replayed}");
        assert_eq!(router.ownership().epoch, instance.ownership().borrow().epoch);
        assert_eq!(running.handle.instance("b").unwrap().recording(), None, "nobody asked for it");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn adverts_travel_by_udp_on_the_loopback_interface_without_privileges() {
    let run = |number: u8, other: u8, priority| {
        let [own, other] = [number, other].map(|number| IpAddr::from([127, 51, 0, number]));
        let mut config = instance("a", "lo", 1, priority, 5);
        let mut unicast = Unicast::to([own, other]);
        unicast.source = Some(own);
        config.delivery = Delivery::Unicast(unicast);
        Running::start(vec![config], UdpTransport::new(51_112).at(own), &[])
    };
    let (better, worse) = (run(1, 2, 150), run(2, 1, 100));
    better.wait_for("a", Role::Master).await;
    let heard = worse.handle.instance("a").unwrap();
    until("the backup hears its master", || heard.stats().adverts_received > 2).await;
    let refused: Vec<_> = heard.stats().refusals().collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(heard.status().master, Some([127, 51, 0, 1].into()));
    assert_eq!(worse.role("a"), Role::Backup);
    better.handle.shutdown();
    worse.wait_for("a", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_group_is_master_on_both_interfaces_or_on_none() {
    // VR-127, VR-128, E19.
    let networks = [MemoryNetwork::new(), MemoryNetwork::new()];
    let run = |number: u8, priority: u8| {
        let address = host(number);
        let members = [("outside", "out", 1), ("inside", "in", 2)];
        let instances = members.map(|(name, interface, vrid)| instance(name, interface, vrid, priority, 5));
        let mut setup = Setup::from(instances.to_vec());
        setup.groups.push(GroupConfig::new("gateway", ["outside", "inside"]));
        let hosts = [("out", networks[0].host([address])), ("in", networks[1].host([address]))];
        let links = [link("out", &[address]), link("in", &[address])];
        Running::start(setup, Switch(hosts.into()), &links)
    };
    let is_group = |event: &Event| match event.kind {
        EventKind::GroupChanged(role) => Some((event.instance.to_string(), role)),
        _ => None,
    };
    let (mut better, worse) = (run(1, 150), run(2, 100));
    for instance in ["outside", "inside"] {
        better.wait_for(instance, Role::Master).await;
    }
    assert_eq!(better.event(is_group).await, ("gateway".to_owned(), Role::Backup));
    assert_eq!(better.event(is_group).await, ("gateway".to_owned(), Role::Master));

    // A cause of one is the fault of all, in one turn.
    let mut down = link("in", &[host(1)]);
    down.up = false;
    better.handle.set_link(down);
    let inside = better.wait_for("inside", Role::Fault).await;
    assert_eq!((inside.role, better.role("outside")), (Role::Fault, Role::Fault));
    let reason = better
        .event(|event| match event.kind {
            EventKind::Changed(change) if &*event.instance == "outside" && change.to == Role::Fault => {
                Some(change.reason)
            }
            _ => None,
        })
        .await;
    assert_eq!(reason, Reason::Fault(FaultReason::Group));
    for instance in ["outside", "inside"] {
        worse.wait_for(instance, Role::Master).await;
    }
    better.handle.set_link(link("in", &[host(1)]));
    for instance in ["outside", "inside"] {
        better.wait_for(instance, Role::Master).await;
        worse.wait_for(instance, Role::Backup).await;
    }
    worse.handle.shutdown();
}

#[tokio::test(flavor = "current_thread")]
async fn a_group_recovers_when_its_members_fail_and_recover_together() {
    // VR-127, E19: all members are on the interface that fails.
    let network = MemoryNetwork::new();
    let members = [1, 2, 3].map(|vrid| instance(&format!("v{vrid}"), "lan", vrid, 150, 5));
    let mut setup = Setup::from(members.to_vec());
    setup.groups.push(GroupConfig::new("g", ["v1", "v2", "v3"]));
    let up = link("lan", &[host(1)]);
    let running = Running::start(setup, network.host([host(1)]), std::slice::from_ref(&up));
    for _ in 0..2 {
        for instance in ["v1", "v2", "v3"] {
            running.wait_for(instance, Role::Master).await;
        }
        running.handle.set_link(Link { up: false, ..up.clone() });
        for instance in ["v1", "v2", "v3"] {
            running.wait_for(instance, Role::Fault).await;
        }
        running.handle.set_link(up.clone());
    }
    for instance in ["v1", "v2", "v3"] {
        running.wait_for(instance, Role::Master).await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_running_master_takes_a_new_configuration_and_stays_master() {
    // E14, E15, E16.
    let network = MemoryNetwork::new();
    let run = |number, priority| {
        let address = host(number);
        let config = instance("a", "lan", 1, priority, 5);
        Running::start(vec![config], network.host([address]), &[link("lan", &[address])])
    };
    let (better, worse) = (run(1, 150), run(2, 100));
    let mastership = better.wait_for("a", Role::Master).await;
    let (master, backup) = (better.handle.instance("a").unwrap(), worse.handle.instance("a").unwrap());
    until("the backup hears", || backup.status().master.is_some()).await;

    // Ten times as long: the backup learns it in time.
    let mut longer = instance("a", "lan", 1, 140, 50);
    longer.addresses.push(host(101));
    master.reconfigure(longer.clone()).unwrap();
    until("the backup learns the interval", || backup.status().master_interval == longer.router.interval())
        .await;
    assert_eq!(master.status().priority.get(), 140);
    until("the backup sees the new list", || backup.stats().address_list_differences > 1).await;
    assert_eq!(backup.stats().became_master, 0);
    let now = *master.ownership().borrow();
    assert_eq!((now.role, now.epoch), (Role::Master, mastership.epoch));

    // A lower priority takes effect with the next advert.
    longer.router = longer.router.with_priority(Priority::new(50).unwrap());
    master.reconfigure(longer).unwrap();
    worse.wait_for("a", Role::Master).await;
    better.wait_for("a", Role::Backup).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_that_cannot_be_is_refused_and_changes_nothing() {
    let configs = vec![instance("a", "lan", 1, 150, 5), instance("b", "lan", 2, 150, 5)];
    let (_driver, handle, _events) = Driver::new(configs).unwrap();
    let a = handle.instance("a").unwrap();
    let complaint = |config: InstanceConfig| a.reconfigure(config).map_err(|error| error.to_string());
    let fixed = |what| Err(format!("instance a: its {what} cannot change while it runs"));
    let mut renamed = instance("a", "lan", 1, 150, 5);
    renamed.name = "c".into();
    assert_eq!(complaint(renamed), Err("instance c: its name cannot change while it runs".to_owned()));
    assert_eq!(complaint(instance("a", "wan", 1, 150, 5)), fixed("interface"));
    assert_eq!(complaint(instance("a", "lan", 2, 150, 5)), fixed("virtual router identifier"));
    let mut other_family = instance("a", "lan", 1, 150, 5);
    other_family.addresses = vec!["fe80::1".parse().unwrap()];
    other_family.delivery = Delivery::to_group(Family::Ipv6);
    assert_eq!(complaint(other_family), fixed("address family"));
    let mut nobody = instance("a", "lan", 1, 150, 5);
    nobody.delivery = Delivery::Unicast(Unicast::to([]));
    assert_eq!(complaint(nobody), Err("instance a: unicast needs at least one peer".to_owned()));
    assert_eq!(complaint(instance("a", "lan", 1, 100, 10)), Ok(()));
}

#[tokio::test(flavor = "current_thread")]
async fn of_a_priority_and_a_configuration_the_later_word_counts_also_when_both_wait() {
    let network = MemoryNetwork::new();
    let running = Running::start(
        vec![instance("a", "lan", 1, 150, 1)],
        network.host([host(1)]),
        &[link("lan", &[host(1)])],
    );
    let a = running.handle.instance("a").unwrap();
    // The driver runs on this thread: it learns of both at once.
    a.set_priority(Priority::new(33).unwrap());
    a.reconfigure(instance("a", "lan", 1, 120, 1)).unwrap();
    until("the configuration counts", || a.status().priority.get() == 120).await;
    a.reconfigure(instance("a", "lan", 1, 140, 1)).unwrap();
    a.set_priority(Priority::new(44).unwrap());
    until("the priority counts", || a.status().priority.get() == 44).await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_without_peers_is_at_fault_where_that_is_asked_for_until_it_has_one() {
    let network = MemoryNetwork::new();
    let mut config = instance("a", "lan", 1, 150, 1);
    config.delivery = Delivery::Unicast(Unicast::to([]));
    config.is_faulty_without_peers = true;
    let mut running =
        Running::start(vec![config.clone()], network.host([host(1)]), &[link("lan", &[host(1)])]);
    let reason = running
        .event(|event| match event.kind {
            EventKind::Changed(change) => (change.reason != Reason::Disabled).then_some(change.reason),
            _ => None,
        })
        .await;
    assert_eq!(reason, Reason::Fault(FaultReason::NoPeers));
    config.delivery = Delivery::Unicast(Unicast::to([host(2)]));
    running.handle.instance("a").unwrap().reconfigure(config).unwrap();
    running.wait_for("a", Role::Master).await;
}

/// An instance that is to send from 10.0.0.9, by multicast or to a peer.
fn from_nine(is_unicast: bool) -> InstanceConfig {
    let mut config = instance("a", "lan", 1, 150, 1);
    config.delivery = if is_unicast {
        let mut unicast = Unicast::to([host(2)]);
        unicast.source = Some(host(9));
        Delivery::Unicast(unicast)
    } else {
        let mut multicast = Multicast::to([224, 0, 0, 18].into());
        multicast.source = Some(host(9));
        Delivery::Multicast(multicast)
    };
    config
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_never_sends_from_an_address_that_no_interface_of_the_host_has() {
    for is_unicast in [false, true] {
        let network = MemoryNetwork::new();
        let own = [host(1), host(9)];
        let mut running =
            Running::start(vec![from_nine(is_unicast)], network.host(own), &[link("lan", &own[..1])]);
        let reason = running
            .event(|event| match event.kind {
                EventKind::Changed(change) => (change.to == Role::Fault).then_some(change.reason),
                _ => None,
            })
            .await;
        assert_eq!(reason, Reason::Fault(FaultReason::SourceMissing));
        let stats = || running.handle.instance("a").unwrap().stats();
        assert_eq!(stats().adverts_sent, 0);

        running.handle.set_link(link("lan", &own));
        running.wait_for("a", Role::Master).await;
        assert_eq!(running.handle.instance("a").unwrap().status().master, Some(host(9)));
        // The address may be another host's by now: no resignation leaves from it.
        running.handle.set_link(link("lan", &own[..1]));
        running.wait_for("a", Role::Fault).await;
        assert_eq!(stats().resignations_sent, 0);

        // One of another interface will do.
        running.handle.set_link(link("elsewhere", &own[1..]));
        running.wait_for("a", Role::Master).await;
        running.handle.remove_link("elsewhere");
        running.wait_for("a", Role::Fault).await;
        assert_eq!(stats().resignations_sent, 0);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_source_address_that_is_tracked_must_be_on_the_own_interface() {
    let network = MemoryNetwork::new();
    let own = [host(1), host(9)];
    let mut config = from_nine(false);
    config.tracks_source = true;
    let tracked = Running::start(vec![config], network.host(own), &[link("lan", &own)]);
    tracked.wait_for("a", Role::Master).await;
    tracked.handle.set_link(link("elsewhere", &own[1..]));
    tracked.handle.set_link(link("lan", &own[..1]));
    tracked.wait_for("a", Role::Fault).await;
    tracked.handle.set_link(link("lan", &own));
    tracked.wait_for("a", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_that_ignores_the_state_of_its_link_stays_master_without_carrier() {
    let network = MemoryNetwork::new();
    let run = |ignores_link_state| {
        let mut config = instance("a", "lan", 1, 150, 1);
        config.ignores_link_state = ignores_link_state;
        Running::start(vec![config], network.host([host(1)]), &[link("lan", &[host(1)])])
    };
    let mut down = link("lan", &[host(1)]);
    down.up = false;
    let ordinary = run(false);
    ordinary.wait_for("a", Role::Master).await;
    ordinary.handle.set_link(down.clone());
    ordinary.wait_for("a", Role::Fault).await;
    ordinary.handle.shutdown();
    ordinary.wait_for("a", Role::Initialize).await;

    let hardy = run(true);
    hardy.wait_for("a", Role::Master).await;
    let stats = || hardy.handle.instance("a").unwrap().stats();
    for is_up in [false, true] {
        hardy.handle.set_link(Link { up: is_up, ..link("lan", &[host(1)]) });
        let sent = stats().adverts_sent;
        until("adverts go on", || stats().adverts_sent > sent + 2).await;
        assert_eq!((hardy.role("a"), stats().released_master, stats().send_errors), (Role::Master, 0, 0));
    }
    hardy.handle.remove_link("lan");
    hardy.wait_for("a", Role::Fault).await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_may_send_through_another_interface_than_it_listens_on() {
    // VR-006: a virtual MAC address is that of another interface.
    let opened = Arc::new(Mutex::new(Vec::new()));
    let mut config = instance("a", "eth0", 1, 150, 1);
    config.send_interface = Some("vrrp.1".to_owned());
    let plain = instance("b", "eth0", 2, 150, 1);
    let transport = Recorder { opened: Arc::clone(&opened), inner: MemoryNetwork::new().host([host(1)]) };
    let running = Running::start(vec![config, plain], transport, &[link("eth0", &[host(1)])]);
    running.wait_for("b", Role::Master).await;
    running.wait_for("a", Role::Fault).await;
    running.handle.set_link(Link { index: 8, ..link("vrrp.1", &[]) });
    running.wait_for("a", Role::Master).await;
    // The parent's address, since the other interface has none.
    assert_eq!(running.handle.instance("a").unwrap().status().master, Some(host(1)));
    let mut opened = opened.lock().unwrap().clone();
    opened.sort();
    assert_eq!(opened, ["in eth0 7 [224.0.0.18]", "out eth0 7", "out vrrp.1 8"]);
}

/// Each interface is of a network of its own.
struct Switch(BTreeMap<&'static str, MemoryTransport>);

impl Transport for Switch {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        self.0.get_mut(listen.interface).unwrap().receiver(listen)
    }

    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        self.0.get_mut(interface).unwrap().sender(interface, index, family)
    }
}

/// Writes down what is opened.
struct Recorder {
    opened: Arc<Mutex<Vec<String>>>,
    inner: MemoryTransport,
}

impl Transport for Recorder {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        let groups: Vec<String> = listen.groups.iter().map(IpAddr::to_string).collect();
        let line = format!("in {} {} [{}]", listen.interface, listen.index, groups.join(" "));
        self.opened.lock().unwrap().push(line);
        self.inner.receiver(listen)
    }

    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        self.opened.lock().unwrap().push(format!("out {interface} {index}"));
        self.inner.sender(interface, index, family)
    }
}

/// Loses the first datagrams of each kind, and says so.
#[derive(Debug)]
struct Mute;

impl Sender for Mute {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        failed.extend((0..departures.len()).map(|place| (place, io::ErrorKind::NetworkDown.into())));
    }
}

struct MuteTransport(MemoryTransport);

impl Transport for MuteTransport {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        self.0.receiver(listen)
    }

    fn sender(&mut self, _: &str, _: u32, _: Family) -> io::Result<Box<dyn Sender>> {
        Ok(Box::new(Mute))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn adverts_that_cannot_be_sent_are_counted_and_change_no_role() {
    // Fault 27.
    let transport = MuteTransport(MemoryNetwork::new().host([host(1)]));
    let running =
        Running::start(vec![instance("a", "lan", 1, 150, 1)], transport, &[link("lan", &[host(1)])]);
    let ownership = running.wait_for("a", Role::Master).await;
    let instance = running.handle.instance("a").unwrap();
    until("five adverts are lost", || instance.stats().send_errors >= 5).await;
    assert_eq!((running.role("a"), instance.stats().adverts_sent), (Role::Master, 0));
    assert_eq!(instance.pulse().sent_at(ownership.epoch), None);
}

/// A link-local address of a host.
fn host_6(number: u16) -> IpAddr {
    IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, number])
}

#[tokio::test(flavor = "current_thread")]
async fn routers_that_list_no_link_local_address_first_elect_one_where_any_may_be_first() {
    // VR-027, VR-072.
    let network = MemoryNetwork::new();
    let run = |number, priority, addresses: &[&str]| {
        let address = host_6(number);
        let mut config = instance("a", "lan", 1, priority, 5);
        config.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        config.delivery = Delivery::to_group(Family::Ipv6);
        let config = config.with_any_first_address();
        Running::start(vec![config], network.host([address]), &[link("lan", &[address])])
    };
    let better = run(1, 150, &["2001:db8::1"]);
    better.wait_for("a", Role::Master).await;
    // The list of the second is right, and what it hears is not.
    let others = [run(2, 100, &["2001:db8::1"]), run(3, 90, &["fe80::100", "2001:db8::1"])];
    for other in &others {
        let heard = other.handle.instance("a").unwrap();
        until("it hears the master", || heard.stats().adverts_received > 20).await;
        let stats = heard.stats();
        assert_eq!((heard.status().role, stats.became_master), (Role::Backup, 0));
        assert_eq!(stats.not_link_local_first, stats.adverts_received);
        assert_eq!(stats.refusals().count(), 0);
    }
}

/// Of a network whose MTU is told; longer datagrams do not leave.
struct Narrow {
    inner: MemoryTransport,
    mtu: Arc<AtomicU32>,
}

#[derive(Debug)]
struct NarrowSender {
    inner: Box<dyn Sender>,
    mtu: Arc<AtomicU32>,
}

impl Transport for Narrow {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        self.inner.receiver(listen)
    }

    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        let inner = self.inner.sender(interface, index, family)?;
        Ok(Box::new(NarrowSender { inner, mtu: Arc::clone(&self.mtu) }))
    }
}

impl Sender for NarrowSender {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        let room = usize::try_from(self.mtu.load(Ordering::SeqCst)).unwrap() - 20;
        let mut fitting = Departures::default();
        for (place, datagram) in departures.iter().enumerate() {
            if datagram.payload.len() > room {
                failed.push((place, io::Error::from_raw_os_error(libc::EMSGSIZE)));
            } else {
                fitting.push(&datagram);
            }
        }
        self.inner.send(&fitting, failed);
    }

    fn mtu(&self) -> Option<u32> {
        Some(self.mtu.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_advert_lists_what_fits_the_mtu_also_when_it_shrinks() {
    let network = MemoryNetwork::new();
    let mtu = Arc::new(AtomicU32::new(576));
    let run = |number, priority| {
        let address = host(number);
        let mut config = instance("a", "lan", 1, priority, 5);
        config.addresses = (0..200).map(|last| [10, 0, 1, last].into()).collect();
        let transport = Narrow { inner: network.host([address]), mtu: Arc::clone(&mtu) };
        Running::start(vec![config], transport, &[link("lan", &[address])])
    };
    let (better, worse) = (run(1, 150), run(2, 100));
    better.wait_for("a", Role::Master).await;
    let (sent, heard) = (better.handle.instance("a").unwrap(), worse.handle.instance("a").unwrap());
    until("the backup hears", || heard.stats().adverts_received > 5).await;
    // Both list the same first ones.
    assert_eq!((heard.stats().address_list_differences, sent.stats().send_errors), (0, 0));
    mtu.store(300, Ordering::SeqCst);
    until("one did not leave", || sent.stats().send_errors == 1).await;
    let before = heard.stats();
    until("the next ones do", || heard.stats().adverts_received > before.adverts_received + 10).await;
    assert_eq!(sent.stats().send_errors, 1);
    assert!(heard.stats().address_list_differences > 0, "the backup did not look at its own yet");
    assert_eq!((heard.status().role, heard.stats().became_master), (Role::Backup, 0));
    assert_eq!(sent.status().role, Role::Master);
}

#[tokio::test(flavor = "current_thread")]
async fn what_an_instance_sent_and_heard_and_became_is_counted() {
    // VR-250: adverts, those of priority 0 among them, and masterships, on both sides.
    let network = MemoryNetwork::new();
    let run = |number, priority| {
        let address = host(number);
        let config = instance("a", "lan", 1, priority, 2);
        Running::start(vec![config], network.host([address]), &[link("lan", &[address])])
    };
    let worse = run(1, 100);
    worse.wait_for("a", Role::Master).await;
    let better = run(2, 150);
    better.wait_for("a", Role::Master).await;
    worse.wait_for("a", Role::Backup).await;
    let (lost, won) = (worse.handle.instance("a").unwrap(), better.handle.instance("a").unwrap());
    until("adverts come", || lost.stats().adverts_received > 5).await;
    better.handle.shutdown();
    better.wait_for("a", Role::Initialize).await;
    worse.wait_for("a", Role::Master).await;
    worse.handle.shutdown();
    worse.wait_for("a", Role::Initialize).await;

    let (lost, won) = (lost.stats(), won.stats());
    assert_eq!((lost.became_master, lost.released_master), (2, 2));
    assert_eq!((won.became_master, won.released_master), (1, 1));
    // All that one of them sent the other heard; the first mastership of the worse one nobody did.
    assert_eq!((won.resignations_sent, lost.resignations_received), (1, 1));
    assert_eq!((lost.resignations_sent, won.resignations_received), (1, 0));
    assert_eq!(lost.adverts_received, won.adverts_sent);
    assert!(won.adverts_received > 0 && won.adverts_received < lost.adverts_sent);
}

#[tokio::test(flavor = "current_thread")]
async fn groups_are_joined_again_when_the_addresses_of_a_family_come_back() {
    // Fault 28: the interface looks the same but for that, and the kernel has forgotten its groups.
    let network = MemoryNetwork::new();
    let opened = Arc::new(Mutex::new(Vec::new()));
    let transport = Recorder { opened: Arc::clone(&opened), inner: network.host([host(1), host_6(1)]) };
    let mut six = instance("six", "eth0", 1, 150, 5);
    six.addresses = vec![host_6(100)];
    six.delivery = Delivery::to_group(Family::Ipv6);
    let four = instance("four", "eth0", 1, 150, 5);
    let both = link("eth0", &[host(1), host_6(1)]);
    let running = Running::start(vec![four, six], transport, std::slice::from_ref(&both));
    running.wait_for("six", Role::Master).await;
    let ears = || {
        let all = std::mem::take(&mut *opened.lock().unwrap());
        all.into_iter().filter(|line| line.starts_with("in ")).collect::<Vec<_>>()
    };
    assert_eq!(ears(), ["in eth0 7 [224.0.0.18]", "in eth0 7 [ff02::12]"]);
    running.handle.set_link(link("eth0", &[host(1)]));
    running.wait_for("six", Role::Fault).await;
    running.handle.set_link(both.clone());
    running.wait_for("six", Role::Master).await;
    assert_eq!(ears(), ["in eth0 7 [ff02::12]"], "the other family was not gone");
    // Of its own addresses, and of further ones, nothing is opened anew.
    running.handle.set_link(link("eth0", &[host(1), host(100), host(7), host_6(1), host_6(100)]));
    running.handle.instance("six").unwrap().set_priority(Priority::new(151).unwrap());
    until("it was told", || running.handle.instance("six").unwrap().status().priority.get() == 151).await;
    assert_eq!(ears(), [""; 0]);
    assert_eq!(running.role("four"), Role::Master);
}
