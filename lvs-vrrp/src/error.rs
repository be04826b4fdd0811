//! What can go wrong outside of the protocol, by who is at fault.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use lvs_core::Family;
use thiserror::Error;

use crate::types::{OutOfRange, Vrid};

/// Why a driver could not be made, could not be changed or could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself or the protocol; nothing was opened, sent or changed.
    #[error("instance {instance}: {source}")]
    Config {
        /// Name of the instance.
        instance: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// A group contradicts the instances or another group; nothing was opened, sent or changed.
    #[error("group {group}: {source}")]
    Group {
        /// Name of the group.
        group: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// A driver has no room for so many; nothing was changed.
    #[error("{count} instances are too many, allowed are {most}")]
    TooManyInstances {
        /// How many there would be.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// There is no instance of this name, or not any more.
    #[error("there is no instance {0}")]
    UnknownInstance(String),
    /// The instance is in a group, which would lose it; nothing was changed.
    #[error(
        "instance {instance} is in group {group}: apply a setup with neither, or with a group without it"
    )]
    GroupMember {
        /// Name of the instance.
        instance: String,
        /// Name of its group.
        group: String,
    },
    /// A change needs sockets that could not be opened; nothing was changed.
    #[error("open sockets for adverts on {interface}: {source}")]
    Sockets {
        /// Name of the interface.
        interface: String,
        /// What the transport said.
        source: io::Error,
    },
    /// Another change of the instances is under way; nothing was changed.
    #[error("another change of the instances is under way")]
    Busy,
    /// The driver has ended; nothing was changed.
    #[error("the driver has ended")]
    Ended,
    /// The kernel refused something that the driver cannot do without.
    #[error("{operation}: {source}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What is wrong with the configuration of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An instance or a group has an empty name, by which nobody could speak of it.
    #[error("it needs a name")]
    Nameless,
    /// Two instances have the same name.
    #[error("there is another instance of this name")]
    DuplicateName,
    /// Two instances could not be told apart by what they receive.
    #[error(
        "instance {other} has virtual router identifier {vrid} on {interface} too, with the same group or peer"
    )]
    DuplicateRouter {
        /// Name of the other one.
        other: String,
        /// The identifier of both.
        vrid: Vrid,
        /// The interface of both.
        interface: String,
    },
    /// The list of addresses does not fit an advert.
    #[error(transparent)]
    Addresses(#[from] OutOfRange),
    /// Its addresses, group, peers and source are of both families; a packet has one.
    #[error("{other} is not {}, as the first virtual address is", family_name(.family))]
    MixedFamilies {
        /// The family of the first virtual address.
        family: Family,
        /// The first address of the other one.
        other: IpAddr,
    },
    /// Version 2 over IPv6 is nobody's standard (RFC 3768 is IPv4 only).
    #[error("version 2 has no IPv6; use version 3")]
    Ipv6InVersion2,
    /// No interface can have the name: 1 to 15 octets, without slash, colon and spaces, and not `.` or `..`.
    #[error("no interface can have the name {0:?}")]
    NotAnInterface(String),
    /// Receivers refuse such adverts (RFC 9568 §5.2.9, erratum 8300), but for those that
    /// [take any](crate::InstanceConfig::takes_any_first_address).
    #[error("the first of the IPv6 addresses must be link-local (fe80::/10), {0} is not")]
    NotLinkLocal(Ipv6Addr),
    /// RFC 9568 removed it, and VRRPv3 packets have no place for it.
    #[error("version 3 has no authentication; use version 2 or remove it")]
    AuthenticationInVersion3,
    /// The crate was built without the feature `ah`.
    #[error("authentication headers are not built in")]
    NoAuthenticationHeaders,
    /// The destination of multicast adverts is not a group.
    #[error("{0} is not a multicast group")]
    NotAGroup(IpAddr),
    /// An address that no host can have.
    #[error("{0} is not the address of a host")]
    NotAHost(IpAddr),
    /// Two groups have the same name.
    #[error("there is another group of this name")]
    DuplicateGroup,
    /// A group of nobody.
    #[error("it has no members")]
    EmptyGroup,
    /// A group names an instance that there is not.
    #[error("there is no instance {0}")]
    UnknownMember(String),
    /// An instance cannot follow two groups.
    #[error("instance {member} is in group {other} already")]
    MemberOfTwoGroups {
        /// Name of the instance.
        member: String,
        /// Name of the group that has it.
        other: String,
    },
    /// What cannot change while the driver runs.
    #[error("its {0} cannot change while it runs")]
    Fixed(&'static str),
    /// No advert of a peer could be believed: the lower limit of its TTL is above the upper one.
    #[error("no TTL is at least {min} and at most {max}, which peer {peer} is limited to")]
    NoTtl {
        /// Address of the peer.
        peer: IpAddr,
        /// The lower limit.
        min: u8,
        /// The upper limit.
        max: u8,
    },
    /// A peer is there twice: it would get each advert twice, and only the limits of the first would count.
    #[error("peer {0} is there twice")]
    DuplicatePeer(IpAddr),
    /// Unicast to nobody.
    #[error("unicast needs at least one peer")]
    NoPeers,
}

const fn family_name(family: &Family) -> &'static str {
    match family {
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}
