//! The bytes of the IPVS generic netlink family: messages and attributes as `linux/ip_vs.h` has them.
//!
//! ```text
//! genlmsghdr   cmd (u8)  version (u8)  reserved (u16)
//! SERVICE   1  nested: AF 1 u16 · PROTOCOL 2 u16 · ADDR 3 16 bytes · PORT 4 be16 · FWMARK 5 u32 ·
//!              SCHED_NAME 6 · FLAGS 7 {flags u32, mask u32} · TIMEOUT 8 u32 s · NETMASK 9 be32, or a
//!              prefix length in host order for IPv6 · STATS 10 · PE_NAME 11 · STATS64 12
//! DEST      2  nested: ADDR 1 16 bytes · PORT 2 be16 · FWD_METHOD 3 u32 · WEIGHT 4 u32 · U_THRESH 5 u32 ·
//!              L_THRESH 6 u32 · ACTIVE_CONNS 7 u32 · INACT_CONNS 8 u32 · PERSIST_CONNS 9 u32 · STATS 10 ·
//!              ADDR_FAMILY 11 u16 · STATS64 12 · TUN_TYPE 13 u8 · TUN_PORT 14 be16 · TUN_FLAGS 15 u16
//! DAEMON    3  nested: STATE 1 u32 · MCAST_IFN 2 · SYNC_ID 3 u32 · SYNC_MAXLEN 4 u16 · MCAST_GROUP 5 4 bytes ·
//!              MCAST_GROUP6 6 16 bytes · MCAST_PORT 7 u16 · MCAST_TTL 8 u8
//! TIMEOUT_TCP 4, TIMEOUT_TCP_FIN 5, TIMEOUT_UDP 6   u32 s
//! ```
//!
//! The answer to `GET_INFO` numbers its attributes anew: VERSION 1 u32, CONN_TAB_SIZE 2 u32.
//! Integers are in host order unless marked `be`. What is not known is kept: nothing the kernel adds later
//! makes an entry unreadable.

mod attribute;
mod daemon;
mod destination;
mod message;
mod service;
mod statistics;

pub(crate) use attribute::{DecodeError, Writer};
pub(crate) use daemon::{Daemon, state};
pub(crate) use destination::{Destination, forwarding, tunnel};
pub(crate) use message::{Command, Info, Message, Timeouts, begin};
pub(crate) use service::{Flags, Service, flags};
pub(crate) use statistics::Counters;

/// `IPVS_GENL_NAME`.
pub(crate) const FAMILY_NAME: &str = "IPVS";
/// `IPVS_GENL_VERSION`.
pub(crate) const FAMILY_VERSION: u8 = 1;

#[cfg(test)]
mod tests;
