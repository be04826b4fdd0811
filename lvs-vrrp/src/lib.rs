//! VRRP for applications: the protocol by which several hosts agree who of them has an address.
//!
//! Versions 2 (RFC 3768, with the simple passwords and authentication headers of RFC 2338) over IPv4 and 3 (RFC 9568)
//! over IPv4 and IPv6, to a multicast group or to unicast peers, interoperable with keepalived and FRR.
//!
//! The parts can be used one by one:
//!
//! | part | what it is | feature |
//! | --- | --- | --- |
//! | [`Advert`], [`Endpoints`], [`Datagram`] | the codec: parse without allocating, write into a buffer of yours | – |
//! | [`Demux`] | which instance a packet is for, and whether it may believe it; [`Refusal`] says why not | – |
//! | [`Ah`], [`AhSender`] | authentication headers around version 2, both ways | `ah` |
//! | [`timing`] | skew time and master down interval, to the nanosecond | – |
//! | [`Router`] | the state machine, without sockets, clock or threads | – |
//! | [`SyncGroup`] | several routers that are master together or not at all | – |
//! | [`Tracker`] | what tracked interfaces, scripts, processes and files do to a priority, explained | – |
//! | [`record`] | what a router was told as text, and its replay | – |
//! | [`Driver`], [`Setup`] | sockets, one timer and the routers and groups of a host, in one future | `tokio` |
//! | [`Handle::apply`], [`Changes`] | another setup for a running driver, without a word from those that stay | `tokio` |
//! | [`Handle`], [`Instance`] | commands to a running driver, and what becomes of it: [`Ownership`], [`Event`], [`Status`], [`Pulse`] | `tokio` |
//! | [`Stats`] | what an instance has sent, heard, refused and become, as RFC 6527 and keepalived count it | `tokio` |
//! | [`Transport`] | how adverts travel: [`RawTransport`] unless told otherwise, or one of yours | `tokio` |
//! | [`UdpTransport`] | for clouds that drop protocol 112, and for trying things out without privileges | `tokio` |
//! | [`MemoryNetwork`] | for tests: drivers of one process that hear each other | `tokio` |
//! | [`thread`], [`clock`] | real-time priority for the thread that runs the driver; the clock that it goes by | `tokio` |
//!
//! # Features
//!
//! - `tokio` (on by default): the driver and all that needs an operating system, which is Linux. Without it the crate
//!   is the codec, the machines and the recordings, and depends on neither tokio nor libc.
//! - `ah` (on by default): IPsec authentication headers, keepalived's `auth_type AH`.
//! - `serde`: [`Stats`] and [`Status`] can be serialised.
//!
//! What the crate does not do: put addresses on interfaces, send gratuitous ARP, run scripts. It says when,
//! in order and under which [`Epoch`], and `lvs-addr` or the application does it. So
//! becoming master never waits for a slow kernel, and adverts are never late because a script hangs.
//!
//! # Embedding the driver
//!
//! [`Driver`] has the example: make it from a list of [`InstanceConfig`], run it on a thread of its own,
//! watch [`Instance::ownership`], answer with [`Instance::claimed`]. Instances that belong together are groups of a
//! [`Setup`]; what the application tracks goes in by [`Instance::set_priority`] and [`Instance::set_gate`], for which a
//! [`Tracker`] does the sums. [`Handle::apply`] gives a running driver other instances and groups, as a reload does. An
//! application that looks after interfaces itself tells by [`Handle::set_link`].
//!
//! Tests need no network: [`MemoryNetwork`] has an election of two drivers in one process.
//!
//! When something went wrong in the field, [`Instance::recording`] of an instance with [`InstanceConfig::record`] is
//! what its router was told, and [`record::replay`] does it again; the example `replay` of this crate prints it.
//!
//! # Embedding the state machine
//!
//! [`Router`] has the state diagram and the rules of the loop. Here is an election of two in memory, with the
//! packets that would have been on the wire:
//!
//! ```
//! use std::net::Ipv4Addr;
//!
//! use lvs_vrrp::{
//!     Action, Advert, ClaimResult, Config, Endpoints, Instant, Interval, Priority, Role, Router, Vrid,
//! };
//!
//! let interval = Interval::centis(100)?;
//! let group = Ipv4Addr::new(224, 0, 0, 18);
//! let vips = [Ipv4Addr::new(10, 0, 0, 100)];
//! let vrid = Vrid::new(51)?;
//!
//! let addresses = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
//! let priorities = [Priority::new(150)?, Priority::new(100)?];
//! let mut routers = [0, 1].map(|i| Router::new(Config::new(interval, priorities[i]), addresses[i].into()));
//!
//! let mut now = Instant::ORIGIN;
//! for router in &mut routers {
//!     router.enable(now);
//! }
//! // Ten seconds of their life.
//! while now < Instant::from_nanos(10_000_000_000) {
//!     for sender in 0..2 {
//!         while let Some(action) = routers[sender].poll_action() {
//!             match action {
//!                 Action::Advertise(advertised) => {
//!                     let mut packet = Vec::new();
//!                     let endpoints = Endpoints::v4(addresses[sender], group);
//!                     let advert = Advert::new(vrid, advertised, interval, &vips)?;
//!                     advert.write_to(&endpoints, &mut packet);
//!                     // Across the wire:
//!                     let advert = Advert::parse(&packet, &endpoints).expect("nothing damages it");
//!                     routers[1 - sender].handle_advert(now, endpoints.source(), &advert);
//!                 }
//!                 // Add the addresses to the interface, then:
//!                 Action::Claim { epoch } => {
//!                     routers[sender].handle_claimed(now, epoch, ClaimResult::Confirmed);
//!                 }
//!                 Action::Announce { .. } => { /* gratuitous ARP for each address */ }
//!                 Action::Release { .. } => { /* remove them */ }
//!                 Action::Changed(transition) => println!("{}: {transition}", addresses[sender]),
//!                 Action::Conflict(_) | Action::WantsMaster => {}
//!             }
//!         }
//!     }
//!     // Sleep until the first timer.
//!     now = routers.iter().filter_map(Router::poll_timeout).min().expect("somebody waits");
//!     for router in &mut routers {
//!         router.handle_timeout(now);
//!     }
//! }
//! assert_eq!(routers.map(|router| router.role()), [Role::Master, Role::Backup]);
//! # Ok::<(), lvs_vrrp::OutOfRange>(())
//! ```
//!
//! # What differs from keepalived
//!
//! - An interval of 0 is refused (erratum 8301), and so is a version 3 advert without addresses (erratum
//!   8299).
//! - Adverts whose list of addresses is not ours are used and counted, as keepalived does since 2.3.3; 2.2.7
//!   drops them.
//! - Checksums of version 3 are accepted with and without pseudo-header, and always checked.
//! - Losing adverts are answered at most ten times per interval and announced at most once per second.
//! - A master that was not run for as long as a backup waits (three intervals), or found itself not alone for a while,
//!   announces its addresses again (keepalived leaves a black hole).
//! - `preempt_delay` does not delay the replacement of a master that is gone.
//! - Of two owners the one with the lower address becomes backup and keeps its priority.
//! - A master that cannot get its addresses resigns, and tries again later and later.

// With sockets it is denied everywhere but in socket.rs.
#![cfg_attr(not(feature = "tokio"), forbid(unsafe_code))]
#![deny(unsafe_code)]
// The page above links to the driver.
#![cfg_attr(not(all(feature = "tokio", feature = "ah")), allow(rustdoc::broken_intra_doc_links))]

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
mod readme {}

pub mod ipv4;
pub mod record;
#[cfg(feature = "tokio")]
pub mod thread;
pub mod timing;

mod action;
mod addresses;
#[cfg(feature = "ah")]
mod ah;
mod checksum;
#[cfg(feature = "tokio")]
pub mod clock;
mod config;
mod conflict;
mod delivery;
mod demux;
#[cfg(feature = "tokio")]
mod driver;
mod endpoints;
#[cfg(feature = "tokio")]
mod error;
mod packet;
mod refusal;
mod router;
#[cfg(feature = "tokio")]
mod socket;
#[cfg(feature = "tokio")]
mod stats;
mod sync_group;
mod tracker;
#[cfg(feature = "tokio")]
mod transport;
mod types;

pub use action::{Action, FaultReason, Gate, Reason, Transition};
pub use addresses::{AddressIter, AddressList};
#[cfg(feature = "ah")]
pub use ah::{Ah, AhSender};
pub use config::{AnnounceSchedule, Config, DownTimerAdverts, Preempt, Start};
pub use conflict::{Conflict, ConflictEnd, ConflictEvent, Verdict};
pub use delivery::{Delivery, Multicast, Peer, Unicast};
pub use demux::{Accepted, Demux, Listener, Refused};
#[cfg(feature = "tokio")]
pub use driver::Driver;
#[cfg(feature = "tokio")]
pub use driver::config::InstanceConfig;
#[cfg(feature = "tokio")]
pub use driver::difference::Changes;
#[cfg(feature = "tokio")]
pub use driver::handle::Event;
#[cfg(feature = "tokio")]
pub use driver::handle::EventKind;
#[cfg(feature = "tokio")]
pub use driver::handle::Handle;
#[cfg(feature = "tokio")]
pub use driver::handle::Instance;
#[cfg(feature = "tokio")]
pub use driver::handle::Pulse;
#[cfg(feature = "tokio")]
pub use driver::setup::{GroupConfig, Setup};
#[cfg(feature = "tokio")]
pub use driver::status::Status;
pub use endpoints::{Datagram, Endpoints, group};
#[cfg(feature = "tokio")]
pub use error::ConfigError;
#[cfg(feature = "tokio")]
pub use error::Error;
pub use ipv4::Ipv4Header;
// What stands in signatures here, so that this crate alone is enough.
pub use lvs_core::{ClaimResult, Epoch, Family, Instant, Link, LinkAddress, MacAddress, Ownership, Role};
pub use packet::Advert;
pub use refusal::Refusal;
pub use router::Router;
#[cfg(feature = "tokio")]
pub use stats::Stats;
pub use sync_group::{Standing, SyncGroup};
pub use tracker::{Explanation, Fact, Tracked, TrackedKind, Tracker};
#[cfg(feature = "tokio")]
pub use transport::memory::{MemoryNetwork, MemoryTransport};
#[cfg(feature = "tokio")]
pub use transport::raw::RawTransport;
#[cfg(feature = "tokio")]
pub use transport::udp::UdpTransport;
#[cfg(feature = "tokio")]
pub use transport::{Arrivals, Channel, Departures, Listen, Receiver, Sender, Transport};
pub use types::{
    Advertised, AuthPass, Authentication, Centis, ChecksumForm, Interval, OutOfRange, ParseNumberError,
    Priority, Version, Vrid,
};
