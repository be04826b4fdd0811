use proptest::prelude::*;

use super::attribute::{Attribute, Writer, fields};
use super::statistics::parse_statistics;
use super::*;
use lvs_core::Statistics;

fn statistics() -> impl Strategy<Value = Statistics> {
    prop::array::uniform10(any::<u64>()).prop_map(|[a, b, c, d, e, f, g, h, i, j]| Statistics {
        connections: a,
        incoming_packets: b,
        outgoing_packets: c,
        incoming_bytes: d,
        outgoing_bytes: e,
        connections_per_second: f,
        incoming_packets_per_second: g,
        outgoing_packets_per_second: h,
        incoming_bytes_per_second: i,
        outgoing_bytes_per_second: j,
    })
}

fn unknown() -> impl Strategy<Value = Vec<Attribute>> {
    let attribute = (100..0x3fffu16, any::<bool>(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(kind, nested, value)| Attribute { kind, nested, value });
    prop::collection::vec(attribute, 0..3)
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-z]{0,15}")
}

prop_compose! {
    fn service()(
        (family, protocol, address, port) in any::<(Option<u16>, Option<u16>, Option<[u8; 16]>, Option<u16>)>(),
        (fwmark, flags, timeout, netmask) in any::<(Option<u32>, Option<(u32, u32)>, Option<u32>, Option<[u8; 4]>)>(),
        (scheduler, persistence_engine) in (name(), name()),
        statistics in prop::option::of(statistics()),
        other in unknown(),
    ) -> Service {
        let flags = flags.map(|(bits, mask)| Flags { bits, mask });
        Service {
            family, protocol, address, port, fwmark, scheduler, flags, timeout, netmask, persistence_engine,
            statistics, other,
        }
    }
}

prop_compose! {
    fn destination()(
        (address, port, forwarding, weight) in any::<(Option<[u8; 16]>, Option<u16>, Option<u32>, Option<u32>)>(),
        (upper_threshold, lower_threshold) in any::<(Option<u32>, Option<u32>)>(),
        (active_connections, inactive_connections, persistent_connections) in
            any::<(Option<u32>, Option<u32>, Option<u32>)>(),
        (family, tunnel_type, tunnel_port, tunnel_flags) in
            any::<(Option<u16>, Option<u8>, Option<u16>, Option<u16>)>(),
        statistics in prop::option::of(statistics()),
        other in unknown(),
    ) -> Destination {
        Destination {
            address, port, forwarding, weight, upper_threshold, lower_threshold, active_connections,
            inactive_connections, persistent_connections, family, tunnel_type, tunnel_port, tunnel_flags,
            statistics, other,
        }
    }
}

prop_compose! {
    fn message()(
        number in 1..=17u8,
        service in prop::option::of(service()),
        destination in prop::option::of(destination()),
        (tcp, tcp_fin, udp) in any::<(Option<u32>, Option<u32>, Option<u32>)>(),
        (version, connection_table_size) in any::<(Option<u32>, Option<u32>)>(),
        other in unknown(),
    ) -> Message {
        let mut message = Message::new(Command::from_number(number).unwrap());
        message.other = other;
        if message.command == Command::SetInfo {
            message.info = Info { version, connection_table_size };
        } else {
            message.service = service;
            message.destination = destination;
            message.timeouts = Timeouts { tcp, tcp_fin, udp };
        }
        message
    }
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        let bytes = message.to_bytes().unwrap();
        prop_assert_eq!(bytes.len() % 4, 0);
        prop_assert_eq!(Message::parse(&bytes), Ok(message));
    }

    #[test]
    fn counters_can_be_left_out(message in message()) {
        // The answer to GET_INFO numbers its attributes anew.
        prop_assume!(message.command != Command::SetInfo);
        let bytes = message.to_bytes().unwrap();
        let without = |service: Service| Service { statistics: None, ..service };
        let service = Message::parse_service(&bytes, Counters::Skip);
        prop_assert_eq!(service, Ok(message.service.map(without)));
        let without = |destination: Destination| Destination { statistics: None, ..destination };
        let destination = Message::parse_destination(&bytes, Counters::Skip);
        prop_assert_eq!(destination, Ok(message.destination.map(without)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&bytes);
        let _ = Message::parse_service(&bytes, Counters::Read);
        let _ = Message::parse_destination(&bytes, Counters::Read);
    }

    #[test]
    fn a_message_with_bytes_changed_or_cut_off_is_read_or_refused(
        message in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.to_bytes().unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let length = length.index(bytes.len() + 1);
        if let Ok(message) = Message::parse(&bytes[..length]) {
            prop_assert!(message.to_bytes().is_some());
            if message.command != Command::SetInfo {
                let service = Message::parse_service(&bytes[..length], Counters::Read);
                prop_assert_eq!(service, Ok(message.service));
                let destination = Message::parse_destination(&bytes[..length], Counters::Read);
                prop_assert_eq!(destination, Ok(message.destination));
            }
        }
    }
}

#[test]
fn an_answer_without_a_service_is_no_service() {
    let bytes = Message::new(Command::GetService).to_bytes().unwrap();
    assert_eq!(Message::parse_service(&bytes, Counters::Read), Ok(None));
}

#[test]
fn an_attribute_that_is_longer_than_its_length_field_can_say_is_not_written() {
    let value = vec![0; 0xfff8];
    let mut message = Message::new(Command::NewService);
    message.other = vec![Attribute { kind: 200, nested: false, value: value.clone() }];
    assert!(message.to_bytes().is_some());
    let service = Service { other: message.other.clone(), ..Service::default() };
    assert!(Message::about(Command::NewService, service).to_bytes().is_none());
}

#[test]
fn narrow_counters_are_read_where_the_kernel_has_no_wide_ones() {
    let mut narrow = Writer::default();
    narrow.put_u32(1, Some(7));
    narrow.put(4, &9u64.to_ne_bytes());
    narrow.put_u32(99, Some(1));
    let statistics = parse_statistics(&narrow.finish().unwrap()).unwrap();
    assert_eq!(statistics, Statistics { connections: 7, incoming_bytes: 9, ..Statistics::default() });
}

#[test]
fn wide_counters_win_over_narrow_ones_wherever_they_stand() {
    let service = |order: [(u16, u64); 2]| {
        let mut bytes = Writer::default();
        for (kind, counter) in order {
            bytes.nested(kind, |to| to.put(1, &counter.to_ne_bytes()));
        }
        Service::parse(&bytes.finish().unwrap(), Counters::Read).unwrap().statistics.unwrap().connections
    };
    assert_eq!(service([(10, 1), (12, 2)]), 2);
    assert_eq!(service([(12, 2), (10, 1)]), 2);
}

#[test]
fn an_attribute_of_the_wrong_size_is_refused_with_its_number() {
    let mut bytes = Writer::default();
    bytes.put(1, &[2]);
    let error = Service::parse(&bytes.finish().unwrap(), Counters::Read).unwrap_err();
    assert_eq!(error.to_string(), "attribute 1 has 1 bytes instead of 2");
}

#[test]
fn a_cut_off_attribute_ends_the_reading() {
    let read: Vec<_> = fields(&[8, 0, 1, 0, 1, 2]).collect();
    assert!(matches!(&read[..], [Err(_)]), "{read:?}");
}
