//! Writes lvs-vrrp/captures: adverts as keepalived, FRR and scapy make them.
//!
//! `cargo run -p lvs-tests --bin captures`, as root or below `unshare --user --map-root-user --net --mount`. Only
//! identifications, sequence numbers and what follows from them change from one run to the next.
#![allow(clippy::expect_used)] // what it cannot do, it says

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use lvs_tests::peers::FrrRouter;
use lvs_tests::{Capture, Frame, Host, Segment, peers};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lvs-vrrp/captures");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    for (name, text) in [
        ("keepalived", keepalived(false)),
        ("keepalived-ah", keepalived(true)),
        ("frr", frr()),
        ("scapy", scapy()),
    ] {
        let path = folder.join(format!("{name}.txt"));
        std::fs::write(&path, format!("{HEADING}{text}")).expect("the file can be written");
        println!("{}", path.display());
    }
}

/// The first advert of each configuration, and the last one, of priority 0; those with an
/// authentication header, or those without.
fn keepalived(ah: bool) -> String {
    let lan = Lan::new();
    let version = lan.version("keepalived --version 2>&1", "Keepalived v");
    let mut text = format!("; keepalived {version}, with the configuration that is named\n");
    let twenty: Vec<String> = (100..120).map(|last| format!("10.9.0.{last}")).collect();
    let unicast = format!("unicast_peer {{ {OTHER} }}");
    let password = "authentication { auth_type PASS; auth_pass 1111 }";
    let header = "authentication { auth_type AH; auth_pass 1111 }";
    let one = "10.9.0.100";
    for (version, details, addresses) in [
        (2, "", one),
        (2, password, one),
        (2, header, one),
        (2, "", &twenty.join("; ")),
        (2, &unicast, one),
        (2, &format!("{password}; {unicast}"), one),
        (2, &format!("{header}; {unicast}"), one),
        (3, "advert_int 0.25", one),
        (3, "advert_int 40.95", &twenty.join("; ")),
        (3, &unicast, one),
        (3, "", "fe80::9:100; fd00:9::100"),
        (3, "unicast_peer { fd00:9::1 }", "fe80::9:100; fd00:9::100"),
    ] {
        if details.contains("AH") != ah {
            continue;
        }
        // The owner does not wait for the silence of a master, which is three intervals.
        let priority = if details.contains("40.95") { 255 } else { 150 };
        let details = if details.is_empty() { String::new() } else { format!("{details}; ") };
        let config = format!(
            "vrrp_instance v {{ state MASTER; interface eth0; virtual_router_id 51; priority {priority}; version {version}; \
             {details}virtual_ipaddress {{ {addresses} }} }}"
        );
        let wire = lan.capture();
        let process = peers::keepalived(&lan.them, &lines(&config));
        let first = wire.wait_for("an advert", LIMIT, |frame| !frame.outgoing);
        process.terminate();
        let last = wire.wait_for("a resignation", LIMIT, resigns);
        write(&mut text, &config, &[first, last]);
    }
    text
}

fn frr() -> String {
    let lan = Lan::new();
    let version = lan.version("/usr/lib/frr/vrrpd --version", "vrrpd version ");
    let mut text = format!("; FRR {version}, with the configuration of vrrpd that is named\n");
    for (version, priority, centis, addresses) in [
        (2, 150, 100, vec!["10.9.0.100"]),
        (3, 150, 100, vec!["10.9.0.100"]),
        (3, 254, 20, vec!["10.9.0.100", "10.9.0.101", "10.9.0.102"]),
        (3, 100, 300, vec!["fe80::9:100", "fd00:9::100"]),
    ] {
        let list: Vec<IpAddr> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        let router = FrrRouter {
            device: "eth0",
            vrid: 51,
            version,
            priority,
            centis,
            preempt: true,
            addresses: &list,
        };
        let wire = lan.capture();
        let process = peers::frr(&lan.them, &router);
        let first = wire.wait_for("an advert", LIMIT, |frame| !frame.outgoing);
        process.terminate();
        let last = wire.wait_for("a resignation", LIMIT, resigns);
        let config = router.config();
        let heading = config.lines().filter(|line| line.starts_with(' ')).map(str::trim).collect::<Vec<_>>();
        write(&mut text, &heading.join("; "), &[first, last]);
        // The next one has other addresses.
        lan.them
            .sh("for link in vrrp4-51 vrrp6-51; do ip link del $link; done 2>&1 || true")
            .expect("ip works");
    }
    text
}

fn scapy() -> String {
    let lan = Lan::new();
    let script = lan.them.write_file("make.py", SCAPY);
    lan.them.output(lan.them.command("/usr/bin/python3").arg(script)).expect("scapy makes packets")
}

struct Lan {
    us: Host,
    them: Host,
    _segment: Segment,
}

impl Lan {
    fn new() -> Self {
        let segment = Segment::new();
        let [us, them] = [("us", OTHER, 1), ("them", SOURCE, 2)].map(|(name, address, last)| {
            let host = Host::new(name);
            host.connect(&segment, "eth0", &format!("{address}/24"));
            // For a link-local address that is the same every time.
            host.link_down("eth0");
            host.sh(&format!("ip link set eth0 address 02:00:00:00:00:{last:02}")).expect("ip works");
            host.link_up("eth0");
            host.add_address("eth0", &format!("fd00:9::{last}/64"));
            host
        });
        Self { us, them, _segment: segment }
    }

    fn capture(&self) -> Capture {
        Capture::start(&self.us, "eth0", |frame| {
            frame.ip().is_some_and(|ip| ip.protocol == 112 || ip.protocol == 51)
        })
    }

    fn version(&self, command: &str, before: &str) -> String {
        let printed = self.them.sh(command).expect("it says its version");
        let line = printed.lines().find_map(|line| line.split_once(before)).expect("its version").1;
        line.split([' ', ',']).next().unwrap_or_default().to_owned()
    }
}

/// Priority 0, also behind an authentication header of 24 octets (RFC 4302 §2).
fn resigns(frame: &Frame) -> bool {
    let Some(ip) = frame.ip() else { return false };
    let start = if ip.protocol == 51 { 24 } else { 0 };
    ip.payload.get(start + 2) == Some(&0)
}

/// keepalived wants a line for each statement.
fn lines(config: &str) -> String {
    config.replace("; ", "\n").replace("{ ", "{\n").replace(" }", "\n}") + "\n"
}

fn write(text: &mut String, heading: &str, frames: &[Frame]) {
    let _ = writeln!(text, "\n# {heading}");
    for frame in frames {
        let ip = frame.bytes.get(14..).unwrap_or_default();
        let hex: String = ip.iter().map(|octet| format!("{octet:02x}")).collect();
        let _ = writeln!(text, "> {hex}");
    }
}

const SOURCE: &str = "10.9.0.2";
const OTHER: &str = "10.9.0.1";
const LIMIT: Duration = Duration::from_secs(30);
const HEADING: &str = "; Adverts from the IP header on, made by `cargo run -p lvs-tests --bin captures`.\n";
const SCAPY: &str = r#"
import scapy
from scapy.config import conf
conf.verb = 0
from scapy.layers.inet import IP, IPOption_NOP
from scapy.layers.inet6 import IPv6
from scapy.layers.vrrp import VRRP, VRRPv3
from scapy.utils import checksum

def message_only(packet):
    # As RFC 9568 section 5.2.8 has it for IPv4; scapy knows the pseudo-header only.
    packet[VRRPv3].chksum = 0
    packet[VRRPv3].chksum = checksum(bytes(packet)[20:])
    return packet

print("; scapy", scapy.__version__ + ", of the expression that is named")
four = 'IP(src="10.9.0.2", dst="224.0.0.18", ttl=255, tos=0xc0'
six = 'IPv6(src="fe80::ff:fe00:2", dst="ff02::12", hlim=255, tc=0xc0)'
for expression in [
    four + ')/VRRP(vrid=51, priority=150, addrlist=["10.9.0.100"])',
    four + ')/VRRP(vrid=255, priority=0, adv=255, addrlist=[])',
    four + ')/VRRP(vrid=1, priority=255, authtype=1, addrlist=["10.9.0.100", "10.9.0.101"], auth1=0x31313131, auth2=0x41424344)',
    four + ', options=[IPOption_NOP()] * 4)/VRRP(vrid=51, priority=150, addrlist=["10.9.0.100"])',
    four + ')/VRRP(vrid=51, priority=1, addrlist=["10.9.1.%d" % last for last in range(255)])',
    four + ')/VRRPv3(vrid=51, priority=150, addrlist=["10.9.0.100"])',
    four + ')/VRRPv3(vrid=51, priority=254, adv=1, addrlist=["10.9.1.%d" % last for last in range(255)])',
    'message_only(' + four + ')/VRRPv3(vrid=51, priority=150, addrlist=["10.9.0.100"]))',
    'IP(src="10.9.0.2", dst="10.9.0.1", ttl=64)/VRRPv3(vrid=51, priority=150, adv=4095, addrlist=["10.9.0.100"])',
    six + '/VRRPv3(vrid=51, priority=150, addrlist=["fe80::9:100"])',
    six + '/VRRPv3(vrid=51, priority=0, adv=4095, addrlist=["fe80::9:100"] + ["fd00:9::%x" % last for last in range(1, 255)])',
]:
    packet = bytes(eval(expression))
    print("\n#", expression)
    print(">", packet.hex())
"#;
