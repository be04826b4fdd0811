//! The driver of lvs-vrrp against Debian's keepalived: both versions, both transports, both roles.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lvs_core::{ClaimResult, Link, LinkAddress, Role};
use lvs_tests::{Capture, Frame, Host, Process, Segment, Signal, holds_for, peers, poll_until};
use lvs_vrrp::{
    Advert, Advertised, AuthPass, Authentication, Config, Delivery, Driver, Endpoints, Event, EventKind,
    FaultReason, Gate, Handle, Instance, InstanceConfig, Interval, Ipv4Header, Priority, Reason, Refusal,
    Unicast, Vrid, timing,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::sync::oneshot;

const OUR_ADDRESS: &str = "10.9.0.1";
const THEIR_ADDRESS: &str = "10.9.0.2";
const VIP: &str = "10.9.0.100";
const VRID: u8 = 51;
const LIMIT: Duration = Duration::from_secs(30);
/// What a machine with several busy threads per core may add to a timer of either side (seen: 1.1 s with keepalived).
const LATE: Duration = Duration::from_millis(1500);

/// Two adverts closer than this are not an answer to each other.
const CROSSING: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
struct Profile {
    interval: Interval,
    password: bool,
    unicast: bool,
}

fn v2() -> Profile {
    Profile { interval: Interval::seconds(1).expect("in range"), password: false, unicast: false }
}

fn v3(centis: u16) -> Profile {
    Profile { interval: Interval::centis(centis).expect("in range"), password: false, unicast: false }
}

fn v2_unicast_with_a_password() -> Profile {
    Profile { password: true, unicast: true, ..v2() }
}

#[test]
fn version_2_as_backup() {
    play_as_backup(v2());
}

#[test]
fn version_2_as_master() {
    play_as_master(v2());
}

#[test]
fn version_2_unicast_with_a_password_and_the_own_address_among_the_peers_as_backup() {
    play_as_backup(v2_unicast_with_a_password());
}

#[test]
fn version_2_unicast_with_a_password_and_the_own_address_among_the_peers_as_master() {
    play_as_master(v2_unicast_with_a_password());
}

#[test]
fn version_3_at_ten_centiseconds() {
    play_as_backup(v3(10));
    play_as_master(v3(10));
}

#[test]
fn version_3_unicast_with_the_own_address_among_the_peers() {
    play_as_backup(Profile { unicast: true, ..v3(20) });
    play_as_master(Profile { unicast: true, ..v3(20) });
}

#[test]
fn a_backup_learns_the_interval_of_keepalived_and_goes_by_it() {
    let lan = Lan::new();
    let theirs = lan.keepalived(v3(20), 150);
    lan.wait_for_their_advert();
    let ours = lan.ours(v3(100), 100);
    ours.wait_for_role(Role::Backup);
    // For longer than its own master down interval would be, then the learnt one counts.
    holds_for(Duration::from_secs(4), "keepalived is master and ours backup", || ours.role() == Role::Backup);
    freeze(&theirs);
    ours.wait_for_role(Role::Master);
    lan.check_takeover(v3(20), 100, Theirs(150), Ours(100), Down);
    assert!(ours.instance().stats().interval_differences > 0);
}

#[test]
fn adverts_with_another_password_or_version_are_refused_and_counted() {
    let lan = Lan::new();
    let _theirs = lan.keepalived(Profile { password: true, ..v2() }, 150);
    lan.wait_for_their_advert();
    let open = lan.ours(v2(), 100);
    open.wait_for_refusal(Refusal::AuthType);
    drop(open);
    let other_version = lan.ours(v3(100), 100);
    other_version.wait_for_refusal(Refusal::Version);
}

#[test]
fn a_pulled_cable_is_a_fault_that_ends_when_it_is_back() {
    let lan = Lan::new();
    let ours = lan.ours(v3(20), 150);
    ours.wait_for_role(Role::Master);
    lan.us.unplug("eth0");
    ours.wait_for_role(Role::Fault);
    lan.us.plug("eth0");
    ours.wait_for_role(Role::Master);
    lan.us.delete_address("eth0", &format!("{OUR_ADDRESS}/24"));
    ours.wait_for_role(Role::Fault);
    lan.us.add_address("eth0", &format!("{OUR_ADDRESS}/24"));
    ours.wait_for_role(Role::Master);
    lan.us.delete_link("eth0");
    ours.wait_for_role(Role::Fault);
    lan.us.connect(&lan.segment, "eth0", &format!("{OUR_ADDRESS}/24"));
    ours.wait_for_role(Role::Master);
    // It is heard again: the group was joined anew.
    let _theirs = lan.keepalived(v3(20), 200);
    ours.wait_for_role(Role::Backup);
}

#[test]
fn what_is_told_about_a_link_counts_and_what_the_application_says_about_priority_and_gate() {
    let lan = Lan::new();
    let ours = lan.ours(v3(10), 150);
    ours.wait_for_role(Role::Master);
    let primary = LinkAddress { address: address(OUR_ADDRESS).into(), prefix_len: 24, tagged: false };
    let vip = LinkAddress { address: address(VIP).into(), prefix_len: 32, tagged: false };
    let up = Link {
        name: "eth0".to_owned(),
        index: lan.us.index("eth0"),
        up: true,
        mac: None,
        addresses: vec![vip, primary],
    };
    ours.handle.set_link(Link { up: false, ..up.clone() });
    ours.wait_for_role(Role::Fault);
    assert_eq!(ours.last_reason(), Reason::Fault(FaultReason::LinkDown));
    // The interface is up in truth, and nobody looks.
    holds_for(Duration::from_millis(1500), "ours believes what it is told", || ours.role() == Role::Fault);

    let instance = ours.instance();
    instance.set_gate(Gate::Held);
    ours.handle.set_link(up);
    ours.wait_for_event(|kind| matches!(kind, EventKind::WantsMaster));
    assert_eq!(ours.role(), Role::Backup);
    instance.set_priority(priority(77));
    instance.set_gate(Gate::Open);
    // From its primary address, although the virtual one comes first.
    lan.wait_for(Ours(77));
    let epoch = instance.ownership().borrow().epoch;
    let pulse = instance.pulse();
    let first = poll_until(LIMIT, "the pulse of this mastership", || pulse.sent_at(epoch));
    poll_until(LIMIT, "a later pulse", || pulse.sent_at(epoch).is_some_and(|later| later > first));
    ours.handle.remove_link("eth0");
    ours.wait_for_role(Role::Fault);
    lan.wait_for(Ours(0));
}

#[test]
fn forged_adverts_change_nothing_and_are_counted_by_reason() {
    // VR-250.
    let lan = Lan::new();
    let ours = lan.ours(v3(10), 100);
    ours.wait_for_role(Role::Master);
    let interval = v3(10).interval;
    let vips = [address(VIP)];
    let vrid = |number| Vrid::new(number).expect("in range");
    let winning = |number| {
        Advert::new(vrid(number), Advertised::Running(Priority::OWNER), interval, &vips).expect("one address")
    };
    let (source, group) = (address(THEIR_ADDRESS), address("224.0.0.18"));
    let forge = |advert: Advert<'_>, ttl: u8, damage: &dyn Fn(&mut Vec<u8>)| {
        let (mut packet, mut datagram) = (Vec::new(), Vec::new());
        advert.write_to(&Endpoints::v4(source, group), &mut packet);
        damage(&mut packet);
        Ipv4Header { source, destination: group, ttl }.write_to(&packet, &mut datagram);
        datagram
    };
    let v2_interval = v2().interval;
    let other_version = Advert::new(vrid(VRID), Advertised::Running(Priority::OWNER), v2_interval, &vips)
        .expect("one address");
    let forged = [
        (Refusal::Ttl, forge(winning(VRID), 254, &|_| {})),
        (Refusal::Checksum, forge(winning(VRID), 255, &|packet| packet[6] ^= 1)),
        (Refusal::Length, forge(winning(VRID), 255, &|packet| packet.truncate(11))),
        (Refusal::Length, forge(winning(VRID), 255, &|packet| packet.push(0))),
        (Refusal::Type, forge(winning(VRID), 255, &|packet| packet[0] = 0x32)),
        (Refusal::Version, forge(winning(VRID), 255, &|packet| packet[0] = 0x41)),
        (Refusal::Version, forge(other_version, 255, &|_| {})),
        (Refusal::UnknownVrid, forge(winning(VRID + 1), 255, &|_| {})),
    ];
    lan.them.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
        socket.bind_device(Some(b"eth0")).expect("eth0 is there");
        for (_, datagram) in &forged {
            let to = SockAddr::from(SocketAddrV4::new(group, 0));
            socket.send_to(datagram, &to).expect("it can be sent");
        }
    });
    for (refusal, _) in &forged {
        let expected = forged.iter().filter(|(other, _)| other == refusal).count() as u64;
        poll_until(LIMIT, &format!("{refusal} is counted {expected} times"), || {
            let on_interface = ours.handle.interface_stats("eth0").expect("an instance is on it");
            let count = ours.instance().stats().refused(*refusal) + on_interface.refused(*refusal);
            if count == expected { Ok(()) } else { Err(format!("{count} so far")) }
        });
    }
    assert_eq!(ours.role(), Role::Master);
    assert_eq!(ours.instance().stats().adverts_received, 0);
}

/// keepalived is the better one. It stops, and comes back, and freezes.
fn play_as_backup(profile: Profile) {
    let settled = timing::master_down_interval(profile.interval, priority(100)) + LATE;
    let lan = Lan::new();
    let theirs = lan.keepalived(profile, 150);
    lan.wait_for_their_advert();
    let ours = lan.ours(profile, 100);
    ours.wait_for_role(Role::Backup);
    holds_for(settled, "ours is backup to keepalived", || ours.role() == Role::Backup);
    theirs.terminate();
    ours.wait_for_role(Role::Master);
    lan.check_takeover(profile, 100, Theirs(0), Ours(100), Skew);
    assert_eq!(ours.last_reason(), Reason::MasterResigned);

    lan.capture.clear();
    let theirs = lan.keepalived(profile, 150);
    ours.wait_for_role(Role::Backup);
    assert_eq!(ours.last_reason(), outranked_by_keepalived(150));
    lan.wait_for_their_advert();
    lan.capture.clear();
    lan.wait_for_their_advert();
    freeze(&theirs);
    ours.wait_for_role(Role::Master);
    lan.check_takeover(profile, 100, Theirs(150), Ours(100), Down);
    assert_eq!(ours.last_reason(), Reason::MasterSilent);
}

/// Ours is the better one. It stops, and comes back, and crashes.
fn play_as_master(profile: Profile) {
    let settled = timing::master_down_interval(profile.interval, priority(100)) + LATE;
    let lan = Lan::new();
    let theirs = lan.keepalived(profile, 100);
    theirs.wait_for_log("Entering MASTER STATE", LIMIT);
    let ours = lan.ours(profile, 150);
    ours.wait_for_role(Role::Master);
    theirs.wait_for_log("advert from", LIMIT);
    let log = theirs.log().len();
    holds_for(settled, "keepalived stays backup to ours", || {
        !theirs.log()[log..].contains("Entering MASTER")
    });
    lan.capture.clear();
    ours.handle.shutdown();
    lan.wait_for(Theirs(100));
    lan.check_takeover(profile, 100, Ours(0), Theirs(100), Skew);
    drop(ours);

    let ours = lan.ours(profile, 150);
    ours.wait_for_role(Role::Master);
    holds_for(settled, "ours is the only master", || ours.role() == Role::Master);
    lan.capture.clear();
    lan.wait_for(Ours(150));
    ours.crash();
    lan.wait_for(Theirs(100));
    lan.check_takeover(profile, 100, Ours(150), Theirs(100), Down);
    assert_no_complaints(&theirs.log());
    lan.check_wire(profile);
}

/// Falls silent from one moment to the next. (Killed, keepalived's child may see its parent die first, and resign.)
fn freeze(theirs: &Process) {
    theirs.signal_all(Signal::SIGSTOP);
}

/// What keepalived says when it does not like a packet.
fn assert_no_complaints(log: &str) {
    let complaints =
        ["invalid", "mismatch", "bad", "dropp", "discard", "wrong", "incorrect", "checksum", "error"];
    for line in log.lines() {
        let lower = line.to_lowercase();
        assert!(!complaints.iter().any(|word| lower.contains(word)), "keepalived complains: {line}");
    }
}

fn outranked_by_keepalived(number: u8) -> Reason {
    Reason::Outranked { by: address(THEIR_ADDRESS).into(), priority: priority(number) }
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().expect("an address")
}

fn priority(number: u8) -> Priority {
    Priority::new(number).expect("in range")
}

/// Whose advert, and with which priority.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Ours(u8),
    Theirs(u8),
}
use Sent::{Ours, Theirs};

impl Sent {
    fn is(self, frame: &Frame) -> bool {
        let (address, priority) = match self {
            Ours(priority) => (OUR_ADDRESS, priority),
            Theirs(priority) => (THEIR_ADDRESS, priority),
        };
        frame.ip().is_some_and(|ip| {
            ip.protocol == 112
                && ip.source == IpAddr::V4(self::address(address))
                && ip.payload.get(1..3) == Some(&[VRID, priority])
        })
    }
}

/// How long the next one waits after the last advert of the old master.
#[derive(Clone, Copy, Debug)]
enum Wait {
    Down,
    Skew,
}
use Wait::{Down, Skew};

struct Lan {
    us: Host,
    them: Host,
    /// Everything of protocol 112 that passes our interface.
    capture: Capture,
    segment: Segment,
}

impl Lan {
    fn new() -> Self {
        let segment = Segment::new();
        let [us, them] = [("us", OUR_ADDRESS), ("them", THEIR_ADDRESS)].map(|(name, address)| {
            let host = Host::new(name);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            host
        });
        let capture = Capture::start(&them, "eth0", |frame| frame.ip().is_some_and(|ip| ip.protocol == 112));
        Self { us, them, capture, segment }
    }

    fn keepalived(&self, profile: Profile, priority: u8) -> Process {
        let (version, interval) = match profile.interval {
            Interval::Seconds(seconds) => (2, f64::from(seconds.get())),
            Interval::Centis(centis) => (3, f64::from(centis.get()) / 100.0),
        };
        let password = match profile.password {
            true => "authentication {\n auth_type PASS\n auth_pass 1111\n }",
            false => "",
        };
        let unicast = match profile.unicast {
            true => format!("unicast_peer {{\n {OUR_ADDRESS}\n {THEIR_ADDRESS}\n }}"),
            false => String::new(),
        };
        let config = format!(
            "vrrp_instance theirs {{\n state BACKUP\n interface eth0\n virtual_router_id {VRID}\n version {version}\n \
             priority {priority}\n advert_int {interval}\n {password}\n {unicast}\n \
             virtual_ipaddress {{\n {VIP}/32\n }}\n}}\n"
        );
        peers::keepalived(&self.them, &config)
    }

    fn ours(&self, profile: Profile, number: u8) -> OurRouter {
        let router = Config::new(profile.interval, priority(number));
        let vips = vec![address(VIP).into()];
        let vrid = Vrid::new(VRID).expect("in range");
        let mut config = InstanceConfig::new("ours", "eth0", vrid, vips, router);
        if profile.password {
            config.authentication = Authentication::Password(AuthPass::new(b"1111").expect("4 octets"));
        }
        if profile.unicast {
            let peers = [OUR_ADDRESS, THEIR_ADDRESS].map(|text| address(text).into());
            config.delivery = Delivery::Unicast(Unicast::to(peers));
        }
        OurRouter::start(&self.us, config)
    }

    fn wait_for(&self, sent: Sent) -> Frame {
        self.capture.wait_for(&format!("advert {sent:?}"), LIMIT, |frame| sent.is(frame))
    }

    fn wait_for_their_advert(&self) {
        self.wait_for(Theirs(150));
    }

    /// The time on the wire between the last advert of the old master and the first of the new one is the formula's.
    fn check_takeover(&self, profile: Profile, number: u8, old: Sent, new: Sent, wait: Wait) {
        let took = poll_until(LIMIT, "the new master's first advert", || {
            let frames = self.capture.frames();
            let last = frames.iter().rev().find(|frame| old.is(frame))?.at;
            frames.iter().filter(|frame| new.is(frame)).map(|frame| frame.at.duration_since(last)).find(
                |after| {
                    // Sent before the last one was heard: on a busy machine both may be master for a moment.
                    *after > CROSSING
                },
            )
        });
        let formula = match wait {
            Down => timing::master_down_interval(profile.interval, priority(number)),
            Skew => timing::skew_time(profile.interval, priority(number)),
        };
        println!("{old:?} to {new:?}: {took:?}, by the formula {formula:?}");
        // The two stamps are read by a thread that may itself be late.
        assert!(took + Duration::from_millis(20) >= formula && took <= formula + LATE, "{took:?}");
    }

    /// TTL, destination and peers of all that passed.
    fn check_wire(&self, profile: Profile) {
        let frames = self.capture.frames();
        assert!(!frames.is_empty());
        for frame in frames {
            let ip = frame.ip().expect("only such are captured");
            assert_eq!(ip.ttl, 255);
            let expected = match (profile.unicast, ip.source.to_string().as_str()) {
                (false, _) => "224.0.0.18",
                (true, OUR_ADDRESS) => THEIR_ADDRESS,
                (true, _) => OUR_ADDRESS,
            };
            assert_eq!(ip.destination.to_string(), expected);
        }
    }
}

/// A driver on a thread of its own inside a host.
struct OurRouter {
    handle: Handle,
    events: Arc<Mutex<Vec<Event>>>,
    crash: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OurRouter {
    fn start(host: &Host, config: InstanceConfig) -> Self {
        let (driver, handle, mut received) = Driver::new(vec![config]).expect("a good configuration");
        let instance = handle.instance("ours").expect("it is configured");
        let events = Arc::new(Mutex::new(Vec::new()));
        let (crash, crashed) = oneshot::channel();
        let sink = Arc::clone(&events);
        let act = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let mut ownership = instance.ownership();
                tokio::spawn(async move {
                    while ownership.changed().await.is_ok() {
                        let now = *ownership.borrow_and_update();
                        if now.is_master() {
                            instance.claimed(now.epoch, ClaimResult::Confirmed);
                        }
                    }
                });
                tokio::spawn(async move {
                    while let Some(event) = received.recv().await {
                        sink.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                    }
                });
                tokio::select! {
                    ended = driver.run() => ended.expect("the driver runs"),
                    _ = crashed => {}
                }
            });
        };
        // A thread of a thread inside the host is inside too.
        let thread = host.run(|| std::thread::spawn(act));
        Self { handle, events, crash: Some(crash), thread: Some(thread) }
    }

    fn role(&self) -> Role {
        self.instance().ownership().borrow().role
    }

    fn wait_for_role(&self, role: Role) {
        poll_until(LIMIT, &format!("ours is {role}"), || {
            let now = self.role();
            if now == role { Ok(()) } else { Err(format!("it is {now}")) }
        });
    }

    fn wait_for_refusal(&self, refusal: Refusal) {
        let instance = self.instance();
        poll_until(LIMIT, &format!("ours refuses for {refusal}"), || instance.stats().refused(refusal) > 0);
    }

    fn instance(&self) -> Instance {
        self.handle.instance("ours").expect("it is configured")
    }

    fn wait_for_event(&self, wanted: impl Fn(&EventKind) -> bool) {
        poll_until(LIMIT, "an event", || {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|event| wanted(&event.kind))
        });
    }

    fn last_reason(&self) -> Reason {
        // The event follows the ownership by a turn of the runtime.
        let role = self.role();
        poll_until(LIMIT, "the event of the last change", || {
            let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            let last = events.iter().rev().find_map(|event| match event.kind {
                EventKind::Changed(transition) => Some(transition),
                _ => None,
            });
            last.filter(|transition| transition.to == role).map(|transition| transition.reason)
        })
    }

    /// From one moment to the next, without a word.
    fn crash(mut self) {
        let crash = self.crash.take().expect("it crashes once");
        crash.send(()).expect("it runs");
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let started = Instant::now();
            thread.join().expect("the driver's thread ends");
            assert!(started.elapsed() < Duration::from_secs(5), "it ended late");
        }
    }
}

impl Drop for OurRouter {
    fn drop(&mut self) {
        self.handle.shutdown();
        if !std::thread::panicking() {
            self.join();
        }
    }
}
