//! Who answers for a virtual address, and who takes packets to it.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lvs_tests::{Capture, Frame, Host, poll_until};

use crate::lan::{LIMIT, Lan, VIP, instance, instance_6};

const VIP_GLOBAL: &str = "2001:db8::100";

/// Long enough for ten echo requests.
const UNANSWERED: Duration = Duration::from_secs(1);

/// An ARP message (1 request, 2 reply) about the virtual address.
fn is_arp(frame: &Frame, operation: u16) -> bool {
    frame.arp().is_some_and(|arp| {
        let about = if operation == 1 { arp.target } else { arp.sender };
        arp.operation == operation && about.to_string() == VIP
    })
}

/// A neighbour solicitation (135) or advertisement (136) about the virtual address of IPv6.
fn is_neighbour(frame: &Frame, kind: u8) -> bool {
    let target = VIP_GLOBAL.parse::<Ipv6Addr>().expect("an address").octets();
    frame.ip().is_some_and(|ip| {
        ip.protocol == 58 && ip.payload.first() == Some(&kind) && ip.payload.get(8..24) == Some(&target[..])
    })
}

fn goes_to(frame: &Frame, address: &str) -> bool {
    let address: IpAddr = address.parse().expect("an address");
    frame.ip().is_some_and(|ip| ip.destination == address)
}

/// Host 1 is master and host 0 its backup; the neighbour finds the master, and the backup takes nothing.
#[track_caller]
fn only_the_master_answers(lan: &Lan, guest: &Host, vip: &str, [asks, answers]: [fn(&Frame) -> bool; 2]) {
    let seen = Capture::start(&lan.hosts[0], "eth0", |_| true);
    guest.ping(vip, LIMIT).expect("the master answers");
    assert_eq!(guest.neighbour(vip), Some(lan.hosts[1].mac("eth0")));
    seen.wait_for("the backup is asked, too", LIMIT, |frame| !frame.outgoing && asks(frame));

    // Whoever believes that the backup has the address gets nothing from it.
    let mac = lan.hosts[0].mac("eth0");
    guest
        .sh(&format!("ip neigh replace {vip} lladdr {mac} dev eth0 nud permanent"))
        .expect("neighbours can be set");
    let refused = guest.ping(vip, UNANSWERED).expect_err("the backup takes no packet to the address");
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    let frames = seen.frames();
    assert!(frames.iter().any(|frame| !frame.outgoing && goes_to(frame, vip)), "packets reached the backup");
    let answer = frames.iter().find(|frame| frame.outgoing && answers(frame));
    assert!(answer.is_none(), "the backup answered: {answer:?}");
}

#[test]
fn a_backup_answers_no_arp_request_for_the_virtual_address_and_takes_no_packet_to_it() {
    // VR-151, VR-152: IPv4.
    let lan = Lan::new();
    let guest = lan.neighbour("10.9.0.3");
    let master = lan.lvsd(1, &instance(150, ""));
    poll_until(LIMIT, "host 1 is master", || lan.has(1, VIP));
    let backup = lan.lvsd(0, &instance(100, ""));
    backup.wait_for_log("INIT -> BACKUP", LIMIT);
    only_the_master_answers(&lan, &guest, VIP, [|frame| is_arp(frame, 1), |frame| is_arp(frame, 2)]);
    assert!(master.is_running() && lan.has(1, VIP) && !lan.has(0, VIP));
}

#[test]
fn a_backup_answers_no_neighbour_solicitation_for_the_virtual_address_and_takes_no_packet_to_it() {
    // VR-151, VR-152: IPv6.
    let lan = Lan::new();
    let guest = lan.neighbour("10.9.0.3");
    guest.add_address("eth0", "2001:db8::3/64");
    let master = lan.lvsd(1, &instance_6(150, ""));
    poll_until(LIMIT, "host 1 is master", || lan.has(1, VIP_GLOBAL));
    let backup = lan.lvsd(0, &instance_6(100, ""));
    backup.wait_for_log("INIT -> BACKUP", LIMIT);
    let [asks, answers]: [fn(&Frame) -> bool; 2] =
        [|frame| is_neighbour(frame, 135), |frame| is_neighbour(frame, 136)];
    only_the_master_answers(&lan, &guest, VIP_GLOBAL, [asks, answers]);
    assert!(master.is_running() && lan.has(1, VIP_GLOBAL) && !lan.has(0, VIP_GLOBAL));
}

#[test]
fn a_master_takes_packets_to_its_virtual_addresses_by_default() {
    // VR-180, VR-181, VR-182: by default in both versions, as keepalived.
    let lan = Lan::new();
    let guest = lan.neighbour("10.9.0.3");
    guest.add_address("eth0", "2001:db8::3/64");
    let version_2 = instance(150, "").replace("version 3\n advert_int 0.1", "version 2\n advert_int 1");
    assert!(version_2.contains("version 2"));
    for (config, vip) in [(instance(150, ""), VIP), (version_2, VIP), (instance_6(150, ""), VIP_GLOBAL)] {
        let master = lan.lvsd(0, &config);
        poll_until(LIMIT, "it is master", || lan.has(0, vip));
        guest.ping(vip, LIMIT).expect("the master answers");
        assert!(master.terminate().success(), "{}", master.log());
        poll_until(LIMIT, "the address is gone", || !lan.has(0, vip));
        let refused = guest.ping(vip, UNANSWERED).expect_err("nobody has the address");
        assert!(matches!(refused.kind(), ErrorKind::TimedOut | ErrorKind::HostUnreachable), "{refused}");
    }
}
