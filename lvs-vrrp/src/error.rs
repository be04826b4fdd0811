//! What can go wrong outside of the protocol, by who is at fault.

use std::io;
use std::net::Ipv4Addr;

use thiserror::Error;

use crate::types::{OutOfRange, Vrid};

/// Why a driver could not be made or could not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration contradicts itself or the protocol; nothing was opened or sent.
    #[error("instance {instance}: {source}")]
    Config {
        /// Name of the instance.
        instance: String,
        /// What is wrong.
        source: ConfigError,
    },
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
    /// RFC 9568 removed it, and VRRPv3 packets have no place for it.
    #[error("version 3 has no authentication; use version 2 or remove it")]
    AuthenticationInVersion3,
    /// The destination of multicast adverts is not a group.
    #[error("{0} is not a multicast group")]
    NotAGroup(Ipv4Addr),
    /// An address that no host can have.
    #[error("{0} is not the address of a host")]
    NotAHost(Ipv4Addr),
    /// Unicast to nobody.
    #[error("unicast needs at least one peer")]
    NoPeers,
}
