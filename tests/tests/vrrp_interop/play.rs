//! What is played in each row.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lvs_tests::judges::{self, Checksum, Reading};
use lvs_tests::{Process, Signal, holds_for, poll_until};

use crate::lan::{Lan, Opponent, THEIRS};
use crate::row::{Auth, Family, PASSWORD, Peer, Row, VRID, interval};

/// The peer is the better one. It ends in order, comes back, and crashes.
pub(crate) fn as_backup(row: Row) {
    let lan = Lan::new(row);
    let theirs = lan.theirs(BETTER, SECOND);
    lan.wait_for(false, BETTER, LIMIT);
    let ours = lan.ours(WORSE, SECOND);
    ours.wait_for_log("BACKUP", LIMIT);
    // E1, VR-116: for longer than it would wait for a silent master.
    holds_for(row.down(WORSE, SECOND) + LATE, &format!("{}: ours is a silent backup", row.name()), || {
        silent_backup(&lan)
    });
    // E3, VR-100, VR-115.
    theirs.terminate();
    takeover(&lan, (false, 0), (true, WORSE), row.skew(WORSE, SECOND), NOTHING);
    lan.wait_to_own(true, LIMIT);

    // E4, VR-116: they preempt.
    lan.clear();
    let theirs_again = lan.theirs(BETTER, SECOND);
    let first = lan.wait_for(false, BETTER, LIMIT);
    lan.wait_to_own(false, LIMIT);
    falls_silent(&lan, true, first);
    no_complaints(&theirs.log());

    // E2, VR-113.
    let rest = drop_and_settle(&lan, false);
    theirs_again.crash();
    takeover(&lan, (false, BETTER), (true, WORSE), row.down(WORSE, SECOND), NOTHING);
    lan.wait_to_own(true, LIMIT);
    no_complaints(&theirs_again.log());
    judge(&lan, WORSE, SECOND, &rest);
    stop(&ours);
}

/// Ours is the better one. It ends in order, comes back, and crashes.
pub(crate) fn as_master(row: Row) {
    let lan = Lan::new(row);
    let theirs = lan.theirs(WORSE, SECOND);
    lan.wait_for(false, WORSE, LIMIT);
    let ours = lan.ours(BETTER, SECOND);
    // E4, VR-120: a worse master does not keep us waiting.
    let first = lan.wait_for(true, BETTER, LIMIT);
    lan.wait_to_own(true, LIMIT);
    falls_silent(&lan, false, first);
    let mut sent = drop_and_settle(&lan, true);
    holds_for(row.down(WORSE, SECOND) + LATE, &format!("{}: theirs is a silent backup", row.name()), || {
        let spoke = lan.seen().iter().any(|seen| !seen.ours);
        if spoke || !lan.we_own()? {
            Err("theirs sent an advert, or we own nothing".to_owned())
        } else {
            Ok(())
        }
    });
    // E3, VR-112.
    stop(&ours);
    takeover(&lan, (true, 0), (false, WORSE), row.skew(WORSE, SECOND), lost_first_advert(row, SECOND));
    lan.wait_to_own(false, LIMIT);

    let ours = lan.ours(BETTER, SECOND);
    let started = Instant::now();
    poll_until(LIMIT, &format!("{}: ours is master again", row.name()), || {
        lan.seen().iter().any(|seen| seen.ours && seen.priority == BETTER && seen.at > started)
    });
    falls_silent(&lan, false, Instant::now());
    lan.wait_to_own(true, LIMIT);
    sent.extend(drop_and_settle(&lan, true));
    // E2.
    ours.crash();
    takeover(&lan, (true, BETTER), (false, WORSE), row.down(WORSE, SECOND), lost_first_advert(row, SECOND));
    no_complaints(&theirs.log());
    judge(&lan, BETTER, SECOND, &sent);
}

/// A better master of another interval, which changes.
pub(crate) fn learn_from_them(row: Row) {
    let lan = Lan::new(row);
    let theirs = lan.theirs(BETTER, FAST);
    lan.wait_for(false, BETTER, LIMIT);
    let ours = lan.ours(WORSE, SLOW);
    ours.wait_for_log("BACKUP", LIMIT);
    holds_for(3 * interval(FAST), &format!("{}: ours is a silent backup", row.name()), || {
        silent_backup(&lan)
    });
    reconfigure(&lan, &theirs, BETTER, SECOND);
    lan.clear();
    poll_until(LIMIT, &format!("{}: they changed their interval", row.name()), || {
        let seen = lan.seen();
        let [.., before, last] = seen.as_slice() else { return Err(format!("{} adverts", seen.len())) };
        let gap = last.at - before.at;
        if gap > 2 * interval(FAST) { Ok(()) } else { Err(format!("{gap:?}")) }
    });
    drop_and_settle(&lan, false);
    holds_for(3 * interval(SECOND), &format!("{}: ours is a silent backup", row.name()), || {
        silent_backup(&lan)
    });
    theirs.crash();
    takeover(&lan, (false, BETTER), (true, WORSE), row.down(WORSE, SECOND), NOTHING);
    // VR-098, VR-099: its own interval counts now.
    poll_until(LIMIT, &format!("{}: ours sends at its own pace", row.name()), || {
        let ours: Vec<_> = lan.seen().into_iter().filter(|seen| seen.ours).collect();
        let [.., before, last] = ours.as_slice() else { return Err(format!("{} adverts", ours.len())) };
        let gap = last.at - before.at;
        let expected = interval(SLOW);
        if gap + STAMP >= expected && gap <= expected + LATE { Ok(()) } else { Err(format!("{gap:?}")) }
    });
    judge(&lan, WORSE, SLOW, &[]);
    stop(&ours);
}

/// Ours is the better master, with another interval than the peer's.
pub(crate) fn teach_them(row: Row) {
    let lan = Lan::new(row);
    let theirs = lan.theirs(WORSE, SLOW);
    let ours = lan.ours(BETTER, FAST);
    let first = lan.wait_for(true, BETTER, LIMIT);
    falls_silent(&lan, false, first);
    let rest = drop_and_settle(&lan, true);
    ours.crash();
    takeover(&lan, (true, BETTER), (false, WORSE), row.down(WORSE, FAST), lost_first_advert(row, SLOW));
    no_complaints(&theirs.log());
    judge(&lan, BETTER, FAST, &rest);
}

/// Version 2 refuses adverts of another interval.
pub(crate) fn with_another_interval(row: Row) {
    let lan = Lan::new(row);
    // The other way round, keepalived falls silent: what it refuses starts its timer anew.
    let theirs = lan.theirs(WORSE, SECOND);
    let ours = lan.ours(BETTER, 2 * SECOND);
    lan.wait_for(true, BETTER, LIMIT);
    lan.wait_for(false, WORSE, LIMIT);
    for _ in 0..2 {
        lan.clear();
        poll_until(LIMIT, &format!("{}: both go on", row.name()), || {
            let seen = lan.seen();
            [true, false].into_iter().all(|ours| seen.iter().filter(|seen| seen.ours == ours).count() >= 3)
        });
    }
    ours.wait_for_log("interval", LIMIT);
    let log = ours.log();
    let lines = log.lines().filter(|line| line.contains("interval")).count();
    assert!((1..=5).contains(&lines), "{lines} lines of it:\n{log}");
    assert!(theirs.log().contains("interval"), "{}", theirs.log());
}

fn silent_backup(lan: &Lan) -> Result<(), String> {
    let spoke = lan.seen().iter().any(|seen| seen.ours);
    if spoke || lan.we_own()? { Err("ours sent an advert, or owns the addresses".to_owned()) } else { Ok(()) }
}

/// Keeps the adverts that we sent, forgets all, and waits until one side alone has sent two.
fn drop_and_settle(lan: &Lan, ours: bool) -> Vec<lvs_tests::Frame> {
    let kept = lan.our_frames();
    lan.clear();
    poll_until(LIMIT, &format!("{}: two adverts of the one master", lan.row.name()), || {
        let seen = lan.seen();
        seen.iter().filter(|seen| seen.ours == ours).count() >= 2
    });
    kept
}

/// What the takeover adds to the formula is within [`LATE`], or that and what is `lost`; it comes never before (A6).
fn takeover(lan: &Lan, old: (bool, u8), new: (bool, u8), formula: Duration, lost: Duration) {
    let name = lan.row.name();
    let took = poll_until(LIMIT, &format!("{name}: the new master's first advert after {old:?}"), || {
        let seen = lan.seen();
        let is = |(ours, priority): (bool, u8)| {
            move |seen: &&crate::lan::Seen| seen.ours == ours && seen.priority == priority
        };
        let last = seen.iter().rev().find(is(old)).ok_or("no advert of the old master")?.at;
        let first = seen.iter().filter(|seen| seen.at > last).find(is(new)).ok_or("none of the new one")?.at;
        Ok::<_, &str>(first - last)
    });
    println!("{name}: {old:?} to {new:?}: {took:?}, by the formula {formula:?}");
    assert!(
        took + STAMP >= formula && took <= formula + lost + LATE,
        "{name}: {took:?}, by the formula {formula:?}"
    );
}

/// FRR may lose its first advert of IPv6: when it wants to send it, zebra has not told it yet that the link-local address
/// of the interface that it just set up is back ("Failed to find address to bind"). The next one comes in its time.
fn lost_first_advert(row: Row, centis: u16) -> Duration {
    if row.peer == Peer::Frr && row.family == Family::V6 { interval(centis) } else { NOTHING }
}

/// A side that heard a better one at `since` sends nothing any more; what crossed it may have left.
fn falls_silent(lan: &Lan, ours: bool, since: Instant) {
    holds_for(interval(SECOND) + LATE, &format!("{}: the old master is silent", lan.row.name()), || {
        let seen = lan.seen();
        let last = seen.iter().rev().find(|seen| seen.ours == ours);
        match last.map(|last| last.at.saturating_duration_since(since)) {
            Some(after) if after > LATE => Err(format!("an advert {after:?} after")),
            _ => Ok(()),
        }
    });
}

fn reconfigure(lan: &Lan, theirs: &Opponent<'_>, priority: u8, centis: u16) {
    match theirs {
        Opponent::Keepalived(process) => {
            // The file that it was started with.
            let log = process.log();
            let line = log
                .lines()
                .find_map(|line| line.split_once("Configuration file "))
                .expect("it names its file");
            std::fs::write(line.1.trim(), lan.row.config(false, priority, centis))
                .expect("the file can be written");
            process.signal(Signal::SIGHUP);
        }
        Opponent::Frr(frr) => {
            let command = format!("vrrp {VRID} advertisement-interval {}", u32::from(centis) * 10);
            frr.vtysh(&["configure terminal", "interface eth0", &command]).expect("FRR takes it");
        }
    }
}

/// What a peer says when it does not like a packet.
fn no_complaints(log: &str) {
    let complaints = [
        "invalid",
        "mismatch",
        " bad ",
        "dropp",
        "discard",
        "wrong",
        "incorrect",
        "checksum",
        "malformed",
        "unexpected",
    ];
    // FRR prints the fields of every packet, the checksum's among them; both say that they hear a worse one.
    let fine = ["Received VRRP Advertisement", "lower priority", "& preempt = true)", "(100 <= 150 & "];
    for line in log.lines().filter(|line| !fine.iter().any(|words| line.contains(words))) {
        let lower = line.to_lowercase();
        assert!(!complaints.iter().any(|word| lower.contains(word)), "the peer complains: {line}");
    }
}

fn stop(ours: &Process) {
    assert!(ours.terminate().success(), "{}", ours.log());
}

/// tshark and scapy read in each advert that we sent what the configuration says (VR-001 to VR-004, VR-010, VR-020 to
/// VR-027, VR-040 to VR-045, VR-200, VR-201).
fn judge(lan: &Lan, priority: u8, centis: u16, earlier: &[lvs_tests::Frame]) {
    let row = lan.row;
    let mut frames = earlier.to_vec();
    frames.extend(lan.our_frames());
    assert!(!frames.is_empty(), "{}: nothing to judge", row.name());
    let (group, group_mac) = match row.family {
        Family::V4 => ("224.0.0.18", "01:00:5e:00:00:12"),
        Family::V6 => ("ff02::12", "33:33:00:00:00:12"),
    };
    let (destination, destination_mac) = match (row.unicast, row.family) {
        (false, _) => (group, group_mac.to_owned()),
        (true, Family::V4) => (THEIRS.v4, lan.them.mac("eth0").to_string()),
        (true, Family::V6) => (THEIRS.v6, lan.them.mac("eth0").to_string()),
    };
    let addresses = row.addresses();
    let expected = Reading {
        source_mac: lan.our_mac().to_string(),
        destination_mac,
        source: lan.our_source(),
        destination: destination.parse().expect("an address"),
        ttl: 255,
        tos: 0xc0,
        ah: None,
        version: row.version,
        kind: 1,
        vrid: VRID,
        priority,
        count: u8::try_from(addresses.len()).expect("a few"),
        auth_type: match (row.version, row.auth) {
            (2, Auth::Open) => Some(0),
            (2, Auth::Password) => Some(1),
            (2, Auth::Header) => Some(2),
            _ => None,
        },
        password: (row.auth == Auth::Password).then(|| PASSWORD.to_owned()),
        interval: if row.version == 2 { centis / 100 } else { centis },
        addresses,
        complaints: Vec::new(),
    };
    let judges = [
        ("tshark", judges::tshark(&frames, Checksum::PseudoHeader)),
        ("scapy", judges::scapy(&frames, Checksum::PseudoHeader, PASSWORD)),
    ];
    for (judge, readings) in judges {
        let mut sequence = 0;
        for reading in readings {
            let mut expected = expected.clone();
            if reading.priority == 0 {
                expected.priority = 0;
            }
            if row.auth == Auth::Header {
                // VR-202: the index is the source, and each number is higher than all before it.
                let IpAddr::V4(source) = expected.source else {
                    unreachable!("the rows with a header are of IPv4")
                };
                let (_, number) = reading.ah.unwrap_or_default();
                assert!(number > sequence, "{}: {judge}: {number} after {sequence}", row.name());
                sequence = number;
                expected.ah = Some((source.to_bits(), number));
            }
            assert_eq!(reading, expected, "{}: {judge}", row.name());
        }
    }
}

const BETTER: u8 = 150;
const WORSE: u8 = 100;
/// The interval of both, in centiseconds.
const SECOND: u16 = 100;
const FAST: u16 = 40;
const SLOW: u16 = 300;

const NOTHING: Duration = Duration::ZERO;
const LIMIT: Duration = Duration::from_secs(40);
/// What a machine with several busy threads per core may add to a timer of either side (seen: 1.1 s with keepalived).
const LATE: Duration = Duration::from_millis(1500);
/// The stamps are made by a thread that may itself be late, and FRR cuts its timers to whole centiseconds (VR-095).
const STAMP: Duration = Duration::from_millis(30);
