//! Names of hosts and services: from names to numbers for a command line, and back for a list.

mod services;
mod system;

use std::net::IpAddr;

use lvs_core::{Family, Protocol};

pub use system::System;

/// Turns names of a command line into numbers. Called only for what is no number.
pub trait Resolve {
    /// The first address of that family that the host has.
    fn address(&self, name: &str, family: Family) -> Option<IpAddr>;

    /// The port of a service.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
}

/// Turns numbers into the names that a list shows; what has no name is shown as a number.
pub trait Names {
    /// The host with that address.
    fn host(&self, address: IpAddr) -> Option<String>;

    /// The service at that port.
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// Knows no names: what `-n` asks for, and what tests use.
///
/// ```
/// use ipvsctl::names::{Names as _, Numeric};
///
/// assert_eq!(Numeric.host([127, 0, 0, 1].into()), None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numeric;

impl Resolve for Numeric {
    fn address(&self, _: &str, _: Family) -> Option<IpAddr> {
        None
    }

    fn port(&self, _: &str, _: Protocol) -> Option<u16> {
        None
    }
}

impl Names for Numeric {
    fn host(&self, _: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _: u16, _: Protocol) -> Option<String> {
        None
    }
}
