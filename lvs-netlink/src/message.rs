//! The netlink message header: requests out, messages in, the kernel's error messages.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------------------------------------------------------+
//! |                  nlmsg_len (header included)                  |   host byte order
//! +-------------------------------+-------------------------------+
//! |          nlmsg_type           |          nlmsg_flags          |
//! +-------------------------------+-------------------------------+
//! |                           nlmsg_seq                           |
//! +---------------------------------------------------------------+
//! |                           nlmsg_pid                           |
//! +---------------------------------------------------------------+
//! |              payload, then padding to four bytes              |
//! +---------------------------------------------------------------+
//! ```

use std::ops::BitOr;

use crate::attribute;
use crate::attribute::Attributes;
use crate::error::{KernelError, Malformed};

/// Flags of a request (`nlmsg_flags`).
///
/// The transport adds `NLM_F_REQUEST`, `NLM_F_ACK` and `NLM_F_DUMP` where they belong; these are the rest.
///
/// ```
/// use lvs_netlink::Flags;
/// assert_eq!((Flags::CREATE | Flags::EXCL).bits(), 0x600);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `NLM_F_ECHO`: the change itself is sent back too.
    pub const ECHO: Self = Self(0x008);
    /// `NLM_F_REPLACE`: replace what is there.
    pub const REPLACE: Self = Self(0x100);
    /// `NLM_F_EXCL`: fail if it is there.
    pub const EXCL: Self = Self(0x200);
    /// `NLM_F_CREATE`: create it if it is not there.
    pub const CREATE: Self = Self(0x400);
    /// `NLM_F_APPEND`: add to the end of the list.
    pub const APPEND: Self = Self(0x800);

    /// Flags by their number.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The number that goes into the header.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One message to the kernel: its type, flags and payload. The transport writes the header.
///
/// ```
/// use lvs_netlink::{Flags, Request};
/// // RTM_NEWADDR with a `struct ifaddrmsg` and no attributes (the kernel will refuse it).
/// let request = Request::new(20, vec![0; 8]).with_flags(Flags::CREATE | Flags::EXCL);
/// assert_eq!(request.payload().len(), 8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    kind: u16,
    flags: Flags,
    payload: Vec<u8>,
}

impl Request {
    /// A request of that type (`nlmsg_type`: a message type, or the id of a generic netlink family).
    #[must_use]
    pub fn new(kind: u16, payload: Vec<u8>) -> Self {
        Self { kind, flags: Flags::NONE, payload }
    }

    /// The same request with these flags instead of its own.
    #[must_use]
    pub fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Type of the message (`nlmsg_type`).
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Flags without those that the transport adds.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn part(&self) -> Part<'_> {
        Part { kind: self.kind, flags: self.flags, payload: &self.payload }
    }
}

/// A request whose payload lies elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: Flags,
    pub(crate) payload: &'a [u8],
}

impl Part<'_> {
    /// Bytes on the wire, header and padding included.
    pub(crate) fn wire_length(self) -> usize {
        HEADER + self.payload.len().next_multiple_of(4)
    }

    /// Appends the message, without sequence number and sender. Requests longer than `u32::MAX` never come here: one
    /// send is far shorter.
    pub(crate) fn emit(self, into: &mut Vec<u8>) {
        let length = u32::try_from(HEADER + self.payload.len()).unwrap_or(u32::MAX);
        let flags = self.flags.0 | NLM_F_REQUEST;
        into.extend_from_slice(&length.to_ne_bytes());
        into.extend_from_slice(&self.kind.to_ne_bytes());
        into.extend_from_slice(&flags.to_ne_bytes());
        into.extend_from_slice(&[0; 8]);
        into.extend_from_slice(self.payload);
        into.resize(into.len().next_multiple_of(4), 0);
    }
}

/// One message from the kernel: an answer, a part of a dump, or a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Message {
    /// A message without flags: for tests of what reads messages.
    #[must_use]
    pub fn new(kind: u16, payload: Vec<u8>) -> Self {
        Self { kind, flags: 0, payload }
    }

    /// Type of the message (`nlmsg_type`).
    #[must_use]
    pub fn kind(&self) -> u16 {
        self.kind
    }

    /// Flags of the message (`nlmsg_flags`).
    #[must_use]
    pub fn flags(&self) -> u16 {
        self.flags
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What follows the header, for keeping.
    #[must_use]
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }
}

/// A message where it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn to_message(self) -> Message {
        Message { kind: self.kind, flags: self.flags, payload: self.payload.to_vec() }
    }

    /// The answer in an `NLMSG_ERROR`: `Ok` is an acknowledgement.
    pub(crate) fn answer(&self) -> Result<Result<(), KernelError>, Malformed> {
        let (code, rest) = self
            .payload
            .split_first_chunk::<4>()
            .ok_or(Malformed::ShortError { have: self.payload.len() })?;
        let code = i32::from_ne_bytes(*code);
        if code == 0 {
            return Ok(Ok(()));
        }
        // The request's header follows; all of the request if it was not capped.
        let echoed = match rest.split_first_chunk::<4>() {
            Some((length, _)) if self.flags & NLM_F_CAPPED == 0 => {
                usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX)
            }
            _ => HEADER,
        };
        let attributes = echoed.checked_next_multiple_of(4).and_then(|start| rest.get(start..));
        Ok(Err(refusal(code, self.flags, attributes.unwrap_or_default())))
    }

    /// The end of a dump (`NLMSG_DONE`), which carries its own error code.
    pub(crate) fn done(&self) -> Result<(), KernelError> {
        match self.payload.split_first_chunk::<4>() {
            Some((code, rest)) if i32::from_ne_bytes(*code) < 0 => {
                Err(refusal(i32::from_ne_bytes(*code), self.flags, rest))
            }
            _ => Ok(()),
        }
    }
}

/// The messages in a datagram. Ends after the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
            return Some(Err(Malformed::ShortHeader { have: bytes.len() }));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
        let claimed = u32::from_ne_bytes([l0, l1, l2, l3]);
        let length = usize::try_from(claimed).unwrap_or(usize::MAX);
        let Some(payload) = bytes.get(HEADER..length) else {
            return Some(Err(Malformed::Length { claimed, have: bytes.len() }));
        };
        self.rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Frame {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            payload,
        }))
    }
}

fn refusal(code: i32, flags: u16, attributes: &[u8]) -> KernelError {
    let mut error = KernelError::from_errno(code.saturating_abs());
    if flags & NLM_F_ACK_TLVS == 0 {
        return error;
    }
    for (kind, value) in Attributes::new(attributes) {
        match kind {
            NLMSGERR_ATTR_MSG => error = error.with_message(attribute::text(value)),
            NLMSGERR_ATTR_OFFS => {
                if let Some((offset, _)) = value.split_first_chunk::<4>() {
                    error = error.with_offset(u32::from_ne_bytes(*offset));
                }
            }
            _ => {}
        }
    }
    error
}

/// `NLMSG_HDRLEN`
pub(crate) const HEADER: usize = 16;

// include/uapi/linux/netlink.h
pub(crate) const NLMSG_NOOP: u16 = 1;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 0x001;
pub(crate) const NLM_F_ACK: u16 = 0x004;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x010;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_frame(flags: u16, payload: &[u8]) -> Frame<'_> {
        Frame { kind: NLMSG_ERROR, flags, sequence: 1, payload }
    }

    #[test]
    fn emitted_requests_are_read_back() {
        let mut bytes = Vec::new();
        Request::new(16, vec![1, 2, 3]).with_flags(Flags::CREATE).part().emit(&mut bytes);
        Request::new(17, vec![]).part().emit(&mut bytes);
        assert_eq!(bytes.len(), 20 + 16);
        let frames: Vec<_> = Frames::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(frames[0], Frame { kind: 16, flags: 0x401, sequence: 0, payload: &[1, 2, 3] });
        assert_eq!(frames[1], Frame { kind: 17, flags: 1, sequence: 0, payload: &[] });
    }

    #[test]
    fn kernel_text_and_offset_are_read_from_capped_and_uncapped_errors() {
        let mut attributes = Vec::new();
        attribute::push(&mut attributes, NLMSGERR_ATTR_MSG, b"no such thing\0").unwrap();
        attribute::push(&mut attributes, NLMSGERR_ATTR_OFFS, &24_u32.to_ne_bytes()).unwrap();
        let expected = KernelError::from_errno(95).with_message("no such thing").with_offset(24);

        let mut request = Vec::new();
        Request::new(20, vec![0xff; 10]).part().emit(&mut request);
        let capped = [&(-95_i32).to_ne_bytes()[..], &request[..HEADER], &attributes].concat();
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        assert_eq!(error_frame(flags, &capped).answer(), Ok(Err(expected.clone())));
        let whole = [&(-95_i32).to_ne_bytes()[..], &request, &attributes].concat();
        assert_eq!(error_frame(NLM_F_ACK_TLVS, &whole).answer(), Ok(Err(expected)));
        assert_eq!(error_frame(0, &whole).answer(), Ok(Err(KernelError::from_errno(95))));
    }

    #[test]
    fn an_error_code_of_zero_is_an_acknowledgement() {
        assert_eq!(error_frame(0, &[0; 20]).answer(), Ok(Ok(())));
        assert_eq!(error_frame(0, &[0; 3]).answer(), Err(Malformed::ShortError { have: 3 }));
    }

    #[test]
    fn lengths_beyond_the_datagram_or_below_the_header_are_refused() {
        for claimed in [0_u32, 15, 21, u32::MAX] {
            let mut bytes = vec![0; 20];
            bytes[..4].copy_from_slice(&claimed.to_ne_bytes());
            let frames: Vec<_> = Frames::new(&bytes).collect();
            assert_eq!(frames, [Err(Malformed::Length { claimed, have: 20 })]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for frame in Frames::new(&bytes).flatten() {
                let _ = (frame.answer(), frame.done(), frame.to_message());
            }
        }

        #[test]
        fn any_error_payload_ends_without_panic(
            flags: u16,
            code: i32,
            rest in prop::collection::vec(any::<u8>(), 0..80),
            length in 0_u32..100,
        ) {
            let payload = [&code.to_ne_bytes()[..], &length.to_ne_bytes(), &rest].concat();
            let frame = error_frame(flags, &payload);
            prop_assert_eq!(frame.answer().unwrap().is_ok(), code == 0);
            prop_assert_eq!(frame.done().is_ok(), code >= 0);
        }

        #[test]
        fn any_requests_are_read_back(
            requests in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..10)
        ) {
            let mut bytes = Vec::new();
            for (kind, payload) in &requests {
                Request::new(*kind, payload.clone()).part().emit(&mut bytes);
            }
            let read: Vec<_> =
                Frames::new(&bytes).map(|f| f.map(|f| (f.kind, f.payload.to_vec())).unwrap()).collect();
            prop_assert_eq!(read, requests);
        }
    }
}
