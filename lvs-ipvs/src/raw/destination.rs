//! A real server's nested attributes: `IPVS_CMD_ATTR_DEST`.

use super::attribute::{Attribute, DecodeError, Writer, fields};
use super::statistics::{Counters, emit_statistics, parse_statistics};
use lvs_core::Statistics;

/// `IPVS_DEST_ATTR_*` as they are in a message; `None` is an attribute that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) address: Option<[u8; 16]>,
    pub(crate) port: Option<u16>,
    pub(crate) forwarding: Option<u32>,
    pub(crate) weight: Option<u32>,
    pub(crate) upper_threshold: Option<u32>,
    pub(crate) lower_threshold: Option<u32>,
    pub(crate) active_connections: Option<u32>,
    pub(crate) inactive_connections: Option<u32>,
    pub(crate) persistent_connections: Option<u32>,
    /// Kernels before 3.18 leave it out: the service's family.
    pub(crate) family: Option<u16>,
    pub(crate) tunnel_type: Option<u8>,
    pub(crate) tunnel_port: Option<u16>,
    pub(crate) tunnel_flags: Option<u16>,
    pub(crate) statistics: Option<Statistics>,
    pub(crate) other: Vec<Attribute>,
}

/// `IP_VS_CONN_F_*`, the forwarding methods.
pub(crate) mod forwarding {
    /// The bits of a destination's connection flags that are its forwarding method.
    pub(crate) const MASK: u32 = 7;
    pub(crate) const MASQ: u32 = 0;
    pub(crate) const LOCALNODE: u32 = 1;
    pub(crate) const TUNNEL: u32 = 2;
    pub(crate) const DROUTE: u32 = 3;
    pub(crate) const BYPASS: u32 = 4;
}

/// `IP_VS_CONN_F_TUNNEL_TYPE_*` and `IP_VS_TUNNEL_ENCAP_FLAG_*`.
pub(crate) mod tunnel {
    pub(crate) const IPIP: u8 = 0;
    pub(crate) const GUE: u8 = 1;
    pub(crate) const GRE: u8 = 2;
    pub(crate) const CSUM: u16 = 1 << 0;
    pub(crate) const REMCSUM: u16 = 1 << 1;
}

impl Destination {
    /// Reads the attributes; `with` says whether the counters are worth the time, which is most of it.
    pub(crate) fn parse(bytes: &[u8], with: Counters) -> Result<Self, DecodeError> {
        let mut destination = Self::default();
        let mut narrow = None;
        let mut all = fields(bytes);
        for field in &mut all {
            match field.kind {
                ADDR => destination.address = Some(field.array()?),
                PORT => destination.port = Some(field.be16()?),
                FWD_METHOD => destination.forwarding = Some(field.u32()?),
                WEIGHT => destination.weight = Some(field.u32()?),
                U_THRESH => destination.upper_threshold = Some(field.u32()?),
                L_THRESH => destination.lower_threshold = Some(field.u32()?),
                ACTIVE_CONNS => destination.active_connections = Some(field.u32()?),
                INACT_CONNS => destination.inactive_connections = Some(field.u32()?),
                PERSIST_CONNS => destination.persistent_connections = Some(field.u32()?),
                ADDR_FAMILY => destination.family = Some(field.u16()?),
                TUN_TYPE => destination.tunnel_type = Some(field.u8()?),
                TUN_PORT => destination.tunnel_port = Some(field.be16()?),
                TUN_FLAGS => destination.tunnel_flags = Some(field.u16()?),
                STATS | STATS64 if with == Counters::Skip => {}
                STATS => narrow = Some(field.value),
                STATS64 => destination.statistics = Some(parse_statistics(field.value)?),
                _ => destination.other.push(field.to_attribute()),
            }
        }
        all.finish()?;
        if let (None, Some(narrow)) = (destination.statistics, narrow) {
            destination.statistics = Some(parse_statistics(narrow)?);
        }
        Ok(destination)
    }

    pub(crate) fn emit(&self, to: &mut Writer) {
        to.put_u16(ADDR_FAMILY, self.family);
        to.put_some(ADDR, self.address);
        to.put_be16(PORT, self.port);
        to.put_u32(FWD_METHOD, self.forwarding);
        to.put_u32(WEIGHT, self.weight);
        to.put_u8(TUN_TYPE, self.tunnel_type);
        to.put_be16(TUN_PORT, self.tunnel_port);
        to.put_u16(TUN_FLAGS, self.tunnel_flags);
        to.put_u32(U_THRESH, self.upper_threshold);
        to.put_u32(L_THRESH, self.lower_threshold);
        to.put_u32(ACTIVE_CONNS, self.active_connections);
        to.put_u32(INACT_CONNS, self.inactive_connections);
        to.put_u32(PERSIST_CONNS, self.persistent_connections);
        if let Some(statistics) = &self.statistics {
            to.nested(STATS64, |to| emit_statistics(statistics, to));
        }
        to.put_attributes(&self.other);
    }
}

// IPVS_DEST_ATTR_*
const ADDR: u16 = 1;
const PORT: u16 = 2;
const FWD_METHOD: u16 = 3;
const WEIGHT: u16 = 4;
const U_THRESH: u16 = 5;
const L_THRESH: u16 = 6;
const ACTIVE_CONNS: u16 = 7;
const INACT_CONNS: u16 = 8;
const PERSIST_CONNS: u16 = 9;
const STATS: u16 = 10;
const ADDR_FAMILY: u16 = 11;
const STATS64: u16 = 12;
const TUN_TYPE: u16 = 13;
const TUN_PORT: u16 = 14;
const TUN_FLAGS: u16 = 15;
