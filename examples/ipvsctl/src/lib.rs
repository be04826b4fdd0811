//! Administers the kernel's IPVS by ipvsadm's command line: see the README for what it takes and what differs.
//!
//! Words become a [`Command`] in [`cli`]; `verbs.rs` carries it out by [`lvs_ipvs::Client`]; [`list`] and [`save`] write what
//! the kernel has, and [`restore`] reads it back. Only `verbs.rs`, [`restore`] and [`names::System`] do I/O.
//!
//! A verb that ipvsadm does not have begins in [`command::Command`]: add it there, tell it from ipvsadm's
//! words in `told` of `program.rs`, before they go to [`cli`], and carry it out in `verbs.rs`.

#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod error;
pub mod list;
pub mod names;
mod program;
pub mod restore;
pub mod save;
mod usage;
mod verbs;

pub use command::Command;
pub use program::run;
