//! Addresses, announcements and the monitor against the running kernel: a host and its neighbour, each in a network
//! namespace of its own, joined by a veth pair (`eth0` here, `peer0` there). Needs root and `ip` (iproute2).

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvs_addr::{Kernel, LinkEvent, LinkMonitor, OWNER_TAG};
use lvs_core::address_applier::{OwnedAddresses, keep_addresses};
use lvs_core::claims::{AddressSet, ClaimEvent};
use lvs_core::{
    AddressChange, AddressScope, Addresses, Announcement, Announcements, ClaimResult, Epoch, Link, Ownership,
    Role, VirtualAddress,
};
use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::{Notify, mpsc, oneshot, watch};

const DEADLINE: Duration = Duration::from_secs(20);
const HOST_MAC: &str = "02:00:00:00:00:01";

/// The two namespaces. The test's own thread is in the host's.
struct Bed {
    host: File,
    neighbour: File,
}

impl Bed {
    fn run<F: Future<Output = ()>>(test: impl FnOnce(Rc<Self>) -> F + Send + 'static) {
        let thread = std::thread::spawn(|| {
            // Kept until the test is over: with the last file of a namespace its interfaces go.
            let bed = Rc::new(Self::build());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(test(Rc::clone(&bed)));
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }

    fn build() -> Self {
        let neighbour = new_namespace();
        ip("link set lo up");
        let host = new_namespace();
        let bed = Self { host, neighbour };
        bed.create_veth();
        bed
    }

    fn create_veth(&self) {
        use std::os::fd::AsRawFd;
        let there = format!("/proc/{}/fd/{}", std::process::id(), self.neighbour.as_raw_fd());
        ip(&format!("link add eth0 address {HOST_MAC} type veth peer name peer0 netns {there}"));
        ip("link set eth0 up");
        self.at_neighbour(|| ip("link set peer0 up"));
    }

    /// Until then frames are lost on the way.
    fn wait_for_carrier(&self) {
        until("both ends have a carrier", || {
            ip("link show eth0").contains("state UP")
                && self.at_neighbour(|| ip("link show peer0")).contains("state UP")
        });
    }

    /// Runs something as the neighbour.
    fn at_neighbour<T>(&self, action: impl FnOnce() -> T) -> T {
        setns(&self.neighbour, CloneFlags::CLONE_NEWNET).expect("enter the neighbour's namespace");
        let result = action();
        setns(&self.host, CloneFlags::CLONE_NEWNET).expect("return to the host's namespace");
        result
    }
}

fn new_namespace() -> File {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root (a new network namespace)");
    File::open("/proc/thread-self/ns/net").expect("the namespace's file")
}

/// Runs `ip` in the thread's namespace and returns what it prints.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("run ip (package iproute2)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "ip {arguments}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {DEADLINE:?}: {what}");
        std::thread::yield_now();
    }
}

/// Takes events until one fits.
async fn event(monitor: &mut LinkMonitor, mut fits: impl FnMut(&LinkEvent) -> bool) -> LinkEvent {
    let wait = async {
        loop {
            let event = monitor.next().await.expect("the monitor works");
            if fits(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.expect("the event comes in time")
}

async fn changed(monitor: &mut LinkMonitor, name: &str, mut fits: impl FnMut(&Link) -> bool) -> Link {
    let is_it =
        |event: &LinkEvent| matches!(event, LinkEvent::Changed(link) if link.name == name && fits(link));
    match event(monitor, is_it).await {
        LinkEvent::Changed(link) => link,
        other => unreachable!("{other:?}"),
    }
}

fn vip(number: u32) -> VirtualAddress {
    let address = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 9, 0, 0)) + number);
    VirtualAddress::new("eth0", address.into(), 32)
}

fn vip6(number: u16, prefix_len: u8) -> VirtualAddress {
    let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number);
    VirtualAddress::new("eth0", address.into(), prefix_len)
}

fn add(addresses: &[VirtualAddress]) -> Vec<AddressChange> {
    addresses.iter().cloned().map(AddressChange::Add).collect()
}

fn remove(addresses: &[VirtualAddress]) -> Vec<AddressChange> {
    addresses.iter().map(|address| AddressChange::Remove(address.key.clone())).collect()
}

async fn apply(kernel: &mut Kernel, changes: Vec<AddressChange>) {
    for (change, result) in changes.iter().zip(kernel.apply(changes.clone()).await) {
        assert!(result.is_ok(), "{change}: {result:?}");
    }
}

#[test]
fn a_thousand_addresses_are_added_and_removed_and_doing_so_twice_succeeds() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        let mut vips: Vec<_> = (0..900).map(vip).collect();
        vips.extend((1..=100).map(|number| vip6(number, 128)));
        let count = || ip("-o addr show dev eth0").lines().filter(|l| !l.contains("inet6 fe80")).count();
        for _ in 0..2 {
            apply(&mut kernel, add(&vips)).await;
            assert_eq!(count(), 1000);
        }
        let installed = kernel.observe().await.unwrap();
        assert!(installed.interfaces.contains("eth0"));
        assert!(vips.iter().all(|vip| installed.addresses.get(&vip.key).is_some_and(|found| found.tagged)));
        for _ in 0..2 {
            apply(&mut kernel, remove(&vips)).await;
            assert_eq!(count(), 0);
        }
    });
}

#[test]
fn addresses_have_the_scope_label_and_broadcast_that_were_asked_for() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        let mut labelled = VirtualAddress::new("eth0", IpAddr::from([10, 8, 0, 1]), 24);
        labelled.label = Some("eth0:vip".to_owned());
        labelled.broadcast = Some(Ipv4Addr::new(10, 8, 0, 255));
        labelled.scope = AddressScope::LINK;
        apply(&mut kernel, add(&[labelled, vip6(1, 64), vip6(2, 128)])).await;
        let shown = ip("-4 -o addr show dev eth0");
        assert!(shown.contains("10.8.0.1/24 brd 10.8.0.255 scope link eth0:vip"), "{shown}");
        let shown = ip("-6 -o addr show dev eth0");
        let line = |address| shown.lines().find(|line| line.contains(address)).expect("it is there");
        assert!(line("2001:db8::1/64").contains("nodad") && !line("2001:db8::1/64").contains("deprecated"));
        assert!(line("2001:db8::2/128").contains("deprecated"), "{shown}");
    });
}

#[test]
fn others_addresses_are_seen_and_not_tagged() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        ip("addr add 10.9.0.1/32 dev eth0");
        // Adding what somebody else has put there fulfils the wish, and leaves it theirs.
        apply(&mut kernel, add(&[vip(1), vip(2)])).await;
        let installed = kernel.observe().await.unwrap();
        assert!(!installed.addresses[&vip(1).key].tagged);
        assert!(installed.addresses[&vip(2).key].tagged);
        assert_ne!(OWNER_TAG, 0);
    });
}

#[test]
fn each_failing_edit_has_its_own_error_and_the_others_are_made() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        let elsewhere = VirtualAddress::new("eth9", IpAddr::from([10, 9, 0, 1]), 32);
        let mut long_prefix = vip(2);
        long_prefix.key.prefix_len = 40;
        let mut long_label = vip(3);
        long_label.label = Some("eth0:0123456789abcdef".to_owned());
        let mut changes = add(&[elsewhere.clone(), vip(1), long_prefix, long_label, vip(4)]);
        changes.extend(remove(&[elsewhere]));
        let results: Vec<_> =
            kernel.apply(changes).await.into_iter().map(|r| r.map_err(|e| e.to_string())).collect();
        assert_eq!(results[0], Err("add address 10.9.0.1/32 on eth9: no such interface".to_owned()));
        assert_eq!(results[1], Ok(()));
        let text = results[2].as_ref().unwrap_err();
        assert!(text.contains("10.9.0.2/40") && text.contains("prefix length"), "{text}");
        assert!(results[3].as_ref().is_err_and(|text| text.contains("15 bytes")));
        assert_eq!(&results[4..], [Ok(()), Ok(())]);
        let installed = kernel.observe().await.unwrap();
        assert!(
            installed.addresses.contains_key(&vip(1).key) && installed.addresses.contains_key(&vip(4).key)
        );
    });
}

#[test]
fn an_announcement_corrects_what_the_neighbour_knows() {
    Bed::run(|bed| async move {
        let mut kernel = Kernel::open().unwrap();
        let (vip, vip6) = (vip(1), vip6(1, 128));
        apply(&mut kernel, add(&[vip.clone(), vip6.clone()])).await;
        let known = |address: IpAddr| bed.at_neighbour(|| ip(&format!("neigh show {address} dev peer0")));
        bed.at_neighbour(|| {
            // The neighbour must itself take part in both protocols.
            ip("addr add 10.9.200.1/16 dev peer0");
            for address in [vip.key.address, vip6.key.address] {
                ip(&format!("neigh add {address} lladdr 02:00:00:00:00:99 dev peer0 nud stale"));
            }
        });
        bed.wait_for_carrier();
        for address in [vip.key.address, vip6.key.address] {
            assert!(known(address).contains("02:00:00:00:00:99"));
            let announcement = Announcement { interface: "eth0".to_owned(), address, repeat: 1 };
            assert!(kernel.announce(&mut Announcements::from_iter([announcement])).await.is_empty());
            until("the neighbour knows the new owner", || known(address).contains(HOST_MAC));
        }
        let neighbours = bed.at_neighbour(|| ip("-6 neigh show"));
        assert!(!neighbours.contains("router"), "this host does not forward: {neighbours}");
    });
}

#[test]
fn an_announcing_router_says_that_it_is_one() {
    // VR-157: the router flag.
    Bed::run(|bed| async move {
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/forwarding", "1").unwrap();
        let mut kernel = Kernel::open().unwrap();
        let vip6 = vip6(1, 128);
        apply(&mut kernel, add(std::slice::from_ref(&vip6))).await;
        bed.at_neighbour(|| ip("neigh add 2001:db8::1 lladdr 02:00:00:00:00:99 dev peer0 nud stale"));
        bed.wait_for_carrier();
        let announcement =
            Announcement { interface: "eth0".to_owned(), address: vip6.key.address, repeat: 1 };
        assert!(kernel.announce(&mut Announcements::from_iter([announcement])).await.is_empty());
        let known = || bed.at_neighbour(|| ip("-6 neigh show 2001:db8::1 dev peer0"));
        until("the neighbour knows a router", || known().contains(HOST_MAC) && known().contains("router"));
    });
}

#[test]
fn many_announcements_leave_all_and_repeatedly() {
    Bed::run(|bed| async move {
        let mut kernel = Kernel::open().unwrap();
        bed.wait_for_carrier();
        let received = || -> u64 {
            let count = bed.at_neighbour(|| {
                std::fs::read_to_string("/proc/thread-self/net/dev").map(|table| {
                    let line = table
                        .lines()
                        .find(|line| line.contains("peer0:"))
                        .expect("peer0 is there")
                        .to_owned();
                    line.split_whitespace().nth(2).map(str::to_owned)
                })
            });
            count.unwrap().unwrap().parse().unwrap()
        };
        let before = received();
        let mut announcements: Announcements = (0..1000)
            .map(|number| Announcement {
                interface: "eth0".to_owned(),
                address: vip(number).key.address,
                repeat: 3,
            })
            .collect();
        assert!(kernel.announce(&mut announcements).await.is_empty());
        assert!(announcements.is_empty());
        until("3,000 frames have arrived", || received() >= before + 3000);
    });
}

#[test]
fn announcements_without_interface_or_carrier_fail_and_loopback_needs_none() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        ip("link set eth0 down");
        let on = |interface: &str| Announcement {
            interface: interface.to_owned(),
            address: vip(1).key.address,
            repeat: 5,
        };
        let mut waiting = Announcements::from_iter([on("eth0"), on("eth9"), on("lo")]);
        let failures: Vec<String> =
            kernel.announce(&mut waiting).await.iter().map(ToString::to_string).collect();
        assert!(failures[0].contains("eth0") && failures[0].contains("down"), "{failures:?}");
        assert!(failures[1].contains("eth9") && failures[1].contains("no such interface"), "{failures:?}");
        assert!(failures.len() == 2 && waiting.is_empty(), "{failures:?}");
    });
}

#[test]
fn the_monitor_first_tells_of_everything_that_is_there() {
    Bed::run(|_bed| async {
        ip("addr add 192.0.2.1/24 dev eth0");
        let mut kernel = Kernel::open().unwrap();
        apply(&mut kernel, add(&[vip(1)])).await;
        let mut monitor = LinkMonitor::open().unwrap();
        let mut names = BTreeSet::new();
        while names.len() < 2 {
            if let LinkEvent::Changed(link) = event(&mut monitor, |_| true).await {
                names.insert(link.name);
            }
        }
        assert_eq!(names, BTreeSet::from(["eth0".to_owned(), "lo".to_owned()]));
        let eth0 = monitor.links().find(|link| link.name == "eth0").unwrap();
        assert_eq!(eth0.mac.unwrap().to_string(), HOST_MAC);
        let v4: Vec<_> = eth0.addresses.iter().filter(|a| a.address.is_ipv4()).collect();
        assert_eq!((v4[0].address, v4[0].prefix_len, v4[0].tagged), ([192, 0, 2, 1].into(), 24, false));
        assert_eq!((v4[1].address, v4[1].prefix_len, v4[1].tagged), (vip(1).key.address, 32, true));
    });
}

#[test]
fn the_monitor_follows_down_up_carrier_deletion_and_recreation() {
    Bed::run(|bed| async move {
        let mut monitor = LinkMonitor::open().unwrap();
        let first = changed(&mut monitor, "eth0", |link| link.up).await;
        ip("link set eth0 down");
        changed(&mut monitor, "eth0", |link| !link.up).await;
        ip("link set eth0 up");
        changed(&mut monitor, "eth0", |link| link.up).await;
        bed.at_neighbour(|| ip("link set peer0 down"));
        changed(&mut monitor, "eth0", |link| !link.up).await;
        bed.at_neighbour(|| ip("link set peer0 up"));
        changed(&mut monitor, "eth0", |link| link.up).await;

        ip("link del eth0");
        let gone = event(&mut monitor, |event| matches!(event, LinkEvent::Removed { .. })).await;
        assert_eq!(gone, LinkEvent::Removed { name: "eth0".to_owned(), index: first.index });
        bed.create_veth();
        let again = changed(&mut monitor, "eth0", |link| link.up).await;
        assert_ne!(again.index, first.index);
        ip("link set eth0 down");
        ip("link set eth0 name wan0");
        let gone = event(&mut monitor, |event| matches!(event, LinkEvent::Removed { .. })).await;
        assert_eq!(gone, LinkEvent::Removed { name: "eth0".to_owned(), index: again.index });
        let renamed = changed(&mut monitor, "wan0", |_| true).await;
        assert_eq!(renamed.index, again.index);
    });
}

#[test]
fn an_address_that_others_remove_is_reported() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        apply(&mut kernel, add(&[vip(1), vip(2)])).await;
        let mut monitor = LinkMonitor::open().unwrap();
        changed(&mut monitor, "eth0", |link| link.addresses.iter().any(|a| a.tagged)).await;
        ip("addr del 10.9.0.2/32 dev eth0");
        let removed = event(&mut monitor, |event| matches!(event, LinkEvent::AddressRemoved { .. })).await;
        match removed {
            LinkEvent::AddressRemoved { interface, address, .. } => {
                assert_eq!(
                    (interface.as_str(), address.address, address.tagged),
                    ("eth0", vip(2).key.address, true)
                );
            }
            other => unreachable!("{other:?}"),
        }
        let left = changed(&mut monitor, "eth0", |_| true).await;
        let tagged: Vec<_> = left.addresses.iter().filter(|a| a.tagged).map(|a| a.address).collect();
        assert_eq!(tagged, [vip(1).key.address]);
    });
}

#[test]
fn a_burst_of_address_changes_is_few_events() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        let mut monitor = LinkMonitor::open().unwrap();
        changed(&mut monitor, "eth0", |link| link.up).await;
        let vips: Vec<_> = (0..1000).map(vip).collect();
        apply(&mut kernel, add(&vips)).await;
        let mut events = 0;
        let link = changed(&mut monitor, "eth0", |link| {
            events += 1;
            link.addresses.iter().filter(|a| a.tagged).count() == 1000
        })
        .await;
        assert!(events <= 20, "{events} events");
        let order: Vec<_> = link.addresses.iter().filter(|a| a.tagged).map(|a| a.address).collect();
        assert_eq!(order, vips.iter().map(|vip| vip.key.address).collect::<Vec<_>>());
    });
}

#[test]
fn after_an_overrun_everything_is_looked_at_again() {
    Bed::run(|_bed| async {
        let mut kernel = Kernel::open().unwrap();
        let mut monitor = LinkMonitor::open_with_receive_buffer(16 * 1024).unwrap();
        changed(&mut monitor, "eth0", |link| link.up).await;
        assert_eq!(monitor.resyncs(), 0);
        // More notifications than the buffer holds, and the interesting one is among those that are lost.
        let vips: Vec<_> = (0..1000).map(vip).collect();
        apply(&mut kernel, add(&vips)).await;
        ip("link set eth0 down");
        let link = changed(&mut monitor, "eth0", |link| !link.up).await;
        assert_eq!(link.addresses.iter().filter(|a| a.tagged).count(), 1000);
        assert!(monitor.resyncs() >= 1);
    });
}

#[test]
fn the_applier_removes_leftovers_claims_restores_what_others_remove_and_releases() {
    Bed::run(|bed| async move {
        let vip = vip(1);
        let shown = || ip("-o addr show dev eth0").contains("10.9.0.1/32");
        bed.at_neighbour(|| {
            ip("addr add 10.9.200.1/16 dev peer0");
            ip("neigh add 10.9.0.1 lladdr 02:00:00:00:00:99 dev peer0 nud stale")
        });
        bed.wait_for_carrier();
        ip("addr add 10.9.0.1/32 dev eth0");

        let set = AddressSet {
            instance: "VI_1".to_owned(),
            addresses: vec![vip],
            beside: Vec::new(),
            owner: false,
        };
        let backup = Ownership { role: Role::Backup, ..Ownership::default() };
        let (own, ownership) = watch::channel(backup);
        let (events, mut claimed) = mpsc::channel(16);
        let (stop, stopped) = oneshot::channel::<()>();
        let changed = Arc::new(Notify::new());
        let mut monitor = LinkMonitor::open().unwrap();
        let applier = keep_addresses(
            Kernel::open().unwrap(),
            vec![OwnedAddresses { set, ownership }],
            Arc::clone(&changed),
            events,
            async { drop(stopped.await) },
        );
        let watcher = async {
            loop {
                if matches!(monitor.next().await.unwrap(), LinkEvent::AddressRemoved { .. }) {
                    changed.notify_one();
                }
            }
        };
        let story = async {
            eventually("the leftover is gone", || !shown()).await;
            let epoch = Epoch::NONE.next();
            own.send_replace(Ownership { epoch, role: Role::Master, announcements: 1 });
            let event = claimed.recv().await.unwrap();
            assert!(
                matches!(event, ClaimEvent::Claimed { epoch: e, result: ClaimResult::Confirmed, .. } if e == epoch),
                "{event:?}"
            );
            assert!(shown());
            let known = || bed.at_neighbour(|| ip("neigh show 10.9.0.1 dev peer0"));
            eventually("the neighbour knows the new owner", || known().contains(HOST_MAC)).await;

            ip("addr del 10.9.0.1/32 dev eth0");
            let event = claimed.recv().await.unwrap();
            assert!(
                matches!(&event, ClaimEvent::Restored { addresses, .. } if addresses.len() == 1),
                "{event:?}"
            );
            assert!(shown());
            stop.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        let everything = async {
            tokio::select! {
                kernel = applier => drop(kernel),
                () = watcher => {}
                () = story => {}
            }
        };
        tokio::time::timeout(DEADLINE, everything).await.expect("the story ends in time");
        assert!(!shown(), "released at the end");
    });
}

/// As [`until`], letting the other tasks run meanwhile.
async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen within {DEADLINE:?}: {what}");
        tokio::task::yield_now().await;
    }
}
