//! The first inputs: adverts that others made, configurations that were written for tests, a kernel's connections.

use std::path::{Path, PathBuf};

/// A target, a name for the file, and what is in it.
pub type Seed = (&'static str, String, Vec<u8>);

/// The inputs made of the captures of lvs-vrrp and lvs-ipvs and the fixtures of lvsd.
///
/// # Panics
/// If one of the files cannot be read.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (peer, datagrams) in captures() {
        for (number, datagram) in datagrams.iter().enumerate() {
            let name = format!("{peer}-{number:02}");
            seeds.extend(of_datagram(&name, datagram));
        }
    }
    for (name, text) in fixtures() {
        seeds.push(("configuration", name, text));
    }
    for (number, table) in connection_tables().into_iter().enumerate() {
        seeds.push(("connections", format!("linux-6.1-{number}"), [b"\x10", table.as_bytes()].concat()));
    }
    seeds.extend(ipvs_messages());
    seeds
}

/// What ipvsadm sent to the kernel and got back, message by message, and all answers to a command as a dump.
fn ipvs_messages() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for path in files("../lvs-ipvs/captures", "txt") {
        let text = String::from_utf8(read(&path)).expect("text");
        let mut dump = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let Some((mark @ (">" | "<"), digits)) = line.split_once(' ') else {
                if !dump.is_empty() {
                    seeds.push(("ipvs_dump", format!("{}-{number}", stem(&path)), std::mem::take(&mut dump)));
                }
                continue;
            };
            let message = octets(digits);
            if mark == "<" {
                let length = u16::try_from(message.len()).expect("a message").to_be_bytes();
                dump.extend(length.into_iter().chain(message.iter().copied()));
            }
            let name = format!("{}-{number}", stem(&path));
            if !seeds.iter().any(|(target, _, seen)| *target == "ipvs_message" && *seen == message) {
                seeds.push(("ipvs_message", name, message));
            }
        }
    }
    seeds
}

fn of_datagram(name: &str, datagram: &[u8]) -> Vec<Seed> {
    let seed = |target, input| (target, name.to_owned(), input);
    let is_v4 = datagram[0] >> 4 == 4;
    let (protocol, ttl) = if is_v4 { (datagram[9], datagram[8]) } else { (datagram[6], datagram[7]) };
    let (header, destination) = if is_v4 { (usize::from(datagram[0] & 15) * 4, 16) } else { (40, 24) };
    if protocol == 51 {
        let key = b"1111\0\0\0\0\x01\0\0\0";
        return vec![seed("ah", [key, datagram].concat()), seed("ipv4_header", datagram.to_vec())];
    }
    let is_group = datagram[destination] & 0xf0 == 0xe0 || datagram[destination] == 0xff;
    // The ways of the targets, with the checksum made right: addresses are not those of the captures.
    let way = 0x80 | if is_v4 { 0 } else { 2 } | if is_group { 0 } else { 1 };
    let message = &datagram[header..];
    let length = u16::try_from(message.len()).expect("an advert").to_be_bytes();
    let mut seeds = vec![
        seed("advert", [&[way], message].concat()),
        seed("demux", [&[way, ttl], length.as_slice(), message].concat()),
    ];
    if is_v4 {
        seeds.push(seed("ipv4_header", datagram.to_vec()));
    }
    seeds
}

/// The datagrams of each file of captures.
fn captures() -> Vec<(String, Vec<Vec<u8>>)> {
    files("../lvs-vrrp/captures", "txt")
        .into_iter()
        .map(|path| {
            let text = String::from_utf8(read(&path)).expect("text");
            let datagrams = text.lines().filter_map(|line| line.strip_prefix("> ")).map(octets);
            (stem(&path), datagrams.collect())
        })
        .collect()
}

/// What the kernel's files had in them.
fn connection_tables() -> Vec<String> {
    let text = String::from_utf8(read(&beside("../lvs-ipvs/captures/connections-6.1.txt"))).expect("text");
    let captures = text.split("\n# ").skip(1).filter_map(|capture| capture.split_once('\n'));
    captures.map(|(_command, table)| table.trim_end().to_owned() + "\n").collect()
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    files("../examples/lvsd/tests/fixtures", "conf").iter().map(|path| (stem(path), read(path))).collect()
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = beside(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}

fn beside(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let octet = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|pair| octet(pair).expect("hexadecimal digits")).collect()
}
