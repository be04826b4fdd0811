//! The counters of a service or destination: `IPVS_*_ATTR_STATS` and `IPVS_*_ATTR_STATS64`.

use super::attribute::{DecodeError, Writer, fields};
use lvs_core::Statistics;

/// Whether the counters of an entry are read. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counters {
    /// They are.
    Read,
    /// They are as if they were not there.
    Skip,
}

/// Reads both forms: most counters of `STATS` are 32 bits wide, all of `STATS64` are 64 bits wide.
pub(crate) fn parse_statistics(bytes: &[u8]) -> Result<Statistics, DecodeError> {
    let mut statistics = Statistics::default();
    let mut all = fields(bytes);
    for field in &mut all {
        let counter = match field.kind {
            CONNS => &mut statistics.connections,
            INPKTS => &mut statistics.incoming_packets,
            OUTPKTS => &mut statistics.outgoing_packets,
            INBYTES => &mut statistics.incoming_bytes,
            OUTBYTES => &mut statistics.outgoing_bytes,
            CPS => &mut statistics.connections_per_second,
            INPPS => &mut statistics.incoming_packets_per_second,
            OUTPPS => &mut statistics.outgoing_packets_per_second,
            INBPS => &mut statistics.incoming_bytes_per_second,
            OUTBPS => &mut statistics.outgoing_bytes_per_second,
            // Padding, and counters of a newer kernel.
            _ => continue,
        };
        *counter = field.u32_or_u64()?;
    }
    all.finish()?;
    Ok(statistics)
}

/// Writes the form of `STATS64`.
pub(crate) fn emit_statistics(statistics: &Statistics, to: &mut Writer) {
    for (kind, counter) in [
        (CONNS, statistics.connections),
        (INPKTS, statistics.incoming_packets),
        (OUTPKTS, statistics.outgoing_packets),
        (INBYTES, statistics.incoming_bytes),
        (OUTBYTES, statistics.outgoing_bytes),
        (CPS, statistics.connections_per_second),
        (INPPS, statistics.incoming_packets_per_second),
        (OUTPPS, statistics.outgoing_packets_per_second),
        (INBPS, statistics.incoming_bytes_per_second),
        (OUTBPS, statistics.outgoing_bytes_per_second),
    ] {
        to.put(kind, &counter.to_ne_bytes());
    }
}

// IPVS_STATS_ATTR_*
const CONNS: u16 = 1;
const INPKTS: u16 = 2;
const OUTPKTS: u16 = 3;
const INBYTES: u16 = 4;
const OUTBYTES: u16 = 5;
const CPS: u16 = 6;
const INPPS: u16 = 7;
const OUTPPS: u16 = 8;
const INBPS: u16 = 9;
const OUTBPS: u16 = 10;
