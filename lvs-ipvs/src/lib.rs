//! The kernel's IPVS over generic netlink: read and edit the table of virtual services and real servers.
//!
//! - [`Client`] has a method for each thing that can be asked or told, and [`Client::apply`] for batches of edits.
//! - [`IpvsDataplane`] is the client as [`lvs_core::Dataplane`]: what an applier observes and edits.
//! - [`Connections`] is the table of connections, row by row.
//! - [`Error`] says what was tried on what, and what the kernel's answer means there ([`Refusal`]).
//!
//! The values are those of [`lvs_core`]; the kernel's messages (`linux/ip_vs.h`) stay inside.
//!
//! ```no_run
//! use lvs_core::{Protocol, RealServer, ServerKey, ServiceKey, VirtualService, Weight};
//! use lvs_ipvs::{Client, Refusal};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ipvs = Client::open()?;
//! let key = ServiceKey::address(Protocol::Tcp, "[2001:db8::1]:80".parse()?);
//! let server = RealServer::new(ServerKey::new("[2001:db8::13]:80".parse()?));
//!
//! // `ipvsadm -A -t [2001:db8::1]:80 -s wlc`, and `ipvsadm -a … -r [2001:db8::13]:80 -m`
//! match ipvs.add_service(&VirtualService::new(key)).await {
//!     Err(error) if error.refusal() == Some(Refusal::ServiceExists) => println!("{error}"),
//!     result => result?,
//! }
//! ipvs.add_destination(&key, &server).await?;
//!
//! // No new connections; those that are there go on.
//! ipvs.edit_destination(&key, &server.with_weight(Weight::ZERO)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! What is asked and told: `client.rs` and `client/`. Whether what was read is all: `reading.rs`. What of it an applier sees:
//! `observation.rs`. Which attribute a value becomes: `convert.rs`. Which bytes an attribute has: `raw/`. How the module is
//! loaded: `module.rs`.
//! What a row of the connection table says: `connections/`.
//! What an errno means: `error.rs`. Captures of ipvsadm's own messages, which the codec is tested against: `captures/`.

#![forbid(unsafe_code)]

#[cfg(test)]
mod captures;
mod client;
#[doc(hidden)]
pub mod codec;
mod connections;
mod convert;
mod dataplane;
mod error;
mod module;
mod observation;
mod raw;
mod reading;
mod types;

// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use client::Client;
pub use connections::{
    Column, Connection, ConnectionFile, ConnectionOrigin, ConnectionProtocol, ConnectionState, Connections,
    ConnectionsError, PersistenceData, RowDefect, UnknownState,
};
pub use dataplane::IpvsDataplane;
pub use error::{Cause, Error, Operation, Refusal, TransportError};
pub use lvs_netlink::{KernelError, Options};
pub use module::LoadFailure;
pub use types::{Info, ListedService, Listing, ServerEntry, ServiceEntry, Version};
