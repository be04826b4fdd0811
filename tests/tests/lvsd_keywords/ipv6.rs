//! Virtual routers of IPv6.

use std::net::IpAddr;
use std::time::Duration;

use lvs_tests::{Capture, Process, holds_for, poll_until};

use crate::lan::{LATE, LIMIT, Lan, VIP_6, instance_6, leaves_with, priority, source};

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
