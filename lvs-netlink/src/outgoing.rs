//! Requests as they are sent: one after another in one piece of memory, their headers filled in at the end.

use crate::message::{Frame, Frames, HEADER, Part};

/// Requests that leave in one send, addressed at the last moment.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    /// Where each request begins.
    starts: Vec<usize>,
}

impl Outgoing {
    /// Forgets all requests, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// How many requests there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// What is sent, bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends a request.
    pub(crate) fn push(&mut self, request: Part<'_>) {
        self.starts.push(self.bytes.len());
        request.emit(&mut self.bytes);
    }

    /// Takes the last request away.
    pub(crate) fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.bytes.truncate(start);
        }
    }

    /// Gives the requests their sequence numbers, counted from `sequence`, and the sender's address.
    pub(crate) fn number(&mut self, sequence: u32, port: u32) {
        let mut sequence = sequence;
        for &start in &self.starts {
            let header = self.bytes.get_mut(start..).and_then(|rest| rest.first_chunk_mut::<HEADER>());
            if let Some([.., s0, s1, s2, s3, p0, p1, p2, p3]) = header {
                [*s0, *s1, *s2, *s3] = sequence.to_ne_bytes();
                [*p0, *p1, *p2, *p3] = port.to_ne_bytes();
            }
            sequence = sequence.wrapping_add(1);
        }
    }

    /// Adds flags to the last request.
    pub(crate) fn flag_last(&mut self, flags: u16) {
        let last = self.starts.last().and_then(|&start| self.bytes.get_mut(start..));
        if let Some([_, _, _, _, _, _, f0, f1, ..]) = last {
            [*f0, *f1] = (u16::from_ne_bytes([*f0, *f1]) | flags).to_ne_bytes();
        }
    }

    /// The payload of the request at that place, from 0.
    pub(crate) fn payload(&self, index: usize) -> Option<&[u8]> {
        let request = self.bytes.get(*self.starts.get(index)?..)?;
        Frames::new(request).next()?.ok().map(|frame: Frame<'_>| frame.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Flags, NLM_F_ACK};

    #[test]
    fn requests_are_numbered_and_the_last_is_acknowledged() {
        let mut outgoing = Outgoing::default();
        for payload in [&b"abc"[..], b"", b"defgh"] {
            outgoing.push(Part { kind: 20, flags: Flags::EXCL, payload });
        }
        outgoing.number(u32::MAX, 9);
        outgoing.flag_last(NLM_F_ACK);
        let read: Vec<_> = Frames::new(outgoing.bytes()).map(Result::unwrap).collect();
        assert_eq!(read.iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [u32::MAX, 0, 1]);
        assert_eq!(read.iter().map(|frame| frame.flags).collect::<Vec<_>>(), [0x201, 0x201, 0x205]);
        assert_eq!(outgoing.bytes().get(12..16), Some(&9_u32.to_ne_bytes()[..]));
        let payloads: Vec<_> = (0..4).map(|index| outgoing.payload(index)).collect();
        assert_eq!(payloads, [Some(&b"abc"[..]), Some(b""), Some(b"defgh"), None]);
        outgoing.clear();
        assert_eq!((outgoing.count(), outgoing.bytes()), (0, &b""[..]));
        outgoing.flag_last(NLM_F_ACK);
    }
}
