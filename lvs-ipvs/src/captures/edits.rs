//! What we send for an edit beside what ipvsadm sends for it.

use std::time::Duration;

use lvs_core::{
    Change, Family, Forwarding, Persistence, Protocol, SchedulerFlags, ServerKey, ServiceKey, SyncDaemon,
    SyncRole, Tunnel, TunnelChecksum,
};

use super::{captures, fwmark, gue, sent, server, service, tcp, udp};
use crate::convert;
use crate::raw::{Command, Message};

/// Commands of ipvsadm that make an edit, and the same edit in our words.
pub(super) fn edits() -> Vec<(&'static str, Change)> {
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

/// The same, of what came with newer kernels.
pub(super) fn newer_edits() -> Vec<(&'static str, Change)> {
    let sip = ServiceKey::address(Protocol::Udp, "10.0.0.1:5060".parse().unwrap());
    let six = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap());
    let persistence = |family, seconds, prefix| {
        Some(Persistence::new(family, Duration::from_secs(seconds)).with_prefix_len(prefix))
    };
    let call = service(sip, "rr").with_one_packet(true).with_persistence(persistence(Family::Ipv4, 600, 32));
    let mut edits = vec![
        (
            "ipvsadm -A -u 10.0.0.1:5060 -s rr -o -p 600 --pe sip",
            Change::AddService(call.clone().with_persistence_engine(Some("sip".parse().unwrap()))),
        ),
        ("ipvsadm -E -u 10.0.0.1:5060 -s rr -o -p 600", Change::EditService(call)),
        (
            "ipvsadm -a -t [2001:db8::1]:80 -r 10.0.1.9:80 -i",
            Change::AddServer(six, server("10.0.1.9:80", 1, Forwarding::Tunnel(Tunnel::Ipip))),
        ),
        (
            "ipvsadm -d -t [2001:db8::1]:80 -r 10.0.1.9:80",
            Change::RemoveServer(six, ServerKey::new("10.0.1.9:80".parse().unwrap())),
        ),
        (
            "ipvsadm -A -f 9 -s rr -p 300 -M 0.0.0.0",
            Change::AddService(service(fwmark(Family::Ipv4, 9), "rr").with_persistence(persistence(
                Family::Ipv4,
                300,
                0,
            ))),
        ),
        (
            "ipvsadm -A -f 10 -6 -s rr -p 300 -M 1",
            Change::AddService(service(fwmark(Family::Ipv6, 10), "rr").with_persistence(persistence(
                Family::Ipv6,
                300,
                1,
            ))),
        ),
        (
            "ipvsadm -A -f 4294967295 -s sh -b flag-1,flag-3",
            Change::AddService(
                service(fwmark(Family::Ipv4, u32::MAX), "sh").with_scheduler_flags(SchedulerFlags {
                    first: true,
                    second: false,
                    third: true,
                }),
            ),
        ),
        (
            "ipvsadm -A -t 0.0.0.0:0 -s lc -p",
            Change::AddService(
                service(ServiceKey::address(Protocol::Tcp, "0.0.0.0:0".parse().unwrap()), "lc")
                    .with_persistence(persistence(Family::Ipv4, 360, 32)),
            ),
        ),
        (
            "ipvsadm -e -t 10.0.0.1:80 -r 10.0.1.7:80 -i --tun-type gue --tun-port 7 -w 9",
            Change::EditServer(tcp(), server("10.0.1.7:80", 9, gue(7, TunnelChecksum::None))),
        ),
    ];
    let tunnel =
        |command, address, forwarding| (command, Change::AddServer(tcp(), server(address, 1, forwarding)));
    let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
    edits.extend([
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.1:80 -i --tun-type gue --tun-port 6080",
            "10.0.1.1:80",
            gue(6080, TunnelChecksum::None),
        ),
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.2:80 -i --tun-type gue --tun-port 6080 --tun-nocsum",
            "10.0.1.2:80",
            gue(6080, TunnelChecksum::None),
        ),
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.3:80 -i --tun-type gue --tun-port 6081 --tun-csum",
            "10.0.1.3:80",
            gue(6081, TunnelChecksum::Full),
        ),
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.4:80 -i --tun-type gue --tun-port 65535 --tun-remcsum",
            "10.0.1.4:80",
            gue(65_535, TunnelChecksum::Remote),
        ),
        tunnel("ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.5:80 -i --tun-type gre", "10.0.1.5:80", gre(false)),
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.6:80 -i --tun-type gre --tun-csum",
            "10.0.1.6:80",
            gre(true),
        ),
        tunnel(
            "ipvsadm -a -t 10.0.0.1:80 -r 10.0.1.7:80 -i --tun-type ipip",
            "10.0.1.7:80",
            Forwarding::Tunnel(Tunnel::Ipip),
        ),
    ]);
    edits
}

/// Commands of ipvsadm that start or stop a sync daemon, and the same in our words.
pub(super) fn daemons() -> Vec<(&'static str, Change)> {
    let daemon = |role| SyncDaemon::new(role, "eth0").unwrap();
    let full = |role, id, length, group: &str, port: u16, ttl: u8| {
        let daemon = daemon(role).with_sync_id(id).with_max_length(length).unwrap();
        let daemon = daemon.with_group(group.parse().unwrap()).unwrap();
        daemon.with_port(port.try_into().unwrap()).with_ttl(ttl.try_into().unwrap())
    };
    let (master, backup) = (SyncRole::Master, SyncRole::Backup);
    vec![
        ("ipvsadm --start-daemon master --mcast-interface eth0", Change::StartDaemon(daemon(master))),
        (
            "ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 7",
            Change::StartDaemon(daemon(backup).with_sync_id(7)),
        ),
        ("ipvsadm --stop-daemon master", Change::StopDaemon(master)),
        ("ipvsadm --stop-daemon backup", Change::StopDaemon(backup)),
        (
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 51 --sync-maxlen 1400 \
             --mcast-group 224.0.0.99 --mcast-port 9000 --mcast-ttl 3",
            Change::StartDaemon(full(master, 51, 1400, "224.0.0.99", 9000, 3)),
        ),
        (
            "ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 255 --sync-maxlen 500 \
             --mcast-group ff02::99 --mcast-port 9001 --mcast-ttl 255",
            Change::StartDaemon(full(backup, 255, 500, "ff02::99", 9001, 255)),
        ),
    ]
}

#[test]
fn our_edits_say_what_ipvsadm_says() {
    for (command, change) in edits().into_iter().chain(newer_edits()) {
        let theirs = sent(command);
        let ours = Message::parse(&convert::change_bytes(&change).unwrap()).unwrap();
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
                // In the 12 bytes behind an IPv4 address ipvsadm leaves what was there before.
                let key = |raw| convert::server_key(raw, change.service().unwrap().family());
                assert_eq!(ours.family, theirs.family, "{command}");
                assert_eq!(key(&ours), key(&theirs), "{command}");
                if ours.forwarding.is_some() {
                    assert_eq!(ours.forwarding, theirs.forwarding, "{command}");
                    assert_eq!(ours.weight, theirs.weight, "{command}");
                    assert_eq!(ours.upper_threshold, theirs.upper_threshold, "{command}");
                    assert_eq!(ours.lower_threshold, theirs.lower_threshold, "{command}");
                    assert_eq!(ours.tunnel_type, theirs.tunnel_type, "{command}");
                    assert_eq!(ours.tunnel_port, theirs.tunnel_port, "{command}");
                    assert_eq!(ours.tunnel_flags, theirs.tunnel_flags, "{command}");
                }
            }
            (ours, theirs) => panic!("{command}: {ours:?} and {theirs:?}"),
        }
    }
}

#[test]
fn our_sync_daemons_are_those_of_ipvsadm() {
    for (command, change) in daemons() {
        let theirs = sent(command);
        let ours = Message::parse(&convert::change_bytes(&change).unwrap()).unwrap();
        assert_eq!(ours.command, theirs.command, "{command}");
        let (ours, theirs) = (ours.daemon.unwrap(), theirs.daemon.unwrap());
        match change {
            Change::StopDaemon(_) => assert_eq!(ours.state, theirs.state, "{command}"),
            // What ipvsadm does not send is what we take for the kernel's choice.
            _ => assert_eq!(convert::daemon(&ours), convert::daemon(&theirs), "{command}"),
        }
        if command.contains("--mcast-ttl") {
            assert_eq!(ours, theirs, "{command}");
        }
    }
}

#[test]
fn a_zero_and_a_flush_are_those_of_ipvsadm() {
    assert_eq!(sent("ipvsadm -C"), Message::new(Command::Flush));
    assert_eq!(sent("ipvsadm -Z"), Message::new(Command::Zero));
    for (command, key) in
        [("ipvsadm -Z -t 10.0.0.1:80", tcp()), ("ipvsadm -Z -f 10 -6", fwmark(Family::Ipv6, 10))]
    {
        let theirs = sent(command);
        assert_eq!(theirs.command, Command::Zero, "{command}");
        assert_eq!(convert::service_key(&theirs.service.unwrap()), Ok(key), "{command}");
    }
}

#[test]
fn a_message_of_ipvsadm_is_written_as_it_was_read() {
    for capture in captures() {
        for bytes in &capture.sent {
            let message = Message::parse(bytes).unwrap();
            let again = message.to_bytes().unwrap();
            assert_eq!(again.len(), bytes.len(), "{}", capture.command);
            assert_eq!(Message::parse(&again), Ok(message), "{}", capture.command);
        }
    }
}
