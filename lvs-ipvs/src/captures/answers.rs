//! What we read in the kernel's answers beside what ipvsadm prints of them.

use std::time::Duration;

use lvs_core::{Change, Family, Forwarding, RealServer, Timeouts, Tunnel};

use super::edits::{daemons, edits, newer_edits};
use super::{capture, captures, received, sent, server};
use crate::convert;
use crate::raw::{Command, Message};

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
fn every_tunnel_that_ipvsadm_lists_is_read() {
    let listed: Vec<_> = received("ipvsadm -L -n -t 10.0.0.1:80 --tun-info")
        .iter()
        .filter_map(|message| message.destination.as_ref())
        .map(|destination| convert::server_entry(destination, Family::Ipv4).unwrap().server)
        .collect();
    let made = newer_edits().into_iter().filter_map(|(_, change)| match change {
        // Edited later.
        Change::AddServer(_, server) if server.forwarding() == Forwarding::Tunnel(Tunnel::Ipip) => None,
        Change::AddServer(_, server) | Change::EditServer(_, server) => Some(server),
        _ => None,
    });
    let mut made: Vec<_> = made.collect();
    made.sort_by_key(RealServer::key);
    assert_eq!(listed.iter().rev().copied().collect::<Vec<_>>(), made);
}

#[test]
fn every_kind_of_service_that_ipvsadm_saves_is_read() {
    let listed: Vec<_> = received("ipvsadm -S -n")
        .iter()
        .filter_map(|message| message.service.as_ref())
        .map(|service| convert::service_entry(service).unwrap().service)
        .collect();
    let made = newer_edits().into_iter().filter_map(|(_, change)| match change {
        Change::AddService(service) if service.one_packet() => None,
        Change::AddService(service) => Some(service),
        _ => None,
    });
    let mut missing: Vec<_> = made.filter(|service| !listed.contains(service)).collect();
    assert_eq!(missing.pop(), None);
    assert_eq!(listed.len(), 6);
}

#[test]
fn a_persistence_engine_is_read_and_gone_after_an_edit_without_it() {
    let listed = |command| {
        let answers = received(command);
        let service = answers.iter().find_map(|message| message.service.clone()).unwrap();
        convert::service_entry(&service).unwrap().service
    };
    let engine = listed("ipvsadm -L -n -u 10.0.0.1:5060").persistence_engine().map(ToString::to_string);
    assert_eq!(engine.as_deref(), Some("sip"));
    assert_eq!(listed("ipvsadm --save -n").persistence_engine(), None);
}

#[test]
fn counters_are_read_as_ipvsadm_prints_them() {
    let capture = capture("ipvsadm -L -n --stats --exact -u 10.9.0.1:5353");
    let numbers = |mark: &str| -> Vec<u64> {
        let line = capture.printed.iter().rev().find(|line| line.contains(mark)).unwrap();
        line.split_whitespace().skip(2).map(|number| number.parse().unwrap()).collect()
    };
    let shown = |it: lvs_core::Statistics| {
        [it.connections, it.incoming_packets, it.outgoing_packets, it.incoming_bytes, it.outgoing_bytes]
    };
    let answers = received(capture.command);
    let service = answers.iter().find_map(|message| message.service.as_ref()).unwrap();
    assert_eq!(shown(convert::service_entry(service).unwrap().statistics).to_vec(), numbers("UDP"));
    let server = answers.iter().find_map(|message| message.destination.as_ref()).unwrap();
    let server = convert::server_entry(server, Family::Ipv4).unwrap();
    assert_eq!(shown(server.statistics.counters).to_vec(), numbers("->"));
    assert!(server.statistics.counters.incoming_bytes > 0);
}

#[test]
fn running_sync_daemons_are_what_was_started() {
    let started: Vec<_> = daemons()
        .into_iter()
        .filter_map(|(_, change)| match change {
            Change::StartDaemon(daemon) => Some(daemon),
            _ => None,
        })
        .collect();
    let running = |command| -> Vec<_> {
        received(command)
            .iter()
            .filter_map(|message| message.daemon.as_ref())
            .map(|daemon| convert::daemon(daemon).unwrap())
            .collect()
    };
    for (command, wanted) in
        [("ipvsadm -L --daemon", &started[..2]), ("ipvsadm --list --daemon", &started[2..])]
    {
        let running = running(command);
        assert_eq!(running.len(), 2, "{command}");
        for (running, wanted) in running.iter().zip(wanted) {
            assert!(wanted.is_met_by(running), "{wanted:?} and {running:?}");
        }
        for (running, line) in running.iter().zip(&capture(command).printed) {
            let (role, interface, id) = (running.role(), running.interface(), running.sync_id());
            let (length, group) = (running.max_length().unwrap(), running.group());
            let (port, ttl) = (running.port(), running.ttl());
            assert_eq!(
                *line,
                format!(
                    "{role} sync daemon (mcast={interface}, syncid={id}, maxlen={length}, group={group}, \
                     port={port}, ttl={ttl})"
                )
            );
        }
    }
}

#[test]
fn no_entry_of_a_dump_is_so_long_that_a_cut_off_datagram_goes_unnoticed() {
    let longest = captures().iter().flat_map(|it| &it.received).map(Vec::len).max().unwrap();
    // `NEARLY` of reading.rs, less what the kernel's own data takes, less a netlink header.
    assert!(longest <= 1024 - 448 - 16, "{longest} bytes");
}

#[test]
fn the_timeouts_that_ipvsadm_sets_and_lists_are_read_and_written() {
    let timeouts = Timeouts {
        tcp: Duration::from_secs(901),
        tcp_fin: Duration::from_secs(121),
        udp: Duration::from_secs(301),
    };
    assert_eq!(convert::raw_timeouts(&timeouts), sent("ipvsadm --set 901 121 301").timeouts);
    let listed = received("ipvsadm -L --timeout").pop().unwrap();
    assert_eq!(listed.command, Command::SetConfig);
    assert_eq!(convert::timeouts(listed.timeouts), timeouts);

    let only_udp = Timeouts { udp: Duration::from_secs(30), ..Timeouts::UNCHANGED };
    assert_eq!(convert::raw_timeouts(&only_udp), sent("ipvsadm --set 0 0 30").timeouts);
    let listed = received("ipvsadm --list --timeout").pop().unwrap();
    assert_eq!(convert::timeouts(listed.timeouts), only_udp.over(timeouts));
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
    assert!(messages > 100, "{messages} messages");
}
