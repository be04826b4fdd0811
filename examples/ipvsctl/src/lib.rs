//! Administers the kernel's IPVS by ipvsadm's command line: see the README for what it takes, what differs, and what there is
//! beyond it.
//!
//! Words become a [`Command`] in [`cli`]; `verbs.rs` carries it out by [`lvs_ipvs::Client`]; [`list`] and [`save`] write what
//! the kernel has, and [`restore`] reads it back. Only `verbs.rs`, [`restore`] and [`names::System`] do I/O.
//!
//! What ipvsadm does not have: `program.rs` tells its verbs from ipvsadm's words; they become an [`OwnCommand`] in [`own`], which
//! carries it out in the files below it. What is decided there is done without I/O: [`desired`] reads a table from a text,
//! [`difference`] says which edits lead to it, [`rates`] and [`frame`] make what `watch` shows, [`drain`] says when a server
//! goes, and [`json`] writes lists. [`store`] puts a text into a file.

#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod desired;
pub mod difference;
pub mod drain;
pub mod error;
pub mod frame;
pub mod json;
pub mod list;
pub mod names;
pub mod own;
mod program;
pub mod rates;
pub mod restore;
pub mod save;
pub mod store;
mod usage;
mod verbs;

pub use command::Command;
pub use own::OwnCommand;
pub use program::run;
