//! Virtual routers of IPv6.

use std::net::IpAddr;
use std::time::Duration;

use lvs_tests::{Capture, Frame, Process, holds_for, poll_until};

use crate::lan::{LATE, LIMIT, Lan, VIP, VIP_6, instance, instance_6, leaves_with, priority, source};

#[track_caller]
fn owned_by(lan: &Lan, owner: usize) {
    poll_until(LIMIT, &format!("host {owner} alone has the addresses"), || {
        let has = [0, 1].map(|host| [VIP_6, "2001:db8::100"].map(|address| lan.has(host, address)));
        let mut expected = [[false; 2]; 2];
        expected[owner] = [true; 2];
        if has == expected { Ok(()) } else { Err(format!("{has:?}")) }
    });
}

fn hands_over(master: fn(&Lan, usize, &str) -> Process, backup: fn(&Lan, usize, &str) -> Process) {
    let lan = Lan::new();
    let wire = lan.adverts();
    let neighbours = Capture::start(&lan.hosts[0], "eth0", |frame| {
        // ICMPv6, neighbour advertisement
        frame.ip().is_some_and(|ip| ip.protocol == 58 && ip.payload.first() == Some(&136))
    });
    let first = master(&lan, 0, &instance_6(150, ""));
    owned_by(&lan, 0);
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(150));
    let ip = advert.ip().expect("it is one");
    // VR-003, VR-060: to the group, with hop limit 255, from an address of the link.
    assert_eq!((ip.destination, ip.ttl), ("ff02::12".parse().expect("an address"), 255));
    assert!(matches!(ip.source, IpAddr::V6(source) if source.is_unicast_link_local()));
    assert_eq!(ip.payload.get(3), Some(&2), "two addresses are listed");
    // VR-157: to all nodes, about the address, with the override flag.
    let vip: std::net::Ipv6Addr = VIP_6.parse().expect("an address");
    neighbours.wait_for("it is announced", LIMIT, |frame| {
        frame.outgoing
            && frame.ip().is_some_and(|ip| {
                ip.payload.get(8..24) == Some(&vip.octets()[..])
                    && ip.payload.get(4).is_some_and(|flags| flags & 0x20 != 0)
            })
    });

    let second = backup(&lan, 1, &instance_6(100, ""));
    holds_for(Duration::from_secs(2), "the backup believes the master", || {
        lan.has(0, VIP_6) && !lan.has(1, VIP_6)
    });
    assert!(first.terminate().success(), "{}", first.log());
    let resigned = wire.wait_for("priority 0", LIMIT, leaves_with(0));
    let taken = wire.wait_for("the other advertises", LIMIT, |frame| priority(frame) == Some(100));
    owned_by(&lan, 1);
    // Skew time: (256 - 100) / 256 of a tenth of a second.
    let gap = taken.at - resigned.at;
    assert!(
        gap >= Duration::from_millis(55) && gap < Duration::from_millis(61) + LATE,
        "took over after {gap:?}"
    );
    assert_ne!(source(&taken), source(&resigned));
    assert!(second.is_running(), "{}", second.log());
}

#[test]
fn lvsd_hands_over_to_lvsd() {
    hands_over(Lan::lvsd, Lan::lvsd);
}

#[test]
fn lvsd_hands_over_to_keepalived() {
    hands_over(Lan::lvsd, Lan::keepalived);
}

#[test]
fn keepalived_hands_over_to_lvsd() {
    hands_over(Lan::keepalived, Lan::lvsd);
}

/// An instance that advertises these addresses.
fn listing(priority: u8, addresses: &[&str]) -> String {
    instance_6(priority, "").replace(&format!("{VIP_6}/64\n 2001:db8::100/64"), &addresses.join("\n "))
}

#[test]
fn an_instance_whose_own_list_is_right_is_backup_to_a_master_that_lists_global_addresses_alone() {
    // VR-072: two masters would be worse than a list that RFC 9568 does not want.
    let lan = Lan::new();
    let wire = lan.adverts();
    let master = lan.keepalived(0, &listing(150, &["2001:db8::100/64"]));
    wire.wait_for("an advert", LIMIT, leaves_with(150));
    let backup = lan.lvsd(1, &listing(100, &["fe80::5e:100/64", "2001:db8::100/64"]));
    backup.wait_for_log("first address is not link-local (RFC 9568 §5.2.9) is believed", LIMIT);
    holds_for(Duration::from_secs(2), "the backup believes the master", || {
        lan.has(0, "2001:db8::100") && !lan.has(1, "2001:db8::100")
    });
    drop(master);
    poll_until(LIMIT, "the backup takes over", || lan.has(1, "2001:db8::100"));
}

#[test]
fn in_strict_mode_a_master_that_lists_global_addresses_alone_is_not_believed() {
    // VR-072; keepalived 2.2.7 drops the adverts, too, as their list is not its own.
    let lan = Lan::new();
    let strict = format!("strict_mode\n accept\n virtual_ipaddress {{\n {VIP_6}/64\n 2001:db8::100/64\n }}");
    let strict = listing(100, &["REPLACED"]).replace("virtual_ipaddress {\n REPLACED\n }", &strict);
    let backup = lan.lvsd(1, &strict);
    let _master = lan.keepalived(0, &listing(150, &["2001:db8::100/64"]));
    backup.wait_for_log("advert refused", LIMIT);
    poll_until(LIMIT, "both are master", || lan.has(0, "2001:db8::100") && lan.has(1, "2001:db8::100"));
}

/// The count of addresses in an advert (RFC 9568 §5.2.5).
fn count(frame: &Frame) -> Option<u8> {
    frame.ip().and_then(|ip| ip.payload.get(3).copied())
}

/// 100 addresses between hosts whose MTU is this: keepalived 2.2.7 believes only a list that is its own, octet for octet.
fn lists(mtu: u16, expected: u8) {
    let lan = Lan::new();
    for host in &lan.hosts {
        host.sh(&format!("ip link set eth0 mtu {mtu}")).expect("the MTU can be set");
    }
    let wire = lan.adverts();
    let all: Vec<String> = (1..=100).map(|number| format!("fe80::9:{number}/64")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let first = lan.lvsd(0, &listing(150, &all));
    let advert = wire.wait_for("an advert of lvsd", LIMIT, leaves_with(150));
    assert_eq!(count(&advert), Some(expected), "{}", first.log());
    first.wait_for_log("not all virtual addresses fit an advert", LIMIT);
    // Those that are not listed are held all the same.
    poll_until(LIMIT, "the first has all of them", || {
        all.iter().all(|vip| lan.has(0, vip.trim_end_matches("/64")))
    });
    let second = lan.keepalived(1, &listing(100, &all));
    holds_for(Duration::from_secs(2), "keepalived believes lvsd", || !lan.has(1, "fe80::9:1"));
    assert!(first.terminate().success(), "{}", first.log());
    let theirs = wire.wait_for("an advert of keepalived", LIMIT, |frame| priority(frame) == Some(100));
    assert_eq!(count(&theirs), Some(expected), "{}", second.log());
}

#[test]
fn an_advert_lists_as_many_addresses_as_keepalived_s_whatever_the_mtu_is() {
    // VR-023
    std::thread::scope(|scope| {
        for (mtu, expected) in [(1280, 76), (1300, 77), (1500, 89)] {
            scope.spawn(move || lists(mtu, expected));
        }
    });
}

#[test]
fn an_advert_is_never_longer_than_an_mtu_that_shrinks() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let all: Vec<String> = (1..=80).map(|number| format!("fe80::9:{number}/64")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let master = lan.lvsd(0, &listing(150, &all));
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(150));
    assert_eq!(count(&advert), Some(80));
    let began = advert.at;
    lan.hosts[0].sh("ip link set eth0 mtu 1280").expect("the MTU can be set");
    let shorter =
        wire.wait_for("a shorter one", LIMIT, |frame| leaves_with(150)(frame) && count(frame) == Some(76));
    let before =
        wire.frames().into_iter().rfind(|frame| count(frame) == Some(80)).map_or(began, |frame| frame.at);
    // The one that did not leave was sent again at once.
    assert!(shorter.at - before < Duration::from_millis(200) + LATE, "{:?}", shorter.at - before);
    holds_for(Duration::from_secs(1), "it stays master", || lan.has(0, "fe80::9:1"));
    assert!(master.is_running(), "{}", master.log());
}

/// A master of both families, and a backup of it whose interface is played with.
fn pair() -> (Lan, [Process; 2]) {
    let lan = Lan::new();
    let both = |priority| instance(priority, "") + &instance_6(priority, "").replace("VI_1", "VI_2");
    let first = lan.lvsd(0, &both(150));
    poll_until(LIMIT, "the first is master", || lan.has(0, VIP) && lan.has(0, VIP_6));
    let second = lan.lvsd(1, &both(100));
    changes_to(&second, "BACKUP");
    (lan, [first, second])
}

/// Waits until the last change of the instance of IPv6 is to this state.
#[track_caller]
fn changes_to(daemon: &Process, state: &str) {
    poll_until(LIMIT, state, || {
        let log = daemon.log();
        let last = log
            .lines()
            .rfind(|line| line.contains("VI_2: ") && line.contains(" -> "))
            .unwrap_or("")
            .to_owned();
        if last.contains(&format!("-> {state}")) { Ok(()) } else { Err(last) }
    });
}

#[track_caller]
fn stays_backup(lan: &Lan, what: &str) {
    // Many times its master down interval.
    holds_for(Duration::from_secs(2), what, || !lan.has(1, VIP) && !lan.has(1, VIP_6));
}

#[test]
fn a_backup_hears_its_master_again_after_ipv6_was_gone_from_its_interface() {
    // Fault 28: at an MTU below 1,280 the kernel takes IPv6 away, and forgets the groups.
    let (lan, [_first, second]) = pair();
    lan.hosts[1].sh("ip link set eth0 mtu 1000").expect("the MTU can be set");
    changes_to(&second, "FAULT");
    lan.hosts[1].sh("ip link set eth0 mtu 1500").expect("the MTU can be set");
    changes_to(&second, "BACKUP");
    stays_backup(&lan, "it hears the master");
}

#[test]
fn a_backup_hears_its_master_again_after_its_interface_was_in_a_bridge() {
    // Fault 28
    let (lan, [_first, _second]) = pair();
    let host = &lan.hosts[1];
    host.sh("ip link add br9 type bridge && ip link set br9 up").expect("a bridge");
    host.sh("ip link set eth0 master br9 && ip link set eth0 nomaster").expect("in and out");
    stays_backup(&lan, "a moment in a bridge");
    host.sh("ip link set eth0 master br9").expect("in");
    poll_until(LIMIT, "the bridge takes the adverts", || lan.has(1, VIP) && lan.has(1, VIP_6));
    host.sh("ip link set eth0 nomaster").expect("out");
    poll_until(LIMIT, "it hears the master", || !lan.has(1, VIP) && !lan.has(1, VIP_6));
    stays_backup(&lan, "it goes on hearing the master");
}
