use lvs_core::Family;
use lvs_vrrp::{Advert, Authentication, ChecksumForm, Endpoints, Interval, Refusal};

/// Input: an octet for the way (see `way`), then the message.
///
/// What is accepted is well-formed, and written again it is the same packet but for what a receiver ignores. What is
/// refused is refused for itself, not for its checksum, if that was made right.
pub fn advert(input: &[u8]) {
    let Some((first, message)) = input.split_first() else { return };
    let (endpoints, repairs) = super::way(*first);
    let mut packet = message.to_vec();
    if repairs {
        super::repair(&mut packet, &endpoints);
    }
    match Advert::parse(&packet, &endpoints) {
        Ok(advert) => holds(&packet, &endpoints, &advert),
        Err(refusal) => assert!(!repairs || refusal != Refusal::Checksum, "{packet:02x?}"),
    }
}

fn holds(packet: &[u8], endpoints: &Endpoints, advert: &Advert<'_>) {
    assert_eq!(advert.wire_len(), packet.len());
    assert_eq!(advert.addresses().family(), endpoints.family());
    assert_eq!(advert.addresses().len(), usize::from(packet[3]));
    assert_eq!(advert.addresses().into_iter().len(), advert.addresses().into_iter().count());
    match endpoints.family() {
        Family::Ipv4 => {}
        Family::Ipv6 => {
            assert_eq!(advert.interval().version().number(), 3);
            assert_eq!((packet[8], packet[9] & 0xc0), (0xfe, 0x80), "the first address is link-local");
            assert_eq!(advert.checksum(), ChecksumForm::PseudoHeader);
        }
    }

    // What a receiver ignores: the reserved bits, and the data of no authentication.
    let mut canonical = packet.to_vec();
    match (advert.interval(), advert.authentication()) {
        (Interval::Centis(_), _) => canonical[4] &= 0x0f,
        (Interval::Seconds(_), Authentication::None) => {
            let data = canonical.len() - 8;
            canonical[data..].fill(0);
        }
        (Interval::Seconds(_), _) => {}
    }
    let mut written = vec![0xaa; 3];
    advert.write_to(endpoints, &mut written);
    if canonical == packet {
        // 0 and its complement are the same checksum, of which one is sent.
        assert!(written == packet || packet[6..8] == [0xff, 0xff], "{written:02x?} {packet:02x?}");
    } else {
        canonical[6..8].copy_from_slice(&written[6..8]);
        assert_eq!(written, canonical);
    }
    assert_eq!(Advert::parse(&written, endpoints).as_ref(), Ok(advert));
}
