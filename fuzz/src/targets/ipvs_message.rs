use lvs_ipvs::codec;

/// Input: a message of the kernel's IPVS, from the generic netlink header on.
///
/// It is read or refused, and what was read is written as the same message: attributes that nobody knows included.
pub fn ipvs_message(input: &[u8]) {
    let read = codec::decode(input);
    match codec::recode(input) {
        // Attributes come in the codec's order now, and the last of those that came twice.
        Ok(written) => {
            assert_eq!(codec::decode(&written), read);
            assert_eq!(codec::recode(&written), Ok(written));
        }
        Err(_) => assert!(read.is_err(), "read, and not written"),
    }
}
