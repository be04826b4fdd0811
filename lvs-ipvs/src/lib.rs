//! The kernel's IPVS over generic netlink.

#![forbid(unsafe_code)]

mod convert;
mod raw;
mod types;

pub use types::{Info, ServerEntry, ServiceEntry, Statistics, Timeouts, Version};
