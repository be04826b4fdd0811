//! The few route netlink messages that matter here: links and addresses.
//!
//! Reading is tolerant on purpose: only the attributes that are used are looked at, so that nothing a newer kernel
//! adds can hide a link that goes down.
//!
//! ```text
//! struct ifinfomsg                               struct ifaddrmsg
//! +--------+--------+-----------------+          +--------+--------+--------+--------+
//! | family |  pad   |   ARPHRD type   |          | family | prefix | flags  | scope  |
//! +--------+--------+-----------------+          +--------+--------+--------+--------+
//! |               index               |          |               index               |
//! +-----------------------------------+          +-----------------------------------+
//! |            flags (IFF_*)          |          |            attributes             |
//! +-----------------------------------+          +-----------------------------------+
//! |            change mask            |
//! +-----------------------------------+
//! |            attributes             |
//! +-----------------------------------+
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lvs_core::{AddressKey, LinkAddress, MacAddress, VirtualAddress};
use lvs_netlink::{Attributes, Flags, Message, Request};
use netlink_packet_core::Emitable;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeader, AddressHeaderFlags, AddressMessage, AddressProtocol, CacheInfo,
};

use crate::OWNER_TAG;

/// A link, as an `RTM_NEWLINK` or `RTM_DELLINK` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkFact {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// Administratively up, with a carrier, and operational (RFC 2863).
    pub(crate) up: bool,
    pub(crate) mac: Option<MacAddress>,
    /// Has neighbours that can be told something: an Ethernet that resolves addresses.
    pub(crate) has_neighbours: bool,
    /// Forwards IPv6. Known from dumps only.
    pub(crate) router: bool,
}

impl LinkFact {
    /// `None` for messages that are not about the link itself: a bridge port that leaves its bridge is an
    /// `RTM_DELLINK` too, of family `AF_BRIDGE`.
    pub(crate) fn parse(message: &Message) -> Option<Self> {
        let (header, attributes) = message.payload().split_first_chunk::<16>()?;
        let [family, _, t0, t1, i0, i1, i2, i3, f0, f1, f2, f3, ..] = *header;
        if family != AF_UNSPEC {
            return None;
        }
        let kind = u16::from_ne_bytes([t0, t1]);
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let mut fact = Self {
            index: u32::from_ne_bytes([i0, i1, i2, i3]),
            name: String::new(),
            up: flags & OPERATIONAL == OPERATIONAL,
            mac: None,
            has_neighbours: kind == ARPHRD_ETHER && flags & (IFF_LOOPBACK | IFF_NOARP) == 0,
            router: false,
        };
        for (kind, value) in Attributes::new(attributes) {
            match kind {
                IFLA_ADDRESS => fact.mac = value.try_into().ok().map(MacAddress::new),
                IFLA_IFNAME => fact.name = text(value),
                IFLA_AF_SPEC => fact.router = forwards_ipv6(value).unwrap_or(false),
                _ => {}
            }
        }
        (fact.index > 0 && !fact.name.is_empty()).then_some(fact)
    }
}

/// An address, as an `RTM_NEWADDR` or `RTM_DELADDR` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AddressFact {
    /// Index of its link.
    pub(crate) index: u32,
    pub(crate) address: LinkAddress,
    /// Duplicate address detection has not finished, or has found a duplicate: nothing may be sent from it.
    pub(crate) tentative: bool,
}

impl AddressFact {
    pub(crate) fn parse(message: &Message) -> Option<Self> {
        let (header, attributes) = message.payload().split_first_chunk::<8>()?;
        let [family, prefix_len, flags, _, i0, i1, i2, i3] = *header;
        let mut flags = u32::from(flags);
        let (mut local, mut address, mut tagged) = (None, None, false);
        for (kind, value) in Attributes::new(attributes) {
            match kind {
                IFA_LOCAL => local = ip(family, value),
                IFA_ADDRESS => address = ip(family, value),
                IFA_FLAGS => flags = value.try_into().map_or(flags, u32::from_ne_bytes),
                IFA_PROTO => tagged = value == [OWNER_TAG],
                _ => {}
            }
        }
        // On point-to-point links IFA_ADDRESS is the other end.
        let address = LinkAddress { address: local.or(address)?, prefix_len, tagged };
        let tentative = flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED) != 0;
        Some(Self { index: u32::from_ne_bytes([i0, i1, i2, i3]), address, tentative })
    }
}

/// All links, without the statistics that nobody here reads.
pub(crate) fn dump_links() -> Request {
    let mut payload = vec![0; 16];
    payload.extend(8_u16.to_ne_bytes());
    payload.extend(IFLA_EXT_MASK.to_ne_bytes());
    payload.extend(RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    Request::new(RTM_GETLINK, payload)
}

/// All addresses, of one link if an index is given.
pub(crate) fn dump_addresses(index: Option<u32>) -> Request {
    let mut payload = vec![0; 4];
    payload.extend(index.unwrap_or(0).to_ne_bytes());
    Request::new(RTM_GETADDR, payload)
}

/// Puts the address on the link, with our tag; refused with `EEXIST` if it is there.
pub(crate) fn add_address(address: &VirtualAddress, index: u32) -> Request {
    let key = &address.key;
    let mut message = address_message(key, index);
    message.header.scope = address.scope.0.into();
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(OWNER_TAG)));
    match key.address {
        IpAddr::V4(_) => {
            message.attributes.extend(address.broadcast.map(AddressAttribute::Broadcast));
            message.attributes.extend(address.label.clone().map(AddressAttribute::Label));
        }
        IpAddr::V6(_) => {
            // The address was another host's a moment ago: detection would find it and refuse.
            message.header.flags = AddressHeaderFlags::Nodad;
            if key.prefix_len == 128 {
                // As keepalived does: never the source of connections that this host opens.
                let mut lifetimes = CacheInfo::default();
                lifetimes.ifa_valid = u32::MAX;
                lifetimes.ifa_preferred = 0;
                message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
            }
        }
    }
    request(RTM_NEWADDR, &message).with_flags(Flags::CREATE | Flags::EXCL)
}

/// Takes the address off the link; refused with `EADDRNOTAVAIL` if it is not there.
pub(crate) fn remove_address(key: &AddressKey, index: u32) -> Request {
    request(RTM_DELADDR, &address_message(key, index))
}

fn address_message(key: &AddressKey, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header = AddressHeader {
        family: if key.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 },
        prefix_len: key.prefix_len,
        index,
        ..AddressHeader::default()
    };
    message.attributes = vec![AddressAttribute::Local(key.address), AddressAttribute::Address(key.address)];
    message
}

fn request(kind: u16, message: &AddressMessage) -> Request {
    let mut payload = vec![0; message.buffer_len()];
    message.emit(&mut payload);
    Request::new(kind, payload)
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).into()),
        AF_INET6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

/// `IFLA_AF_SPEC` / `AF_INET6` / `IFLA_INET6_CONF` / `DEVCONF_FORWARDING`, the first of an array of `i32`.
fn forwards_ipv6(af_spec: &[u8]) -> Option<bool> {
    let (_, inet6) = Attributes::new(af_spec).find(|&(kind, _)| kind == u16::from(AF_INET6))?;
    let (_, settings) = Attributes::new(inet6).find(|&(kind, _)| kind == IFLA_INET6_CONF)?;
    Some(*settings.first_chunk()? != 0_i32.to_ne_bytes())
}

// include/uapi/linux/rtnetlink.h
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
pub(crate) const RTNLGRP_LINK: u32 = 1;
pub(crate) const RTNLGRP_IPV4_IFADDR: u32 = 5;
pub(crate) const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;
// include/uapi/linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_INET6_CONF: u16 = 2;
// include/uapi/linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_DADFAILED: u32 = 0x08;
const IFA_F_TENTATIVE: u32 = 0x40;
// include/uapi/linux/if.h
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFF_NOARP: u32 = 0x80;
const IFF_LOWER_UP: u32 = 0x1_0000;
const OPERATIONAL: u32 = IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
// include/uapi/linux/if_arp.h
const ARPHRD_ETHER: u16 = 1;
const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

#[cfg(test)]
mod tests;
