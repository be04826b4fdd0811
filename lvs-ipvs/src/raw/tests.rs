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
    fn daemon()(
        (state, sync_id, max_length) in any::<(Option<u32>, Option<u32>, Option<u16>)>(),
        interface in name(),
        (group4, group6) in any::<(Option<[u8; 4]>, Option<[u8; 16]>)>(),
        (port, ttl) in any::<(Option<u16>, Option<u8>)>(),
        other in unknown(),
    ) -> Daemon {
        Daemon { state, interface, sync_id, max_length, group4, group6, port, ttl, other }
    }
}

prop_compose! {
    fn message()(
        number in 1..=17u8,
        service in prop::option::of(service()),
        destination in prop::option::of(destination()),
        daemon in prop::option::of(daemon()),
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
            message.daemon = daemon;
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
        let destination = parse_destination(&bytes, Counters::Skip);
        prop_assert_eq!(destination, Ok(message.destination.map(without)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::parse(&bytes);
        let _ = Message::parse_service(&bytes, Counters::Read);
        let _ = parse_destination(&bytes, Counters::Read);
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
                let destination = parse_destination(&bytes[..length], Counters::Read);
                prop_assert_eq!(destination, Ok(message.destination));
            }
        }
    }
}

fn parse_destination(bytes: &[u8], with: Counters) -> Result<Option<Destination>, DecodeError> {
    Message::destination(bytes)?.map(|octets| Destination::parse(octets, with)).transpose()
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
    let mut all = fields(&[8, 0, 1, 0, 1, 2]);
    assert_eq!(all.next().map(|field| field.kind), None);
    assert_eq!(
        all.finish().unwrap_err().to_string(),
        "malformed attribute: 6 bytes are left, and it claims to have 8"
    );
}

/// A message with one attribute of that kind and value in the nest of that kind; a nest of 0 is the message itself.
fn with_attribute(command: u8, nest: u16, kind: u16, value: &[u8]) -> Vec<u8> {
    let mut to = Writer::default();
    to.begin(&[command, 1, 0, 0]);
    match nest {
        0 => to.put(kind, value),
        nest => to.nested(nest, |to| to.put(kind, value)),
    }
    to.finish().unwrap()
}

/// Nest, kind and length of every attribute of a fixed length.
const FIXED: [(u16, u16, usize); 31] = [
    (0, 4, 4),
    (0, 5, 4),
    (0, 6, 4),
    (1, 1, 2),
    (1, 2, 2),
    (1, 3, 16),
    (1, 4, 2),
    (1, 5, 4),
    (1, 7, 8),
    (1, 8, 4),
    (1, 9, 4),
    (2, 1, 16),
    (2, 2, 2),
    (2, 3, 4),
    (2, 4, 4),
    (2, 5, 4),
    (2, 6, 4),
    (2, 7, 4),
    (2, 8, 4),
    (2, 9, 4),
    (2, 11, 2),
    (2, 13, 1),
    (2, 14, 2),
    (2, 15, 2),
    (3, 1, 4),
    (3, 3, 4),
    (3, 4, 2),
    (3, 5, 4),
    (3, 6, 16),
    (3, 7, 2),
    (3, 8, 1),
];

#[test]
fn an_attribute_that_is_empty_short_or_long_is_refused_with_its_number() {
    const NEW_SERVICE: u8 = 1;
    for (nest, kind, length) in FIXED {
        let read = |length: usize| Message::parse(&with_attribute(NEW_SERVICE, nest, kind, &vec![1; length]));
        assert!(read(length).is_ok(), "{nest} {kind}");
        for wrong in [0, length - 1, length + 1, 2 * length, 1000] {
            if wrong == length {
                continue;
            }
            let error = read(wrong).unwrap_err().to_string();
            assert_eq!(error, format!("attribute {kind} has {wrong} bytes instead of {length}"));
        }
    }
    const SET_INFO: u8 = 14;
    for kind in [1, 2] {
        assert!(Message::parse(&with_attribute(SET_INFO, 0, kind, &[1; 4])).is_ok());
        assert!(Message::parse(&with_attribute(SET_INFO, 0, kind, &[1; 3])).is_err());
    }
}

#[test]
fn the_last_of_a_repeated_attribute_holds_as_in_the_kernel() {
    // nla_parse() keeps the last one.
    let mut to = Writer::default();
    to.begin(&[1, 1, 0, 0]);
    for weight in [1_u32, 2] {
        to.nested(2, |to| {
            to.put_u32(4, Some(7));
            to.put_u32(4, Some(weight));
        });
    }
    let message = Message::parse(&to.finish().unwrap()).unwrap();
    assert_eq!(message.destination.unwrap().weight, Some(2));
}

#[test]
fn a_name_ends_at_its_zero_or_with_its_attribute() {
    let scheduler = |value: &[u8]| {
        let message = Message::parse(&with_attribute(1, 1, 6, value));
        message.map(|message| message.service.unwrap().scheduler.unwrap())
    };
    assert_eq!(scheduler(b"wlc\0"), Ok("wlc".to_owned()));
    assert_eq!(scheduler(b"wlc"), Ok("wlc".to_owned()));
    assert_eq!(scheduler(b"wlc\0rr\0"), Ok("wlc".to_owned()));
    assert_eq!(scheduler(b""), Ok(String::new()));
    assert_eq!(scheduler(&[b'x'; 5000]).map(|name| name.len()), Ok(5000));
    assert_eq!(scheduler(&[0xff, 0]).unwrap_err().to_string(), "attribute 6 is not UTF-8 text");
}

#[test]
fn an_empty_nest_is_an_entry_without_attributes() {
    let read = |nest| Message::parse(&with_attribute(1, 0, nest, &[])).unwrap();
    assert_eq!(read(1).service, Some(Service::default()));
    assert_eq!(read(2).destination, Some(Destination::default()));
    assert_eq!(read(3).daemon, Some(Daemon::default()));
}

#[test]
fn a_message_that_is_cut_anywhere_is_refused_or_read_and_never_guessed() {
    let service = Service { scheduler: Some("wlc".to_owned()), timeout: Some(7), ..Service::default() };
    let bytes = Message::about(Command::NewService, service).to_bytes().unwrap();
    for length in 0..bytes.len() {
        if let Ok(message) = Message::parse(&bytes[..length]) {
            // Only where an attribute of the first level ends: behind the header.
            assert_eq!((length, message.service), (4, None));
        }
    }
}
