//! Netlink attributes: a length, a type, a value, padding to four bytes.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-+-+---------------------------+
//! |            nla_len            |N|O|         nla_type          |   host byte order
//! +-------------------------------+-+-+---------------------------+
//! |              value, nla_len - 4 bytes, then padding           |
//! +---------------------------------------------------------------+
//! ```

/// `NLA_HDRLEN`
const HEADER: usize = 4;
/// `NLA_TYPE_MASK`: without the nested and byte-order flags.
const TYPE_MASK: u16 = 0x3fff;

/// The attributes in a byte string, as (type, value); ends at the first that does not fit.
///
/// Types come without the nested and byte-order flags. A nested attribute's value is read the same way.
///
/// ```
/// use lvs_netlink::Attributes;
///
/// // nla_len 5, nla_type 3, one byte, padding; then something that claims to be longer than it is.
/// let bytes = [&5_u16.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &[7, 0, 0, 0], &[0xff; 6]].concat();
/// assert_eq!(Attributes::new(&bytes).collect::<Vec<_>>(), [(3, &[7][..])]);
/// ```
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Reads these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (kind, _) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        let value = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind) & TYPE_MASK, value))
    }
}

/// Appends one attribute. `None` if the value is longer than an attribute can be (65,531 bytes).
pub(crate) fn push(into: &mut Vec<u8>, kind: u16, value: &[u8]) -> Option<()> {
    let length = u16::try_from(value.len().checked_add(HEADER)?).ok()?;
    into.extend_from_slice(&length.to_ne_bytes());
    into.extend_from_slice(&kind.to_ne_bytes());
    into.extend_from_slice(value);
    into.resize(into.len().next_multiple_of(4), 0);
    Some(())
}

/// A string value: up to its first NUL.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_attributes_are_read_back() {
        let mut bytes = Vec::new();
        push(&mut bytes, 1, b"ip_vs\0").unwrap();
        push(&mut bytes, 0x8002, &[]).unwrap();
        push(&mut bytes, 3, &7_u32.to_ne_bytes()).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let read: Vec<_> = Attributes::new(&bytes).collect();
        assert_eq!(read, [(1, &b"ip_vs\0"[..]), (2, &[][..]), (3, &7_u32.to_ne_bytes()[..])]);
        assert_eq!(text(read[0].1), "ip_vs");
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused() {
        assert!(push(&mut Vec::new(), 1, &vec![0; 65_532]).is_none());
        assert!(push(&mut Vec::new(), 1, &vec![0; 65_531]).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes: Vec<u8>) {
            let total: usize = Attributes::new(&bytes).map(|(_, value)| value.len() + HEADER).sum();
            assert!(total <= bytes.len());
        }
    }
}
