//! A running lvsd among liars, floods, one-way links and rivals (reliability faults 30 to 34).

mod forge;
mod kinds;

use std::thread;
use std::time::{Duration, Instant};

use lvs_tests::{Capture, Frame, Host, Process, Segment, Sender, holds_for, peers, poll_until};

use crate::kinds::{Speaks, VIP, VRID, lies, truth};

struct Lan {
    us: Host,
    them: Host,
    /// What arrives where they are.
    wire: Capture,
    _segment: Segment,
}

impl Lan {
    fn new() -> Self {
        let segment = Segment::new();
        let [us, them] = [("us", "10.9.0.1/24"), ("them", "10.9.0.2/24")].map(|(name, address)| {
            let host = Host::new(name);
            host.connect(&segment, "eth0", address);
            host
        });
        let wire = Capture::start(&them, "eth0", |frame| {
            priority(frame).is_some() || frame.arp().is_some_and(|arp| arp.sender == arp.target)
        });
        Self { us, them, wire, _segment: segment }
    }

    /// The adverts of ours that arrived since the last [`clear`](Capture::clear).
    fn our_adverts(&self) -> Vec<Frame> {
        let mut frames = self.wire.frames();
        frames.retain(|frame| !frame.outgoing && priority(frame).is_some());
        frames
    }

    fn wait_for_role(&self, master: bool) {
        poll_until(LIMIT, &format!("we own the address: {master}"), || self.we_own() == master);
    }

    fn we_own(&self) -> bool {
        self.us.has_address("eth0", &VIP.to_string())
    }
}

/// The priority of an advert of the virtual router (RFC 9568 §5.1).
fn priority(frame: &Frame) -> Option<u8> {
    let ip = frame.ip().filter(|ip| ip.protocol == 112)?;
    let message = ip.payload;
    (message.get(1) == Some(&VRID)).then(|| message.get(2).copied())?
}

fn config(speaks: Speaks, priority: u8) -> String {
    let (version, authentication) = match speaks {
        Speaks::V3 => (3, ""),
        Speaks::V2WithPassword => (2, "authentication {\n auth_type PASS\n auth_pass secret-1\n }\n"),
    };
    format!(
        "vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id {VRID}\n version {version}\n \
         priority {priority}\n advert_int 1\n {authentication} virtual_ipaddress {{\n {VIP}\n }}\n}}\n"
    )
}

// Fault 30; VR-008, VR-021, VR-060 to VR-068, VR-070, VR-071, VR-075 to VR-077, VR-122, VR-201, VR-203, VR-251.

fn a_master_believes_no_lie(speaks: Speaks) {
    let lan = Lan::new();
    let lvsd = peers::lvsd(&lan.us, &config(speaks, 100), &[]);
    lan.wait_for_role(true);
    lan.wire.wait_for("an advert of ours", LIMIT, |frame| !frame.outgoing);
    let liar = Sender::new(&lan.them, "eth0");
    let log = lvsd.log().len();
    let start = Instant::now();
    let kinds: Vec<_> = [255, 0].into_iter().flat_map(|priority| lies(speaks, priority)).collect();
    assert!(kinds.len() >= 2 * 28, "{}", kinds.len());
    for lie in &kinds {
        for _ in 0..10 {
            liar.send(&lie.frame);
        }
        // Between two adverts there is no answer, and no change.
        let before = lan.our_adverts().len();
        holds_for(Duration::from_millis(50), lie.name, || {
            let more = lan.our_adverts().len() - before;
            if lan.we_own() && more <= 1 { Ok(()) } else { Err(format!("{more} adverts, or no address")) }
        });
    }
    let sent = lan.our_adverts();
    let most = start.elapsed().as_secs() + 3;
    assert!(u64::try_from(sent.len()).is_ok_and(|count| count <= most), "{} adverts, not {most}", sent.len());
    assert!(sent.iter().all(|frame| priority(frame) == Some(100)), "it never resigned");
    check_log(&lvsd.log()[log..], kinds.len());

    // The same without a lie is believed.
    liar.send(&truth(speaks, 255));
    lan.wait_for_role(false);
    assert!(lvsd.is_running(), "{}", lvsd.log());
}

fn a_backup_believes_no_lie(speaks: Speaks) {
    let lan = Lan::new();
    let master = Sender::new(&lan.them, "eth0");
    let advert = truth(speaks, 150);
    master.send(&advert);
    let lvsd = peers::lvsd(&lan.us, &config(speaks, 100), &[]);
    // A backup that heard nothing yet waits for the master down interval.
    lvsd.wait_for_log("BACKUP", LIMIT);
    let kinds: Vec<_> = [255, 0, 1].into_iter().flat_map(|priority| lies(speaks, priority)).collect();
    let log = lvsd.log().len();
    let mut last = Instant::now();
    let (mut next_lie, mut lies_told) = (0, 0);
    // A master for some intervals, and lies all the time; then lies alone.
    let mut adverts_left = 5;
    let took = poll_until(LIMIT, "ours takes over", || {
        if adverts_left > 0 && last.elapsed() >= Duration::from_secs(1) {
            last = Instant::now();
            master.send(&advert);
            adverts_left -= 1;
        }
        for _ in 0..4 {
            master.send(&kinds[next_lie].frame);
            next_lie = (next_lie + 1) % kinds.len();
            lies_told += 1;
        }
        let first = lan.our_adverts().first().map(|frame| frame.at);
        assert!(first.is_none() || adverts_left == 0, "it took over with a master alive: {}", lvsd.log());
        first.map(|first| first.saturating_duration_since(last))
    });
    assert!(lies_told > kinds.len(), "each was told: {lies_told}");
    // Not by an instant sooner or later than without them: 3 + 156/256 s (RFC 9568 §6.1, RFC 3768 §6.1).
    let formula = Duration::from_secs(3) + Duration::from_secs(1) * 156 / 256;
    println!("{speaks:?}: took over after {took:?}, by the formula {formula:?}, {lies_told} lies");
    assert!(took + STAMP >= formula && took <= formula + LATE, "{took:?}, by the formula {formula:?}");
    check_log(&lvsd.log()[log..], kinds.len());
}

/// A lie is told a hundred times, and logged a few times at most.
fn check_log(log: &str, kinds: usize) {
    let lines = log.lines().count();
    assert!(lines <= kinds, "{lines} lines:\n{log}");
    assert!(!log.contains("panic"), "{log}");
}

// VR-008, VR-060 to VR-062, VR-064, VR-070, VR-071, VR-076, VR-122.
#[test]
fn a_master_of_version_3_believes_no_lie() {
    a_master_believes_no_lie(Speaks::V3);
}

// VR-067, VR-068, VR-203.
#[test]
fn a_master_of_version_2_with_a_password_believes_no_lie() {
    a_master_believes_no_lie(Speaks::V2WithPassword);
}

// VR-077, VR-122: nothing moves the timer.
#[test]
fn a_backup_of_version_3_takes_over_when_it_would_have_without_lies() {
    a_backup_believes_no_lie(Speaks::V3);
}

#[test]
fn a_backup_of_version_2_with_a_password_takes_over_when_it_would_have_without_lies() {
    a_backup_believes_no_lie(Speaks::V2WithPassword);
}

// Fault 31; A13.

#[test]
fn twenty_thousand_damaged_adverts_leave_a_master_as_it_was() {
    let lan = Lan::new();
    let lvsd = peers::lvsd(&lan.us, &config(Speaks::V3, 100), &[]);
    lan.wait_for_role(true);
    let liar = Sender::new(&lan.them, "eth0");
    let good = [truth(Speaks::V3, 255), truth(Speaks::V2WithPassword, 255)];
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random(seed);
    let damaged = |random: &mut Random| {
        let mut frame = good[random.below(good.len())].clone();
        for _ in 0..=random.below(4) {
            // Behind the Ethernet header; the destination address stays, or nobody would read it.
            let place = 14 + random.below(frame.len() - 14);
            if !(30..34).contains(&place) {
                frame[place] ^= 1 << random.below(8);
            }
        }
        if random.below(8) == 0 {
            frame.truncate(14 + random.below(frame.len() - 14));
        }
        frame
    };
    for _ in 0..1000 {
        liar.send(&damaged(&mut random));
    }
    let before = resident(&lvsd);
    let log = lvsd.log().len();
    for burst in 0..200 {
        for _ in 0..100 {
            liar.send(&damaged(&mut random));
        }
        assert!(lvsd.is_running(), "burst {burst}: {}", lvsd.log());
        // The receiver's buffer shall not be what protects it.
        thread::sleep(Duration::from_millis(10));
    }
    // Some of 20,000 are adverts all the same, of a better router: it comes back from those.
    lan.wait_for_role(true);
    lan.wire.clear();
    lan.wire.wait_for("an advert of ours", LIMIT, |frame| !frame.outgoing && priority(frame) == Some(100));
    let after = resident(&lvsd);
    assert!(after <= before + 4096, "{before} KiB before, {after} KiB after");
    let lines = lvsd.log()[log..].lines().count();
    assert!(lines < 400, "{lines} lines for 20,000 frames");
}

// Fault 32; A7, VR-120.

fn a_flood_of_losing_adverts_is_answered_at_most_ten_times_an_interval(centis: u16) {
    let lan = Lan::new();
    let interval = Duration::from_millis(10) * u32::from(centis);
    let config = config(Speaks::V3, 100)
        .replace("advert_int 1", &format!("advert_int {}\n garp_master_delay 0", f64::from(centis) / 100.0));
    let _lvsd = peers::lvsd(&lan.us, &config, &[]);
    lan.wait_for_role(true);
    let rival = Sender::new(&lan.them, "eth0");
    // What announces the mastership itself is over when the adverts have come for a while.
    poll_until(LIMIT, "three adverts of ours", || lan.our_adverts().len() >= 3);
    lan.wire.clear();
    let losing = truth(Speaks::V3, 50);
    let start = Instant::now();
    for part in 0..100 {
        for _ in 0..20 {
            rival.send(&losing);
        }
        let due = start + Duration::from_millis(20) * (part + 1);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let took = start.elapsed();
    let adverts = lan.our_adverts();
    let answers = took.as_secs_f64() / (interval.as_secs_f64() / 10.0);
    let regular = took.as_secs_f64() / interval.as_secs_f64();
    let most = answers + regular + 3.0;
    let count = u32::try_from(adverts.len()).expect("a few");
    let announcements =
        lan.wire.frames().iter().filter(|frame| !frame.outgoing && frame.arp().is_some()).count();
    println!("{count} adverts, at most {most:.0}, and {announcements} announcements for 2,000 in {took:?}");
    assert!(f64::from(count) <= most, "{count} adverts, not {most:.0}");
    assert!(count > 3, "some are answered at once (RFC 9568 §6.4.3): {count}");
    // A burst of 5 packets a second, and the one that begins at once.
    let bursts = usize::try_from(took.as_secs()).expect("seconds") + 2;
    assert!(announcements <= 5 * bursts, "{announcements} announcements");
    assert!(lan.we_own());
}

#[test]
fn a_flood_of_losing_adverts_is_answered_at_most_ten_times_a_second_at_one_second() {
    a_flood_of_losing_adverts_is_answered_at_most_ten_times_an_interval(100);
}

#[test]
fn a_flood_of_losing_adverts_is_answered_at_most_a_hundred_times_a_second_at_ten_centiseconds() {
    a_flood_of_losing_adverts_is_answered_at_most_ten_times_an_interval(10);
}

// Fault 33; E6, E7.

fn a_one_way_link_makes_two_owners_until_an_interval_after_its_repair(rival: fn(&Host, &str) -> Process) {
    let lan = Lan::new();
    // The better one is heard by nobody.
    lan.them.deafen("eth0");
    let daemons =
        [peers::lvsd(&lan.us, &config(Speaks::V3, 150), &[]), rival(&lan.them, &config(Speaks::V3, 100))];
    let they_own = || lan.them.has_address("eth0", &VIP.to_string());
    poll_until(LIMIT, "both are master", || lan.we_own() && they_own());
    holds_for(Duration::from_secs(5), "as long as it is deaf", || lan.we_own() && they_own());
    lan.them.undeafen("eth0");
    let repaired = Instant::now();
    poll_until(LIMIT, "the worse one has left", || lan.we_own() && !they_own());
    let took = repaired.elapsed();
    println!("healed after {took:?}");
    // The diagnosis, while it lasted.
    daemons[0].wait_for_log("does not hear our adverts", LIMIT);
    assert!(took <= Duration::from_secs(1) + LATE, "{took:?}");
}

#[test]
fn an_lvsd_that_was_deaf_leaves_within_an_interval() {
    a_one_way_link_makes_two_owners_until_an_interval_after_its_repair(|host, config| {
        peers::lvsd(host, config, &[])
    });
}

#[test]
fn a_keepalived_that_was_deaf_leaves_within_an_interval() {
    a_one_way_link_makes_two_owners_until_an_interval_after_its_repair(peers::keepalived);
}

// Fault 34; VR-066 (erratum 8298), VR-110, E17.

/// Who is left: ours, theirs. They have the higher address.
fn of_two_owners_one_leaves(rival: fn(&Host, &str) -> Process) -> [bool; 2] {
    let lan = Lan::new();
    let owner = config(Speaks::V3, 255).replace("state BACKUP", "state MASTER");
    let daemons = [peers::lvsd(&lan.us, &owner, &[]), rival(&lan.them, &owner)];
    let owners = || [lan.we_own(), lan.them.has_address("eth0", &VIP.to_string())];
    lan.wire.wait_for("their advert", LIMIT, |frame| frame.outgoing && priority(frame).is_some());
    let met = Instant::now();
    // The last moment at which not exactly one had the address, or another one had it.
    let mut last = (met, owners());
    poll_until(LIMIT, "one owner for 4 s", || {
        let now = owners();
        if now != last.1 || now[0] == now[1] {
            last = (Instant::now(), now);
        }
        let adverts: Vec<_> =
            lan.wire.frames().iter().map(|frame| (frame.outgoing, priority(frame))).collect();
        if last.0.elapsed() > Duration::from_secs(4) { Ok(()) } else { Err(format!("{now:?}, {adverts:?}")) }
    });
    let took = last.0 - met;
    println!("one of two owners left after {took:?}: {:?}", last.1);
    let logs = || daemons.iter().map(Process::log).collect::<String>();
    assert!(took <= Duration::from_secs(2) + LATE, "{took:?}: {}", logs());
    last.1
}

#[test]
fn of_two_lvsd_that_own_the_address_the_lower_one_leaves() {
    let left = of_two_owners_one_leaves(|host, config| peers::lvsd(host, config, &[]));
    assert_eq!(left, [false, true]);
}

#[test]
fn of_an_lvsd_and_a_keepalived_that_own_the_address_one_leaves() {
    // Who hears the other first lowers its priority, if it is keepalived.
    let left = of_two_owners_one_leaves(peers::keepalived);
    assert!(left[0] != left[1], "{left:?}");
}

/// The memory of the program, in KiB.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// xorshift64*: the same seed makes the same frames.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or_default();
        number % end
    }
}

const LIMIT: Duration = Duration::from_secs(40);
/// What a machine with several busy threads per core may add to a timer of either side (seen: 1.1 s with keepalived).
const LATE: Duration = Duration::from_millis(1500);
/// The stamps are made by a thread that may itself be late.
const STAMP: Duration = Duration::from_millis(30);
