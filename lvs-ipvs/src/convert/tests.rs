use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

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
    (key(), "[!-~]{1,15}", persistence, any::<[bool; 4]>()).prop_map(
        |(key, scheduler, persistence, flags)| {
            let [one_packet, first, second, third] = flags;
            let (least, most) = prefix_bound(key.family());
            VirtualService::new(key)
                .with_scheduler(scheduler.parse().unwrap())
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
fn sent(message: Option<Message>) -> Message {
    Message::parse(&message.unwrap().to_bytes().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_service_is_read_as_it_was_written(service in service()) {
        let message = sent(change_message(&Change::AddService(service.clone())));
        prop_assert_eq!(message.command, Command::NewService);
        let entry = service_entry(message.service.as_ref().unwrap()).unwrap();
        prop_assert_eq!(entry.service, service);
    }

    #[test]
    fn a_server_is_read_as_it_was_written(key in key(), server in server()) {
        let message = sent(change_message(&Change::EditServer(key, server)));
        prop_assert_eq!(message.command, Command::SetDest);
        prop_assert_eq!(service_key(message.service.as_ref().unwrap()), Ok(key));
        let entry = server_entry(message.destination.as_ref().unwrap(), key.family()).unwrap();
        prop_assert_eq!(entry.server, server);
    }

    #[test]
    fn removals_name_their_object(key in key(), server in server()) {
        let message = sent(change_message(&Change::RemoveServer(key, server.key())));
        prop_assert_eq!(service_key(message.service.as_ref().unwrap()), Ok(key));
        let named = message.destination.unwrap();
        let address = socket_address(family(named.family.unwrap()).unwrap(), named.address.unwrap(), named.port.unwrap());
        prop_assert_eq!(ServerKey::new(address), server.key());
        let message = sent(change_message(&Change::RemoveService(key)));
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

#[test]
fn the_version_is_shown_as_ipvsadm_shows_it() {
    assert_eq!(Version::from_number(0x01_02_01).to_string(), "1.2.1");
}
