//! The parts of `lvsd`, a load balancer daemon that reads keepalived.conf.
//!
//! [`conf`] turns the file into a checked configuration; [`run`] makes of it what the crates take and wires them together.

#![forbid(unsafe_code)]

mod addresses;
pub mod cli;
pub mod conf;
mod daemon;
mod dumps;
mod fifos;
mod health;
mod listeners;
mod log;
mod notices;
mod pidfile;
mod plan;
mod recordings;
mod scheduling;
#[cfg(test)]
mod scratch;
mod scripts;
mod services;
mod signals;
mod trackers;
mod vrrp;
mod worker;

pub use daemon::run;
