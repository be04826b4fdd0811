//! The kernel's IPVS over generic netlink.

#![forbid(unsafe_code)]

#[cfg(all(test, target_endian = "little"))]
mod captures;
mod convert;
mod raw;
mod types;

pub use types::{Info, ServerEntry, ServiceEntry, Statistics, Timeouts, Version};
