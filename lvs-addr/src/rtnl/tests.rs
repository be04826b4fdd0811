use netlink_packet_core::Parseable;
use netlink_packet_route::address::AddressScope as WireScope;
use proptest::prelude::*;

use super::*;

fn message(kind: u16, payload: Vec<u8>) -> Message {
    Message::new(kind, payload)
}

fn parse_with_the_other_codec(request: &Request) -> AddressMessage {
    AddressMessage::parse(request.payload()).unwrap()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn link_message(family: u8, flags: u32, attributes: &[Vec<u8>]) -> Message {
    let mut payload = vec![family, 0];
    payload.extend(ARPHRD_ETHER.to_ne_bytes());
    payload.extend(7_u32.to_ne_bytes());
    payload.extend(flags.to_ne_bytes());
    payload.extend([0; 4]);
    payload.extend(attributes.concat());
    message(RTM_NEWLINK, payload)
}

#[test]
fn an_added_address_carries_what_was_asked_for_and_the_tag() {
    let mut address = VirtualAddress::new("eth0", [192, 0, 2, 100].into(), 24);
    address.label = Some("eth0:1".to_owned());
    address.broadcast = Some(Ipv4Addr::new(192, 0, 2, 255));
    address.scope = lvs_core::AddressScope::LINK;
    let request = add_address(&address, 7);
    assert_eq!((request.kind(), request.flags()), (RTM_NEWADDR, Flags::CREATE | Flags::EXCL));
    let read = parse_with_the_other_codec(&request);
    assert_eq!((read.header.index, read.header.prefix_len, read.header.scope), (7, 24, WireScope::Link));
    assert_eq!(
        read.attributes,
        [
            AddressAttribute::Local(address.key.address),
            AddressAttribute::Address(address.key.address),
            AddressAttribute::Protocol(AddressProtocol::from(OWNER_TAG)),
            AddressAttribute::Broadcast(Ipv4Addr::new(192, 0, 2, 255)),
            AddressAttribute::Label("eth0:1".to_owned()),
        ]
    );
}

#[test]
fn an_address_of_ipv6_is_added_without_duplicate_address_detection() {
    // VR-165: it was another host's a moment ago.
    for prefix_len in [64, 128] {
        let address = VirtualAddress::new("eth0", "2001:db8::1".parse().unwrap(), prefix_len);
        let read = parse_with_the_other_codec(&add_address(&address, 3));
        assert!(read.header.flags.contains(AddressHeaderFlags::Nodad));
    }
}

#[test]
fn what_is_written_is_read_back() {
    for (address, prefix_len) in [("192.0.2.1", 24), ("2001:db8::1", 64), ("2001:db8::1", 128)] {
        let wanted = VirtualAddress::new("eth0", address.parse().unwrap(), prefix_len);
        let fact = AddressFact::parse(&message(RTM_NEWADDR, add_address(&wanted, 3).payload().to_vec()));
        let expected = LinkAddress { address: wanted.key.address, prefix_len, tagged: true };
        assert_eq!(fact, Some(AddressFact { index: 3, address: expected, tentative: false }));
    }
}

#[test]
fn the_local_end_of_a_point_to_point_address_counts_and_the_long_flags_win() {
    let mut payload = vec![AF_INET, 32, 0, 0];
    payload.extend(7_u32.to_ne_bytes());
    payload.extend(attribute(IFA_ADDRESS, &[10, 0, 0, 2]));
    payload.extend(attribute(IFA_LOCAL, &[10, 0, 0, 1]));
    payload.extend(attribute(IFA_FLAGS, &IFA_F_TENTATIVE.to_ne_bytes()));
    payload.extend(attribute(IFA_PROTO, &[18]));
    let fact = AddressFact::parse(&message(RTM_NEWADDR, payload)).unwrap();
    assert_eq!(fact.address.address, IpAddr::from([10, 0, 0, 1]));
    assert!(fact.tentative && !fact.address.tagged, "18 is keepalived's");
}

#[test]
fn a_link_is_up_only_with_all_three_flags() {
    let name = attribute(IFLA_IFNAME, b"eth0\0");
    let mac = attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
    for missing in [0, IFF_UP, IFF_RUNNING, IFF_LOWER_UP] {
        let attributes = [name.clone(), mac.clone()];
        let fact = LinkFact::parse(&link_message(AF_UNSPEC, OPERATIONAL & !missing, &attributes)).unwrap();
        assert_eq!(fact.up, missing == 0);
        assert_eq!((fact.index, fact.name.as_str(), fact.has_neighbours), (7, "eth0", true));
        assert_eq!(fact.mac, Some(MacAddress::new([2, 0, 0, 0, 0, 1])));
    }
}

#[test]
fn a_message_about_a_bridge_port_is_not_about_the_link() {
    let name = [attribute(IFLA_IFNAME, b"eth0\0")];
    assert!(LinkFact::parse(&link_message(7, OPERATIONAL, &name)).is_none());
    assert!(LinkFact::parse(&link_message(AF_UNSPEC, OPERATIONAL, &name)).is_some());
}

#[test]
fn a_longer_hardware_address_is_none_and_unknown_attributes_are_skipped() {
    let attributes =
        [attribute(999, &[1, 2, 3]), attribute(IFLA_ADDRESS, &[0; 20]), attribute(IFLA_IFNAME, b"ib0\0")];
    let fact = LinkFact::parse(&link_message(AF_UNSPEC, OPERATIONAL, &attributes)).unwrap();
    assert_eq!((fact.name.as_str(), fact.mac), ("ib0", None));
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(kind: u16, payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = message(kind, payload);
        let _ = (LinkFact::parse(&message), AddressFact::parse(&message));
    }
}
