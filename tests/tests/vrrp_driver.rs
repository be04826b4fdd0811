//! The driver's raw sockets on real interfaces: IPv6, virtual MAC addresses, many instances, frozen processes.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use lvs_core::{ClaimResult, Role};
use lvs_tests::{Capture, Frame, Host, Segment, peers, poll_until};
use lvs_vrrp::{
    AuthPass, Authentication, Config, Driver, Handle, Instance, InstanceConfig, Interval, Priority, Refusal,
    Vrid, clock, timing,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A driver on a thread of its own inside a host.
struct Running {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(host: &Host, configs: Vec<InstanceConfig>) -> Self {
        let (driver, handle, _events) = Driver::new(configs).expect("a good configuration");
        let instances: Vec<Instance> = handle.instances().collect();
        let act = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                for instance in instances {
                    tokio::spawn(async move {
                        let mut ownership = instance.ownership();
                        while ownership.changed().await.is_ok() {
                            let epoch = ownership.borrow_and_update().epoch;
                            instance.claimed(epoch, ClaimResult::Confirmed);
                        }
                    });
                }
                driver.run().await.expect("the driver runs");
            });
        };
        // A thread of a thread inside the host is inside too.
        let thread = host.run(|| std::thread::spawn(act));
        Self { handle, thread: Some(thread) }
    }

    fn instance(&self) -> Instance {
        self.handle.instances().next().expect("it is configured")
    }

    fn wait_for_role(&self, role: Role) {
        for instance in self.handle.instances() {
            poll_until(LIMIT, &format!("{} is {role}", instance.name()), || {
                let now = instance.status().role;
                if now == role { Ok(()) } else { Err(now.to_string()) }
            });
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the driver's thread panicked");
        }
    }
}

fn config(vrid: u8, vip: IpAddr, priority: u8, centis: u16) -> InstanceConfig {
    let interval = Interval::centis(centis).expect("in range");
    let router = Config::new(interval, Priority::new(priority).expect("in range"));
    InstanceConfig::new(format!("VI_{vrid}"), "eth0", Vrid::new(vrid).expect("in range"), vec![vip], router)
}

fn lan() -> (Segment, [Host; 2]) {
    let segment = Segment::new();
    let hosts = [("one", "10.9.0.1/24"), ("two", "10.9.0.2/24")].map(|(name, address)| {
        let host = Host::new(name);
        host.connect(&segment, "eth0", address);
        host
    });
    (segment, hosts)
}

fn vrrp(frame: &Frame) -> bool {
    frame.ip().is_some_and(|ip| ip.protocol == 112)
}

#[test]
fn adverts_over_ipv6_come_from_the_link_local_address_and_decide_an_election() {
    // VR-002, VR-003, VR-004, VR-005, VR-042.
    let (_segment, [one, two]) = lan();
    // Not the first of the interface, nor one that could be sent from.
    one.add_address("eth0", "2001:db8::1/64");
    let capture = Capture::start(&two, "eth0", vrrp);
    let vip: IpAddr = "fe80::51".parse().expect("an address");
    let better = Running::start(&one, vec![config(51, vip, 150, 10)]);
    let worse = Running::start(&two, vec![config(51, vip, 100, 10)]);
    better.wait_for_role(Role::Master);
    let backup = worse.instance();
    poll_until(LIMIT, "the backup hears", || backup.stats().adverts_received > 5);
    let refused: Vec<(Refusal, u64)> = backup.stats().refusals().collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(backup.status().role, Role::Backup);

    let own: Vec<Ipv6Addr> = one
        .addresses("eth0")
        .into_iter()
        .filter_map(|address| match address.network.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            _ => None,
        })
        .collect();
    let first = capture.wait_for("an advert", LIMIT, |frame| !frame.outgoing);
    let ip = first.ip().expect("only such are captured");
    assert_eq!(Some(ip.source), own.first().map(|&address| address.into()));
    assert_eq!((ip.destination, ip.ttl), ("ff02::12".parse().expect("an address"), 255));
    assert_eq!(first.destination_mac().map(|mac| mac.to_string()), Some("33:33:00:00:00:12".to_owned()));
    // Version 6, traffic class CS6.
    assert_eq!(first.bytes.get(14..16), Some([0x6c, 0x00].as_slice()));

    drop(better);
    worse.wait_for_role(Role::Master);
    let resignation = capture.wait_for("a resignation", LIMIT, |frame| {
        frame.ip().is_some_and(|ip| !frame.outgoing && ip.payload.get(2) == Some(&0))
    });
    let taken = capture.wait_for("the new master", LIMIT, |frame| frame.outgoing);
    let skew =
        timing::skew_time(Interval::centis(10).expect("in range"), Priority::new(100).expect("in range"));
    // The stamps are those of a thread that may be late itself.
    assert!(taken.at.duration_since(resignation.at) + Duration::from_millis(20) > skew);
}

#[test]
fn both_families_share_an_interface_and_an_identifier() {
    let (_segment, [one, two]) = lan();
    let configs = |priority| {
        let four = config(51, [10, 9, 0, 100].into(), priority, 10);
        let mut six = config(51, "fe80::51".parse().expect("an address"), priority, 10);
        six.name = "six".into();
        vec![four, six]
    };
    let better = Running::start(&one, configs(150));
    better.wait_for_role(Role::Master);
    let worse = Running::start(&two, configs(100));
    for instance in worse.handle.instances() {
        poll_until(LIMIT, "it hears the master of its family", || instance.stats().adverts_received > 2);
        assert_eq!(instance.status().role, Role::Backup);
        assert_eq!(instance.stats().refusals().count(), 0);
    }
    drop(better);
    worse.wait_for_role(Role::Master);
}

#[test]
fn an_instance_with_a_virtual_mac_address_sends_through_it_and_listens_on_its_parent() {
    // VR-006.
    let (_segment, [one, two]) = lan();
    let vmac = "00:00:5e:00:01:33";
    let made = format!(
        "ip link add link eth0 name vrrp.51 address {vmac} type macvlan mode private && ip link set vrrp.51 up"
    );
    one.sh(&made).expect("a macvlan can be made");
    let capture = Capture::start(&two, "eth0", |frame| vrrp(frame) && !frame.outgoing);
    let mut better = config(51, [10, 9, 0, 100].into(), 150, 10);
    better.send_interface = Some("vrrp.51".into());
    let better = Running::start(&one, vec![better]);
    better.wait_for_role(Role::Master);
    let advert = capture.wait_for("an advert", LIMIT, |_| true);
    assert_eq!(advert.source_mac().map(|mac| mac.to_string()), Some(vmac.to_owned()));
    let source: IpAddr = [10, 9, 0, 1].into();
    assert_eq!(advert.ip().map(|ip| ip.source), Some(source));
    // It hears a better one on the parent, and nothing of its own.
    let best = Running::start(&two, vec![config(51, [10, 9, 0, 100].into(), 200, 10)]);
    better.wait_for_role(Role::Backup);
    assert_eq!(better.instance().stats().refusals().count(), 0);
    drop(best);
    better.wait_for_role(Role::Master);
}

#[test]
fn adverts_behind_authentication_headers_decide_an_election_with_keepalived() {
    let (_segment, [one, two]) = lan();
    let capture = Capture::start(&two, "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 51));
    let theirs = peers::keepalived(
        &two,
        "vrrp_instance theirs {\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 2\n \
         priority 100\n advert_int 1\n authentication {\n auth_type AH\n auth_pass 1111\n }\n \
         virtual_ipaddress {\n 10.9.0.100/32\n }\n}\n",
    );
    theirs.wait_for_log("Entering MASTER STATE", LIMIT);
    let router = Config::new(Interval::seconds(1).expect("in range"), Priority::new(150).expect("in range"));
    let vip = vec![[10, 9, 0, 100].into()];
    let mut ours = InstanceConfig::new("ours", "eth0", Vrid::new(51).expect("in range"), vip, router);
    ours.authentication = Authentication::Ah(AuthPass::new(b"1111").expect("4 octets"));
    let ours = Running::start(&one, vec![ours]);
    // It believes theirs, and theirs yields to it.
    poll_until(LIMIT, "ours hears theirs", || ours.instance().stats().adverts_received > 0);
    ours.wait_for_role(Role::Master);
    theirs.wait_for_log("Entering BACKUP STATE", LIMIT);
    let sent = ours.instance().stats().adverts_sent;
    poll_until(LIMIT, "ours advertises", || ours.instance().stats().adverts_sent > sent + 4);
    assert_eq!(theirs.log().matches("Entering MASTER STATE").count(), 1);
    let refused: Vec<(Refusal, u64)> = ours.instance().stats().refusals().collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(capture.frames().iter().any(|frame| !frame.outgoing));
    drop(ours);
    poll_until(LIMIT, "theirs takes over", || theirs.log().matches("Entering MASTER STATE").count() == 2);
}

#[test]
fn a_burst_of_adverts_to_many_instances_is_taken_in_batches_and_misses_none() {
    let (_segment, [one, two]) = lan();
    let configs = |priority| {
        (1..=200).map(|vrid| config(vrid, [10, 9, 1, vrid].into(), priority, 20)).collect::<Vec<_>>()
    };
    let better = Running::start(&one, configs(150));
    better.wait_for_role(Role::Master);
    let worse = Running::start(&two, configs(100));
    for instance in worse.handle.instances() {
        poll_until(LIMIT, "it hears", || instance.stats().adverts_received > 3);
    }
    // All resign in one turn.
    drop(better);
    worse.wait_for_role(Role::Master);
    for instance in worse.handle.instances() {
        let stats = instance.stats();
        assert_eq!((stats.resignations_received, stats.became_master), (1, 1), "{}", instance.name());
    }
}

#[test]
fn adverts_of_fifty_instances_go_on_while_ten_are_changed_ten_removed_and_ten_added() {
    // E14.
    let (_segment, [one, two]) = lan();
    const INTERVAL: Duration = Duration::from_secs(1);
    let of = |vrid: u8, priority| config(vrid, [10, 9, 1, vrid].into(), priority, 100);
    let better = Running::start(&one, (1..=50).map(|vrid| of(vrid, 150)).collect());
    let worse = Running::start(&two, (1..=50).map(|vrid| of(vrid, 100)).collect());
    better.wait_for_role(Role::Master);
    let backups: Vec<Instance> = worse.handle.instances().collect();
    for backup in &backups {
        poll_until(LIMIT, "it hears", || backup.stats().adverts_received > 1);
    }
    // The sender may have stepped aside for a moment on a busy machine before this.
    let masterships: Vec<u64> = backups.iter().map(|backup| backup.stats().became_master).collect();
    let capture = Capture::start(&two, "eth0", vrrp);
    let advert = |frame: &Frame| {
        let ip = frame.ip().expect("only such are captured");
        (ip.source == IpAddr::from([10, 9, 0, 1])).then(|| (ip.payload[1], ip.payload[2]))
    };
    let count = |vrid: u8| capture.frames().iter().filter_map(advert).filter(|(of, _)| *of == vrid).count();
    poll_until(LIMIT, "an advert of the last before", || count(50) > 1);

    let apply = |running: &Running, setup: Vec<InstanceConfig>| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(running.handle.apply(setup)).expect("a good change")
    };
    // 1 to 30 stay, 31 to 40 change, 41 to 50 go, 51 to 60 come; the other host has them all.
    apply(&worse, (1..=60).map(|vrid| of(vrid, 100)).collect());
    let changed = (31..=40).map(|vrid| of(vrid, 160));
    let setup = (51..=60).map(|vrid| of(vrid, 150)).chain(changed).chain((1..=30).map(|vrid| of(vrid, 150)));
    let changes = apply(&better, setup.collect());
    let counts = [&changes.added, &changes.removed, &changes.reconfigured, &changes.kept].map(Vec::len);
    assert_eq!(counts, [10, 10, 10, 30]);
    for name in &changes.added {
        let instance = better.handle.instance(name).expect("it was added");
        poll_until(LIMIT, "the new one is master", || {
            let now = *instance.ownership().borrow();
            instance.claimed(now.epoch, ClaimResult::Confirmed);
            now.role == Role::Master
        });
    }
    poll_until(LIMIT, "adverts after it", || count(1) > 6 && count(40) > 6);

    let frames = capture.frames();
    for vrid in 1..=50 {
        let mine = frames.iter().filter(|frame| advert(frame).is_some_and(|(of, _)| of == vrid));
        let mine: Vec<(std::time::Instant, u8)> =
            mine.filter_map(|frame| Some((frame.at, advert(frame)?.1))).collect();
        let priorities: Vec<u8> = mine.iter().map(|(_, priority)| *priority).collect();
        match vrid {
            1..=30 => assert!(priorities.iter().all(|priority| *priority == 150), "{vrid}: {priorities:?}"),
            31..=40 => assert!(
                priorities.first() == Some(&150) && priorities.last() == Some(&160),
                "{vrid}: {priorities:?}"
            ),
            // Priority 0 is the last that they sent, and the only one.
            _ => assert_eq!(priorities.iter().position(|priority| *priority == 0), Some(mine.len() - 1)),
        }
        for pair in mine.windows(2) {
            // One that is lost would be as late as another one; the stamps are those of a thread that may be late itself.
            let gap = pair[1].0.duration_since(pair[0].0);
            assert!(gap < INTERVAL * 3 / 2, "{vrid}: {gap:?} between two adverts");
        }
    }
    for (backup, before) in backups.iter().zip(masterships) {
        let stays = ((1..=40).map(|vrid| format!("VI_{vrid}"))).any(|name| name == backup.name());
        let stats = backup.stats();
        let expected = if stays { (before, 0) } else { (before + 1, 1) };
        assert_eq!((stats.became_master, stats.resignations_received), expected, "{}", backup.name());
    }
}

#[test]
fn a_backup_whose_thread_did_not_run_takes_what_it_missed_before_it_believes_its_timer() {
    // E8b. The thread is held by a task of its own runtime, for longer than the master down interval.
    let (_segment, [one, two]) = lan();
    let vip = [10, 9, 0, 100].into();
    let _better = {
        let better = Running::start(&one, vec![config(51, vip, 150, 5)]);
        better.wait_for_role(Role::Master);
        better
    };
    let (driver, handle, _events) = Driver::new(vec![config(51, vip, 100, 5)]).expect("a good configuration");
    let (hold, held) = mpsc::channel::<Duration>();
    let thread = two.run(|| {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::spawn(async move {
                    loop {
                        while let Ok(time) = held.try_recv() {
                            std::thread::sleep(time);
                        }
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
                driver.run().await.expect("the driver runs");
            });
        })
    });
    let backup = handle.instance("VI_51").expect("it is configured");
    poll_until(LIMIT, "it is a backup that hears", || backup.stats().adverts_received > 2);
    for _ in 0..5 {
        let (heard, start) = (backup.stats().adverts_received, clock::now());
        hold.send(Duration::from_millis(600)).expect("it runs");
        poll_until(LIMIT, "it was held and goes on", || {
            clock::now() - start > Duration::from_millis(700) && backup.stats().adverts_received > heard + 8
        });
    }
    assert_eq!(backup.stats().became_master, 0);
    handle.shutdown();
    assert!(thread.join().is_ok());
}
