//! A whole message of the family: the command and its first-level attributes.

use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlHeader;

use super::attribute::{Attribute, DecodeError, Field, Writer, fields};
use super::statistics::Counters;
use super::{Daemon, Destination, FAMILY_VERSION, Service};

/// `IPVS_CMD_*`. Closed: what the kernel sends unasked does not exist in this family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Command {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    NewDaemon = 9,
    DelDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
    SetInfo = 14,
    GetInfo = 15,
    Zero = 16,
    Flush = 17,
}

/// One message, without the netlink header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) command: Command,
    pub(crate) service: Option<Service>,
    pub(crate) destination: Option<Destination>,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) timeouts: Timeouts,
    pub(crate) info: Info,
    pub(crate) other: Vec<Attribute>,
}

/// `IPVS_CMD_ATTR_TIMEOUT_*`, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) tcp: Option<u32>,
    pub(crate) tcp_fin: Option<u32>,
    pub(crate) udp: Option<u32>,
}

/// `IPVS_INFO_ATTR_*`, only in `SET_INFO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) version: Option<u32>,
    pub(crate) connection_table_size: Option<u32>,
}

impl Command {
    pub(super) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::NewService,
            2 => Self::SetService,
            3 => Self::DelService,
            4 => Self::GetService,
            5 => Self::NewDest,
            6 => Self::SetDest,
            7 => Self::DelDest,
            8 => Self::GetDest,
            9 => Self::NewDaemon,
            10 => Self::DelDaemon,
            11 => Self::GetDaemon,
            12 => Self::SetConfig,
            13 => Self::GetConfig,
            14 => Self::SetInfo,
            15 => Self::GetInfo,
            16 => Self::Zero,
            17 => Self::Flush,
            _ => return None,
        })
    }
}

impl Message {
    /// A message without attributes.
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            service: None,
            destination: None,
            daemon: None,
            timeouts: Timeouts::default(),
            info: Info::default(),
            other: Vec::new(),
        }
    }

    /// A message about a service.
    pub(crate) fn about(command: Command, service: Service) -> Self {
        Self { service: Some(service), ..Self::new(command) }
    }

    /// Reads the payload of a netlink message: the generic header and the attributes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let header = GenlHeader::parse(bytes).map_err(|error| DecodeError(error.to_string()))?;
        let command = Command::from_number(header.cmd)
            .ok_or_else(|| DecodeError(format!("unknown command {}", header.cmd)))?;
        let mut message = Self::new(command);
        let attributes = bytes.get(header.buffer_len()..).unwrap_or_default();
        let mut all = fields(attributes);
        for field in &mut all {
            if command == Command::SetInfo {
                match field.kind {
                    INFO_VERSION => message.info.version = Some(field.u32()?),
                    INFO_CONN_TAB_SIZE => message.info.connection_table_size = Some(field.u32()?),
                    _ => message.other.push(field.to_attribute()),
                }
                continue;
            }
            match field.kind {
                SERVICE => message.service = Some(Service::parse(field.value, Counters::Read)?),
                DEST => message.destination = Some(Destination::parse(field.value, Counters::Read)?),
                DAEMON => message.daemon = Some(Daemon::parse(field.value)?),
                TIMEOUT_TCP => message.timeouts.tcp = Some(field.u32()?),
                TIMEOUT_TCP_FIN => message.timeouts.tcp_fin = Some(field.u32()?),
                TIMEOUT_UDP => message.timeouts.udp = Some(field.u32()?),
                _ => message.other.push(field.to_attribute()),
            }
        }
        all.finish()?;
        Ok(message)
    }

    /// Of an answer to `GET_SERVICE` the service alone, if there is one.
    pub(crate) fn parse_service(bytes: &[u8], with: Counters) -> Result<Option<Service>, DecodeError> {
        let field = only(bytes, SERVICE)?;
        field.map(|field| Service::parse(field.value, with)).transpose()
    }

    /// Of an answer to `GET_DEST` the octets of the destination alone, if there is one, for [`Destination::parse`].
    #[inline]
    pub(crate) fn destination(bytes: &[u8]) -> Result<Option<&[u8]>, DecodeError> {
        only(bytes, DEST).map(|field| field.map(|field| field.value))
    }

    /// The payload of a netlink message; `None` if it is longer than attributes can be.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut to = Writer::default();
        begin(&mut to, self.command);
        if self.command == Command::SetInfo {
            to.put_u32(INFO_VERSION, self.info.version);
            to.put_u32(INFO_CONN_TAB_SIZE, self.info.connection_table_size);
        } else {
            if let Some(service) = &self.service {
                service.put(&mut to);
            }
            if let Some(destination) = &self.destination {
                destination.put(&mut to);
            }
            if let Some(daemon) = &self.daemon {
                daemon.put(&mut to);
            }
            self.timeouts.put(&mut to);
        }
        to.put_attributes(&self.other);
        to.finish()
    }
}

/// Begins a message with its generic header; its parts put themselves behind that.
pub(crate) fn begin(to: &mut Writer, command: Command) {
    let header = GenlHeader { cmd: command as u8, version: FAMILY_VERSION };
    let mut start = [0; GENL_HEADER];
    header.emit(&mut start);
    to.begin(&start);
}

impl Service {
    /// Appends it to a message.
    pub(crate) fn put(&self, to: &mut Writer) {
        to.nested(SERVICE, |to| self.emit(to));
    }
}

impl Destination {
    /// Appends it to a message.
    pub(crate) fn put(&self, to: &mut Writer) {
        to.nested(DEST, |to| self.emit(to));
    }
}

impl Daemon {
    /// Appends it to a message.
    pub(crate) fn put(&self, to: &mut Writer) {
        to.nested(DAEMON, |to| self.emit(to));
    }
}

impl Timeouts {
    /// Appends them to a message.
    pub(crate) fn put(&self, to: &mut Writer) {
        to.put_u32(TIMEOUT_TCP, self.tcp);
        to.put_u32(TIMEOUT_TCP_FIN, self.tcp_fin);
        to.put_u32(TIMEOUT_UDP, self.udp);
    }
}

/// The last attribute of that kind in a message.
fn only(bytes: &[u8], kind: u16) -> Result<Option<Field<'_>>, DecodeError> {
    let (_, attributes) = bytes.split_first_chunk::<GENL_HEADER>().ok_or_else(|| too_short(bytes))?;
    let mut found = None;
    let mut all = fields(attributes);
    for field in &mut all {
        if field.kind == kind {
            found = Some(field);
        }
    }
    all.finish()?;
    Ok(found)
}

#[cold]
fn too_short(bytes: &[u8]) -> DecodeError {
    DecodeError(format!("a message of {} bytes", bytes.len()))
}

/// Bytes of the `genlmsghdr`.
const GENL_HEADER: usize = 4;

// IPVS_CMD_ATTR_*
const SERVICE: u16 = 1;
const DEST: u16 = 2;
const DAEMON: u16 = 3;
const TIMEOUT_TCP: u16 = 4;
const TIMEOUT_TCP_FIN: u16 = 5;
const TIMEOUT_UDP: u16 = 6;

// IPVS_INFO_ATTR_*
const INFO_VERSION: u16 = 1;
const INFO_CONN_TAB_SIZE: u16 = 2;
