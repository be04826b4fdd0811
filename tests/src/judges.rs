//! What independent programs read in adverts: tshark and scapy.

use std::net::IpAddr;
use std::process::Command;
use std::str::FromStr;
use std::{fmt, fs};

use crate::directory::Directory;
use crate::frame::Frame;
use crate::pcap;

/// An advert as a judge reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where the frame comes from: `02:00:00:00:00:01`.
    pub source_mac: String,
    /// Where it goes.
    pub destination_mac: String,
    /// Where the packet comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Security parameters index and sequence number of an authentication header (RFC 4302 §2).
    pub ah: Option<(u32, u32)>,
    /// 2 or 3.
    pub version: u8,
    /// 1 is an advert.
    pub kind: u8,
    /// Number of the virtual router.
    pub vrid: u8,
    /// 0 resigns, 255 is the owner.
    pub priority: u8,
    /// How many addresses it claims to have.
    pub count: u8,
    /// Type of authentication, in version 2.
    pub auth_type: Option<u8>,
    /// The password, if the type is 1.
    pub password: Option<String>,
    /// From one advert to the next: seconds in version 2, centiseconds in version 3.
    pub interval: u16,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// Checksums that are wrong, fields that are cut off, and all else that the judge does not like.
    pub complaints: Vec<String>,
}

/// What the checksum of version 3 in IPv4 is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The pseudo-header of IP and the message, as keepalived and FRR send it.
    PseudoHeader,
    /// The message alone (RFC 9568 §5.2.8).
    Message,
}

/// Reads adverts with tshark.
#[track_caller]
pub fn tshark(frames: &[Frame], checksum: Checksum) -> Vec<Reading> {
    let directory = Files::new(frames);
    let as_in_v2 = checksum == Checksum::Message;
    let mut command = Command::new("tshark");
    command.arg("-r").arg(&directory.packets).args([
        "-n",
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "occurrence=a",
    ]);
    command
        .args(["-o", "ip.check_checksum:TRUE"])
        .args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{as_in_v2}")]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let readings: Vec<Reading> = directory.run(command).lines().map(from_tshark).collect();
    assert_eq!(readings.len(), frames.len(), "tshark reads every frame");
    readings
}

/// Reads adverts with scapy, and makes them again from their fields with it. `password` is the key of authentication
/// headers.
#[track_caller]
pub fn scapy(frames: &[Frame], checksum: Checksum, password: &str) -> Vec<Reading> {
    let directory = Files::new(frames);
    let script = directory.write("read.py", SCRIPT);
    let checksum = if checksum == Checksum::Message { "message" } else { "pseudo-header" };
    let mut command = Command::new("/usr/bin/python3");
    command.arg(script).arg(&directory.packets).args([checksum, password]);
    let readings: Vec<Reading> = directory.run(command).lines().map(from_scapy).collect();
    assert_eq!(readings.len(), frames.len(), "scapy reads every frame");
    readings
}

fn from_tshark(line: &str) -> Reading {
    let columns = Columns::of(line, &FIELDS);
    let mut complaints = Vec::new();
    if columns.text("vrrp.checksum.status") != "1" {
        complaints.push("the checksum is not good".to_owned());
    }
    for column in ["_ws.malformed", "_ws.expert.message"] {
        complaints.extend(columns.list::<String>(column));
    }
    let is_v6 = !columns.text("ipv6.src").is_empty();
    if !is_v6 && columns.text("ip.checksum.status") != "1" {
        complaints.push("the checksum of the IP header is not good".to_owned());
    }
    let of_family = |four: &'static str, six: &'static str| if is_v6 { six } else { four };
    let spi = Some(columns.text("ah.spi")).filter(|text| !text.is_empty()).map(hexadecimal);
    let version = columns.value("vrrp.version");
    Reading {
        source_mac: columns.value("eth.src"),
        destination_mac: columns.value("eth.dst"),
        source: columns.value(of_family("ip.src", "ipv6.src")),
        destination: columns.value(of_family("ip.dst", "ipv6.dst")),
        ttl: columns.value(of_family("ip.ttl", "ipv6.hlim")),
        tos: u8::try_from(hexadecimal(columns.text(of_family("ip.dsfield", "ipv6.tclass"))))
            .expect("an octet"),
        ah: spi.map(|spi| (spi, columns.value("ah.sequence"))),
        version,
        kind: columns.value("vrrp.type"),
        vrid: columns.value("vrrp.virt_rtr_id"),
        priority: columns.value("vrrp.prio"),
        count: columns.value("vrrp.addr_count"),
        auth_type: columns.option("vrrp.auth_type"),
        password: columns.option("vrrp.auth_string"),
        interval: columns.value(if version == 2 { "vrrp.adver_int" } else { "vrrp.short_adver_int" }),
        addresses: columns.list(of_family("vrrp.ip_addr", "vrrp.ipv6_addr")),
        complaints,
    }
}

fn from_scapy(line: &str) -> Reading {
    let columns = Columns::of(line, &COLUMNS);
    Reading {
        source_mac: columns.value("source_mac"),
        destination_mac: columns.value("destination_mac"),
        source: columns.value("source"),
        destination: columns.value("destination"),
        ttl: columns.value("ttl"),
        tos: columns.value("tos"),
        ah: columns.option("spi").map(|spi| (spi, columns.value("sequence"))),
        version: columns.value("version"),
        kind: columns.value("kind"),
        vrid: columns.value("vrid"),
        priority: columns.value("priority"),
        count: columns.value("count"),
        auth_type: columns.option("auth_type"),
        password: columns.option("password"),
        interval: columns.value("interval"),
        addresses: columns.list("addresses"),
        complaints: columns.list("complaints"),
    }
}

fn hexadecimal(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16)
        .unwrap_or_else(|_| panic!("{text:?} is not hexadecimal"))
}

/// A line of values with a tab between two.
struct Columns<'a> {
    names: &'a [&'static str],
    values: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    fn of(line: &'a str, names: &'a [&'static str]) -> Self {
        let values: Vec<&str> = line.split('\t').collect();
        assert_eq!(values.len(), names.len(), "columns of {line:?}");
        Self { names, values }
    }

    fn text(&self, name: &str) -> &'a str {
        let place = self.names.iter().position(|column| *column == name);
        place.map_or_else(|| panic!("no column {name}"), |place| self.values[place])
    }

    fn option<T: FromStr<Err: fmt::Debug>>(&self, name: &str) -> Option<T> {
        let text = self.text(name);
        if text.is_empty() { None } else { Some(self.value(name)) }
    }

    fn value<T: FromStr<Err: fmt::Debug>>(&self, name: &str) -> T {
        let text = self.text(name);
        text.parse().unwrap_or_else(|error| panic!("{name} is {text:?}: {error:?} in {:?}", self.values))
    }

    fn list<T: FromStr<Err: fmt::Debug>>(&self, name: &str) -> Vec<T> {
        let items = self.text(name).split(',').filter(|item| !item.is_empty());
        items.map(|item| item.parse().unwrap_or_else(|error| panic!("{name}: {item:?}: {error:?}"))).collect()
    }
}

struct Files {
    directory: Directory,
    packets: std::path::PathBuf,
}

impl Files {
    #[track_caller]
    fn new(frames: &[Frame]) -> Self {
        let directory = Directory::new("judges").unwrap_or_else(|error| panic!("make a directory: {error}"));
        let packets = directory.path().join("packets.pcap");
        let files = Self { directory, packets };
        fs::write(&files.packets, pcap::file(frames))
            .unwrap_or_else(|error| panic!("write packets: {error}"));
        files
    }

    fn write(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    #[track_caller]
    fn run(&self, mut command: Command) -> String {
        let what = format!("{command:?}");
        let output = command.output().unwrap_or_else(|error| panic!("{what}: {error}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {}\n{errors}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

const FIELDS: [&str; 29] = [
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield",
    "ip.checksum.status",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "ipv6.tclass",
    "ah.spi",
    "ah.sequence",
    "vrrp.version",
    "vrrp.type",
    "vrrp.virt_rtr_id",
    "vrrp.prio",
    "vrrp.addr_count",
    "vrrp.auth_type",
    "vrrp.auth_string",
    "vrrp.adver_int",
    "vrrp.short_adver_int",
    "vrrp.checksum.status",
    "vrrp.ip_addr",
    "vrrp.ipv6_addr",
    "_ws.malformed",
    "_ws.expert.message",
    "frame.number",
    "frame.protocols",
];

const COLUMNS: [&str; 18] = [
    "source_mac",
    "destination_mac",
    "source",
    "destination",
    "ttl",
    "tos",
    "spi",
    "sequence",
    "version",
    "kind",
    "vrid",
    "priority",
    "count",
    "auth_type",
    "password",
    "interval",
    "addresses",
    "complaints",
];
const SCRIPT: &str = include_str!("judges/read.py");

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// An advert of keepalived 2.2.7 (version 2, password 1111, 10.9.0.100) behind an Ethernet header.
    const ADVERT: &str = "01005e000012020000000002080045c0002800010000ff70d0870a090002e0000012\
                          213396010101dafa0a0900643131313100000000";

    fn frame(change: impl Fn(&mut Vec<u8>)) -> Frame {
        let mut bytes: Vec<u8> = (0..ADVERT.len() / 2)
            .map(|place| {
                u8::from_str_radix(&ADVERT[2 * place..2 * place + 2], 16).expect("hexadecimal digits")
            })
            .collect();
        change(&mut bytes);
        Frame { at: Instant::now(), outgoing: false, bytes }
    }

    #[test]
    fn judges_agree_on_an_advert_and_complain_about_damage() {
        let frames = [frame(|_| {}), frame(|bytes| bytes[36] ^= 1), frame(|bytes| bytes.truncate(50))];
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let expected = Reading {
            source_mac: "02:00:00:00:00:02".to_owned(),
            destination_mac: "01:00:5e:00:00:12".to_owned(),
            source: address("10.9.0.2"),
            destination: address("224.0.0.18"),
            ttl: 255,
            tos: 0xc0,
            ah: None,
            version: 2,
            kind: 1,
            vrid: 51,
            priority: 150,
            count: 1,
            auth_type: Some(1),
            password: Some("1111".to_owned()),
            interval: 1,
            addresses: vec![address("10.9.0.100")],
            complaints: Vec::new(),
        };
        for readings in
            [tshark(&frames[..2], Checksum::PseudoHeader), scapy(&frames[..2], Checksum::PseudoHeader, "")]
        {
            assert_eq!(readings[0], expected);
            assert_eq!(readings[1].priority, 151);
            assert!(!readings[1].complaints.is_empty());
        }
        assert!(!scapy(&frames[2..], Checksum::PseudoHeader, "")[0].complaints.is_empty());
    }
}
