use lvs_vrrp::{Datagram, Endpoints, Ipv4Header, Refusal};

/// Input: a datagram as a raw socket delivers it, header included.
///
/// The payload lies inside of the datagram, ends where the total length says, and goes into a datagram again that reads
/// the same.
pub fn ipv4_header(input: &[u8]) {
    let parsed = Ipv4Header::parse(input);
    match parsed {
        Ok((header, payload)) => {
            let total = usize::from(u16::from_be_bytes([input[2], input[3]]));
            let options = usize::from(input[0] & 0x0f) * 4;
            assert_eq!(payload, &input[options..total]);
            assert_eq!((input[9], input[6] & 0x3f, input[7]), (112, 0, 0));
            let mut written = Vec::new();
            header.write_to(payload, &mut written);
            assert_eq!(Ipv4Header::parse(&written), Ok((header, payload)));
            let datagram = Datagram::from_ipv4(input).expect("the same header");
            assert_eq!(datagram.payload, payload);
            assert_eq!(
                (datagram.endpoints, datagram.ttl),
                (Endpoints::v4(header.source, header.destination), header.ttl)
            );
        }
        Err(refusal) => {
            assert!(matches!(refusal, Refusal::IpHeader | Refusal::Fragment));
            if let Ok(datagram) = Datagram::from_ipv4(input) {
                assert!(datagram.ah.is_some(), "the other protocol");
                assert_eq!(input[9], 51);
            }
        }
    }
}
