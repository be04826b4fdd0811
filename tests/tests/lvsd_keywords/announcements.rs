//! When, and by how many packets, a master tells its neighbours: counted on the wire.

use std::time::{Duration, Instant};

use lvs_tests::{Capture, Frame, Signal, holds_for, poll_until};

use crate::lan::{LATE, LIMIT, Lan, VIP, instance, leaves_with, priority};

/// Gratuitous ARP for the virtual address that leaves the first host.
fn announcements(lan: &Lan) -> Capture {
    let vip = VIP.parse::<std::net::Ipv4Addr>().expect("an address");
    Capture::start(&lan.hosts[0], "eth0", move |frame| {
        frame.outgoing && frame.arp().is_some_and(|arp| arp.sender == vip && arp.target == vip)
    })
}

/// Rounds of packets: each packet that comes long after the one before it begins another.
fn rounds(frames: &[Frame]) -> Vec<(Instant, usize)> {
    let mut rounds: Vec<(Instant, usize)> = Vec::new();
    let mut last: Option<Instant> = None;
    for frame in frames {
        match rounds.last_mut() {
            Some((_, count)) if last.is_some_and(|last| frame.at - last < APART) => *count += 1,
            _ => rounds.push((frame.at, 1)),
        }
        last = Some(frame.at);
    }
    rounds
}

/// Rounds are at least a second apart, the packets of one a few milliseconds at most.
const APART: Duration = Duration::from_millis(400);

#[track_caller]
fn wait_for_rounds(wire: &Capture, wanted: &[usize]) -> Vec<Instant> {
    poll_until(LIMIT, &format!("rounds of {wanted:?} packets"), || {
        let rounds = rounds(&wire.frames());
        let counts: Vec<usize> = rounds.iter().map(|(_, count)| *count).collect();
        // The last one may have more to come: it is whole when the next has begun.
        if counts.len() > wanted.len() && counts[..wanted.len()] == *wanted {
            Ok(rounds.iter().map(|(at, _)| *at).collect::<Vec<_>>())
        } else {
            Err(format!("{counts:?}"))
        }
    })
}

#[track_caller]
fn about(seen: Duration, wanted: Duration) {
    // Never early but for what lies between a decision and the wire, and late only by a busy machine.
    assert!(
        seen + Duration::from_millis(100) >= wanted && seen < wanted + LATE,
        "{seen:?} instead of {wanted:?}"
    );
}

#[test]
fn a_new_master_announces_again_after_the_delay_and_then_at_every_refresh() {
    // VR-158
    let lan = Lan::new();
    let wire = announcements(&lan);
    let schedule =
        "garp_master_repeat 3\n garp_master_delay 1\n garp_master_refresh 3\n garp_master_refresh_repeat 2";
    let _daemon = lan.lvsd(0, &instance(100, schedule));
    let at = wait_for_rounds(&wire, &[3, 3, 2, 2]);
    about(at[1] - at[0], Duration::from_secs(1));
    about(at[2] - at[0], Duration::from_secs(3));
    about(at[3] - at[2], Duration::from_secs(3));
}

#[test]
fn with_vrrp_min_garp_one_packet_is_all() {
    let lan = Lan::new();
    let wire = announcements(&lan);
    let _daemon = lan.lvsd(0, &("global_defs {\n vrrp_min_garp\n}\n".to_owned() + &instance(100, "")));
    wire.wait_for("the first packet", LIMIT, |_| true);
    // keepalived's usual second burst would come after five seconds.
    holds_for(Duration::from_secs(6), "no other packet comes", || wire.frames().len() == 1);
}

#[test]
fn defaults_of_global_defs_reach_the_wire() {
    let lan = Lan::new();
    let wire = announcements(&lan);
    let global = "global_defs {\n vrrp_garp_master_repeat 2\n vrrp_garp_master_delay 1\n vrrp_garp_master_refresh 2\n}\n";
    let _daemon = lan.lvsd(0, &(global.to_owned() + &instance(100, "")));
    wait_for_rounds(&wire, &[2, 2, 1, 1]);
}

/// A master of a lower priority that does not believe the first host, says so once, and dies.
fn say_once_that_there_is_another_master(lan: &Lan) -> Instant {
    let adverts = lan.adverts();
    let deaf = "state MASTER\n unicast_peer {\n 10.9.0.1 max_ttl 1\n }";
    let deaf = instance(100, deaf).replace("advert_int 0.1", "advert_int 2").replace(VIP, "10.9.0.200");
    let process = lan.lvsd(1, &deaf);
    let advert = adverts.wait_for("a losing advert", LIMIT, |frame| priority(frame) == Some(100));
    process.signal_all(Signal::SIGKILL);
    advert.at
}

const PEER: &str = "unicast_peer {\n 10.9.0.2\n }\n";

#[test]
fn a_losing_advert_is_answered_announced_over_and_told_to_the_script() {
    let lan = Lan::new();
    let (wire, adverts) = (announcements(&lan), lan.adverts());
    let script = lan.script(0, "lower");
    let more = format!(
        "{PEER} garp_master_repeat 1\n garp_master_delay 0\n garp_lower_prio_repeat 4\n garp_lower_prio_delay 2\n \
         notify_master_rx_lower_pri {script}"
    );
    let _master = lan.lvsd(0, &instance(150, &more));
    wire.wait_for("the first packet", LIMIT, |_| true);
    let losing = say_once_that_there_is_another_master(&lan);
    // One more when the other has been silent for long enough to be no master any more.
    let counts = |wanted: &[usize]| {
        poll_until(LIMIT, &format!("rounds of {wanted:?} packets"), || {
            let rounds = rounds(&wire.frames());
            let counts: Vec<usize> = rounds.iter().map(|(_, count)| *count).collect();
            if counts == wanted { Ok(rounds) } else { Err(format!("{counts:?}")) }
        })
    };
    let seen = counts(&[1, 4, 4, 1]);
    about(seen[1].0 - losing, Duration::ZERO);
    about(seen[2].0 - losing, Duration::from_secs(2));
    poll_until(LIMIT, "the script ran once", || lan.said(0) == ["lower"]);
    // The answer: an advert out of turn.
    let sent: Vec<Frame> = adverts.frames().into_iter().filter(|frame| leaves_with(150)(frame)).collect();
    let answer = sent.iter().find(|frame| frame.at > losing).expect("there are later ones");
    let before = sent.iter().rfind(|frame| frame.at < losing).expect("there are earlier ones");
    assert!(answer.at - before.at < Duration::from_millis(99), "{:?}", answer.at - before.at);
}

#[test]
fn without_garp_lower_prio_repeat_a_losing_advert_causes_no_announcement() {
    let lan = Lan::new();
    let wire = announcements(&lan);
    let quiet = format!("{PEER} garp_master_repeat 1\n garp_master_delay 0\n garp_lower_prio_repeat 0");
    let _master = lan.lvsd(0, &instance(150, &quiet));
    wire.wait_for("the first packet", LIMIT, |_| true);
    let losing = say_once_that_there_is_another_master(&lan);
    // Until the other is believed to be gone, three of its intervals later.
    let next = poll_until(LIMIT, "the packet at the end", || wire.frames().get(1).cloned());
    assert!(next.at - losing > Duration::from_secs(5), "{:?}", next.at - losing);
}

#[test]
fn a_loser_that_is_told_to_sends_one_more_advert() {
    let lan = Lan::new();
    let _first = lan.lvsd(1, &instance(100, "higher_prio_send_advert"));
    poll_until(LIMIT, "the first node is master", || lan.has(1, VIP));
    let adverts = lan.adverts();
    let _second = lan.lvsd(0, &instance(150, ""));
    poll_until(LIMIT, "the second node takes over", || lan.has(0, VIP) && !lan.has(1, VIP));
    let all = adverts.frames();
    let won = all.iter().position(|frame| leaves_with(150)(frame)).expect("the winner advertises");
    let last = all.iter().rposition(|frame| priority(frame) == Some(100)).expect("the loser advertised");
    assert!(last > won, "the loser's last word comes after the winner's first");
}

#[test]
fn announcements_leave_as_far_apart_as_they_are_told() {
    let lan = Lan::new();
    let wire = announcements(&lan);
    let global = "global_defs {\n vrrp_garp_interval 0.3\n vrrp_garp_master_delay 0\n}\n".to_owned();
    let _daemon = lan.lvsd(0, &(global + &instance(100, "")));
    let frames = poll_until(LIMIT, "five packets", || Some(wire.frames()).filter(|frames| frames.len() == 5));
    for pair in frames.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap > Duration::from_millis(290) && gap < Duration::from_millis(300) + LATE, "{gap:?}");
    }
}

#[test]
fn rounds_that_take_longer_than_the_delay_send_what_was_asked_for() {
    let lan = Lan::new();
    let wire = Capture::start(&lan.hosts[0], "eth0", |frame| {
        frame.outgoing && frame.arp().is_some_and(|arp| arp.sender == arp.target)
    });
    let global = "global_defs {\n vrrp_garp_interval 0.2\n}\n".to_owned();
    let two = instance(100, "garp_master_repeat 4\n garp_master_delay 1")
        .replace(&format!("{VIP}/24"), &format!("{VIP}/24\n {OTHER_VIP}/24"));
    let _daemon = lan.lvsd(0, &(global + &two));
    poll_until(LIMIT, "two rounds of four packets for two addresses", || wire.frames().len() == 16);
    holds_for(Duration::from_secs(2), "nothing more is sent", || wire.frames().len() == 16);
    let senders: Vec<String> =
        wire.frames().iter().filter_map(|frame| Some(frame.arp()?.sender.to_string())).collect();
    for pair in senders.chunks(2) {
        assert_eq!(pair, [VIP, OTHER_VIP], "the addresses take turns: {senders:?}");
    }
}

const OTHER_VIP: &str = "10.9.0.101";

#[test]
fn a_master_whose_hardware_address_changes_tells_the_neighbours_at_once() {
    // Without it they would go on sending to a hardware address that is nobody's.
    let lan = Lan::new();
    let about = |frame: &Frame| {
        frame.arp().is_some_and(|arp| arp.sender == arp.target)
            // ICMPv6, neighbour advertisement
            || frame.ip().is_some_and(|ip| ip.protocol == 58 && ip.payload.first() == Some(&136))
    };
    let wire = Capture::start(&lan.hosts[1], "eth0", move |frame| !frame.outgoing && about(frame));
    let more = "garp_master_delay 0\n virtual_ipaddress_excluded {\n 2001:db8::101/64\n }";
    let master = lan.lvsd(0, &instance(100, more));
    poll_until(LIMIT, "it announced both addresses", || wire.frames().len() >= 10);
    lan.hosts[1].ping(VIP, LIMIT).expect("the address answers");
    holds_for(Duration::from_secs(1), "nothing more is announced", || wire.frames().len() == 10);
    wire.clear();

    let new = "02:00:00:00:09:99";
    let changed = Instant::now();
    lan.hosts[0].sh(&format!("ip link set eth0 address {new}")).expect("the address can be set");
    let is_of = |frame: &Frame, octets: &[u8]| {
        let is_told = frame.source_mac().is_some_and(|mac| mac.to_string() == new);
        // The target link-layer address of an advertisement: 24 octets of header and target, then type and length.
        let target = frame.ip().and_then(|ip| ip.payload.get(26..32).map(<[u8]>::to_vec));
        is_told
            && match frame.arp() {
                Some(arp) => arp.sender.octets() == *octets && arp.sender_mac.to_string() == new,
                None => {
                    target == Some(vec![2, 0, 0, 0, 9, 0x99])
                        && frame.ip().is_some_and(|ip| ip.payload.get(8..24) == Some(octets))
                }
            }
    };
    let vips: [&[u8]; 2] =
        [&[10, 9, 0, 100], &"2001:db8::101".parse::<std::net::Ipv6Addr>().expect("one").octets()];
    for vip in vips {
        let told = wire.wait_for("the new hardware address", LIMIT, |frame| is_of(frame, vip));
        assert!(told.at - changed < LATE, "{:?}", told.at - changed);
        poll_until(LIMIT, "it is told as often as at first", || {
            wire.frames().iter().filter(|frame| is_of(frame, vip)).count() == 5
        });
    }
    // The neighbour would believe its old entry for half a minute.
    lan.hosts[1].ping(VIP, LIMIT).expect("the address answers");
    let known = lan.hosts[1].neighbour(VIP).map(|mac| mac.to_string());
    assert_eq!(known.as_deref(), Some(new), "{}", master.log());
}
