//! tshark and scapy read in whatever lvsd sends what its configuration says; vrrp_interop does the same with all that is
//! sent to real peers.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use lvs_tests::judges::{self, Checksum, Reading};
use lvs_tests::{Capture, Frame, Host, Segment, peers};

/// A configuration and what its adverts say.
struct Case {
    name: &'static str,
    /// Statements of the instance.
    statements: &'static str,
    vrid: u8,
    version: u8,
    priority: u8,
    interval: u16,
    source: &'static str,
    destination: &'static str,
    destination_mac: &'static str,
    ttl: u8,
    password: Option<&'static str>,
    /// Whether an authentication header with [`KEY`] stands before it.
    header: bool,
    checksum: Checksum,
    addresses: Vec<IpAddr>,
}

/// Version 2 to the group, once a second, of an owner, who sends at once.
fn version_2(name: &'static str) -> Case {
    Case {
        name,
        statements: "",
        vrid: 51,
        version: 2,
        priority: 255,
        interval: 1,
        source: OURS,
        destination: "224.0.0.18",
        destination_mac: "01:00:5e:00:00:12",
        ttl: 255,
        password: None,
        header: false,
        checksum: Checksum::PseudoHeader,
        addresses: several(1),
    }
}

fn version_3(name: &'static str) -> Case {
    Case { version: 3, interval: 100, ..version_2(name) }
}

fn several(count: u8) -> Vec<IpAddr> {
    (0..count).map(|last| IpAddr::from([10, 9, 1, last])).collect()
}

fn of_ipv6(count: u16) -> Vec<IpAddr> {
    // The first is link-local (VR-027).
    let others = (1..count).map(|last| IpAddr::from([0xfd00, 9, 0, 0, 0, 0, 1, last]));
    std::iter::once("fe80::9:100".parse().expect("an address")).chain(others).collect()
}

fn cases() -> Vec<Case> {
    vec![
        // VR-020 to VR-024, VR-040, VR-041.
        version_2("version 2"),
        Case {
            statements: "advert_int 255",
            vrid: 255,
            interval: 255,
            addresses: several(20),
            ..version_2("version 2, 20 addresses, the longest interval")
        },
        Case { addresses: several(255), ..version_2("version 2, 255 addresses") },
        // VR-201: the first 8 characters.
        Case {
            statements: "authentication {\n auth_type PASS\n auth_pass longer-than-8\n }",
            password: Some("longer-t"),
            ..version_2("version 2, PASS")
        },
        // VR-202.
        Case {
            statements: "authentication {\n auth_type AH\n auth_pass secret\n }",
            header: true,
            addresses: several(20),
            ..version_2("version 2, AH, 20 addresses")
        },
        // VR-023: excluded addresses are not in the list.
        Case {
            statements: "virtual_ipaddress_excluded {\n 10.9.2.1\n fd00:9::2:1\n }",
            ..version_2("version 2, excluded addresses")
        },
        // VR-025, VR-043, VR-044.
        version_3("version 3"),
        Case {
            statements: "v3_checksum_as_v2",
            checksum: Checksum::Message,
            ..version_3("version 3, RFC 9568")
        },
        Case {
            statements: "advert_int 40.95\n v3_checksum_as_v2",
            vrid: 1,
            interval: 4095,
            checksum: Checksum::Message,
            addresses: several(20),
            ..version_3("version 3, RFC 9568, 20 addresses, the longest interval")
        },
        Case { statements: "advert_int 0.01", interval: 1, ..version_3("version 3, the shortest interval") },
        Case { addresses: several(255), ..version_3("version 3, 255 addresses") },
        // VR-220, VR-221, VR-223, VR-226.
        Case {
            statements: "unicast_src_ip 10.9.0.3\n unicast_peer {\n 10.9.0.2\n }",
            source: "10.9.0.3",
            destination: THEIRS,
            destination_mac: THEIR_MAC,
            ..version_3("version 3, unicast from a second address")
        },
        Case {
            statements: "unicast_ttl 64\n unicast_peer {\n 10.9.0.2\n }",
            destination: THEIRS,
            destination_mac: THEIR_MAC,
            ttl: 64,
            ..version_2("version 2, unicast with a TTL of its own")
        },
        // VR-005, VR-042.
        Case {
            source: LINK_LOCAL,
            destination: "ff02::12",
            destination_mac: "33:33:00:00:00:12",
            addresses: of_ipv6(1),
            ..version_3("version 3, IPv6")
        },
        Case {
            statements: "advert_int 40.95",
            interval: 4095,
            source: LINK_LOCAL,
            destination: "ff02::12",
            destination_mac: "33:33:00:00:00:12",
            addresses: of_ipv6(20),
            ..version_3("version 3, IPv6, 20 addresses, the longest interval")
        },
        Case {
            source: LINK_LOCAL,
            destination: "ff02::12",
            destination_mac: "33:33:00:00:00:12",
            addresses: of_ipv6(89),
            ..version_3("version 3, IPv6, 89 addresses")
        },
        Case {
            statements: "unicast_src_ip fd00:9::1\n unicast_peer {\n fd00:9::2\n }",
            source: "fd00:9::1",
            destination: "fd00:9::2",
            destination_mac: THEIR_MAC,
            addresses: of_ipv6(2),
            ..version_3("version 3, IPv6, unicast")
        },
    ]
}

impl Case {
    fn config(&self) -> String {
        let mut text = format!(
            "vrrp_instance VI_1 {{\n state MASTER\n interface eth0\n virtual_router_id {}\n version {}\n priority {}\n {}\n \
             virtual_ipaddress {{\n",
            self.vrid, self.version, self.priority, self.statements
        );
        for address in &self.addresses {
            let _ = writeln!(text, " {address}");
        }
        text.push_str(" }\n}\n");
        text
    }

    fn expected(&self, priority: u8) -> Reading {
        let auth_type = match (self.password, self.header) {
            (_, true) => 2,
            (Some(_), false) => 1,
            (None, false) => 0,
        };
        let source: IpAddr = self.source.parse().expect("an address");
        // The least number: nobody else was heard, so they begin with 1.
        let ah = match source {
            IpAddr::V4(source) if self.header => Some((source.to_bits(), if priority == 0 { 2 } else { 1 })),
            _ => None,
        };
        Reading {
            source_mac: OUR_MAC.to_owned(),
            destination_mac: self.destination_mac.to_owned(),
            source,
            destination: self.destination.parse().expect("an address"),
            ttl: self.ttl,
            tos: 0xc0,
            ah,
            version: self.version,
            kind: 1,
            vrid: self.vrid,
            priority,
            count: u8::try_from(self.addresses.len()).expect("at most 255"),
            auth_type: (self.version == 2).then_some(auth_type),
            password: self.password.map(str::to_owned),
            interval: self.interval,
            addresses: self.addresses.clone(),
            complaints: Vec::new(),
        }
    }
}

/// The first advert of lvsd, and the last, as they arrive at another host.
fn first_and_last(case: &Case) -> [Frame; 2] {
    let segment = Segment::new();
    let [us, them] = [("us", OURS, OUR_MAC), ("them", THEIRS, THEIR_MAC)].map(|(name, address, mac)| {
        let host = Host::new(name);
        host.connect(&segment, "eth0", &format!("{address}/16"));
        // For a link-local address that is known.
        host.link_down("eth0");
        host.sh(&format!("ip link set eth0 address {mac}")).expect("ip works");
        host.link_up("eth0");
        host
    });
    us.add_address("eth0", "10.9.0.3/16");
    us.add_address("eth0", "fd00:9::1/64");
    them.add_address("eth0", "fd00:9::2/64");
    let wire = Capture::start(&them, "eth0", |frame| {
        frame.ip().is_some_and(|ip| ip.protocol == 112 || ip.protocol == 51)
    });
    // A header of IPsec is 24 octets long here (RFC 4302 §2).
    let place = if case.header { 26 } else { 2 };
    let priority =
        |wanted: u8| move |frame: &Frame| frame.ip().is_some_and(|ip| ip.payload.get(place) == Some(&wanted));
    let lvsd = peers::lvsd(&us, &case.config(), &[]);
    let what = |which: &str| format!("{}: the {which} advert; {}", case.name, lvsd.log());
    let first = wire.wait_for(&what("first"), LIMIT, priority(case.priority));
    assert!(lvsd.terminate().success(), "{}: {}", case.name, lvsd.log());
    let last = wire.wait_for(&what("last"), LIMIT, priority(0));
    [first, last]
}

#[test]
fn tshark_and_scapy_read_in_each_advert_what_the_configuration_says() {
    // VR-221: among it the TTL that is configured.
    let running: Vec<_> = cases()
        .into_iter()
        .map(|case| {
            let name = case.name;
            let act = move || {
                let frames = first_and_last(&case);
                (case, frames)
            };
            (name, thread::Builder::new().name(name.to_owned()).spawn(act).expect("a thread"))
        })
        .collect();
    let mut failed = Vec::new();
    let mut seen = Vec::new();
    for (name, thread) in running {
        match thread.join() {
            Ok(pair) => seen.push(pair),
            Err(_) => failed.push(name),
        }
    }
    // One run of each judge for all frames with one form of checksum.
    for checksum in [Checksum::PseudoHeader, Checksum::Message] {
        let of_this = || seen.iter().filter(|(case, _)| case.checksum == checksum);
        let frames: Vec<Frame> = of_this().flat_map(|(_, frames)| frames.clone()).collect();
        let expected: Vec<(&str, Reading)> = of_this()
            .flat_map(|(case, _)| [case.priority, 0].map(|priority| (case.name, case.expected(priority))))
            .collect();
        for (judge, readings) in
            [("tshark", judges::tshark(&frames, checksum)), ("scapy", judges::scapy(&frames, checksum, KEY))]
        {
            for ((name, expected), reading) in expected.iter().zip(readings) {
                let mut expected = expected.clone();
                // More than one may have been sent before the last.
                if let (Some((spi, least)), Some((_, number))) = (expected.ah, reading.ah) {
                    expected.ah = Some((spi, number.max(least)));
                }
                assert_eq!(reading, expected, "{name}: {judge}");
            }
        }
        // The other form is not this one: the judges do look.
        let other = if checksum == Checksum::Message { Checksum::PseudoHeader } else { Checksum::Message };
        let (place, _) = (of_this().zip(0..))
            .map(|((case, _), place)| (place, case))
            .find(|(_, case)| case.version == 3 && case.destination == "224.0.0.18")
            .expect("each form has one in IPv4");
        for readings in [judges::tshark(&frames, other), judges::scapy(&frames, other, KEY)] {
            assert!(!readings[2 * place].complaints.is_empty());
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

const OURS: &str = "10.9.0.1";
const THEIRS: &str = "10.9.0.2";
const OUR_MAC: &str = "02:00:00:00:00:01";
const THEIR_MAC: &str = "02:00:00:00:00:02";
const KEY: &str = "secret";
const LINK_LOCAL: &str = "fe80::ff:fe00:1";
const LIMIT: Duration = Duration::from_secs(40);
