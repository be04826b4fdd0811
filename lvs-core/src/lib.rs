//! Values, traits and decisions of a layer-4 load balancer.

#![forbid(unsafe_code)]

pub mod time;

pub use time::Instant;
