//! Reads the captures of ipvsadm's own messages and compares them with what this crate sends and reads.

// They were taken on a little-endian machine, and most integers of netlink have the machine's order.
#![cfg(target_endian = "little")]

use std::num::NonZeroU32;
use std::time::Duration;

use lvs_core::{
    Change, Family, Forwarding, Persistence, Protocol, RealServer, SchedulerFlags, ServerKey, ServiceKey,
    Tunnel, VirtualService, Weight,
};

use crate::convert;
use crate::raw::{Command, Message};

/// One command of ipvsadm, what it sent and what the kernel answered.
struct Capture {
    command: &'static str,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
}

fn captures() -> Vec<Capture> {
    let mut captures: Vec<Capture> = Vec::new();
    for line in include_str!("../captures/ipvsadm-1.31.txt").lines() {
        let Some((mark, rest)) = line.split_once(' ') else { continue };
        match mark {
            "#" => captures.push(Capture { command: rest, sent: Vec::new(), received: Vec::new() }),
            ">" => captures.last_mut().unwrap().sent.push(bytes(rest)),
            "<" => captures.last_mut().unwrap().received.push(bytes(rest)),
            _ => {}
        }
    }
    captures
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}

fn capture(command: &str) -> Capture {
    captures().into_iter().find(|capture| capture.command == command).unwrap()
}

/// The last message that the command sent.
fn sent(command: &str) -> Message {
    Message::parse(capture(command).sent.last().unwrap()).unwrap()
}

fn received(command: &str) -> Vec<Message> {
    capture(command).received.iter().map(|bytes| Message::parse(bytes).unwrap()).collect()
}

fn tcp() -> ServiceKey {
    ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap())
}

fn udp() -> ServiceKey {
    ServiceKey::address(Protocol::Udp, "[2001:db8::1]:53".parse().unwrap())
}

fn fwmark(family: Family, mark: u32) -> ServiceKey {
    ServiceKey::Fwmark { family, mark: NonZeroU32::new(mark).unwrap() }
}

fn service(key: ServiceKey, scheduler: &str) -> VirtualService {
    VirtualService::new(key).with_scheduler(scheduler.parse().unwrap())
}

fn server(address: &str, weight: u32, forwarding: Forwarding) -> RealServer {
    RealServer::new(ServerKey::new(address.parse().unwrap()))
        .with_weight(Weight::new(weight).unwrap())
        .with_forwarding(forwarding)
}

/// Commands of ipvsadm that make an edit, and the same edit in our words.
fn edits() -> Vec<(&'static str, Change)> {
    let persistence = |family, seconds, prefix| {
        Some(Persistence::new(family, Duration::from_secs(seconds)).with_prefix_len(prefix))
    };
    let flags = |first, second| SchedulerFlags { first, second, third: false };
    vec![
        ("ipvsadm -A -t 10.0.0.1:80 -s rr", Change::AddService(service(tcp(), "rr"))),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 5",
            Change::AddServer(tcp(), server("10.0.0.3:8080", 5, Forwarding::Masquerade)),
        ),
        (
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.0.4:80 -g -w 0 -x 100 -y 50",
            Change::AddServer(
                tcp(),
                server("10.0.0.4:80", 0, Forwarding::DirectRoute).with_thresholds(100, 50),
            ),
        ),
        (
            "ipvsadm -E -t 10.0.0.1:80 -s sh -b sh-port -p 300 -M 255.255.255.0",
            Change::EditService(
                service(tcp(), "sh")
                    .with_persistence(persistence(Family::Ipv4, 300, 24))
                    .with_scheduler_flags(flags(false, true)),
            ),
        ),
        (
            "ipvsadm -e -t 10.0.0.1:80 -r 10.0.0.3:8080 -m -w 7",
            Change::EditServer(tcp(), server("10.0.0.3:8080", 7, Forwarding::Masquerade)),
        ),
        (
            "ipvsadm -A -u [2001:db8::1]:53 -s wlc -o -p 60 -M 64",
            Change::AddService(service(udp(), "wlc").with_one_packet(true).with_persistence(persistence(
                Family::Ipv6,
                60,
                64,
            ))),
        ),
        (
            "ipvsadm -a -u [2001:db8::1]:53 -r [2001:db8::3]:53 -i",
            Change::AddServer(udp(), server("[2001:db8::3]:53", 1, Forwarding::Tunnel(Tunnel::Ipip))),
        ),
        (
            "ipvsadm -A -f 7 -s mh -b mh-fallback,mh-port",
            Change::AddService(
                service(fwmark(Family::Ipv4, 7), "mh").with_scheduler_flags(flags(true, true)),
            ),
        ),
        ("ipvsadm -A -f 8 -6", Change::AddService(service(fwmark(Family::Ipv6, 8), "wlc"))),
        (
            "ipvsadm -a -f 8 -6 -r [2001:db8::4]:0 -g",
            Change::AddServer(fwmark(Family::Ipv6, 8), server("[2001:db8::4]:0", 1, Forwarding::DirectRoute)),
        ),
        (
            "ipvsadm -A --sctp-service 10.0.0.1:9 -s lc",
            Change::AddService(service(
                ServiceKey::address(Protocol::Sctp, "10.0.0.1:9".parse().unwrap()),
                "lc",
            )),
        ),
        (
            "ipvsadm -d -t 10.0.0.1:80 -r 10.0.0.4:80",
            Change::RemoveServer(tcp(), ServerKey::new("10.0.0.4:80".parse().unwrap())),
        ),
        ("ipvsadm -D -f 7", Change::RemoveService(fwmark(Family::Ipv4, 7))),
    ]
}

#[test]
fn our_edits_say_what_ipvsadm_says() {
    for (command, change) in edits() {
        let theirs = sent(command);
        let ours = convert::change_message(&change).unwrap();
        assert_eq!(ours.command, theirs.command, "{command}");
        let (our_service, their_service) = (ours.service.unwrap(), theirs.service.unwrap());
        match &change {
            Change::AddService(_) | Change::EditService(_) => {
                let our_flags = our_service.flags.unwrap();
                let their_flags = their_service.flags.unwrap();
                assert_eq!(our_flags.bits, their_flags.bits, "{command}");
                assert_eq!(our_flags.bits & !our_flags.mask, 0, "{command}");
                let with_their_mask = crate::raw::Service { flags: Some(their_flags), ..our_service };
                assert_eq!(with_their_mask, their_service, "{command}");
            }
            // ipvsadm sends the rest of the service too; the kernel needs only its name.
            _ => {
                assert_eq!(our_service.family, their_service.family, "{command}");
                assert_eq!(our_service.protocol, their_service.protocol, "{command}");
                assert_eq!(our_service.address, their_service.address, "{command}");
                assert_eq!(our_service.port, their_service.port, "{command}");
                assert_eq!(our_service.fwmark, their_service.fwmark, "{command}");
            }
        }
        match (ours.destination, theirs.destination) {
            (None, None) => {}
            (Some(ours), Some(theirs)) => {
                assert_eq!(ours.family, theirs.family, "{command}");
                assert_eq!(ours.address, theirs.address, "{command}");
                assert_eq!(ours.port, theirs.port, "{command}");
                if ours.forwarding.is_some() {
                    assert_eq!(ours.forwarding, theirs.forwarding, "{command}");
                    assert_eq!(ours.weight, theirs.weight, "{command}");
                    assert_eq!(ours.upper_threshold, theirs.upper_threshold, "{command}");
                    assert_eq!(ours.lower_threshold, theirs.lower_threshold, "{command}");
                }
            }
            (ours, theirs) => panic!("{command}: {ours:?} and {theirs:?}"),
        }
    }
}

#[test]
fn the_services_that_ipvsadm_lists_are_read() {
    let listed: Vec<_> = received("ipvsadm -L -n")
        .iter()
        .filter(|message| message.command == Command::NewService)
        .map(|message| convert::service_entry(message.service.as_ref().unwrap()).unwrap().service)
        .collect();
    let mut made: Vec<_> = edits()
        .into_iter()
        .filter_map(|(command, change)| match change {
            // The first form of the TCP service was edited later.
            Change::AddService(_) if command.ends_with("-s rr") => None,
            Change::AddService(service) | Change::EditService(service) => Some(service),
            _ => None,
        })
        .collect();
    assert_eq!(made.len(), 5);
    for service in listed {
        let place = made.iter().position(|made| *made == service);
        made.remove(place.unwrap_or_else(|| panic!("{service:?} was not made")));
    }
    assert!(made.is_empty(), "not listed: {made:?}");
}

#[test]
fn the_servers_that_ipvsadm_lists_are_read() {
    let listed: Vec<_> = received("ipvsadm -L -n")
        .iter()
        .filter_map(|message| message.destination.as_ref())
        .map(|destination| convert::server_entry(destination, Family::Ipv4).unwrap().server)
        .collect();
    assert_eq!(
        listed,
        [
            server("10.0.0.4:80", 0, Forwarding::DirectRoute).with_thresholds(100, 50),
            server("10.0.0.3:8080", 7, Forwarding::Masquerade),
            server("[2001:db8::3]:53", 1, Forwarding::Tunnel(Tunnel::Ipip)),
            server("[2001:db8::4]:0", 1, Forwarding::DirectRoute),
        ]
    );
}

#[test]
fn the_timeouts_that_ipvsadm_sets_and_lists_are_read_and_written() {
    let timeouts = lvs_core::Timeouts {
        tcp: Duration::from_secs(901),
        tcp_fin: Duration::from_secs(121),
        udp: Duration::from_secs(301),
    };
    assert_eq!(convert::raw_timeouts(&timeouts), sent("ipvsadm --set 901 121 301").timeouts);
    let listed = received("ipvsadm -L --timeout").pop().unwrap();
    assert_eq!(listed.command, Command::SetConfig);
    assert_eq!(convert::timeouts(listed.timeouts), timeouts);
}

#[test]
fn the_kernels_version_and_table_size_are_read() {
    let answer = received("ipvsadm -A -t 10.0.0.1:80 -s rr").pop().unwrap();
    let info = convert::info(answer.info).unwrap();
    assert_eq!((info.version.to_string().as_str(), info.connection_table_size), ("1.2.1", 4096));
}

#[test]
fn no_attribute_of_linux_6_1_is_unknown() {
    let mut messages = 0;
    for capture in captures() {
        for bytes in capture.sent.iter().chain(&capture.received) {
            let message = Message::parse(bytes).unwrap();
            assert_eq!(message.other, [], "{}", capture.command);
            assert!(message.service.is_none_or(|service| service.other.is_empty()), "{}", capture.command);
            assert!(message.destination.is_none_or(|server| server.other.is_empty()), "{}", capture.command);
            messages += 1;
        }
    }
    assert!(messages > 30, "{messages} messages");
}
