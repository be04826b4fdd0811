use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::raw::Message;

fn prefix_bound(family: Family) -> (u8, u8) {
    match family {
        Family::Ipv4 => (0, 32),
        Family::Ipv6 => (1, 128),
    }
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let protocol = prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    let address = (protocol, any::<(IpAddr, u16)>())
        .prop_map(|(protocol, address)| ServiceKey::address(protocol, SocketAddr::from(address)));
    let family = prop::sample::select(vec![Family::Ipv4, Family::Ipv6]);
    let fwmark = (family, any::<NonZeroU32>()).prop_map(|(family, mark)| ServiceKey::Fwmark { family, mark });
    prop_oneof![3 => address, 1 => fwmark]
}

fn service() -> impl Strategy<Value = VirtualService> {
    let persistence = prop::option::of((any::<u32>(), any::<u8>()));
    let engine = prop::option::of("[!-~]{1,15}");
    (key(), "[!-~]{1,15}", persistence, engine, any::<[bool; 4]>()).prop_map(
        |(key, scheduler, persistence, engine, flags)| {
            let [one_packet, first, second, third] = flags;
            let (least, most) = prefix_bound(key.family());
            VirtualService::new(key)
                .with_scheduler(scheduler.parse().unwrap())
                .with_persistence_engine(engine.map(|engine| engine.parse().unwrap()))
                .with_persistence(persistence.map(|(seconds, prefix)| {
                    Persistence::new(key.family(), Duration::from_secs(seconds.into()))
                        .with_prefix_len(prefix.clamp(least, most))
                }))
                .with_one_packet(one_packet)
                .with_scheduler_flags(SchedulerFlags { first, second, third })
        },
    )
}

fn server() -> impl Strategy<Value = RealServer> {
    let forwarding = prop::sample::select(vec![
        Forwarding::Masquerade,
        Forwarding::DirectRoute,
        Forwarding::Tunnel(Tunnel::Ipip),
        Forwarding::Tunnel(Tunnel::Gre { checksum: true }),
        Forwarding::Tunnel(Tunnel::Gue { port: NonZeroU16::MAX, checksum: TunnelChecksum::Remote }),
        Forwarding::Tunnel(Tunnel::Gue { port: NonZeroU16::MIN, checksum: TunnelChecksum::Full }),
        Forwarding::LocalNode,
    ]);
    (any::<(IpAddr, u16)>(), 0..=Weight::MAX.value(), forwarding, any::<(u32, u32)>()).prop_map(
        |(address, weight, forwarding, (upper, lower))| {
            RealServer::new(ServerKey::new(SocketAddr::from(address)))
                .with_weight(Weight::new(weight).unwrap())
                .with_forwarding(forwarding)
                .with_thresholds(upper, lower)
        },
    )
}

/// What the other end reads.
fn sent(change: &Change) -> Message {
    Message::parse(&change_bytes(change).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_service_is_read_as_it_was_written(service in service()) {
        let message = sent(&Change::AddService(service.clone()));
        prop_assert_eq!(message.command, Command::NewService);
        let entry = service_entry(message.service.as_ref().unwrap()).unwrap();
        prop_assert_eq!(entry.service, service);
    }

    #[test]
    fn a_server_is_read_as_it_was_written(key in key(), server in server()) {
        let message = sent(&Change::EditServer(key, server));
        prop_assert_eq!(message.command, Command::SetDest);
        prop_assert_eq!(service_key(message.service.as_ref().unwrap()), Ok(key));
        let entry = server_entry(message.destination.as_ref().unwrap(), key.family()).unwrap();
        prop_assert_eq!(entry.server, server);
    }

    #[test]
    fn removals_name_their_object(key in key(), server in server()) {
        let message = sent(&Change::RemoveServer(key, server.key()));
        prop_assert_eq!(service_key(message.service.as_ref().unwrap()), Ok(key));
        let named = message.destination.unwrap();
        let address = socket_address(family(named.family.unwrap()).unwrap(), named.address.unwrap(), named.port.unwrap());
        prop_assert_eq!(ServerKey::new(address), server.key());
        let message = sent(&Change::RemoveService(key));
        prop_assert_eq!(service_key(message.service.as_ref().unwrap()), Ok(key));
    }
}

#[test]
fn a_destination_without_a_family_has_that_of_its_service() {
    let raw = raw::Destination {
        address: Some(address_field("2001:db8::5".parse().unwrap())),
        port: Some(80),
        forwarding: Some(forwarding::TUNNEL),
        weight: Some(1),
        ..raw::Destination::default()
    };
    let entry = server_entry(&raw, Family::Ipv6).unwrap();
    assert_eq!(entry.server.key().to_string(), "[2001:db8::5]:80");
}

#[test]
fn an_entry_that_no_table_can_say_is_an_error_and_not_left_out() {
    let raw = raw::Destination {
        address: Some(address_field("10.0.0.5".parse().unwrap())),
        port: Some(80),
        forwarding: Some(forwarding::BYPASS),
        weight: Some(1),
        ..raw::Destination::default()
    };
    let error = server_entry(&raw, Family::Ipv4).unwrap_err();
    assert_eq!(error.to_string(), "destination 10.0.0.5:80 bypasses the balancer, which no table can say");
}

/// A service as the kernel would tell it, altered.
fn persistent(key: ServiceKey, alter: impl FnOnce(&mut raw::Service)) -> Result<ServiceEntry, DecodeError> {
    let persistence = Persistence::new(key.family(), Duration::from_secs(60));
    let mut raw = raw_service(&VirtualService::new(key).with_persistence(Some(persistence)));
    alter(&mut raw);
    service_entry(&raw)
}

#[test]
fn persistence_is_read_as_it_is_or_not_at_all() {
    let four = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
    let six = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse().unwrap());
    let prefix = |entry: Result<ServiceEntry, DecodeError>| {
        entry.map(|entry| entry.service.persistence().unwrap().prefix_len().unwrap())
    };
    let mask = |mask: [u8; 4]| {
        let entry = persistent(four, |raw| raw.netmask = Some(mask)).unwrap();
        entry.service.persistence().unwrap().netmask().unwrap().octets()
    };
    for any in [[0; 4], [255, 255, 254, 0], [255; 4], [255, 0, 255, 0], [0, 0, 0, 1], [127, 255, 255, 255]] {
        assert_eq!(mask(any), any);
    }
    let length = |length: u32| prefix(persistent(six, |raw| raw.netmask = Some(length.to_ne_bytes())));
    assert_eq!(length(1), Ok(1));
    assert_eq!(length(128), Ok(128));
    for wrong in [0, 129, 256 + 64, u32::MAX] {
        assert!(length(wrong).is_err(), "{wrong}");
    }
    for seconds in [0, 2_678_401, u32::MAX] {
        assert!(persistent(four, |raw| raw.timeout = Some(seconds)).is_err(), "{seconds}");
    }
}

#[test]
fn a_mask_of_a_service_without_persistence_says_nothing() {
    let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
    let mut raw = raw_service(&VirtualService::new(key));
    raw.netmask = Some([255, 0, 255, 0]);
    raw.timeout = Some(u32::MAX);
    assert_eq!(service_entry(&raw).unwrap().service, VirtualService::new(key));
}

#[test]
fn what_the_kernel_keeps_in_the_flags_for_itself_is_not_read() {
    const HASHED: u32 = 2;
    let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
    let mut raw = raw_service(&VirtualService::new(key));
    raw.flags = Some(raw::Flags { bits: HASHED | 1 << 30, mask: u32::MAX });
    assert_eq!(service_entry(&raw).unwrap().service, VirtualService::new(key));
    // And never written: HASHED is no business of others.
    assert_eq!(raw_service(&VirtualService::new(key)).flags.unwrap().mask & HASHED, 0);
}

#[test]
fn names_that_are_too_long_or_no_names_are_refused() {
    let key = ServiceKey::address(Protocol::Tcp, "10.0.0.1:80".parse().unwrap());
    let named = |scheduler: &str, engine: &str| {
        let mut raw = raw_service(&VirtualService::new(key));
        raw.scheduler = Some(scheduler.to_owned());
        raw.persistence_engine = Some(engine.to_owned());
        service_entry(&raw)
    };
    assert!(named("fifteen-letters", "").is_ok_and(|entry| entry.service.persistence_engine().is_none()));
    for (scheduler, engine) in [("", ""), ("sixteen-letters!", ""), ("r r", ""), ("rr", "sixteen-letters!")] {
        assert!(named(scheduler, engine).is_err(), "{scheduler:?} {engine:?}");
    }
}

fn sync_daemon() -> impl Strategy<Value = SyncDaemon> {
    let group = prop::sample::select(vec!["224.0.0.81", "239.255.255.255", "ff02::81", "ff0e::1"]);
    let role = prop::sample::select(vec![SyncRole::Master, SyncRole::Backup]);
    (
        role,
        "[a-z0-9.]{3,15}",
        any::<u8>(),
        prop::option::of(1..=65_507u16),
        group,
        any::<(NonZeroU16, NonZeroU8)>(),
    )
        .prop_filter_map("a name", |(role, interface, sync_id, length, group, (port, ttl))| {
            let daemon =
                SyncDaemon::new(role, &interface).ok()?.with_sync_id(sync_id).with_port(port).with_ttl(ttl);
            let daemon = daemon.with_group(group.parse().ok()?).ok()?;
            match length {
                Some(length) => daemon.with_max_length(length).ok(),
                None => Some(daemon),
            }
        })
}

proptest! {
    #[test]
    fn a_sync_daemon_is_read_as_it_was_written(wanted in sync_daemon()) {
        let message = sent(&Change::StartDaemon(wanted.clone()));
        prop_assert_eq!(message.command, Command::NewDaemon);
        prop_assert_eq!(daemon(message.daemon.as_ref().unwrap()), Ok(wanted));
    }

    #[test]
    fn timeouts_are_read_as_they_were_written(seconds in any::<[u32; 3]>()) {
        let [tcp, tcp_fin, udp] = seconds.map(|seconds| Duration::from_secs(seconds.into()));
        let wanted = Timeouts { tcp, tcp_fin, udp };
        let message = sent(&Change::SetTimeouts(wanted));
        prop_assert_eq!(message.command, Command::SetConfig);
        prop_assert_eq!(timeouts(message.timeouts), wanted);
    }
}

#[test]
fn the_version_is_shown_as_ipvsadm_shows_it() {
    assert_eq!(Version::from_number(0x01_02_01).to_string(), "1.2.1");
}
