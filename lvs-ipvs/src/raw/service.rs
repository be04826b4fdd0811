//! A service's nested attributes: `IPVS_CMD_ATTR_SERVICE`.

use super::attribute::{Attribute, DecodeError, Writer, fields};
use super::statistics::{Counters, emit_statistics, parse_statistics};
use lvs_core::Statistics;

/// `IPVS_SVC_ATTR_*` as they are in a message; `None` is an attribute that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) family: Option<u16>,
    pub(crate) protocol: Option<u16>,
    pub(crate) address: Option<[u8; 16]>,
    pub(crate) port: Option<u16>,
    pub(crate) fwmark: Option<u32>,
    pub(crate) scheduler: Option<String>,
    pub(crate) flags: Option<Flags>,
    /// Persistence, in seconds.
    pub(crate) timeout: Option<u32>,
    /// Four bytes as they are: an IPv4 mask in network order, or an IPv6 prefix length in host order.
    pub(crate) netmask: Option<[u8; 4]>,
    pub(crate) persistence_engine: Option<String>,
    pub(crate) statistics: Option<Statistics>,
    pub(crate) other: Vec<Attribute>,
}

/// `struct ip_vs_flags`: the bits and which of them are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) bits: u32,
    pub(crate) mask: u32,
}

/// `IP_VS_SVC_F_*`.
pub(crate) mod flags {
    pub(crate) const PERSISTENT: u32 = 0x0001;
    pub(crate) const ONEPACKET: u32 = 0x0004;
    pub(crate) const SCHED1: u32 = 0x0008;
    pub(crate) const SCHED2: u32 = 0x0010;
    pub(crate) const SCHED3: u32 = 0x0020;
}

impl Service {
    /// Reads the attributes; `with` says whether the counters are worth the time, which is most of it.
    pub(crate) fn parse(bytes: &[u8], with: Counters) -> Result<Self, DecodeError> {
        let mut service = Self::default();
        let mut narrow = None;
        let mut all = fields(bytes);
        for field in &mut all {
            match field.kind {
                AF => service.family = Some(field.u16()?),
                PROTOCOL => service.protocol = Some(field.u16()?),
                ADDR => service.address = Some(field.array()?),
                PORT => service.port = Some(field.be16()?),
                FWMARK => service.fwmark = Some(field.u32()?),
                SCHED_NAME => service.scheduler = Some(field.string()?),
                FLAGS => service.flags = Some(Flags::parse(field.array()?)),
                TIMEOUT => service.timeout = Some(field.u32()?),
                NETMASK => service.netmask = Some(field.array()?),
                PE_NAME => service.persistence_engine = Some(field.string()?),
                STATS | STATS64 if with == Counters::Skip => {}
                STATS => narrow = Some(field.value),
                STATS64 => service.statistics = Some(parse_statistics(field.value)?),
                _ => service.other.push(field.to_attribute()),
            }
        }
        all.finish()?;
        if let (None, Some(narrow)) = (service.statistics, narrow) {
            service.statistics = Some(parse_statistics(narrow)?);
        }
        Ok(service)
    }

    pub(crate) fn emit(&self, to: &mut Writer) {
        to.put_u16(AF, self.family);
        to.put_u16(PROTOCOL, self.protocol);
        to.put_some(ADDR, self.address);
        to.put_be16(PORT, self.port);
        to.put_u32(FWMARK, self.fwmark);
        to.put_string(SCHED_NAME, self.scheduler.as_deref());
        to.put_string(PE_NAME, self.persistence_engine.as_deref());
        to.put_some(FLAGS, self.flags.map(Flags::to_bytes));
        to.put_u32(TIMEOUT, self.timeout);
        to.put_some(NETMASK, self.netmask);
        if let Some(statistics) = &self.statistics {
            to.nested(STATS64, |to| emit_statistics(statistics, to));
        }
        to.put_attributes(&self.other);
    }
}

impl Flags {
    fn parse(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self { bits: u32::from_ne_bytes([a, b, c, d]), mask: u32::from_ne_bytes([e, f, g, h]) }
    }

    fn to_bytes(self) -> [u8; 8] {
        let ([a, b, c, d], [e, f, g, h]) = (self.bits.to_ne_bytes(), self.mask.to_ne_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

// IPVS_SVC_ATTR_*
const AF: u16 = 1;
const PROTOCOL: u16 = 2;
const ADDR: u16 = 3;
const PORT: u16 = 4;
const FWMARK: u16 = 5;
const SCHED_NAME: u16 = 6;
const FLAGS: u16 = 7;
const TIMEOUT: u16 = 8;
const NETMASK: u16 = 9;
const STATS: u16 = 10;
const PE_NAME: u16 = 11;
const STATS64: u16 = 12;
