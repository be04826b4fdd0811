//! The kernel's IPVS over generic netlink.

#![forbid(unsafe_code)]

#[cfg(test)]
mod captures;
mod client;
mod convert;
mod dataplane;
mod error;
mod raw;
mod types;

pub use client::Client;
pub use dataplane::IpvsDataplane;
pub use error::{Cause, Error, Operation, Refusal};
pub use lvs_netlink::{KernelError, Options};
pub use types::{Info, ServerEntry, ServiceEntry, Statistics, Timeouts, Version};
