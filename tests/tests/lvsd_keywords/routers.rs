//! What single keywords change in an election.

use std::time::{Duration, Instant};

use lvs_tests::{Capture, Process, Signal, holds_for, poll_until};

use crate::lan::{LATE, LIMIT, Lan, VIP, instance, is_advert, leaves_with, priority};

/// One's complement sum of 16-bit words (RFC 1071); 0xffff if the checksum within is right.
fn sum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)));
    let mut total: u32 = words.sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::try_from(total).expect("16 bits")
}

#[test]
fn nothing_is_sent_before_the_startup_delay_is_over() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let start = Instant::now();
    let owner = instance(255, "state MASTER");
    let _daemon = lan.lvsd(0, &("global_defs {\n vrrp_startup_delay 2.5\n}\n".to_owned() + &owner));
    // An owner would not wait at all.
    let first = wire.wait_for("an advert", LIMIT, leaves_with(255));
    assert!(first.at - start >= Duration::from_millis(2500), "{:?}", first.at - start);
}

#[test]
fn a_backup_waits_for_as_many_adverts_as_it_is_told() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let first = lan.lvsd(0, &instance(150, ""));
    poll_until(LIMIT, "the first node is master", || lan.has(0, VIP));
    let second = lan.lvsd(1, &instance(100, "down_timer_adverts 20"));
    second.wait_for_log("INIT -> BACKUP", LIMIT);
    first.signal_all(Signal::SIGKILL);
    let taken = wire.wait_for("the other advertises", LIMIT, |frame| priority(frame) == Some(100));
    let last =
        wire.frames().into_iter().rfind(|frame| leaves_with(150)(frame)).expect("the first advertised");
    // Twenty intervals and the skew time, (256 - 100) / 256 of one.
    let (gap, wait) = (taken.at - last.at, Duration::from_micros(2_060_937));
    assert!(gap + Duration::from_millis(5) >= wait && gap < wait + LATE, "took over after {gap:?}");
}

#[test]
fn excluded_addresses_move_with_the_instance_and_are_not_advertised() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let excluded = "virtual_ipaddress_excluded {\n 10.9.0.101/24\n 2001:db8::101/64\n }";
    let master = lan.lvsd(0, &instance(150, excluded));
    let all = [VIP, "10.9.0.101", "2001:db8::101"];
    poll_until(LIMIT, "the first node has all addresses", || all.iter().all(|address| lan.has(0, address)));
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(150));
    // RFC 9568 §5.2: eight octets, and four for each address.
    let ip = advert.ip().expect("it is one");
    assert_eq!((ip.payload.len(), ip.payload.get(3)), (12, Some(&1)));
    // keepalived 2.2.7 drops adverts whose list differs from its own.
    let _backup = lan.keepalived(1, &instance(100, excluded));
    holds_for(Duration::from_secs(2), "keepalived stays backup", || !lan.has(1, VIP));
    assert!(master.terminate().success());
    poll_until(LIMIT, "keepalived has all addresses", || all.iter().all(|address| lan.has(1, address)));
    assert!(all.iter().all(|address| !lan.has(0, address)));
}

#[test]
fn v3_checksum_as_v2_leaves_the_addresses_out_of_the_sum() {
    // VR-043, VR-044
    let lan = Lan::new();
    let wire = lan.adverts();
    let daemon = lan.lvsd(0, &instance(150, "v3_checksum_as_v2"));
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(150));
    assert_eq!(sum(advert.ip().expect("it is one").payload), 0xffff);
    drop(daemon);
    wire.clear();
    let _daemon = lan.lvsd(0, &instance(140, ""));
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(140));
    assert_ne!(sum(advert.ip().expect("it is one").payload), 0xffff);
}

/// Version 2 with an authentication header; the address of the instance is [`VIP`].
fn with_key(priority: u8, key: &str) -> String {
    let block = format!("authentication {{\n auth_type AH\n auth_pass {key}\n }}");
    instance(priority, &block).replace("version 3\n advert_int 0.1", "version 2\n advert_int 1")
}

/// VR-202
fn hands_over_with_ah(master: fn(&Lan, usize, &str) -> Process, backup: fn(&Lan, usize, &str) -> Process) {
    let lan = Lan::new();
    let wire = Capture::start(&lan.hosts[0], "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 51));
    let plain = lan.adverts();
    let first = master(&lan, 0, &with_key(150, "k3pt1882"));
    poll_until(LIMIT, "the first node is master", || lan.has(0, VIP));
    let _second = backup(&lan, 1, &with_key(100, "k3pt1882"));
    wire.wait_for("an advert behind a header", LIMIT, |frame| frame.outgoing);
    holds_for(Duration::from_secs(5), "the second believes the first", || {
        lan.has(0, VIP) && !lan.has(1, VIP)
    });
    assert!(first.terminate().success(), "{}", first.log());
    let start = Instant::now();
    poll_until(LIMIT, "the second node takes over", || lan.has(1, VIP));
    // Skew time, 609 ms, not a master down interval: the resignation was believed.
    assert!(start.elapsed() < Duration::from_millis(609) + LATE, "{:?}", start.elapsed());
    assert!(plain.frames().is_empty(), "nothing went without a header");
}

#[test]
fn lvsd_hands_over_to_keepalived_with_ah() {
    hands_over_with_ah(Lan::lvsd, Lan::keepalived);
}

#[test]
fn keepalived_hands_over_to_lvsd_with_ah() {
    hands_over_with_ah(Lan::keepalived, Lan::lvsd);
}

#[test]
fn a_pair_with_different_keys_of_ah_is_told_why_both_are_master() {
    let lan = Lan::new();
    let first = lan.lvsd(0, &with_key(150, "one"));
    let _second = lan.keepalived(1, &with_key(100, "two"));
    first.wait_for_log("advert refused", LIMIT);
    poll_until(LIMIT, "both are master", || lan.has(0, VIP) && lan.has(1, VIP));
    assert!(!first.log().contains("auth_pass"), "{}", first.log());
}

#[test]
fn another_group_is_another_virtual_router() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let _first = lan.lvsd(0, &instance(150, "mcast_dst_ip 224.0.0.99"));
    poll_until(LIMIT, "the first node is master", || lan.has(0, VIP));
    let advert = wire.wait_for("an advert", LIMIT, leaves_with(150));
    assert_eq!(advert.ip().map(|ip| ip.destination), Some([224, 0, 0, 99].into()));
    let global = "global_defs {\n vrrp_mcast_group4 224.0.0.99\n}\n".to_owned();
    let same = lan.keepalived(1, &(global + &instance(100, "")));
    holds_for(Duration::from_secs(2), "a member of the group stays backup", || !lan.has(1, VIP));
    drop(same);
    let _other = lan.keepalived(1, &instance(100, "").replace(VIP, "10.9.0.200"));
    poll_until(LIMIT, "one of another group is master, too", || lan.has(1, "10.9.0.200"));
}

#[test]
fn unicast_without_peers_is_a_fault_if_the_file_says_so() {
    // VR-225
    let lan = Lan::new();
    let wire = lan.adverts();
    let script = lan.script(0, "fault");
    let _daemon = lan.lvsd(0, &instance(150, &format!("unicast_fault_no_peer\n notify_fault {script}")));
    poll_until(LIMIT, "it is at fault", || lan.said(0) == ["fault"]);
    holds_for(Duration::from_secs(1), "it says nothing", || {
        !wire.frames().iter().any(is_advert) && !lan.has(0, VIP)
    });
}

#[test]
fn an_instance_that_does_not_track_its_interface_is_not_at_fault_without_it() {
    let lan = Lan::new();
    let script = lan.script(0, "fault");
    let more = format!("notify_fault {script}\n dont_track_primary");
    let _daemon = lan.lvsd(0, &instance(150, &more));
    poll_until(LIMIT, "it is master", || lan.has(0, VIP));
    lan.hosts[0].unplug("eth0");
    holds_for(Duration::from_secs(2), "it stays master", || lan.has(0, VIP) && lan.said(0).is_empty());
}

#[test]
fn an_instance_that_tracks_its_source_is_at_fault_without_it() {
    let lan = Lan::new();
    lan.hosts[0].add_address("eth0", "10.9.0.11/24");
    let scripts = ["fault", "master"].map(|word| format!("notify_{word} {}\n", lan.script(0, word))).concat();
    let _daemon = lan.lvsd(0, &instance(150, &format!("{scripts} mcast_src_ip 10.9.0.11\n track_src_ip")));
    poll_until(LIMIT, "it is master", || lan.has(0, VIP));
    lan.hosts[0].delete_address("eth0", "10.9.0.11/24");
    poll_until(LIMIT, "it is at fault", || lan.said(0).last().is_some_and(|last| last == "fault"));
    poll_until(LIMIT, "it gave up the address", || !lan.has(0, VIP));
    lan.hosts[0].add_address("eth0", "10.9.0.11/24");
    poll_until(LIMIT, "it is master again", || lan.has(0, VIP));
}

#[test]
fn of_two_nodes_with_the_same_source_address_only_the_one_that_has_it_takes_part() {
    // The first node's file was copied to the second: each would take the other's adverts for its own.
    let lan = Lan::new();
    let source = "unicast_src_ip 10.9.0.1\n unicast_peer {\n 10.9.0.2\n }";
    let _first = lan.keepalived(0, &instance(150, source));
    poll_until(LIMIT, "the first node is master", || lan.has(0, VIP));
    let sent = Capture::start(&lan.hosts[1], "eth0", |frame| frame.outgoing && is_advert(frame));
    let second = lan.lvsd(1, &instance(100, &format!("{source}\n notify_fault {}", lan.script(1, "fault"))));
    poll_until(LIMIT, "the second node is at fault", || lan.said(1) == ["fault"]);
    second.wait_for_log("10.9.0.1", LIMIT);
    holds_for(Duration::from_secs(3), "the first node alone has the address", || {
        lan.has(0, VIP) && !lan.has(1, VIP) && sent.frames().is_empty()
    });
    let warnings = second.log().lines().filter(|line| line.contains("does not have the address")).count();
    assert_eq!(warnings, 1, "{}", second.log());
}

#[test]
fn a_source_address_of_any_interface_will_do_and_it_may_come_later() {
    let lan = Lan::new();
    let sent = lan.adverts();
    let source = "unicast_src_ip 10.8.0.1\n unicast_peer {\n 10.9.0.2\n }";
    let _daemon = lan.lvsd(0, &instance(150, &format!("{source}\n notify_fault {}", lan.script(0, "fault"))));
    poll_until(LIMIT, "it is at fault", || lan.said(0) == ["fault"]);
    lan.hosts[0].add_address("lo", "10.8.0.1/32");
    poll_until(LIMIT, "it is master", || lan.has(0, VIP));
    sent.wait_for("an advert", LIMIT, leaves_with(150));
    lan.hosts[0].delete_address("lo", "10.8.0.1/32");
    poll_until(LIMIT, "it gave up the address", || !lan.has(0, VIP));
    poll_until(LIMIT, "it is at fault again", || lan.said(0) == ["fault", "fault"]);
    // From an address that is not ours nobody resigns either.
    assert!(!sent.frames().iter().any(leaves_with(0)));
}

#[test]
fn an_excluded_address_that_cannot_be_added_is_no_reason_to_give_up_the_others() {
    let lan = Lan::new();
    lan.hosts[0].sysctl("net.ipv6.conf.eth0.disable_ipv6", "1");
    let wire = lan.adverts();
    let announced = Capture::start(&lan.hosts[0], "eth0", |frame| {
        frame.outgoing && frame.arp().is_some_and(|arp| arp.sender.to_string() == VIP)
    });
    let excluded = "virtual_ipaddress_excluded {\n 2001:db8::101/64\n }";
    let daemon = lan.lvsd(0, &instance(150, excluded));
    announced.wait_for("the address is announced", LIMIT, |_| true);
    // Longer than a claim may take.
    holds_for(Duration::from_secs(6), "it stays master", || {
        lan.has(0, VIP) && !wire.frames().iter().any(leaves_with(0))
    });
    let warnings = daemon.log().lines().filter(|line| line.contains("without excluded addresses")).count();
    assert_eq!(warnings, 1, "{}", daemon.log());
    lan.hosts[0].sysctl("net.ipv6.conf.eth0.disable_ipv6", "0");
    poll_until(LIMIT, "the other address is there at last", || lan.has(0, "2001:db8::101"));
}

#[test]
fn a_router_of_state_master_listens_for_a_whole_master_down_interval_first() {
    let lan = Lan::new();
    let wire = lan.adverts();
    let slow = instance(100, "state MASTER").replace("advert_int 0.1", "advert_int 1");
    let daemon = lan.lvsd(0, &slow);
    daemon.wait_for_log("INIT -> BACKUP", LIMIT);
    let listens = Instant::now();
    let first = wire.wait_for("an advert", LIMIT, leaves_with(100));
    // 3.6 s as in keepalived 2.2.7, less what the log was read late; it would be 1.0 s otherwise.
    assert!(first.at - listens > Duration::from_millis(2500), "{:?}", first.at - listens);
}
