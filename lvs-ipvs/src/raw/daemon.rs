//! A sync daemon's nested attributes: `IPVS_CMD_ATTR_DAEMON`.

use super::attribute::{Attribute, DecodeError, Writer, fields};

/// `IPVS_DAEMON_ATTR_*` as they are in a message; `None` is an attribute that is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Daemon {
    /// `IP_VS_STATE_*`.
    pub(crate) state: Option<u32>,
    pub(crate) interface: Option<String>,
    pub(crate) sync_id: Option<u32>,
    pub(crate) max_length: Option<u16>,
    pub(crate) group4: Option<[u8; 4]>,
    pub(crate) group6: Option<[u8; 16]>,
    /// In host order, other than every other port of this family.
    pub(crate) port: Option<u16>,
    pub(crate) ttl: Option<u8>,
    pub(crate) other: Vec<Attribute>,
}

/// `IP_VS_STATE_*`.
pub(crate) mod state {
    pub(crate) const MASTER: u32 = 1;
    pub(crate) const BACKUP: u32 = 2;
}

impl Daemon {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut daemon = Self::default();
        let mut all = fields(bytes);
        for field in &mut all {
            match field.kind {
                STATE => daemon.state = Some(field.u32()?),
                MCAST_IFN => daemon.interface = Some(field.string()?),
                SYNC_ID => daemon.sync_id = Some(field.u32()?),
                SYNC_MAXLEN => daemon.max_length = Some(field.u16()?),
                MCAST_GROUP => daemon.group4 = Some(field.array()?),
                MCAST_GROUP6 => daemon.group6 = Some(field.array()?),
                MCAST_PORT => daemon.port = Some(field.u16()?),
                MCAST_TTL => daemon.ttl = Some(field.u8()?),
                _ => daemon.other.push(field.to_attribute()),
            }
        }
        all.finish()?;
        Ok(daemon)
    }

    pub(crate) fn emit(&self, to: &mut Writer) {
        to.put_u32(STATE, self.state);
        to.put_string(MCAST_IFN, self.interface.as_deref());
        to.put_u32(SYNC_ID, self.sync_id);
        to.put_u16(SYNC_MAXLEN, self.max_length);
        to.put_some(MCAST_GROUP, self.group4);
        to.put_some(MCAST_GROUP6, self.group6);
        to.put_u16(MCAST_PORT, self.port);
        to.put_u8(MCAST_TTL, self.ttl);
        to.put_attributes(&self.other);
    }
}

// IPVS_DAEMON_ATTR_*
const STATE: u16 = 1;
const MCAST_IFN: u16 = 2;
const SYNC_ID: u16 = 3;
const SYNC_MAXLEN: u16 = 4;
const MCAST_GROUP: u16 = 5;
const MCAST_GROUP6: u16 = 6;
const MCAST_PORT: u16 = 7;
const MCAST_TTL: u16 = 8;
