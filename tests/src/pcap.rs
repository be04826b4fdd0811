//! Writes frames as a capture file that other programs read.

use crate::frame::Frame;

/// A file in the classic format of libpcap, with link type Ethernet; time counts from the first frame.
pub(crate) fn file(frames: &[Frame]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend_from_slice(&MAGIC_MICROSECONDS.to_le_bytes());
    for half in [2_u16, 4] {
        file.extend_from_slice(&half.to_le_bytes()); // version 2.4
    }
    for word in [0, 0, SNAP_LENGTH, LINKTYPE_ETHERNET] {
        file.extend_from_slice(&u32::to_le_bytes(word));
    }
    let start = frames.first().map(|frame| frame.at);
    for frame in frames {
        let since = start.map(|start| frame.at.saturating_duration_since(start)).unwrap_or_default();
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let length = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        for word in [seconds, since.subsec_micros(), length, length] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        file.extend_from_slice(&frame.bytes);
    }
    file
}

const MAGIC_MICROSECONDS: u32 = 0xa1b2_c3d4;
const SNAP_LENGTH: u32 = 65_535;
const LINKTYPE_ETHERNET: u32 = 1;
