//! Test hosts: networks of real hosts inside this process's reach, real programs on them, and eyes on the wire.
//!
//! A [`Host`] is a network namespace without a name, held by this process alone. Whatever ends the process (a panic,
//! `kill -9`), its hosts, links, addresses and programs are gone. Everything here panics with a reason when it cannot do
//! what it is asked to: a broken test bed is a failed test.
//!
//! ```
//! use lvs_tests::{Host, Segment};
//!
//! let segment = Segment::new();
//! let [one, two] = ["one", "two"].map(Host::new);
//! one.connect(&segment, "eth0", "10.5.0.133/21");
//! two.connect(&segment, "eth0", "10.5.0.195/21");
//! one.ping("10.5.0.195", std::time::Duration::from_secs(5)).expect("two answers one");
//! ```
#![deny(unsafe_code)]
// A broken test bed is a failed test, so all of this crate panics by design.
#![allow(clippy::panic, clippy::missing_panics_doc)]

mod address;
mod capture;
mod directory;
mod echo;
pub mod farm;
mod frame;
mod host;
pub mod http;
pub mod judges;
mod namespace;
mod netlink;
mod pcap;
pub mod peers;
mod ping;
mod poll;
mod process;
pub mod s2;
mod socket;
mod spawn;
mod wrapping;

pub use address::{Address, Mac, Network};
pub use capture::Capture;
pub use echo::{Answer, Conversation, EchoServer, Transport};
pub use farm::Farm;
pub use frame::{Arp, Frame, Ip};
pub use host::{Host, Segment, require_ipvs};
pub use nix::sys::signal::Signal;
pub use poll::{Condition, holds_for, poll_until};
pub use process::Process;
pub use socket::Sender;
pub use wrapping::Wrapping;
