//! Instances and groups that come and go while drivers run and hear each other in memory.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, clippy::panic)] // What cannot be had is a failed test.

mod running;

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lvs_core::{ClaimResult, Family, Role};
use lvs_vrrp::{
    Arrivals, Changes, Delivery, Departures, Driver, Error, EventKind, Gate, GroupConfig, InstanceConfig,
    Listen, MemoryNetwork, MemoryTransport, Multicast, Priority, Reason, Receiver, Sender, Setup, Transport,
};

use crate::running::{Running, claim, host, instance, link, until};

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

fn apply_to(running: &Running, setup: impl Into<Setup>) -> impl Future<Output = Result<Changes, Error>> {
    let (handle, setup) = (running.handle.clone(), setup.into());
    async move {
        let changes = handle.apply(setup).await?;
        for name in &changes.added {
            claim(handle.instance(name).expect("it was added"));
        }
        Ok(changes)
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_resigns_what_goes_starts_what_comes_and_leaves_alone_what_stays() {
    // E14, E15, E16.
    let network = MemoryNetwork::new();
    let of = |name: &str, vrid, priority| instance(name, "lan", vrid, priority, 20);
    let run = |number: u8, priority: u8| {
        let all = [("stays", 1), ("changes", 2), ("goes", 3)];
        let all = all.map(|(name, vrid)| of(name, vrid, priority));
        Running::start(all.to_vec(), network.host([host(number)]), &[link("lan", &[host(number)])])
    };
    let (mut better, worse) = (run(1, 150), run(2, 100));
    for name in ["stays", "changes", "goes"] {
        better.wait_for(name, Role::Master).await;
        let heard = worse.handle.instance(name).unwrap();
        until("the backup hears", || heard.stats().adverts_received > 1).await;
    }
    let [stays, changes, goes] =
        ["stays", "changes", "goes"].map(|name| better.handle.instance(name).unwrap());
    let before = [&stays, &changes].map(|instance| instance.status());
    let masterships = [&stays, &changes, &goes].map(|instance| *instance.ownership().borrow());
    let (of_stays, mut of_goes) = (stays.ownership(), goes.ownership());

    // In another order than before.
    let changed = of("changes", 2, 180);
    let done = apply_to(&better, vec![of("comes", 4, 150), changed, of("stays", 1, 150)]).await.unwrap();
    assert_eq!((names(&done.added), names(&done.removed)), (vec!["comes"], vec!["goes"]));
    assert_eq!((names(&done.reconfigured), names(&done.kept)), (vec!["changes"], vec!["stays"]));
    let now = better.handle.instances().map(|instance| instance.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(now, ["comes", "changes", "stays"]);

    // Who goes has resigned when the answer is there.
    let ended = *goes.ownership().borrow();
    assert_eq!((ended.role, ended.epoch, ended.announcements), (Role::Initialize, masterships[2].epoch, 0));
    while of_goes.changed().await.is_ok() {
        of_goes.borrow_and_update();
    }
    assert_eq!(*of_goes.borrow(), ended);
    assert!(of_stays.has_changed().is_ok(), "it is not over");
    let last = goes.stats();
    assert_eq!((last.resignations_sent, last.released_master, goes.status().role), (1, 1, Role::Initialize));
    let events = better.events_of(
        "goes",
        |kind| matches!(kind, EventKind::Changed(change) if change.to == Role::Initialize),
    );
    match events.await.last() {
        Some(EventKind::Changed(change)) => assert_eq!(change.reason, Reason::Disabled),
        other => panic!("{other:?}"),
    }
    assert!(better.handle.instance("goes").is_none());
    // The other host takes over without waiting for a master down interval: it has heard the resignation.
    worse.wait_for("goes", Role::Master).await;
    assert_eq!(worse.handle.instance("goes").unwrap().stats().resignations_received, 1);

    // Commands to what has ended are in vain, and harm nobody.
    goes.set_priority(Priority::new(200).unwrap());
    goes.claimed(ended.epoch, ClaimResult::Missing);
    assert!(
        matches!(goes.reconfigure(of("goes", 3, 99)), Err(Error::UnknownInstance(name)) if name == "goes")
    );
    better.wait_for("comes", Role::Master).await;
    assert_eq!(goes.stats(), last, "its statistics stand still");

    // Who stays is master as before, for the other host too, and its handle is good.
    let instances = [&stays, &changes];
    for ((instance, before), mastership) in instances.into_iter().zip(before).zip(masterships) {
        let now = *instance.ownership().borrow();
        assert_eq!((now.role, now.epoch), (Role::Master, mastership.epoch));
        assert_eq!(instance.status().since, before.since);
        let heard = worse.handle.instance(instance.name()).unwrap();
        let received = heard.stats().adverts_received;
        until("adverts go on", || heard.stats().adverts_received > received + 2).await;
        assert_eq!((heard.stats().became_master, heard.stats().resignations_received), (0, 0));
    }
    assert_eq!(changes.status().priority.get(), 180);
    stays.set_priority(Priority::new(50).unwrap());
    worse.wait_for("stays", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_backup_that_stays_keeps_what_it_learnt_and_when_it_would_take_over() {
    let network = MemoryNetwork::new();
    let master = Running::start(
        vec![instance("a", "lan", 1, 150, 30)],
        network.host([host(1)]),
        &[link("lan", &[host(1)])],
    );
    let backup = Running::start(
        vec![instance("a", "lan", 1, 100, 5)],
        network.host([host(2)]),
        &[link("lan", &[host(2)])],
    );
    let heard = backup.handle.instance("a").unwrap();
    // It may have been master before it heard of an interval that is longer than its own.
    master.wait_for("a", Role::Master).await;
    until("it hears its master", || {
        (heard.status().role, heard.status().master) == (Role::Backup, Some(host(1)))
    })
    .await;
    let (before, masterships) = (heard.status(), heard.stats().became_master);
    for vrid in 2..20 {
        let more = vec![instance("a", "lan", 1, 100, 5), instance("b", "lan", vrid, 100, 5)];
        apply_to(&backup, more).await.unwrap();
        assert_eq!(heard.status(), before);
    }
    let received = heard.stats().adverts_received;
    until("it hears on", || heard.stats().adverts_received > received + 3).await;
    assert_eq!((heard.status(), heard.stats().became_master), (before, masterships));
}

#[tokio::test(flavor = "current_thread")]
async fn a_backup_misses_no_advert_while_its_interface_gets_other_receivers() {
    let network = MemoryNetwork::new();
    let a = |priority| instance("a", "lan", 1, priority, 1);
    let run = |number, priority| {
        Running::start(vec![a(priority)], network.host([host(number)]), &[link("lan", &[host(number)])])
    };
    let backup = run(2, 100);
    backup.wait_for("a", Role::Master).await;
    let master = run(1, 150);
    let [sent, heard] = [&master, &backup].map(|running| running.handle.instance("a").unwrap());
    until("the backup hears", || heard.stats().adverts_received > 1).await;
    let mut other_group = instance("b", "lan", 2, 100, 1);
    other_group.delivery = Delivery::Multicast(Multicast::to([224, 0, 0, 200].into()));
    for _ in 0..20 {
        for setup in [vec![a(100), other_group.clone()], vec![a(100)]] {
            backup.handle.apply(setup).await.unwrap();
            let received = heard.stats().adverts_received;
            until("it hears on", || heard.stats().adverts_received > received).await;
        }
    }
    master.handle.shutdown();
    master.wait_for("a", Role::Initialize).await;
    until("the last one is heard", || heard.stats().resignations_received > 0).await;
    assert_eq!(heard.stats().adverts_received, sent.stats().adverts_sent);
}

#[tokio::test(flavor = "current_thread")]
async fn instances_can_be_added_and_removed_one_by_one() {
    let transport = MemoryNetwork::new().host([host(1)]);
    let running =
        Running::start(vec![instance("a", "lan", 1, 150, 2)], transport, &[link("lan", &[host(1)])]);
    let b = running.handle.add(instance("b", "lan", 2, 150, 2)).await.unwrap();
    assert_eq!(b.name(), "b");
    claim(b.clone());
    running.wait_for("b", Role::Master).await;
    // An advert has left and was answered for: it does not wait for its first mastership any more.
    until("it advertises", || b.stats().adverts_sent > 3).await;
    running.handle.remove("b").await.unwrap();
    assert_eq!(b.ownership().borrow().role, Role::Initialize);
    assert_eq!(b.stats().resignations_sent, 1);
    let again = running.handle.remove("b").await;
    assert!(matches!(again, Err(Error::UnknownInstance(name)) if name == "b"));
    // The next one of the name is another one.
    let other = running.handle.add(instance("b", "lan", 2, 150, 2)).await.unwrap();
    assert_eq!(other.stats().adverts_sent, 0);
    assert_eq!(running.handle.setup().instances.len(), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn what_contradicts_itself_is_refused_whole() {
    let transport = MemoryNetwork::new().host([host(1)]);
    let configs = vec![instance("a", "lan", 1, 150, 5), instance("b", "lan", 2, 150, 5)];
    let mut setup = Setup::from(configs.clone());
    setup.groups.push(GroupConfig::new("both", ["a", "b"]));
    let running = Running::start(setup.clone(), transport, &[link("lan", &[host(1)])]);
    running.wait_for("a", Role::Master).await;
    let complaint = |error: Error| error.to_string();

    let same_vrid = running.handle.add(instance("c", "lan", 1, 150, 5)).await.map_err(complaint);
    assert_eq!(
        same_vrid.map(|_| ()),
        Err("instance c: instance a has virtual router identifier 1 on lan too, with the same group or peer"
            .to_owned())
    );
    let same_name = running.handle.add(instance("a", "lan", 3, 150, 5)).await.map_err(complaint);
    assert_eq!(same_name.map(|_| ()), Err("instance a: there is another instance of this name".to_owned()));
    let member = running.handle.remove("a").await.map_err(complaint);
    assert_eq!(
        member,
        Err("instance a is in group both: apply a setup with neither, or with a group without it".to_owned())
    );
    let mut unknown = setup.clone();
    unknown.instances.push(instance("c", "lan", 3, 150, 5));
    unknown.instances.remove(0);
    let unknown = running.handle.apply(unknown).await.map_err(complaint);
    assert_eq!(unknown, Err("group both: there is no instance a".to_owned()));
    let many = |number: u32| {
        let lan = format!("lan{}", number / 255);
        instance(&number.to_string(), &lan, u8::try_from(number % 255 + 1).unwrap(), 150, 5)
    };
    let most = u32::try_from(Setup::MOST_INSTANCES).unwrap();
    let too_many = running.handle.apply((0..=most).map(many).collect::<Vec<_>>()).await;
    assert!(matches!(too_many, Err(Error::TooManyInstances { count: 16_385, most: 16_384 })));

    assert_eq!(running.handle.setup(), setup);
    for name in ["a", "b"] {
        let instance = running.handle.instance(name).unwrap();
        assert_eq!((running.role(name), instance.stats().released_master), (Role::Master, 0));
    }
}

/// Says what is open, and opens nothing on interfaces that are named `broken` while it is, and no second receiver on one
/// that is named `narrow`.
#[derive(Clone)]
struct Doors {
    open: Arc<Mutex<BTreeSet<String>>>,
    is_broken: Arc<AtomicBool>,
    inner: Arc<Mutex<MemoryTransport>>,
}

#[derive(Debug)]
struct Door<T> {
    name: String,
    open: Arc<Mutex<BTreeSet<String>>>,
    inner: T,
}

impl Doors {
    fn new() -> Self {
        let inner = Arc::new(Mutex::new(MemoryNetwork::new().host([host(1)])));
        Self { open: Arc::default(), is_broken: Arc::default(), inner }
    }

    fn open(&self) -> Vec<String> {
        self.open.lock().unwrap().iter().cloned().collect()
    }

    fn door<T>(&self, interface: &str, name: String, inner: T) -> io::Result<Door<T>> {
        if interface == "broken" && self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.open.lock().unwrap().insert(name.clone());
        Ok(Door { name, open: Arc::clone(&self.open), inner })
    }
}

impl<T> Drop for Door<T> {
    fn drop(&mut self) {
        self.open.lock().unwrap().remove(&self.name);
    }
}

impl Transport for Doors {
    fn receiver(&mut self, listen: &Listen<'_>) -> io::Result<Box<dyn Receiver>> {
        if listen.interface == "narrow" && self.open().iter().any(|name| name.starts_with("in narrow")) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let inner = self.inner.lock().unwrap().receiver(listen)?;
        let groups: Vec<String> = listen.groups.iter().map(ToString::to_string).collect();
        let name = format!("in {} {}", listen.interface, groups.join(" "));
        Ok(Box::new(self.door(listen.interface, name, inner)?))
    }

    fn sender(&mut self, interface: &str, index: u32, family: Family) -> io::Result<Box<dyn Sender>> {
        let inner = self.inner.lock().unwrap().sender(interface, index, family)?;
        Ok(Box::new(self.door(interface, format!("out {interface}"), inner)?))
    }
}

impl Receiver for Door<Box<dyn Receiver>> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_readable(cx)
    }

    fn receive(&mut self, arrivals: &mut Arrivals) -> io::Result<bool> {
        self.inner.receive(arrivals)
    }
}

impl Sender for Door<Box<dyn Sender>> {
    fn send(&mut self, departures: &Departures, failed: &mut Vec<(usize, io::Error)>) {
        self.inner.send(departures, failed);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn sockets_are_open_where_instances_are_and_what_cannot_be_opened_changes_nothing() {
    let doors = Doors::new();
    let a = instance("a", "lan", 1, 150, 5);
    // Links of interfaces that nobody needs yet are remembered.
    let links = ["lan", "wan", "broken"].map(|name| link(name, &[host(1)]));
    let running = Running::start(vec![a.clone()], doors.clone(), &links);
    running.wait_for("a", Role::Master).await;
    assert_eq!(doors.open(), ["in lan 224.0.0.18", "out lan"]);

    let b = instance("b", "wan", 1, 150, 5);
    apply_to(&running, vec![a.clone(), b.clone()]).await.unwrap();
    running.wait_for("b", Role::Master).await;
    assert_eq!(doors.open(), ["in lan 224.0.0.18", "in wan 224.0.0.18", "out lan", "out wan"]);
    assert!(running.handle.interface_stats("wan").is_some());

    // Another group on the same interface is another receiver, and only one.
    let mut c = instance("c", "lan", 2, 150, 5);
    c.delivery = Delivery::Multicast(Multicast::to([224, 0, 0, 200].into()));
    apply_to(&running, vec![a.clone(), c.clone()]).await.unwrap();
    assert_eq!(doors.open(), ["in lan 224.0.0.18 224.0.0.200", "out lan"]);
    assert!(running.handle.interface_stats("wan").is_none());
    apply_to(&running, vec![a.clone()]).await.unwrap();
    assert_eq!(doors.open(), ["in lan 224.0.0.18", "out lan"]);

    // Nothing of a change happens if a part of it cannot: `b` does not start, `a` does not end.
    doors.is_broken.store(true, Ordering::SeqCst);
    let broken = instance("d", "broken", 4, 150, 5);
    let refused = apply_to(&running, vec![b, broken.clone()]).await.unwrap_err();
    assert_eq!(refused.to_string(), "open sockets for adverts on broken: permission denied");
    assert_eq!(doors.open(), ["in lan 224.0.0.18", "out lan"]);
    assert_eq!(running.handle.setup(), Setup::from(vec![a.clone()]));
    let stats = running.handle.instance("a").unwrap().stats();
    assert_eq!((running.role("a"), stats.released_master), (Role::Master, 0));
    doors.is_broken.store(false, Ordering::SeqCst);
    apply_to(&running, vec![a, broken]).await.unwrap();
    running.wait_for("d", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_transport_that_has_no_room_for_two_receivers_opens_one_after_the_other() {
    let doors = Doors::new();
    let a = instance("a", "narrow", 1, 150, 5);
    let running = Running::start(vec![a.clone()], doors.clone(), &[link("narrow", &[host(1)])]);
    running.wait_for("a", Role::Master).await;
    let mut b = instance("b", "narrow", 2, 150, 5);
    b.delivery = Delivery::Multicast(Multicast::to([224, 0, 0, 200].into()));
    apply_to(&running, vec![a, b]).await.unwrap();
    assert_eq!(doors.open(), ["in narrow 224.0.0.18 224.0.0.200", "out narrow"]);
    running.wait_for("b", Role::Master).await;
    let stats = running.handle.instance("a").unwrap().stats();
    assert_eq!((running.role("a"), stats.released_master), (Role::Master, 0));
}

#[tokio::test(flavor = "current_thread")]
async fn an_interface_that_is_not_there_yet_is_a_fault_and_no_error() {
    let doors = Doors::new();
    let running = Running::start(Vec::<InstanceConfig>::new(), doors.clone(), &[]);
    // No host has it.
    let a = running.handle.add(instance("a", "lvs-nowhere", 1, 150, 2)).await.unwrap();
    claim(a.clone());
    assert_eq!((a.status().role, doors.open()), (Role::Fault, vec![]));
    running.handle.set_link(link("lvs-nowhere", &[host(1)]));
    running.wait_for("a", Role::Master).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_group_that_loses_a_member_goes_on_and_one_that_gets_a_member_settles_anew() {
    // VR-127, VR-128, A12.
    let configs = [("a", 1), ("b", 2), ("c", 3)].map(|(name, vrid)| instance(name, "lan", vrid, 150, 2));
    let setup = |members: &[&str]| {
        let chosen = configs.iter().filter(|config| members.contains(&&*config.name)).cloned();
        let mut setup = Setup::from(chosen.collect::<Vec<_>>());
        setup.groups.push(GroupConfig::new("group", members.iter().copied()));
        setup
    };
    let transport = MemoryNetwork::new().host([host(1)]);
    let mut running = Running::start(setup(&["a", "b", "c"]), transport, &[link("lan", &[host(1)])]);
    for name in ["a", "b", "c"] {
        running.wait_for(name, Role::Master).await;
    }
    let [a, b] = ["a", "b"].map(|name| running.handle.instance(name).unwrap());
    apply_to(&running, setup(&["a", "b"])).await.unwrap();
    assert_eq!([a.stats(), b.stats()].map(|stats| stats.released_master), [0, 0]);
    assert_eq!((running.role("a"), running.role("b")), (Role::Master, Role::Master));

    // The new one is not master yet.
    apply_to(&running, setup(&["a", "b", "c"])).await.unwrap();
    assert_eq!(
        [a.stats(), b.stats()].map(|stats| (stats.released_master, stats.resignations_sent)),
        [(1, 1); 2]
    );
    for name in ["a", "b", "c"] {
        running.wait_for(name, Role::Master).await;
    }

    // Without their group all go on by themselves, and it is told to have ended.
    apply_to(&running, configs.to_vec()).await.unwrap();
    assert_eq!([a.stats(), b.stats()].map(|stats| stats.released_master), [1, 1]);
    let kinds = running.events_of("group", |kind| kind == EventKind::GroupChanged(Role::Initialize)).await;
    let roles: Vec<Role> = kinds
        .iter()
        .map(|kind| match kind {
            EventKind::GroupChanged(role) => *role,
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(roles, [Role::Backup, Role::Master, Role::Backup, Role::Master, Role::Initialize]);
}

#[tokio::test(flavor = "current_thread")]
async fn an_instance_that_leaves_its_group_need_not_wait_for_the_others_any_more() {
    let configs = [("a", 1), ("b", 2)].map(|(name, vrid)| instance(name, "lan", vrid, 150, 2));
    let mut setup = Setup::from(configs.to_vec());
    setup.groups.push(GroupConfig::new("group", ["a", "b"]));
    let transport = MemoryNetwork::new().host([host(1)]);
    let mut running = Running::start(setup, transport, &[link("lan", &[host(1)])]);
    running.handle.instance("b").unwrap().set_gate(Gate::Held);
    running.events_of("a", |kind| kind == EventKind::WantsMaster).await;
    assert_eq!(running.role("a"), Role::Backup);
    let changes = apply_to(&running, configs.to_vec()).await.unwrap();
    assert_eq!(names(&changes.kept), ["a", "b"]);
    assert_eq!((running.role("a"), running.role("b")), (Role::Master, Role::Backup));
}

#[tokio::test(flavor = "current_thread")]
async fn of_words_before_and_after_a_change_the_later_counts() {
    let transport = MemoryNetwork::new().host([host(1)]);
    let running =
        Running::start(vec![instance("a", "lan", 1, 150, 2)], transport, &[link("lan", &[host(1)])]);
    let a = running.handle.instance("a").unwrap();
    let priority = |number| Priority::new(number).unwrap();
    // The driver runs on this thread: all of it waits together.
    a.reconfigure(instance("a", "lan", 1, 120, 2)).unwrap();
    a.set_priority(priority(33));
    apply_to(&running, vec![instance("a", "lan", 1, 140, 2)]).await.unwrap();
    assert_eq!(a.status().priority.get(), 140);

    let setup = vec![instance("a", "lan", 1, 160, 2)];
    let mut change = pin!(running.handle.apply(setup));
    assert!(change.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    a.set_priority(priority(44));
    assert!(matches!(a.reconfigure(instance("a", "lan", 1, 99, 2)), Err(Error::Busy)));
    change.await.unwrap();
    assert_eq!(a.status().priority.get(), 44);
    a.reconfigure(instance("a", "lan", 1, 99, 2)).unwrap();
    until("it is configured", || a.status().priority.get() == 99).await;

    // What stays as it is configured keeps the priority that it was given.
    a.set_priority(priority(55));
    let setup = vec![instance("a", "lan", 1, 99, 2), instance("b", "lan", 2, 99, 2)];
    assert_eq!(names(&apply_to(&running, setup).await.unwrap().kept), ["a"]);
    assert_eq!(a.status().priority.get(), 55);
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_that_is_not_waited_for_happens_whole_and_those_of_several_follow_each_other() {
    let transport = MemoryNetwork::new().host([host(1)]);
    let (driver, handle, _events) =
        Driver::with_transport(vec![instance("a", "lan", 1, 150, 2)], transport).unwrap();
    handle.set_link(link("lan", &[host(1)]));
    // Before the driver runs.
    {
        let mut dropped = pin!(handle.add(instance("b", "lan", 2, 150, 2)));
        assert!(dropped.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let waiting: Vec<_> = (3..20)
        .map(|vrid| {
            let handle = handle.clone();
            tokio::spawn(async move { handle.add(instance(&vrid.to_string(), "lan", vrid, 150, 2)).await })
        })
        .collect();
    tokio::spawn(driver.run());
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    assert_eq!(handle.instances().count(), 19);
    assert!(handle.instances().all(|instance| instance.status().role != Role::Initialize));
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_waits_for_a_driver_that_ends_hears_so() {
    let transport = MemoryNetwork::new().host([host(1)]);
    let (driver, handle, _events) =
        Driver::with_transport(vec![instance("a", "lan", 1, 150, 2)], transport).unwrap();
    let ask = |vrid: u8| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.add(instance(&vrid.to_string(), "lan", vrid, 150, 2)).await })
    };
    let asked = [ask(2), ask(3)];
    tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await.unwrap_err();
    drop(driver);
    for task in asked {
        assert!(matches!(task.await.unwrap(), Err(Error::Ended)));
    }
    assert!(matches!(ask(4).await.unwrap(), Err(Error::Ended)));
    let a = handle.instance("a").unwrap();
    assert!(matches!(a.reconfigure(instance("a", "lan", 1, 100, 2)), Err(Error::Ended)));

    // One that is asked together with the end.
    let transport = MemoryNetwork::new().host([host(1)]);
    let running =
        Running::start(vec![instance("a", "lan", 1, 150, 2)], transport, &[link("lan", &[host(1)])]);
    running.wait_for("a", Role::Master).await;
    let mut asked = pin!(running.handle.add(instance("b", "lan", 2, 150, 2)));
    assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    running.handle.shutdown();
    assert!(matches!(asked.await, Err(Error::Ended)));
    running.wait_for("a", Role::Initialize).await;
}
